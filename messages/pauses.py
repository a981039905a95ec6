"""That jobs of a name are not started, or only so many at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .jobs import Instant


class PauseRecord(NamedTuple):
    """A pause of the jobs of a name over a whole store; the fields are the columns of its table, in order.

    Attributes:
        since: since when they are paused; None if they only have a limit.
        by: who has paused them, if that was said, and `reason` is why.
        until: when the pause ends by itself; None if somebody must end it.
        limit: so many run at once over the whole store; None if there is no limit.
    """

    name: str
    since: Instant | None = None
    by: str | None = None
    reason: str | None = None
    until: Instant | None = None
    limit: int | None = None

    def is_paused(self, now: Instant) -> bool:
        """Whether no job of the name is to be started: one whose time has passed counts as resumed."""
        return self.since is not None and (self.until is None or now < self.until)


def changed(
    known: PauseRecord, now: Instant, *, paused: bool, by: str | None, reason: str | None, until: Instant | None
) -> PauseRecord:
    """The pauses of a name once somebody has paused or resumed it."""
    if not paused:
        return PauseRecord(known.name, limit=known.limit)
    since = known.since if known.is_paused(now) else now
    return known._replace(since=since, by=by, reason=reason, until=until)


def paused_at(pauses: Iterable[PauseRecord], now: Instant) -> dict[str, PauseRecord]:
    """Those that are paused at this instant, by name."""
    return {pause.name: pause for pause in pauses if pause.is_paused(now)}
