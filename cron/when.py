"""Parses the application's `when`: cron expressions, intervals, and single datetimes.

Only this module uses croniter, to read the fields of an expression. Croniter does not compute times: it fires twice in
a fold of local time and loses some in folds that are not a whole hour. `cron/rule.py` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, Protocol, cast, get_args
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter

from ..errors import UsageError, shown
from ..messages.schedules import DstFold, DstGap, Due
from .interval import interval_of, meant, once_at, parse_at, parse_every
from .rule import CronRule
from .zones import LAST, Days, LocalTimes, TimesOfDay, load_zone

WHEN_CHARACTERS_MAX = 256

RULES_KEPT_MAX = 10_000
"""Parsing an expression takes far longer than looking it up, and schedules that have the same one share it."""

DAYS_KEPT_MAX = 1_000

_NAMED = {
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
    "@MONTHLY": "0 0 1 * *",
    "@WEEKLY": "0 0 * * 0",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@HOURLY": "0 * * * *",
}

_NAMES = [name.lower() for name in _NAMED]


class _Kind(NamedTuple):
    name: str
    values: range


# The order of an expression; one of five fields begins with the minute.
_KINDS = (
    _Kind("second", range(60)),
    _Kind("minute", range(60)),
    _Kind("hour", range(24)),
    _Kind("day-of-month", range(1, 32)),
    _Kind("month", range(1, 13)),
    _Kind("day-of-week", range(7)),
)

# Croniter's values: numbers, "*" for all, "l" for the last day of a month.
_Expanded = dict[str, list[int | str]]

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_NUMBERS = {name: number for number, name in enumerate(_MONTHS, start=1)} | {
    name: number for number, name in enumerate(_WEEKDAYS)
}
_RANGE = re.compile(r"(\w+)-(\w+)(?:/\d+)?", re.ASCII)
_STEP = re.compile(r".+/(\d+)", re.ASCII)
_NEAREST_WEEKDAY = re.compile(r"W?(\d+)W?", re.ASCII)
_NTH_WEEKDAY = re.compile(r"L\d|.+#\d", re.ASCII)
_HASHED = re.compile(r"[HR](?:[(/].*)?", re.ASCII)


class Rule(Protocol):
    """When a schedule is due. Slots are strictly increasing, and the same whenever and wherever one asks."""

    @property
    def text(self) -> str:
        """The canonical form of a `when`; `parse_when` makes an equal rule of it."""

    def after(self, instant: float) -> Due | None:
        """The first slot strictly after this instant, or None if there is none any more."""

    def between(self, start: float, end: float) -> Iterator[Due]:
        """The slots after `start` up to and including `end`, in order."""

    def count(self, start: float, end: float) -> int:
        """How many slots there are after `start` up to and including `end`; does not walk through them."""

    def latest(self, end: float, n: int, start: float) -> list[Due]:
        """The last `n` slots after `start` up to and including `end`, in order; does not walk through the others."""


def parse_when(when: object, *, timezone: str = "UTC", dst_gap: str = "run_after", dst_fold: str = "first") -> Rule:
    """Read what an application gives as `when`.

    Args:
        when: a cron expression (five fields; six with the seconds first; `@daily` and the like), an interval (a
            `timedelta`, or `"@every 30s"`), or one datetime (a `datetime` that knows its zone, or `"@at"` and one in
            ISO 8601).
        timezone: the zone of a cron expression, by its IANA name. It says nothing about intervals and datetimes.
        dst_gap: what happens to a time of day that does not exist on a day: `run_after` or `skip`.
        dst_fold: which one is meant when a time of day happens twice: `first`, `second` or `both`.

    Raises:
        UsageError: something is not as described, or no such date will ever come.
    """
    zone = load_zone(timezone)
    if not isinstance(dst_gap, str) or dst_gap not in get_args(DstGap):
        raise UsageError(f'expected dst_gap to be "run_after" or "skip", got: {shown(dst_gap)}')
    if not isinstance(dst_fold, str) or dst_fold not in get_args(DstFold):
        raise UsageError(f'expected dst_fold to be "first", "second" or "both", got: {shown(dst_fold)}')
    match when:
        case timedelta():
            return interval_of(when)
        case datetime():
            return once_at(when)
        case str():
            return _parse_text(when, zone, cast(DstGap, dst_gap), cast(DstFold, dst_fold))
    raise UsageError(
        f"expected when to be a cron expression, a timedelta or a datetime, got {type(when).__name__}: {shown(when)}; "
        'for an interval write timedelta(seconds=30) or "@every 30s"'
    )


@lru_cache(maxsize=RULES_KEPT_MAX)
def _parse_text(text: str, zone: ZoneInfo, dst_gap: DstGap, dst_fold: DstFold) -> Rule:
    if len(text) > WHEN_CHARACTERS_MAX:
        raise UsageError(f"expected when to have at most {WHEN_CHARACTERS_MAX} characters, got {len(text)}")
    if not text.isascii():
        raise UsageError(f"expected when to be plain ASCII, got: {text!r}")
    words = text.upper().split()
    match words:
        case []:
            raise UsageError('expected when to be a cron expression such as "0 3 * * *", got an empty string')
        case ["@EVERY", *_]:
            return parse_every(text.strip())
        case ["@AT", *_]:
            return parse_at(text.strip())
        case ["@REBOOT"]:
            raise UsageError('"@reboot" is not a time: queue the job when your application starts')
        case [name] if name in _NAMED:
            words = _NAMED[name].split()
        case [name] if name.startswith("@"):
            raise UsageError(
                f'expected {", ".join(_NAMES)}, "@every 30s" or "@at ...", got: {text.strip()!r}{meant(text, _NAMES)}'
            )
    if len(words) not in (5, 6):
        raise UsageError(
            "expected a cron expression of 5 fields (minute hour day-of-month month day-of-week), or of 6 with the "
            f"seconds first, got {len(words)} field{'s' * (len(words) != 1)}: {text.strip()!r}{meant(text, _NAMES)}"
        )
    return _parse_cron(words, zone, dst_gap, dst_fold)


def _parse_cron(fields: list[str], zone: ZoneInfo, dst_gap: DstGap, dst_fold: DstFold) -> CronRule:
    text = " ".join(fields)
    kinds = _KINDS[-len(fields) :]
    for kind, field in zip(kinds, fields, strict=True):
        _check_field(kind, field, text)
    expanded, nth_weekdays = _expand(kinds, fields)
    named = dict(zip((kind.name for kind in kinds), fields, strict=True))
    days = _one_for_all(_days(named["day-of-month"], named["day-of-week"], expanded, nth_weekdays))
    if not days.ever_match():
        raise UsageError(f"cron expression {text!r} never matches a date")
    times = TimesOfDay(
        hours=_values(expanded["hour"], range(24)),
        minutes=_values(expanded["minute"], range(60)),
        seconds=_values(expanded.get("second", [0]), range(60)),
    )
    return CronRule(
        text=text,
        zone=zone,
        local=LocalTimes(days=days, times=times),
        interval_like=_repeats(named["hour"], times.hours, 24) or _repeats(named["minute"], times.minutes, 60),
        dst_gap=dst_gap,
        dst_fold=dst_fold,
    )


def _check_field(kind: _Kind, field: str, text: str) -> None:
    """Refuse a field that croniter would read differently from its probable meaning."""
    if _HASHED.fullmatch(field):
        raise UsageError(
            f"expected the {kind.name} of {text!r} to be the same at every start, got: {field!r}; "
            "write the value, and use jitter= to spread the load"
        )
    items = field.split(",")
    if kind.name == "day-of-week" and len({bool(_NTH_WEEKDAY.fullmatch(item)) for item in items}) > 1:
        raise UsageError(
            f"expected '#' and 'L' in every part of the day-of-week field of {text!r} or in none, got: {field!r}; "
            "add a schedule for each"
        )
    for item in items:
        # croniter reads an equal range as the whole cycle: 5-5 as every minute. cron itself reads it as 5.
        bounds = _RANGE.fullmatch(item)
        if bounds and _same_value(kind, _number(bounds[1]), _number(bounds[2])):
            raise UsageError(
                f"expected the two ends of a range to differ, got: {item!r} as the {kind.name} of {text!r}; "
                f"write {bounds[1]!r} for this one, or '*' for all"
            )
        step = _STEP.fullmatch(item)
        if step and int(step[1]) > len(kind.values):
            raise UsageError(
                f"expected a step of at most {len(kind.values)} in the {kind.name} of {text!r}, got: {item!r}; "
                'a step begins anew in each cycle, so for a longer interval write for example "@every 90m"'
            )


def _same_value(kind: _Kind, low: str | int, high: str | int) -> bool:
    # Sunday is 0 and 7, but 0-7 is the week from one Sunday to the next, which many people write.
    return low == high or (kind.name == "day-of-week" and (low, high) == (7, 0))


def _number(name: str) -> str | int:
    return int(name) if name.isdigit() else _NUMBERS.get(name, name)


def _expand(kinds: tuple[_Kind, ...], fields: list[str]) -> tuple[_Expanded, dict[int, set[int | str]]]:
    """The values of each field by its name, and the numbered days of the week (`FRI#2`, `L5`), from croniter."""
    # croniter takes 30 days and the last one for 31 days, which are all: it gets the list without its L.
    others = [item for item in fields[-3].split(",") if item != "L"]
    asked = [*fields[:-3], ",".join(others) or "L", *fields[-2:]]
    try:
        values, nth_weekdays = croniter.expand(" ".join(asked), second_at_beginning=True)
    except CroniterError as error:
        raise UsageError(_refusal(kinds, fields, error)) from None
    names = ("minute", "hour", "day-of-month", "month", "day-of-week", "second")
    expanded = dict(zip(names, cast(list[list[int | str]], values), strict=False))
    if len(others) < len(fields[-3].split(",")) and "*" not in expanded["day-of-month"]:
        expanded["day-of-month"].append("l")
    return expanded, cast(dict[int, set[int | str]], nth_weekdays)


def _refusal(kinds: tuple[_Kind, ...], fields: list[str], error: CroniterError) -> str:
    # croniter does not always name the wrong field: parse each of them alone.
    text = " ".join(fields)
    for number, (kind, field) in enumerate(zip(kinds, fields, strict=True)):
        alone = ["*"] * len(fields)
        alone[number] = field
        if not croniter.is_valid(" ".join(alone), second_at_beginning=True):
            return (
                f"expected the {kind.name} field of {text!r} to be '*', or {kind.values[0]} to {kind.values[-1]} as a "
                f"value, range, step or list, got: {field!r}"
            )
    return f"expected a cron expression, got: {text!r} ({error})"


def _days(day_of_month: str, day_of_week: str, expanded: _Expanded, nth_weekdays: dict[int, set[int | str]]) -> Days:
    month_days, weekdays = expanded["day-of-month"], expanded["day-of-week"]
    nearest = _NEAREST_WEEKDAY.fullmatch(day_of_month) if "W" in day_of_month else None
    if (nth_weekdays and "*" not in month_days) or (nearest and "*" not in weekdays):
        # Every cron matches a day that fits either field; with these croniter silently drops one of the two.
        raise UsageError(
            "expected '*' as the day-of-week beside a 'W', and as the day-of-month beside a '#' or 'L', got: "
            f"{day_of_month!r} and {day_of_week!r}; add a schedule for each"
        )
    return Days(
        months=frozenset(_values(expanded["month"], range(1, 13))),
        month_days=None if "*" in month_days else frozenset(LAST if day == "l" else int(day) for day in month_days),
        nearest_weekday=int(nearest[1]) if nearest else None,
        weekdays=None if "*" in weekdays else frozenset(int(day) for day in weekdays),
        nth_weekdays=tuple(
            sorted((day, LAST if nth == "l" else int(nth)) for day, numbers in nth_weekdays.items() for nth in numbers)
        ),
    )


@lru_cache(maxsize=DAYS_KEPT_MAX)
def _one_for_all(days: Days) -> Days:
    """A shared instance of equal days: many expressions differ in their times of day alone."""
    return days


def _values(expanded: list[int | str], all_values: range) -> tuple[int, ...]:
    return tuple(all_values) if "*" in expanded else tuple(sorted(int(value) for value in expanded))


def _repeats(field: str, values: tuple[int, ...], size: int) -> bool:
    """Whether a field is a full range or a step. A step with a single value (`*/24`) names a time like any other."""
    return len(values) == size or ("/" in field and len(values) > 1)
