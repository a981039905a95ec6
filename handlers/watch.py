"""Whether the threads and loops of lanes still live: one may die under a lane, and then nobody reports the lane's
end.
"""

from __future__ import annotations

from collections.abc import Callable

from ..environment.clock import Clock
from .lane import Lane
from .lanes import Lanes

WATCH_SECONDS = 2.0
"""Between two looks."""


class LaneWatch:
    """Looks now and then, as long as there are lanes of a job name.

    Args:
        lost: called, on the clock's thread, when a look has found a lane that is lost.
        is_over: whether nobody needs to know any more.
    """

    def __init__(
        self,
        lanes: Lanes,
        job_name: str,
        clock: Clock,
        *,
        lost: Callable[[], object],
        is_over: Callable[[], bool],
    ) -> None:
        self._lanes = lanes
        self._job_name = job_name
        self._clock = clock
        self._tell_lost = lost
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

    def _look(self) -> None:
        # No message is sent while all is well: in a simulation each one is an occasion for faults.
        self._is_watching = False
        if self.lost():
            self._tell_lost()
        elif not self._is_over():
            self.begin()
