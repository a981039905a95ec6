"""How many jobs of a name may run, and how many may start in a time, over the whole store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from .jobs import Seconds


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many starts in any stretch of time of a length, over the whole store.

    They are spread evenly over it: `Rate(100, per=60)` starts one every 0.6 seconds while there are jobs. `burst` of
    them may come at once after a pause, and then there are at most `limit + burst - 1` in any `per`.

    Attributes:
        limit: how many start in `per`, 1 to 1,000,000.
        per: seconds, or a timedelta; a millisecond at least.
        burst: how many may start at once, 1 to `limit`.
    """

    limit: int
    per: Seconds | timedelta
    burst: int = 1


class NameLimits(NamedTuple):
    """The limits that the handlers of a name in one runtime ask for: for each limit, the lowest of theirs.

    Attributes:
        total: of running jobs of the name.
        rate: of starts.
        per_group: of running jobs of each group.
        rate_per_group: of starts of each group.
    """

    total: int | None = None
    rate: Rate | None = None
    per_group: int | None = None
    rate_per_group: Rate | None = None


NO_LIMITS = NameLimits()
