"""The pauses, limits and rates of a name of jobs, which hold over the whole store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from .jobs import Instant, Seconds


class PauseRecord(NamedTuple):
    """A pause of the jobs of a name over a whole store; the fields are the columns of its table, in order.

    Attributes:
        since: None if they only have a limit.
        until: when the pause ends by itself; None if somebody must end it.
        limit: the most that run at once over the whole store; None if there is no limit.
    """

    name: str
    since: Instant | None = None
    by: str | None = None
    reason: str | None = None
    until: Instant | None = None
    limit: int | None = None

    def is_paused(self, now: Instant) -> bool:
        return self.since is not None and (self.until is None or now < self.until)


def changed(
    known: PauseRecord, now: Instant, *, paused: bool, by: str | None, reason: str | None, until: Instant | None
) -> PauseRecord:
    if not paused:
        return PauseRecord(known.name, limit=known.limit)
    since = known.since if known.is_paused(now) else now
    return known._replace(since=since, by=by, reason=reason, until=until)


def paused_at(pauses: Iterable[PauseRecord], now: Instant) -> dict[str, PauseRecord]:
    """The paused names at an instant."""
    return {pause.name: pause for pause in pauses if pause.is_paused(now)}


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
    """The limits of a name by the handlers in one runtime: for each limit, the lowest of theirs.

    Attributes:
        total, per_group: of running jobs.
        rate, rate_per_group: of starts.
    """

    total: int | None = None
    rate: Rate | None = None
    per_group: int | None = None
    rate_per_group: Rate | None = None


NO_LIMITS = NameLimits()
