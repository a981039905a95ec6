"""Stand-ins for child processes: tasks that can be killed alone."""

from __future__ import annotations

from functools import partial

from ...environment.environment import Environment
from ...environment.replies import Mailbox
from ...handlers.execute import execute
from ...handlers.lane import Lane, RunHandle
from ...handlers.pool import Pool, Worker
from ...messages.outcomes import Outcome, OutcomeKind
from .virtual_scheduler import Process, VirtualScheduler


class VirtualProcessRunner(Pool):
    """A `Runner` in whose simulation each lane is a child process of its own."""

    title = "process lane"

    def __init__(self, world: VirtualScheduler, parent: Process) -> None:
        super().__init__()
        self.worker = partial(_VirtualKeeper, world, parent)


class _VirtualKeeper(Worker):
    """A task of the parent that has lanes run in children, and learns of their death."""

    def __init__(self, world: VirtualScheduler, parent: Process, pool: Pool, environment: Environment) -> None:
        super().__init__(pool, environment)
        self._world = world
        self._parent = parent
        self._mailbox = environment.mailbox

    def run(self, lane: Lane) -> Outcome:
        ended = self._mailbox()
        child = lane.handle = _VirtualChild(self._world, Process(self._parent.number, parent=self._parent), ended)
        if lane.abandoned_because is not None:
            child.kill(lane)
        child.begin(lane)
        outcome: Outcome = ended.get()
        lane.handle = self
        return outcome


class _VirtualChild(RunHandle):
    """A child process with the lane that runs in it."""

    def __init__(self, world: VirtualScheduler, process: Process, ended: Mailbox) -> None:
        self._world = world
        self._process = process
        self._ended = ended

    def begin(self, lane: Lane) -> None:
        self._world.spawn(lambda: self._ended.put(execute(lane)), f"child of {lane.handler.name}", self._process)

    def kill(self, lane: Lane) -> None:
        reason = "its process was killed by SIGKILL"
        killed = Outcome(kind=OutcomeKind.INTERRUPTED, reason=reason, error=reason, blamed=not lane.stopping)
        # Schedule this before the kill: if the child kills itself (a fault), this call never returns.
        self._world.after(0.0, lambda: self._ended.put(killed))
        self._world.kill(self._process)
