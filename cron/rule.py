"""The due times of a parsed cron expression: its naive local times, laid over a zone's spans of constant offset.

The rules for the gaps and folds of local time:

* An *interval-like* expression (`*`, a step, or a full range in the hour or minute field) follows local time:
  a local time in a gap does not happen; one in a fold happens twice and is due twice.
* Every other expression names times of a day, and each of them is due once. In a gap, `run_after` makes it due at the
  first instant after the gap, and `skip` drops it. In a fold it is due the `first` time, the `second`, or `both`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ..messages.jobs import Instant
from ..messages.schedules import DstFold, DstGap, Due
from .interval import INSTANT_MAX, INSTANT_MIN
from .zones import DAY_SECONDS, LocalTimes, Span, spans

# Windows grow, so that a near slot is found soon and a rare one is found at all.
_WINDOW_SECONDS_MIN = DAY_SECONDS
_WINDOW_SECONDS_MAX = 366 * DAY_SECONDS
_WINDOW_GROWTH = 8

# The zone is read so far around a window, so that a gap or fold beside it is seen. The longest was a day.
_AROUND_SECONDS = 2 * DAY_SECONDS


class _Run(NamedTuple):
    """The due local seconds from `first` up to `stop`, at one offset; with a note, `first` alone."""

    offset: int
    first: int
    stop: int
    note: str | None = None


class _Memory:
    """The last two stretches of time without a slot, and the slots that end them.

    Two, because the scheduler asks for a fired slot and for the next one. Any thread may ask: both are replaced
    together, and a lost one is found again.
    """

    __slots__ = ("_stretches",)

    def __init__(self) -> None:
        self._stretches: tuple[tuple[Instant, Due], ...] = ()

    def after(self, instant: Instant) -> Due | None:
        for start, due in self._stretches:
            if start <= instant < due.slot:
                return due
        return None

    def note(self, instant: Instant, due: Due) -> None:
        """There is no slot between this instant and that one."""
        others = [stretch for stretch in self._stretches if stretch[1].slot != due.slot]
        self._stretches = ((instant, due), *others[:1])


@dataclass(frozen=True, slots=True, kw_only=True)
class CronRule:
    """A cron expression in a zone. See `when.Rule` for what the methods promise.

    Attributes:
        interval_like: whether it follows local time, rather than naming times of a day.
        dst_gap: the treatment of a time of day in a gap.
        dst_fold: the treatment of a time of day that happens twice.
        memory: recent answers. Many schedules share a rule, and ask the same.
    """

    text: str
    zone: ZoneInfo
    local: LocalTimes
    interval_like: bool
    dst_gap: DstGap
    dst_fold: DstFold
    memory: _Memory = field(default_factory=_Memory, repr=False, compare=False)

    def after(self, instant: float) -> Due | None:
        known = self.memory.after(instant)
        if known is not None:
            return known
        found = next(self.between(instant, INSTANT_MAX), None)
        if found is not None:
            self.memory.note(instant, found)
        return found

    def between(self, start: float, end: float) -> Iterator[Due]:
        for window in _windows(_whole(start) + 1, _whole(end)):
            for run in self._runs(*window):
                yield from self._dues(run, self.local.between(run.first, run.stop))

    def count(self, start: float, end: float) -> int:
        windows = _windows(_whole(start) + 1, _whole(end))
        return sum(
            self.local.count(run.first, run.stop) if run.note is None else 1
            for window in windows
            for run in self._runs(*window)
        )

    def latest(self, end: float, n: int, start: float) -> list[Due]:
        return list(islice(self._backwards(_whole(start) + 1, _whole(end)), max(n, 0)))[::-1]

    def _backwards(self, first: int, last: int) -> Iterator[Due]:
        for negated_last, negated_first in _windows(-last, -first):
            for run in reversed(list(self._runs(-negated_first, -negated_last))):
                yield from self._dues(run, self.local.backwards(run.first, run.stop))

    def _dues(self, run: _Run, times: Iterator[int]) -> Iterator[Due]:
        if run.note is not None:
            yield Due(slot=float(run.first - run.offset), note=run.note)
            return
        for local in times:
            yield Due(slot=float(local - run.offset))

    def _runs(self, first: int, last: int) -> Iterator[_Run]:
        before = None
        known = list(spans(self.zone, first - _AROUND_SECONDS, last + 1 + _AROUND_SECONDS))
        for number, span in enumerate(known):
            after = known[number + 1] if number + 1 < len(known) else None
            if span.start <= last and span.stop > first:
                yield from self._runs_of(span, before, after, first, last)
            before = span

    def _runs_of(self, span: Span, before: Span | None, after: Span | None, first: int, last: int) -> Iterator[_Run]:
        local_first, local_stop = span.local_start, span.local_stop
        if not self.interval_like:
            if before and self.dst_gap == "run_after" and span.start >= first:
                moved = self._moved(before.local_stop, local_first)
                if moved:
                    yield _Run(span.offset, local_first, local_first + 1, moved)
                    local_first += 1  # that second is due already, whether or not it is a time of its own
            if before and self.dst_fold == "first":
                local_first = max(local_first, before.local_stop)
            if after and self.dst_fold == "second":
                local_stop = min(local_stop, after.local_start)
        local_first = max(local_first, first + span.offset)
        local_stop = min(local_stop, last + 1 + span.offset)
        if local_first < local_stop:
            yield _Run(span.offset, local_first, local_stop)

    def _moved(self, gap_first: int, gap_stop: int) -> str | None:
        """The note of the slot at the end of a gap; None when the gap leaves out no time (or is none)."""
        count = self.local.count(gap_first, gap_stop)
        if not count:
            return None
        earliest = next(self.local.between(gap_first, gap_stop))
        if count == 1:
            note = f"moved from {_shown(earliest)}, which does not exist in {self.zone.key}"
        else:
            latest = next(self.local.backwards(gap_first, gap_stop))
            note = f"{count} times moved, {_shown(earliest)} to {_shown(latest)}, which do not exist in {self.zone.key}"
        if self.local.count(gap_stop, gap_stop + 1):
            note += f"; merged with {_shown(gap_stop)}"
        return note


def _whole(instant: float) -> int:
    """The last whole second at or before an instant, within the calendar. Slots are whole seconds."""
    return math.floor(min(max(instant, INSTANT_MIN), INSTANT_MAX))


def _windows(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Neighbouring windows that together cover the seconds from `first` to `last`, both included."""
    size = _WINDOW_SECONDS_MIN
    while first <= last:
        yield first, min(first + size - 1, last)
        first += size
        size = min(size * _WINDOW_GROWTH, _WINDOW_SECONDS_MAX)


def _shown(local: int) -> str:
    return str((datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=local)).replace(tzinfo=None))
