"""When the time of each running lane is up."""

from __future__ import annotations

from collections.abc import Callable

from ..environment.clock import Clock, Timer
from ..messages.jobs import Seconds
from ..messages.mail import DeadlinePassed
from .lane import Lane


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
            left = lane.started_monotonic + lane.timeout - self._clock.monotonic()
            self._timers[lane.id] = self._later(max(0.0, left), DeadlinePassed(lane_id=lane.id))

    def forget(self, lane_id: int) -> None:
        """A lane has ended, or was given up."""
        # Without this a deadline of an hour would stay in the clock's heap for an hour after its job.
        timer = self._timers.pop(lane_id, None)
        if timer is not None:
            timer.cancel()
