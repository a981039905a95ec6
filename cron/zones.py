"""Time zones as spans of constant offset from UTC, and the calendar that finds the instants of a local time in them.

A zone is a sequence of spans; within one, local time and UTC run side by side. Where a span ends, local time jumps:
forwards over a *gap* (times that do not exist on that day) or back over a *fold* (times that happen twice). That is all
that a schedule needs to know of a zone, and it is as true for thirty minutes, two hours or a whole day as for one hour.
"""

from __future__ import annotations

import io
import struct
import zoneinfo
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from ..errors import UsageError, alike, shown

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()

# The Gregorian calendar repeats itself, days of the week included, every 400 years: these are one cycle.
_CALENDAR_CYCLE = range(2000, 2400)

LAST = -1

MONTHS_KEPT = 1_024
"""The number of months, over all rules, whose matching days are cached. A rule has 28 kinds of months."""


class Days(NamedTuple):
    """Which days match.

    When both a day of the month and a day of the week are given, a day matches that fits either, as in every cron.

    Attributes:
        months: 1 to 12.
        month_days: days of the month, with `LAST` for the last one; None when all are meant.
        nearest_weekday: the one day of the month whose nearest day from Monday to Friday is meant (`15W`), or None.
        weekdays: days of the week, Sunday is 0; None when all are meant.
        nth_weekdays: pairs of a day of the week and its number in the month, 1 to 5 or `LAST` (`FRI#2`, `L5`).
    """

    months: frozenset[int]
    month_days: frozenset[int] | None = None
    nearest_weekday: int | None = None
    weekdays: frozenset[int] | None = None
    nth_weekdays: tuple[tuple[int, int], ...] = ()

    def ever_match(self) -> bool:
        """Whether there is any such day in the calendar."""
        return any(self.of_month(year, month) for year in _CALENDAR_CYCLE for month in self.months)

    def between(self, first: int, last: int) -> list[int]:
        """The matching local days from `first` to `last`, both included, in order."""
        if first > last:
            return []
        begin, end = date.fromordinal(first + _EPOCH_ORDINAL), date.fromordinal(last + _EPOCH_ORDINAL)
        found = []
        for month_number in range(begin.year * 12 + begin.month - 1, end.year * 12 + end.month):
            year, month = divmod(month_number, 12)
            before = date(year, month + 1, 1).toordinal() - _EPOCH_ORDINAL - 1
            found += [before + day for day in self.of_month(year, month + 1)]
        return found[bisect_left(found, first) : bisect_left(found, last + 1)]

    def of_month(self, year: int, month: int) -> tuple[int, ...]:
        return self._of_month_like(*monthrange(year, month)) if month in self.months else ()

    @lru_cache(maxsize=MONTHS_KEPT)  # noqa: B019 (what is kept is small, and bounded)
    def _of_month_like(self, monday_based: int, length: int) -> tuple[int, ...]:
        by_date = self._by_date(monday_based, length)
        by_week = self._by_week(monday_based, length)
        if by_date is None and by_week is None:
            return tuple(range(1, length + 1))
        return tuple(sorted((by_date or set()) | (by_week or set())))

    def _by_date(self, monday_based: int, length: int) -> set[int] | None:
        if self.nearest_weekday is not None:
            return {_nearest_weekday(min(self.nearest_weekday, length), monday_based, length)}
        if self.month_days is None:
            return None
        return {length if day == LAST else day for day in self.month_days if day <= length}

    def _by_week(self, monday_based: int, length: int) -> set[int] | None:
        if self.nth_weekdays:
            found = set()
            for weekday, nth in self.nth_weekdays:
                candidates = [day for day in range(1, length + 1) if (monday_based + day) % 7 == weekday]
                if nth <= len(candidates):
                    found.add(candidates[nth if nth == LAST else nth - 1])
            return found
        if self.weekdays is None:
            return None
        return {day for day in range(1, length + 1) if (monday_based + day) % 7 in self.weekdays}


def _nearest_weekday(day: int, monday_based: int, length: int) -> int:
    """The day from Monday to Friday nearest to this one, never in another month."""
    match (monday_based + day) % 7:
        case 6:
            return day - 1 if day > 1 else day + 2
        case 0:
            return day + 1 if day < length else day - 2
        case _:
            return day


