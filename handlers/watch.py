"""Checks running lanes at intervals: a dead thread or loop reports no end, and a run far longer than usual is worth a
line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..environment.clock import Clock, Timer
from ..messages.jobs import Seconds
from ..messages.mail import DeadlinePassed, LanesAiling
from ..rules.limits import Limits
from .lane import Lane
from .lanes import DurationBaseline, Lanes

LOOK_SECONDS = 0.05
"""The shortest interval between checks whether a function with a short timeout has begun."""


@dataclass(eq=False)
class Deadlines:
    """The deadlines of one HandlerActor's lanes. `later` sends the actor a message after so many seconds."""

    clock: Clock
    later: Callable[[Seconds, DeadlinePassed], Timer]
    _timers: dict[int, Timer] = field(default_factory=dict)

    def begin(self, lane: Lane, timeout: Seconds) -> None:
        """Set a running lane's deadline."""
        if not lane.is_closed:
            self._wake(lane, self._left(lane, timeout))

    def is_over(self, lane: Lane) -> bool:
        """Whether a lane's time is up. If not, its deadline is set again."""
        left = self._left(lane, lane.timeout or 0.0)
        if left > 0.0:
            self._wake(lane, max(left, LOOK_SECONDS) if lane.unbegun else left)
        return left <= 0.0

    def _left(self, lane: Lane, timeout: Seconds) -> Seconds:
        if lane.unbegun:
            return timeout
        return lane.started_monotonic + timeout - self.clock.monotonic()

    def _wake(self, lane: Lane, seconds: Seconds) -> None:
        self._timers[lane.id] = self.later(max(0.0, seconds), DeadlinePassed(lane_id=lane.id))

    def forget(self, lane_id: int) -> None:
        # Without this a deadline of an hour would stay in the clock's heap for an hour after its job.
        timer = self._timers.pop(lane_id, None)
        if timer is not None:
            timer.cancel()


WATCH_SECONDS = 2.0


@dataclass(eq=False)
class LaneWatch:
    """Checks at intervals, as long as a job name has lanes.

    Args:
        tell: called on the clock's thread with a message for the HandlerActor, when a lane is lost, unbegun or slow.
        is_over: whether nobody needs to know any more.
    """

    lanes: Lanes
    job_name: str
    clock: Clock
    limits: Limits
    tell: Callable[[LanesAiling], object]
    is_over: Callable[[], bool]
    usual: DurationBaseline = field(default_factory=DurationBaseline)
    is_watching: bool = False

    def begin(self) -> None:
        """Start checking, if there are lanes. Any thread may call this."""
        if not self.is_watching and self.lanes.open(self.job_name):
            self.is_watching = True
            self.clock.after(WATCH_SECONDS, self._look)

    def lost(self) -> list[Lane]:
        """Lanes whose thread or loop is dead, so that nobody reports their end."""
        return [lane for lane in self.lanes.open(self.job_name) if lane.is_lost]

    def unbegun(self) -> list[tuple[Lane, str]]:
        """Lanes whose functions have not begun in time, and why."""
        most = self.limits.begin_seconds_max
        lanes = [lane for lane in self.lanes.open(self.job_name) if lane.abandoned_because is None]
        old = [lane for lane in lanes if lane.started_monotonic <= self.clock.monotonic() - most]
        return [(lane, f"not begun within {most:g} s: {why}") for lane in old if (why := lane.unbegun) is not None]

    def slow(self) -> list[tuple[Lane, Seconds, Seconds]]:
        """Lanes that run far longer than usual, and were not logged as slow yet: each, for how long, and the usual."""
        now, limits = self.clock.monotonic(), self.limits
        running = [(lane, now - lane.started_monotonic) for lane in self.lanes.open(self.job_name) if _counts(lane)]
        old = [(lane, seconds) for lane, seconds in running if seconds >= limits.slow_seconds_min]
        usual = self.usual.seconds() if old else None
        if usual is None:
            return []
        return [(lane, seconds, usual) for lane, seconds in old if seconds >= limits.slow_factor * usual]

    def _look(self) -> None:
        # No message is sent while all is well: in a simulation each one is an occasion for faults.
        self.is_watching = False
        if self.lost() or self.unbegun() or (not self.is_over() and self.slow()):
            self.tell(LanesAiling())
        elif not self.is_over():
            self.begin()


def _counts(lane: Lane) -> bool:
    return not (lane.is_said_slow or lane.cancelled or lane.is_closed)
