"""When the time of each running lane is up, which begins with its function."""

from __future__ import annotations

from collections.abc import Callable

from ..environment.clock import Clock, Timer
from ..messages.jobs import Seconds
from ..messages.mail import DeadlinePassed
from .lane import Lane

LOOK_SECONDS = 0.05
"""Between two looks, at least, whether a function with a shorter timeout has begun."""


class Deadlines:
    """Those of one HandlerActor's lanes.

    Args:
        later: has the actor hear a message after so many seconds.
    """

    def __init__(self, clock: Clock, later: Callable[[Seconds, DeadlinePassed], Timer]) -> None:
        self._clock = clock
        self._later = later
        self._timers: dict[int, Timer] = {}

    def begin(self, lane: Lane) -> None:
        """A lane runs: if it has a timeout, its actor hears when that has passed."""
        if lane.timeout is not None and not lane.is_closed:
            self._wake(lane, self._left(lane, lane.timeout))

    def is_over(self, lane: Lane) -> bool:
        """Whether the time of a lane is up. If not, its actor hears again."""
        left = self._left(lane, lane.timeout or 0.0)
        if left > 0.0:
            self._wake(lane, max(left, LOOK_SECONDS) if lane.unbegun else left)
        return left <= 0.0

    def _left(self, lane: Lane, timeout: Seconds) -> Seconds:
        if lane.unbegun:
            return timeout
        return lane.started_monotonic + timeout - self._clock.monotonic()

    def _wake(self, lane: Lane, seconds: Seconds) -> None:
        self._timers[lane.id] = self._later(max(0.0, seconds), DeadlinePassed(lane_id=lane.id))

    def forget(self, lane_id: int) -> None:
        """A lane has ended, or was given up."""
        # Without this a deadline of an hour would stay in the clock's heap for an hour after its job.
        timer = self._timers.pop(lane_id, None)
        if timer is not None:
            timer.cancel()
