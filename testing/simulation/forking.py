"""Handlers that fork. A forked child has a copy of the handler's thread, and nothing of the runtime's runs in it.

No function can be copied in the middle, so the child has one of its own, on a copy of the lane: it forks, does this or
that, and comes out. Whatever comes back from the copy of the lane after that is the child's, and must not be.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ...api.job import Job
from ...api.jobs import Jobs
from ...boot.runtime_state import RuntimeState, left_behind
from ...environment.failpoints import unarmed
from ...errors import NotStarted
from ...handlers.lane import Lane
from ...handlers.payload import HandlerTypes
from ...handlers.tasks import TaskRunner
from ...handlers.threads import ThreadRunner
from ...stores.ports import Store
from .verdict import Violation
from .virtual_scheduler import VirtualScheduler

STAYS_SECONDS = (0.0, 30.0)
"""How long a forked child stays in its function, if it does: meanwhile its parent may die, or its job be settled."""

EXIT_CODE = 3
"""The exit code of a forked child that leaves by `sys.exit`."""


class Forks:
    """The forked children of one life of a process.

    Args:
        found: told of what no forked child may do.
    """

    def __init__(self, world: VirtualScheduler, reached: Counter[str], found: Callable[[Exception], object]) -> None:
        self._world = world
        self._reached = reached
        self._found = found

    def fork(self, lane: Lane, current_boot: RuntimeState, stores: Sequence[Store]) -> None:
        """As `os.fork`, called by the function of a lane that has just begun: its own thread goes on after it."""
        # As `os.register_at_fork` does: no connection to the file is open at the fork.
        frozen = [store.fork for store in stores if store.fork is not None and store.fork.freeze()]
        runner: TaskRunner | ThreadRunner = TaskRunner() if lane.handler.kind == "task" else ThreadRunner()
        runner.start(self._copy(lane, copy.copy(current_boot)))
        for fork in frozen:
            fork.thaw()

    def left(self, code: int) -> None:
        """A forked child comes to its end."""
        self._reached["forked child left"] += 1
        self._world.kill(self._world.current.process)

    def _copy(self, lane: Lane, current_boot: RuntimeState) -> Lane:
        job_id = lane.claim.job.id

        def goes_on(*_: object) -> Any:
            self._found(Violation(f"a forked child came out of the function of {job_id} and went on in its place"))
            self._world.kill(self._world.current.process)

        def child(job: Job[Any]) -> object:
            self._world.fork()
            return self._live(job, current_boot)

        async def task(job: Job[Any]) -> object:
            return child(job)

        context = lane.context._replace(
            ended=goes_on,
            jobs=Jobs(current_boot),
            environment=replace(lane.context.environment, failpoints=unarmed()),
        )
        handler = lane.handler._replace(
            fn=task if lane.handler.kind == "task" else child, types=HandlerTypes(None, None)
        )
        return Lane(lane.id, handler, lane.claim, context, goes_on)

    def _live(self, job: Job[Any], current_boot: RuntimeState) -> object:
        """The run of a forked child in the function, and its way out."""
        chance = self._world.chance
        if chance.random() < 0.5:
            self._world.sleep(chance.uniform(*STAYS_SECONDS))
        if chance.random() < 0.5:
            self._try_to_queue(job, current_boot)
        if chance.random() < 0.5:
            raise SystemExit(EXIT_CODE)
        return "of a forked child"

    def _try_to_queue(self, job: Job[Any], current_boot: RuntimeState) -> None:
        boot = current_boot._boot
        try:
            job.queue(job.name, "of a forked child")
        except NotStarted:
            return
        finally:
            # This process is no forked child, and what is over in it may be forgotten.
            left_behind[:] = [one for one in left_behind if one is not boot]
        self._found(Violation(f"a forked child has queued for {job.id}, as if it were the process that has forked"))
