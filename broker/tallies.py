"""Counts what becomes of jobs, and has turns that come anyway store the sums now and then."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from ..messages.jobs import Instant, Seconds, Transition
from ..messages.tallies import BOUNDS, FENCED, LOCK, MOVED, OTHERS, RAN, SLOT, SPANS, TURN, WAITED, Tally, start_of
from ..stores.turn_ports import Turn
from .outbox import Outbox
from .turn_times import TurnTime

FLUSH_SECONDS = 10.0
"""A process that is killed takes what it has counted since the last time along: statistics, and never a job."""

NAMES_MAX = 500
"""So many names are counted apart; jobs of further ones together."""

Key = tuple[Instant, str, str]
"""The minute, the name, the kind."""


class _Sum:
    """What was counted of one kind."""

    __slots__ = ("buckets", "n", "seconds")

    def __init__(self) -> None:
        self.n = 0
        self.seconds = 0.0
        self.buckets: list[int] | None = None

    def add(self, seconds: Seconds | None) -> None:
        """One more, which took so long, if it takes time."""
        self.n += 1
        if seconds is not None:
            if self.buckets is None:
                self.buckets = [0] * (len(BOUNDS) + 1)
            self.seconds += seconds
            self.buckets[bisect_left(BOUNDS, seconds)] += 1


class Tallies:
    """What a runtime has counted and not stored yet. It outlives a broker."""

    def __init__(self) -> None:
        self._sums: dict[Key, _Sum] = {}
        self._names: set[str] = set()
        self._since: Seconds | None = None

    def is_due(self, monotonic: Seconds) -> bool:
        """Whether it is time to store what was counted."""
        return self._since is not None and monotonic - self._since >= FLUSH_SECONDS

    def store(self, turn: Turn, out: Outbox) -> None:
        """Add the sums to those of the store."""
        if turn.tallies is not None and self._sums:
            turn.tallies.add(self.tallies())
            out.is_tallied = True

    def take(self, out: Outbox, now: Instant, monotonic: Seconds, took: TurnTime | None = None) -> bool:
        """A turn is committed: count its moves. Whether they are the first since sums were stored.

        Args:
            now: the instant of the turn.
            took: how long it took, if that is to be counted. What has changed nothing is not: one that only stores sums
                would be followed by another.
        """
        if out.is_tallied:
            self._sums.clear()
            self._since = None
        if out.transitions:
            self._count(out.transitions, now)
        minute = now // 60 * 60
        for name, outcome, count in out.slots:
            self._sum(minute, self._counted_as(name), f"{SLOT}{outcome}").n += count
        for name in out.fenced:
            self._sum(minute, self._counted_as(name), FENCED).n += 1
        if took is not None and out.did is not None:
            self._sum(minute, OTHERS, TURN).add(took.seconds)
            self._sum(minute, OTHERS, LOCK).add(took.waited)
        if self._since is not None or not self._sums:
            return False
        self._since = monotonic
        return True

    def _count(self, moves: Iterable[Transition], now: Instant) -> None:
        minute = now // 60 * 60
        for move in moves:
            job = move.job
            kind = "dead" if move.event == "job.doomed" else move.event[4:]
            name = self._counted_as(job.name)
            if kind in MOVED:
                self._sum(minute, name, kind).add(None)
            elif kind == "claimed":
                self._sum(minute, name, WAITED).add(max(0.0, now - job.run_at))
            outcome = move.fields.get("outcome")
            if outcome is not None and job.claimed_at is not None:
                self._sum(minute, name, f"{RAN}{outcome}").add(max(0.0, now - job.claimed_at))

    def tallies(self) -> Sequence[Tally]:
        """All that was counted, for each span."""
        found: dict[tuple[int, int, str, str], Tally] = {}
        for (minute, name, kind), one in self._sums.items():
            buckets = () if one.buckets is None else tuple(one.buckets)
            for span in SPANS:
                tally = Tally(span, start_of(span, minute), name, kind, one.n, one.seconds, buckets)
                key = tally[:4]
                found[key] = found[key].plus(tally) if key in found else tally
        return list(found.values())

    def _sum(self, minute: Instant, name: str, kind: str) -> _Sum:
        found = self._sums.get((minute, name, kind))
        if found is None:
            found = self._sums[minute, name, kind] = _Sum()
        return found

    def _counted_as(self, name: str) -> str:
        if name not in self._names:
            if len(self._names) >= NAMES_MAX:
                return OTHERS
            self._names.add(name)
        return name
