"""When a name with a rate may start its next jobs: arithmetic on one instant that its store keeps.

That instant is when all starts so far would have been due if they had followed one another at the rate's interval
(GCRA, the generic cell rate algorithm). There are no windows, at whose edges twice as many might start, and nothing to
count.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NamedTuple

from ..errors import UsageError, check_seconds, shown
from ..messages.clock_steps import STEP_SECONDS_MIN
from ..messages.jobs import Instant, Seconds
from ..messages.names import Rate
from .validation import check_whole

LIMIT_MAX = 1_000_000
PER_SECONDS_MIN = 0.001

LATE_SECONDS_MAX, LATE_SHARE = 0.005, 0.005
"""A start that is late by less than both of these, the second a share of `per`, delays no later one. In exchange the
interval is longer by as much of `per`, so that no stretch of time has more starts than the rate allows.
"""

ROUNDING_SECONDS = 1e-6
"""Floating-point instants of today are exact to a fourth of this."""


SAID = re.compile(r"(\d{1,7})/([\d.e+-]{1,24})s(?: burst (\d{1,7}))?")


class Room(NamedTuple):
    """The room that a rate leaves.

    Attributes:
        free: how many may start now.
        opens: when one more may start, beyond those that were asked about.
    """

    free: int
    opens: Instant


def check_rate(value: Any, what: str) -> Rate:
    """A rate as a handler has it: `per` in seconds.

    Raises:
        UsageError: it is none, or has an impossible value.
    """
    if not isinstance(value, Rate):
        raise UsageError(f"expected {what} to be a Rate, got: {shown(value)}; write {what}=Rate(100, per=60)")
    limit = check_whole(value.limit, f"{what}.limit", least=1, most=LIMIT_MAX)
    return Rate(
        limit,
        check_seconds(value.per, f"{what}.per", least=PER_SECONDS_MIN),
        check_whole(value.burst, f"{what}.burst", least=1, most=limit),
    )


def room_of(rate: Rate, spent_to: Instant | None, now: Instant) -> Room:
    """How many may start now; `spent_to` is the name's stored instant, if it has one."""
    base, tolerance, interval = _base(rate, spent_to, now), _tolerance(rate), _interval(rate)
    left = now + tolerance - base + ROUNDING_SECONDS
    return Room(0 if left < 0.0 else math.floor(left / interval) + 1, base - tolerance)


def spent(rate: Rate, spent_to: Instant | None, now: Instant, starts: int) -> Instant:
    """The stored instant once so many more have started."""
    return _base(rate, spent_to, now) + starts * _interval(rate)


def rate_said(rate: Rate) -> str:
    """A rate in a line of the log: `100/60s`, with the burst if that is not one."""
    return f"{rate.limit}/{per_seconds(rate)!r}s{f' burst {rate.burst}' if rate.burst > 1 else ''}".replace(".0s", "s")


def rate_read(text: str) -> Rate | None:
    """The rate in a line of the log; None if it is none."""
    found = SAID.fullmatch(text)
    try:
        return None if found is None else check_rate(Rate(int(found[1]), float(found[2]), int(found[3] or 1)), "rate")
    except (UsageError, ValueError):
        return None


def least(limits: Iterable[int | None]) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def slower(rates: Iterable[Rate | None]) -> Rate | None:
    """The lowest of several rates."""
    some = (rate for rate in rates if rate is not None)
    return min(some, key=lambda rate: (rate.limit / per_seconds(rate), rate.burst), default=None)


def per_seconds(rate: Rate) -> Seconds:
    return rate.per.total_seconds() if isinstance(rate.per, timedelta) else rate.per


def possible(rate: Rate, spent_to: Instant, now: Instant) -> Instant:
    """The stored instant; a whole burst ahead where it is further ahead, because the clock was set back unmeasured.

    By less, now is the instant of a turn that overlaps the one that has taken the starts.
    """
    whole = now + _tolerance(rate) + _interval(rate)
    return spent_to if spent_to <= whole + STEP_SECONDS_MIN else whole


def _base(rate: Rate, spent_to: Instant | None, now: Instant) -> Instant:
    return now if spent_to is None else max(now, possible(rate, spent_to, now))


def _interval(rate: Rate) -> Seconds:
    return (per_seconds(rate) + _late(rate)) / rate.limit


def _tolerance(rate: Rate) -> Seconds:
    return (rate.burst - 1) * _interval(rate) + _late(rate)


def _late(rate: Rate) -> Seconds:
    return min(LATE_SECONDS_MAX, LATE_SHARE * per_seconds(rate))