@dataclass(frozen=True, slots=True, kw_only=True)
class TimesOfDay:
    """Which times of a day match: every combination of the hours, minutes and seconds, each in order.

    They are never listed (a schedule of every second has 86,400 of them): they are numbered, and looked up by number.
    """

    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    def at(self, number: int) -> int:
        """The time with this number, in seconds since midnight. The first has number 0."""
        rest, second = divmod(number, len(self.seconds))
        hour, minute = divmod(rest, len(self.minutes))
        return self.hours[hour] * 3600 + self.minutes[minute] * 60 + self.seconds[second]

    def before(self, time: int) -> int:
        """How many times of the day come before this one, in seconds since midnight: all of them before a later day."""
        hour, rest = divmod(time, 3600)
        minute, second = divmod(rest, 60)
        number = bisect_left(self.hours, hour) * len(self.minutes) * len(self.seconds)
        if hour in self.hours:
            number += bisect_left(self.minutes, minute) * len(self.seconds)
            if minute in self.minutes:
                number += bisect_left(self.seconds, second)
        return number


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTimes:
    """The local seconds that a cron expression means: on each matching day, each matching time."""

    days: Days
    times: TimesOfDay

    def between(self, first: int, stop: int) -> Iterator[int]:
        """The matching local seconds from `first` up to, not including, `stop`, in order."""
        for day in self.days.between(first // DAY_SECONDS, (stop - 1) // DAY_SECONDS):
            midnight = day * DAY_SECONDS
            for number in self._numbers(midnight, first, stop):
                yield midnight + self.times.at(number)

    def backwards(self, first: int, stop: int) -> Iterator[int]:
        for day in reversed(self.days.between(first // DAY_SECONDS, (stop - 1) // DAY_SECONDS)):
            midnight = day * DAY_SECONDS
            for number in reversed(self._numbers(midnight, first, stop)):
                yield midnight + self.times.at(number)

    def count(self, first: int, stop: int) -> int:
        days = self.days.between(first // DAY_SECONDS, (stop - 1) // DAY_SECONDS)
        if len(days) < 3:
            return sum(len(self._numbers(day * DAY_SECONDS, first, stop)) for day in days)
        outer = (days[0], days[-1])
        return len(self.times) * (len(days) - 2) + sum(
            len(self._numbers(day * DAY_SECONDS, first, stop)) for day in outer
        )

    def _numbers(self, midnight: int, first: int, stop: int) -> range:
        return range(self.times.before(first - midnight), self.times.before(stop - midnight))


DAY_SECONDS = 86_400

# A zone's offset is looked up once a day. No zone of the tz database has changed its offset twice within three days
# (a test holds every installed zone to that), so between two neighbouring look-ups there is at most one change to find.
PROBE_SECONDS = DAY_SECONDS

BLOCK_SECONDS = 64 * DAY_SECONDS
"""A zone is read in fixed blocks of so many seconds, from the epoch on: different spans share their look-ups."""

BLOCKS_KEPT = 4_096
"""The number of cached blocks: 30 years of some two dozen zones."""

_ZERO = timedelta(0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

UTC_ZONE = zoneinfo.ZoneInfo.from_file(
    io.BytesIO(b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", 0, 0, 0) + b"UTC\0"),
    key="UTC",
)
"""The zone of schedules that name none: it needs no tz database. One type of local time, in the format of RFC 8536."""

# These name the machine's setting, or count leap seconds, so that two processes would not agree on a slot.
_UNFIT_KEYS = ("localtime", "posixrules", "posix/", "right/")


class Span(NamedTuple):
    """A stretch of time during which a zone's offset stays the same.

    Attributes:
        start: its first second, since the Unix epoch (UTC).
        stop: the first second after it.
        offset: local time minus UTC, in seconds.
    """

    start: int
    stop: int
    offset: int

    @property
    def local_start(self) -> int:
        return self.start + self.offset

    @property
    def local_stop(self) -> int:
        return self.stop + self.offset


def load_zone(timezone: object) -> zoneinfo.ZoneInfo:
    """The zone of this name.

    Raises:
        UsageError: it is not a string, or no such zone is known here.
    """
    if not isinstance(timezone, str):
        raise UsageError(f'expected timezone to be a name such as "Europe/Berlin", got: {shown(timezone)}')
    if timezone.startswith(_UNFIT_KEYS):
        raise UsageError(
            f'expected timezone to be the name of a place such as "Europe/Berlin", got: {shown(timezone)}, which other '
            "machines may understand differently"
        )
    if timezone == "UTC":
        return UTC_ZONE
    try:
        return zoneinfo.ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):  # unknown, not a relative path, or a folder such as "Europe"
        raise UsageError(
            f"expected timezone to be a name of the IANA tz database, got: {shown(timezone)}{_suggestion(timezone)}"
        ) from None


def _suggestion(timezone: str) -> str:
    known = sorted(key for key in zoneinfo.available_timezones() if not key.startswith(_UNFIT_KEYS))
    if not known:
        return "; this machine has no tz database: pip install lamplighter[tzdata]"
    close = alike(timezone[:100], known)
    return f"; did you mean {close[0]!r}?" if close else ' (for example "Europe/Berlin" or "UTC")'


def spans(zone: tzinfo, start: int, stop: int) -> Iterator[Span]:
    """The zone's spans from `start` up to `stop` (epoch seconds), without a hole; the outer two are cut off there."""
    begin, offset = start, 0
    for block in range(start // BLOCK_SECONDS, -(-stop // BLOCK_SECONDS)):
        for span in _spans_of_block(zone, block):
            if span.start <= start:
                offset = span.offset
            elif span.start < stop and span.offset != offset:
                yield Span(begin, span.start, offset)
                begin, offset = span.start, span.offset
    if begin < stop:
        yield Span(begin, stop, offset)


@lru_cache(maxsize=BLOCKS_KEPT)
def _spans_of_block(zone: tzinfo, block: int) -> Sequence[Span]:
    begin, stop = block * BLOCK_SECONDS, (block + 1) * BLOCK_SECONDS
    found, offset = [], _offset_at(zone, begin)
    for ahead in range(begin + PROBE_SECONDS, stop + 1, PROBE_SECONDS):
        known = ahead - PROBE_SECONDS
        while (changed := _offset_at(zone, ahead)) != offset:
            known = _first_change(zone, known, ahead, offset)
            found.append(Span(begin, known, offset))
            begin, offset = known, changed if known == ahead else _offset_at(zone, known)
    if begin < stop:
        found.append(Span(begin, stop, offset))
    return found


def _first_change(zone: tzinfo, known: int, ahead: int, offset: int) -> int:
    """The first second with another offset; `known` still has `offset`, and `ahead` has not."""
    while ahead - known > 1:
        middle = (known + ahead) // 2
        if _offset_at(zone, middle) == offset:
            known = middle
        else:
            ahead = middle
    return ahead


def _offset_at(zone: tzinfo, instant: int) -> int:
    # Added to the epoch rather than `fromtimestamp`, which refuses years that a platform's C library does not know.
    local = (_EPOCH + timedelta(seconds=instant)).astimezone(zone)
    return int((local.utcoffset() or _ZERO).total_seconds())
