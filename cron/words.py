"""A rule in words, for people who do not read cron. The words come from the parsed rule, not from the expression's
text, so they are true of every way to write it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import listed
from .interval import Interval, Once
from .rule import CronRule
from .when import Rule
from .zones import LAST, Days, TimesOfDay

TIMES_LISTED_MAX = 6
"""More times of a day are described by their hours, minutes and seconds."""

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_WORKDAYS, _WEEKEND = frozenset(range(1, 6)), frozenset({0, 6})
_ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", LAST: "last"}
_UNITS = (("day", 86_400_000_000), ("hour", 3_600_000_000), ("minute", 60_000_000))


def in_words(rule: Rule) -> str:
    """When a rule is due, without its zone: `at 06:30 on Monday to Friday`, `every 5 minutes`."""
    match rule:
        case Interval(interval_us=length):
            return f"every {_length(length)}"
        case Once(text=text):
            return f"once, at {text.partition(' ')[2]}"
        case CronRule(local=local):
            times, days = _times(local.times), _days(local.days)
            if not days and times.startswith("at ") and len(local.times) <= TIMES_LISTED_MAX:
                days = "every day"
            return f"{times} {days}".strip()
    return rule.text


def _length(microseconds: int) -> str:
    parts, rest = [], microseconds
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(_many(count, unit))
    if rest:
        seconds = rest / 1_000_000
        parts.append(_many(int(seconds) if seconds.is_integer() else seconds, "second"))
    text = " ".join(parts)
    # `every hour`, not `every 1 hour`.
    return text.removeprefix("1 ") if len(parts) == 1 else text


def _many(count: float, unit: str) -> str:
    return f"{count:g} {unit}" if count == 1 else f"{count:g} {unit}s"


def _times(times: TimesOfDay) -> str:
    if len(times) <= TIMES_LISTED_MAX:
        return f"at {listed([_clock(times.at(number)) for number in range(len(times))])}"
    if len(times.minutes) == len(times.seconds) == 1 and _is_run(times.hours):
        return f"every hour from {_clock(times.at(0))} to {_clock(times.at(len(times) - 1))}"
    seconds = "" if times.seconds == (0,) else _field(times.seconds, 60, "second")
    minutes, hours = _field(times.minutes, 60, "minute"), _field(times.hours, 24, "hour")
    if times.minutes == (0,) and not seconds:
        return hours
    if minutes == "every minute" and seconds:
        # Only named seconds add anything.
        minutes = "of every minute" if seconds.startswith("at ") else ""
    if hours == "every hour":
        hours = "of every hour" if minutes.startswith("at ") else ""
    elif hours.startswith("at "):
        hours = f"in {hours.removeprefix('at ')}"
    else:
        hours = f"of each hour, {hours}" if minutes.startswith("at ") else f"in an hour, {hours}"
    return " ".join(part for part in (seconds, minutes, hours) if part)


def _is_run(values: Sequence[int]) -> bool:
    """Whether it is three or more neighbours, but not all values."""
    return 2 < len(values) < 24 and values[-1] - values[0] == len(values) - 1


def _clock(time: int) -> str:
    hour, rest = divmod(time, 3600)
    minute, second = divmod(rest, 60)
    return f"{hour:02}:{minute:02}:{second:02}" if second else f"{hour:02}:{minute:02}"


def _field(values: Sequence[int], size: int, unit: str) -> str:
    """`every minute`, `every 5 minutes`, `at minutes 3 and 33`."""
    if len(values) == size:
        return f"every {unit}"
    step = values[1] - values[0] if len(values) > 1 else size
    if values[0] == 0 and size % step == 0 and tuple(values) == tuple(range(0, size, step)):
        return f"every {step} {unit}s"
    return f"at {unit} {values[0]}" if len(values) == 1 else f"at {unit}s {_ranges(values)}"


def _ranges(values: Sequence[int]) -> str:
    """Numbers, with three or more neighbours as a range."""
    runs: list[list[int]] = []
    for value in values:
        if runs and runs[-1][-1] == value - 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    said: list[str] = []
    for run in runs:
        said += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run)
    return listed(said)


def _days(days: Days) -> str:
    # With days of the month and of the week, either matches: with all seven it is every day.
    is_daily = days.weekdays is not None and len(days.weekdays) == 7
    kinds = [] if is_daily else [one for one in (_by_date(days), _by_week(days)) if one]
    if len(days.months) == 12:
        return " or ".join(kinds)
    months = listed(_MONTHS[month - 1] for month in sorted(days.months))
    if len(kinds) == 1 and kinds[0].endswith(" of the month"):
        return f"{kinds[0].removesuffix('the month')}{months}"
    return " ".join([*([" or ".join(kinds)] if kinds else []), f"in {months}"])


def _by_date(days: Days) -> str:
    if days.nearest_weekday is not None:
        return f"on the workday nearest to day {days.nearest_weekday} of the month"
    if days.month_days is None:
        return ""
    numbered = sorted(day for day in days.month_days if day != LAST)
    said = []
    if numbered:
        said.append(f"day {numbered[0]}" if len(numbered) == 1 else f"days {_ranges(numbered)}")
    if LAST in days.month_days:
        said.append("the last day")
    return f"on {listed(said)} of the month"


def _by_week(days: Days) -> str:
    if days.nth_weekdays:
        named = [f"the {_ORDINALS[nth]} {_WEEKDAYS[weekday]}" for weekday, nth in days.nth_weekdays]
        return f"on {listed(named)} of the month"
    if days.weekdays is None:
        return ""
    if days.weekdays == _WORKDAYS:
        return "on Monday to Friday"
    if days.weekdays == _WEEKEND:
        return "on Saturday and Sunday"
    # For readers, the week begins on Monday.
    return f"on {listed(_WEEKDAYS[day] for day in sorted(days.weekdays, key=lambda day: (day - 1) % 7))}"
