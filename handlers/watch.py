"""Looks after running lanes now and then. The thread or loop of one may die under it, and then nobody reports its end;
and one may run far longer than its like, which somebody should know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..environment.clock import Clock, Timer
from ..messages.jobs import Seconds
from ..messages.mail import DeadlinePassed, LanesLost, LanesSlow
from ..rules.limits import Limits
from .lane import Lane
from .lanes import DurationBaseline, Lanes

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


WATCH_SECONDS = 2.0
"""Between two looks."""


class SlowLane(NamedTuple):
    """A lane that has run for so long, where so much is usual."""

    lane: Lane
    seconds: Seconds
    usual: Seconds


class LaneWatch:
    """Looks now and then, as long as there are lanes of a job name.

    Args:
        tell: sends the HandlerActor a message, when a look has found a lane that is lost, has not begun or is slow.
            The clock's thread calls it.
        is_over: whether nobody needs to know any more.
    """

    def __init__(
        self,
        lanes: Lanes,
        job_name: str,
        clock: Clock,
        limits: Limits,
        *,
        tell: Callable[[LanesLost | LanesSlow], object],
        is_over: Callable[[], bool],
    ) -> None:
        self._lanes = lanes
        self._job_name = job_name
        self._clock = clock
        self._limits = limits
        self.usual = DurationBaseline(limits)
        self._tell = tell
        self._is_over = is_over
        self._is_watching = False

    def begin(self) -> None:
        """Look from now on, if there is anything to look after. Any thread calls it."""
        if not self._is_watching and self._lanes.open(self._job_name):
            self._is_watching = True
            self._clock.after(WATCH_SECONDS, self._look)

    def lost(self) -> list[Lane]:
        """The lanes whose thread or loop is dead, so that nobody reports their end."""
        return [lane for lane in self._lanes.open(self._job_name) if lane.is_lost]

    def unbegun(self) -> list[tuple[Lane, str]]:
        """The lanes whose functions have not begun in time, and why."""
        most = self._limits.begin_seconds_max
        lanes = [lane for lane in self._lanes.open(self._job_name) if lane.abandoned_because is None]
        old = [lane for lane in lanes if lane.started_monotonic <= self._clock.monotonic() - most]
        return [(lane, f"not begun within {most:g} s: {why}") for lane in old if (why := lane.unbegun) is not None]

    def slow(self) -> list[SlowLane]:
        """The lanes that run far longer than is usual, and of which that was not said."""
        now, usual = self._clock.monotonic(), self.usual
        running = [(lane, now - lane.started_monotonic) for lane in self._lanes.open(self._job_name) if _counts(lane)]
        old = [(lane, seconds) for lane, seconds in running if usual.may_be_slow(seconds)]
        typical = usual.seconds() if old else None
        if typical is None:
            return []
        return [SlowLane(lane, seconds, typical) for lane, seconds in old if usual.is_slow(seconds, typical)]

    def _look(self) -> None:
        # No message is sent while all is well: in a simulation each one is an occasion for faults.
        self._is_watching = False
        if self.lost() or self.unbegun():
            self._tell(LanesLost())
        elif not self._is_over():
            if self.slow():
                self._tell(LanesSlow())
            self.begin()


def _counts(lane: Lane) -> bool:
    """Whether its function runs for its claim, and nobody has said yet that it is slow."""
    return not (lane.is_said_slow or lane.cancelled or lane.is_closed)
