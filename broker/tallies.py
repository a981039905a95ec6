"""Counts the moves of jobs. Turns that happen anyway store the sums at intervals."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple

from ..messages.jobs import Instant, Seconds, Transition
from ..messages.tallies import BOUNDS, FENCED, LOCK, MOVED, OTHERS, RAN, SLOT, SPANS, TURN, WAITED, Tally, start_of
from ..messages.views import TurnView
from ..stores.turn_ports import Turn
from .outbox import Outbox


class TurnTime(NamedTuple):
    seconds: Seconds
    waited: Seconds


class TurnTimes:
    """Durations of turns, noted by the thread that takes them. Any thread may read, even while a turn hangs."""

    def __init__(self, monotonic: Callable[[], Seconds]) -> None:
        self._monotonic = monotonic
        self.began: Seconds | None = None
        self.writes_from: Seconds | None = None
        self.last: TurnTime | None = None

    def end(self, *, is_stored: bool) -> None:
        """A turn that was not stored is not counted as `last`."""
        began, writes_from, self.began = self.began, self.writes_from, None
        if is_stored and began is not None and writes_from is not None:
            self.last = TurnTime(self._monotonic() - began, writes_from - began)

    def view(self, trouble: str | None) -> TurnView:
        began, last = self.began, self.last
        return TurnView(
            took_seconds=None if last is None else last.seconds,
            waited_seconds=None if last is None else last.waited,
            under_way_seconds=None if began is None else max(0.0, self._monotonic() - began),
            is_waiting=began is not None and self.writes_from is None,
            trouble=trouble,
        )


FLUSH_SECONDS = 10.0
"""A killed process loses the counts since the last flush: statistics, never a job."""

NAMES_MAX = 500
"""The most names counted separately; jobs of others share one count."""

COUNTED = {f"job.{kind}": kind for kind in MOVED} | {"job.doomed": "dead"}

TURNS, LOCKS = (OTHERS, TURN), (OTHERS, LOCK)

Key = tuple[str, str]


class _Sum:
    __slots__ = ("buckets", "n", "seconds")

    def __init__(self) -> None:
        self.n = 0
        self.seconds = 0.0
        self.buckets: list[int] | None = None

    def add(self, seconds: Seconds) -> None:
        self.n += 1
        self.seconds += seconds
        if self.buckets is None:
            self.buckets = [0] * (len(BOUNDS) + 1)
        self.buckets[bisect_left(BOUNDS, seconds)] += 1


Sums = defaultdict[Key, _Sum]


class Tallies:
    """The counts of a runtime that are not stored yet. They outlive a broker. Texts and keys are cached for speed."""

    def __init__(self) -> None:
        self._minutes: dict[Instant, Sums] = {}
        self._names: set[str] = set()
        self._ran: dict[str, str] = {}
        self._since: Seconds | None = None

    def due(self) -> Seconds:
        """When the sums are due to be stored (monotonic): now, where none has been counted since they were."""
        return -inf if self._since is None else self._since + FLUSH_SECONDS

    def is_due(self, monotonic: Seconds) -> bool:
        return self._since is not None and monotonic - self._since >= FLUSH_SECONDS

    def store(self, turn: Turn, out: Outbox) -> None:
        if turn.tallies is not None and any(self._minutes.values()):
            turn.tallies.add(self.tallies())
            out.is_tallied = True

    def take(self, out: Outbox, now: Instant, monotonic: Seconds, took: TurnTime | None = None) -> bool:
        """Count the moves of a committed turn. Return whether they are the first since sums were stored.

        Args:
            took: the turn's duration, if it counts. A turn without changes does not: one that only stores sums would
                cause another.
        """
        if out.is_tallied:
            self._minutes.clear()
            self._since = None
        minute = now // 60 * 60
        sums = self.count(out.transitions, now, took if out.did is not None else None)
        for name, outcome, count in out.slots:
            sums[self._counted_as(name), f"{SLOT}{outcome}"].n += count
        for name in out.fenced:
            sums[self._counted_as(name), FENCED].n += 1
        if not sums:
            del self._minutes[minute]
            return False
        is_first = self._since is None
        if is_first:
            self._since = monotonic
        return is_first

    def count(self, moves: Sequence[Transition], now: Instant, took: TurnTime | None) -> Sums:
        """Count moves, and the turn that has made them; the sums of its minute."""
        minute = now // 60 * 60
        sums = self._minutes.get(minute)
        if sums is None:
            sums = self._minutes[minute] = defaultdict(_Sum)
        for move in moves:
            event, job = move.event, move.job
            name = job.name if job.name in self._names else self._counted_as(job.name)
            kind, outcome = COUNTED.get(event), move.fields.get("outcome")
            if kind is not None:
                sums[name, kind].n += 1
            elif event == "job.claimed":
                sums[name, WAITED].add(max(0.0, now - job.run_at))
            if outcome is not None and job.claimed_at is not None:
                ran = self._ran.get(outcome)
                if ran is None:
                    ran = self._ran[outcome] = f"{RAN}{outcome}"
                sums[name, ran].add(max(0.0, now - job.claimed_at))
        if took is not None:
            sums[TURNS].add(took.seconds)
            sums[LOCKS].add(took.waited)
        return sums

    def tallies(self) -> Sequence[Tally]:
        found: dict[tuple[int, int, str, str], Tally] = {}
        for minute, sums in self._minutes.items():
            for (name, kind), one in sums.items():
                buckets = () if one.buckets is None else tuple(one.buckets)
                for span in SPANS:
                    tally = Tally(span, start_of(span, minute), name, kind, one.n, one.seconds, buckets)
                    key = tally[:4]
                    found[key] = found[key].plus(tally) if key in found else tally
        return list(found.values())

    def _counted_as(self, name: str) -> str:
        if name not in self._names:
            if len(self._names) >= NAMES_MAX:
                return OTHERS
            self._names.add(name)
        return name
