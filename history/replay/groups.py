"""The replay of limits: how many jobs of a group run at once, and how many of a name start in a time.

Moves are judged in the order of their turns' instants. Several processes write their logs at once, so what is read is
kept for a while, until nothing earlier is likely to come.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import deque
from typing import NamedTuple

from ...messages.jobs import Instant
from ...messages.names import Rate
from ...rules.rates import per_seconds, rate_read
from ...rules.wording import many
from ..log_files.lines import Line, LoggedMove
from .findings import TooMuch
from .logged_moves import ReplayedMove

LATE_STARTS_MAX = 1_000
"""How many starts may be told before one that came earlier: several processes write their logs at once."""

EXACT_SECONDS = 1e-4
"""Instants are not compared any closer."""

FOUND_MAX = 100


class RateReplay:
    """Replays the starts on one store.

    Attributes:
        rates: those that the log tells, by their texts; None for a text that is none.
    """

    def __init__(self) -> None:
        self.too_fast: list[TooMuch] = []
        self._starts: dict[tuple[str, str], list[Instant]] = {}
        self.rates: dict[str, Rate | None] = {}

    def hear(self, step: ReplayedMove) -> None:
        told = step.move.rate
        if told is None:
            return
        if told not in self.rates:
            self.rates[told] = rate_read(told)
        rate = self.rates[told]
        if rate is None:
            return
        starts, most = self._starts.setdefault((step.move.n, told), []), rate.limit + rate.burst - 1
        insort(starts, step.at)
        if len(self.too_fast) < FOUND_MAX and _is_crowd(starts, step.at, most, per_seconds(rate) - EXACT_SECONDS):
            says = f"{step.move.n} may start {told}, and started more jobs in that time: {step.move.j} was one too many"
            self.too_fast.append(TooMuch(says, step.line))
        if len(starts) > most + 2 * LATE_STARTS_MAX:
            del starts[:LATE_STARTS_MAX]


def _is_crowd(starts: list[Instant], at: Instant, most: int, per: float) -> bool:
    """Whether a row of starts with this one has more than `most` within `per` seconds."""
    ends = range(max(most, bisect_left(starts, at)), len(starts))
    return any(starts[end - most] <= at and starts[end] - starts[end - most] < per for end in ends)


KEPT_SECONDS = 60.0
"""Seconds: a move so much older than the last one that was read is judged."""

WAITING_MAX = 20_000
"""Beyond so many moves the oldest are judged."""

OVERLAP_SECONDS = 1.0
"""Where turns overlap, one may see the ends of another that has begun so much later, or on a clock that is ahead."""

Group = tuple[str, str]
"""The name of the jobs, and the group's key."""


class TooMany(NamedTuple):
    """A claim that was one too many, if all these jobs ran."""

    says: str
    line: Line
    at: float
    jobs: frozenset[str]


class GroupReplay:
    """Replays the claims and the endings on one store, if it has groups with a limit.

    Attributes:
        late_seconds: where turns overlap, an end counts for claims that came so long before it, and for those whose
          turn was told after it.
    """

    def __init__(self) -> None:
        self.late_seconds = 0.0
        self.too_many: list[TooMany] = []
        self._waiting: list[tuple[float, int, LoggedMove, Line]] = []
        self._read = 0
        self._last = self._judged_to = float("-inf")
        self._has_limits = False
        # Ends that were read before any claim with a limit: a late claim may come behind its end.
        self._before = deque[tuple[float, int, LoggedMove, Line]](maxlen=WAITING_MAX)
        self._running: dict[Group, set[str]] = {}
        self._group_of: dict[str, Group] = {}

    def hear(self, step: ReplayedMove) -> None:
        move = step.move
        is_claim = move.k == "claimed" and move.e is not None
        if not is_claim and move.f != "running":
            return
        self._read += 1
        heard = (step.at, self._read, move, step.line)
        if not (is_claim or self._has_limits):
            self._before.append(heard)
            return
        self._has_limits = True
        while self._before:
            heapq.heappush(self._waiting, self._before.popleft())
        heapq.heappush(self._waiting, heard)
        self._last = max(self._last, step.at)
        while len(self._waiting) > WAITING_MAX or (self._waiting and self._waiting[0][0] < self._last - KEPT_SECONDS):
            self._judge_next()

    def finish(self) -> None:
        while self._waiting:
            self._judge_next()

    def _judge_next(self) -> None:
        at, _, move, line = heapq.heappop(self._waiting)
        is_late, self._judged_to = at < self._judged_to, max(at, self._judged_to)
        if move.k == "claimed":
            self._claimed(move, at, line)
            return
        group = self._group_of.pop(move.j, None)
        if group is not None:
            running = self._running[group]
            running.discard(move.j)
            if not running:
                # A group may be a customer, and there are many: idle groups are forgotten.
                del self._running[group]
        if is_late or self.late_seconds:
            # It had ended before some of what was judged in the meantime.
            self.too_many = [one for one in self.too_many if at > self._until(one) or move.j not in one.jobs]

    def _until(self, one: TooMany) -> float:
        """When the turn of a claim was over: one that waited, as while its host was cut off, was told later."""
        return max(one.at + self.late_seconds, one.line.ts if self.late_seconds else 0.0)

    def _claimed(self, move: LoggedMove, at: float, line: Line) -> None:
        group, limit = (move.n, move.g or ""), move.e or 0
        running = self._running.setdefault(group, set())
        running.add(move.j)
        self._group_of[move.j] = group
        if len(self.too_many) < FOUND_MAX and max(len(running), move.z or 0) > limit:
            of = f"{many(max(len(running), move.z or 0), 'job')} of group {move.g!r} of {move.n}"
            says = f"{of} ran at once, and {limit} may: {move.j} was one too many"
            self.too_many.append(TooMany(says, line, at, frozenset(running)))
