"""What stands for child processes: tasks that can be killed alone."""

from __future__ import annotations

from ...handlers.execute import execute
from ...handlers.lane import Lane, RunHandle
from ...messages.jobs import Seconds
from ...messages.outcomes import Outcome, OutcomeKind
from .world import Process, World


class VirtualProcessRunner:
    """A `Runner` in whose simulation each lane is a child process of its own."""

    def __init__(self, world: World, parent: Process) -> None:
        self._world = world
        self._parent = parent

    def start(self, lane: Lane) -> None:
        """Run a lane in a new child."""
        child = Process(self._parent.number, parent=self._parent)
        lane.handle = _VirtualChild(self._world, child)
        self._world.spawn(lambda: lane.finish(execute(lane)), f"process lane {lane.handler.name}", child)

    def close(self) -> None:
        """Nothing is kept that could be let go of."""

    def wait(self, seconds: Seconds) -> None:
        """There is nothing around them."""


class _VirtualChild(RunHandle):
    """A child process with the lane that runs in it."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    def kill(self, lane: Lane) -> None:
        self._world.kill(self._process)
        reason = "its process was killed by SIGKILL"
        killed = Outcome(kind=OutcomeKind.INTERRUPTED, reason=reason, error=reason, blamed=not lane.stopping)
        self._world.after(0.0, lambda: lane.finish(killed))
