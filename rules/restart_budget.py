"""How many restarts are allowed, and how long to wait before each: arithmetic on the times of death."""

from __future__ import annotations

from dataclasses import dataclass

from ..messages.jobs import Seconds

HEALTHY_SECONDS = 60.0
"""After so long without a death, the next back-off starts from the shortest again."""

BACKOFF_SECONDS_MIN = 0.05
"""The first restart waits for nothing, the second for this, each further one twice as long."""

RESTARTS_MAX, WINDOW_SECONDS, BACKOFF_SECONDS_MAX = 5, 30.0, 30.0
"""The budget of a child that has no budget of its own, unless its application says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartBudget:
    """At most `restarts_max` restarts within `window_seconds`; the waits between them double, up to a longest one."""

    restarts_max: int = RESTARTS_MAX
    window_seconds: Seconds = WINDOW_SECONDS
    backoff_seconds_max: Seconds = BACKOFF_SECONDS_MAX

    def recent(self, deaths: list[float], now: float) -> list[float]:
        """The deaths that count now."""
        return [at for at in deaths if now - at < self.window_seconds]

    def is_spent(self, deaths: list[float], now: float) -> bool:
        """Whether one more death, now included in `deaths`, is one too many."""
        return len(self.recent(deaths, now)) > self.restarts_max

    def backoff(self, deaths: list[float], now: float) -> Seconds:
        """Seconds to wait before the restart after the newest of these deaths."""
        streak = len([at for at in deaths if now - at < HEALTHY_SECONDS])
        if streak <= 1:
            return 0.0
        return min(self.backoff_seconds_max, BACKOFF_SECONDS_MIN * 2.0 ** min(streak - 2, 32))
