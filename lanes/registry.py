"""All lanes of one boot. They cannot die with their actor, so they are kept outside of it: the next incarnation finds
here what still runs, and health what was abandoned.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Protocol

from ..messages.jobs import Claim
from .handler import Handler, Kind
from .lane import Lane, LaneContext
from .processes import ProcessRunner
from .tasks import TaskRunner
from .threads import ThreadRunner


class Runner(Protocol):
    """Something that lanes of one handler run on."""

    def start(self, lane: Lane) -> None:
        """Run it."""

    def close(self) -> None:
        """Let go of what is idle."""


RUNNERS: dict[Kind, type[ThreadRunner | TaskRunner | ProcessRunner]] = {
    "thread": ThreadRunner,
    "task": TaskRunner,
    "process": ProcessRunner,
}


class Lanes:
    """Every lane that has not ended, and the runners that they run on."""

    def __init__(self, context: LaneContext) -> None:
        self._context = context
        self._ids = itertools.count(1)
        self._runners: dict[str, Runner] = {}
        self._open: dict[int, Lane] = {}

    def open_lane(self, handler: Handler, claim: Claim, heir: Callable[[Lane], Lane | None]) -> Lane:
        """A lane that the caller runs. `heir` is asked who gets its place when it has ended."""
        lane = Lane(next(self._ids), handler, claim, self._context, heir)
        self._open[lane.id] = lane
        lane.when_ended(lambda: self._open.pop(lane.id, None))
        return lane

    def start(self, handler: Handler, claim: Claim, heir: Callable[[Lane], Lane | None]) -> Lane:
        """Run a claim. Its end is told through `LaneContext.ended`.

        Raises:
            OSError, RuntimeError: the system gives no more threads or processes.
        """
        lane = self.open_lane(handler, claim, heir)
        runner = self._runners.get(handler.id)
        if runner is None:
            make = self._context.environment.runners.get(handler.kind, RUNNERS[handler.kind])
            runner = self._runners[handler.id] = make()
        try:
            runner.start(lane)
        except BaseException:
            self._open.pop(lane.id, None)
            raise
        return lane

    def close(self, handler_id: str) -> None:
        """The handler is gone: let go of its idle threads, loop and children."""
        runner = self._runners.pop(handler_id, None)
        if runner is not None:
            runner.close()

    def close_all(self) -> None:
        """The boot ends."""
        for handler_id in list(self._runners):
            self.close(handler_id)

    def open(self, name: str | None = None) -> list[Lane]:
        """Lanes that have not ended, those of one job name or all, in the order they were started."""
        return [lane for lane in list(self._open.values()) if name is None or lane.handler.name == name]

    def of_job(self, job_id: str) -> Lane | None:
        """An open lane of a job, its newest, unless it was abandoned."""
        lanes = [lane for lane in self.open() if lane.claim.job.id == job_id and lane.abandoned_because is None]
        return lanes[-1] if lanes else None

    def abandoned(self) -> list[Lane]:
        """Lanes that were given up and still run."""
        return [lane for lane in self.open() if lane.abandoned_because is not None]
