"""A slow second opinion on cron slots, which shares no code with the library.

It reads the expression with a parser of its own, walks through UTC one step at a time, asks `zoneinfo` for the local
time of each step, and then applies the rules of docs/scheduling.md word for word. A gap or fold is seen only if it lies
well inside of the steps that were walked through.
"""

from __future__ import annotations

import importlib.resources
import struct
import zoneinfo
from calendar import monthrange
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

RANGES = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


def numbers(field: str, low: int, high: int) -> set[int]:
    """The values of a field of `*`, values, ranges, steps and lists of them."""
    found: set[int] = set()
    for item in field.split(","):
        body, _, step = item.partition("/")
        if body == "*":
            first, last = low, high
        elif "-" in body:
            first, last = (int(end) for end in body.split("-"))
        else:
            first = int(body)
            last = high if step else first
        if first <= last:
            found.update(range(first, last + 1, int(step or 1)))
        else:
            found.update([*range(first, high + 1), *range(low, last + 1)][:: int(step or 1)])
    return {value % 7 for value in found} if high == 6 else found


class Expression:
    """A cron expression, asked of one local time at a time."""

    def __init__(self, text: str) -> None:
        fields = text.split()
        fields = ["0", *fields] if len(fields) == 5 else fields
        self.second, self.minute, self.hour = (numbers(fields[n], *RANGES[n]) for n in range(3))
        self.day, self.month, self.weekday = fields[3], numbers(fields[4], *RANGES[4]), fields[5]
        self.interval_like = any(
            len(values) == size or ("/" in field and len(values) > 1)
            for field, values, size in ((fields[1], self.minute, 60), (fields[2], self.hour, 24))
        )
        self._days: dict[object, bool] = {}

    def matches(self, local: datetime) -> bool:
        if local.second not in self.second or local.minute not in self.minute or local.hour not in self.hour:
            return False
        day = local.date()
        if day not in self._days:
            self._days[day] = self._matches_day(local)
        return self._days[day]

    def _matches_day(self, local: datetime) -> bool:
        if local.month not in self.month:
            return False
        length = monthrange(local.year, local.month)[1]
        answers = []
        if not self._is_all(self.day, 1, 31, beside=self.weekday):
            answers.append(any(self._is_day(part, local, length) for part in self.day.split(",")))
        if not self._is_all(self.weekday, 0, 6, beside=self.day):
            answers.append(any(self._is_weekday(part, local, length) for part in self.weekday.split(",")))
        return any(answers) if answers else True

    @staticmethod
    def _is_all(field: str, low: int, high: int, *, beside: str) -> bool:
        """Whether it restricts nothing: a `*`, or, beside a field with a star in it, a list of all values."""
        if field == "*":
            return True
        listed = not set(field) & set("LW#") and len(numbers(field, low, high)) == high - low + 1
        return listed and "*" in beside

    @staticmethod
    def _is_day(part: str, local: datetime, length: int) -> bool:
        if part == "L":
            return local.day == length
        if part.endswith("W"):
            meant = local.replace(day=min(int(part[:-1]), length))
            near = [meant + timedelta(days=days) for days in (0, -1, 1, -2, 2)]
            return local.date() == next(d for d in near if d.month == local.month and d.weekday() < 5).date()
        return local.day in numbers(part, 1, 31)

    @staticmethod
    def _is_weekday(part: str, local: datetime, length: int) -> bool:
        weekday = local.isoweekday() % 7
        if part.startswith("L"):
            return weekday == int(part[1:]) % 7 and local.day + 7 > length
        if "#" in part:
            wanted, nth = (int(number) for number in part.split("#"))
            return weekday == wanted % 7 and (local.day - 1) // 7 + 1 == nth
        return weekday in numbers(part, 0, 6)


def walk(zone: zoneinfo.ZoneInfo, steps: Iterable[int]) -> list[tuple[int, datetime]]:
    """The local time at each of these instants."""
    return [(step, datetime.fromtimestamp(step, zone).replace(tzinfo=None, fold=0)) for step in steps]


def slots(text: str, walked: list[tuple[int, datetime]], step: timedelta, dst_gap: str, dst_fold: str) -> list[int]:
    """The slots among the instants that were walked through, in order."""
    expression = Expression(text)
    happens: dict[datetime, list[int]] = {}
    for instant, local in walked:
        if expression.matches(local):
            happens.setdefault(local, []).append(instant)
    if expression.interval_like:
        return sorted(instant for instants in happens.values() for instant in instants)
    chosen: set[int] = set()
    for instants in happens.values():
        chosen.update({"first": instants[:1], "second": instants[-1:], "both": instants}[dst_fold])
    if dst_gap == "run_after":
        for (_, local), (instant, next_local) in pairwise(walked):
            missing = local + step
            while missing < next_local:
                if expression.matches(missing):
                    chosen.add(instant)
                missing += step
    return sorted(chosen)


def changes(key: str) -> list[tuple[int, int]]:
    """When a zone changes its offset, and to what, as its TZif file lists it."""
    data = _tzif(key)
    counts = struct.unpack(">6l", data[20:44])
    skipped = 44 + counts[3] * 5 + counts[4] * 6 + counts[5] + counts[2] * 8 + counts[1] + counts[0]
    body = data[skipped:]
    isut, isstd, leap, timecnt, typecnt, _chars = struct.unpack(">6l", body[20:44])
    assert leap == 0, (isut, isstd)
    times = struct.unpack(f">{timecnt}q", body[44 : 44 + timecnt * 8])
    kinds = body[44 + timecnt * 8 : 44 + timecnt * 9]
    types = [struct.unpack(">lBB", body[44 + timecnt * 9 + 6 * n :][:6])[0] for n in range(typecnt)]
    offset = types[0]
    found = []
    for time, kind in zip(times, kinds, strict=True):
        if types[kind] != offset:
            found.append((time, types[kind]))
            offset = types[kind]
    return found


def _tzif(key: str) -> bytes:
    for folder in zoneinfo.TZPATH:
        path = Path(folder, key)
        if path.is_file():
            return path.read_bytes()
    return importlib.resources.files("tzdata.zoneinfo").joinpath(key).read_bytes()


def instant(year: int, month: int = 1, day: int = 1, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    """Seconds since the Unix epoch of a time in UTC."""
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
