"""The schedules that need no calendar: every so often, and once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..errors import UsageError, alike, shown
from ..messages.schedules import Due

_LENGTH = re.compile(r"(\d+)\s*(days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)(?![a-z])[\s,]*")


def meant(text: str, names: list[str]) -> str:
    """The end of an error about a text: what was probably meant, or how an interval is written.

    Args:
        names: the names of schedules, such as `@daily`.
    """
    said = text.lower().strip().removeprefix("@")
    length = said.removeprefix("every").strip()
    # "every hour" is every 1 hour, and "hourly" has a name.
    counted = length if length[:1].isdigit() else f"1 {length}"
    if _LENGTH.sub("", counted) == "":
        parts = {unit[0]: f"{count}{unit[0]}" for count, unit in _LENGTH.findall(counted)}
        return f'; did you mean "@every {"".join(parts[unit] for unit in "dhms" if unit in parts)}"?'
    if close := alike(f"@{said}", names):
        return f'; did you mean "{close[0]}"?'
    return '; for an interval write for example "@every 30s"' if said.startswith("every") or " " not in said else ""


INTERVAL_SECONDS_MIN = 1
INTERVAL_DAYS_MAX = 36_500

# The last instant at which a schedule can be due: the calendar of Python ends with the year 9999.
INSTANT_MAX = 253_370_764_800  # 9999-01-01T00:00:00Z
INSTANT_MIN = -62_104_060_800  # 0002-01-01T00:00:00Z

ONCE = "@at"
"""The beginning of the text of a single datetime."""

_SECOND_US = 1_000_000
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))
_EVERY = re.compile(r"@every\s+(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)(?:\.(\d{1,6}))?s)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Interval:
    """Due at every multiple of an interval since the Unix epoch, so that all processes agree on the slots."""

    text: str
    interval_us: int

    def after(self, instant: float) -> Due | None:
        return next(self.between(instant, INSTANT_MAX), None)

    def between(self, start: float, end: float) -> Iterator[Due]:
        for number in range(self._number(start) + 1, self._number(end) + 1):
            yield Due(slot=self._slot(number))

    def count(self, start: float, end: float) -> int:
        return max(self._number(end) - self._number(start), 0)

    def latest(self, end: float, n: int, start: float) -> list[Due]:
        last = self._number(end)
        return [Due(slot=self._slot(k)) for k in range(max(self._number(start), last - max(n, 0)) + 1, last + 1)]

    def _slot(self, number: int) -> float:
        return number * self.interval_us / _SECOND_US

    def _number(self, instant: float) -> int:
        """The number of the last slot at or before this instant."""
        bounded = min(max(instant, INSTANT_MIN), INSTANT_MAX)
        number = math.floor(bounded * _SECOND_US) // self.interval_us
        # The product is rounded, so a slot's instant may seem to lie beside it: the slots themselves decide.
        while self._slot(number) > bounded:
            number -= 1
        while self._slot(number + 1) <= bounded:
            number += 1
        return number


@dataclass(frozen=True, slots=True)
class Once:
    """Due at one instant."""

    text: str
    instant: float

    def after(self, instant: float) -> Due | None:
        return Due(slot=self.instant) if self.instant > instant else None

    def between(self, start: float, end: float) -> Iterator[Due]:
        if start < self.instant <= end:
            yield Due(slot=self.instant)

    def count(self, start: float, end: float) -> int:
        return int(start < self.instant <= end)

    def latest(self, end: float, n: int, start: float) -> list[Due]:
        return list(self.between(start, end)) if n > 0 else []


def interval_of(length: timedelta) -> Interval:
    """The schedule that is due every `length`.

    Raises:
        UsageError: it is shorter than a second, or longer than a hundred years.
    """
    if not timedelta(seconds=INTERVAL_SECONDS_MIN) <= length <= timedelta(days=INTERVAL_DAYS_MAX):
        raise UsageError(
            f"expected an interval of {INTERVAL_SECONDS_MIN} second to {INTERVAL_DAYS_MAX} days, got: {length!s}"
        )
    rest, microseconds = divmod(length // timedelta(microseconds=1), _SECOND_US)
    parts = []
    for unit, seconds in _UNITS:
        amount, rest = divmod(rest, seconds)
        parts.append(f"{amount}{unit}" if amount else "")
    fraction = f".{microseconds:06}".rstrip("0") if microseconds else ""
    parts.append(f"{rest}{fraction}s" if rest or fraction else "")
    return Interval("@every " + "".join(parts), length // timedelta(microseconds=1))


def parse_every(text: str) -> Interval:
    """The interval of a text such as `"@every 1h30m"`.

    Raises:
        UsageError: it is written in another way, or is too short or too long.
    """
    found = _EVERY.fullmatch(text)
    if found is None or not any(found.groups()):
        raise UsageError(
            f'expected an interval such as "@every 30s", "@every 1h30m" or "@every 1d" (units d, h, m, s, in this '
            f"order, each once), got: {text!r}{meant(text, [])}"
        )
    days, hours, minutes, seconds, fraction = found.groups()
    try:
        length = timedelta(
            days=int(days or 0),
            hours=int(hours or 0),
            minutes=int(minutes or 0),
            seconds=int(seconds or 0),
            microseconds=int((fraction or "").ljust(6, "0")),
        )
    except OverflowError:
        raise UsageError(f"expected an interval of at most {INTERVAL_DAYS_MAX} days, got: {text!r}") from None
    return interval_of(length)


def once_at(moment: datetime) -> Once:
    """The schedule that is due at this moment only.

    Raises:
        UsageError: it has no offset from UTC, or lies outside the calendar.
    """
    if moment.utcoffset() is None:
        raise UsageError(
            f"expected a datetime that knows its time zone, got a naive one: {shown(moment)}; "
            'add one, as in datetime(2026, 5, 1, 9, tzinfo=ZoneInfo("Europe/Berlin"))'
        )
    instant = moment.timestamp()
    if not INSTANT_MIN <= instant <= INSTANT_MAX:
        raise UsageError(f"expected a datetime between the years 2 and 9998, got: {shown(moment)}")
    return Once(f"{ONCE} {moment.astimezone(UTC).replace(tzinfo=None).isoformat()}Z", instant)


def parse_at(text: str) -> Once:
    """The datetime of a text such as `"@at 2026-05-01T07:00:00Z"`.

    Raises:
        UsageError: it is no datetime in ISO 8601, or has no offset from UTC.
    """
    moment = text[len(ONCE) :].strip().upper()
    try:
        return once_at(datetime.fromisoformat(moment))
    except UsageError:
        raise
    except ValueError:
        raise UsageError(f'expected a datetime such as "@at 2026-05-01T07:00:00Z", got: {text!r}') from None
