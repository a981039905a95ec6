"""A future that the tasks of a simulation wait at."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from lamplighter.testing.simulation.virtual_scheduler import Task, VirtualScheduler


class VirtualFuture(Future[Any]):
    """A future that tasks wait at."""

    def __init__(self, world: VirtualScheduler) -> None:
        super().__init__()
        self._world = world
        self._asker: Task | None = None

    def result(self, timeout: float | None = None) -> Any:
        if not self.done():
            self._asker = self._world.current
            self._world.park(timeout)
        if not self.done():
            raise TimeoutError
        return super().result(0)

    def set_result(self, result: Any) -> None:
        super().set_result(result)
        self._world.wake(self._asker)

    def set_exception(self, exception: BaseException | None) -> None:
        super().set_exception(exception)
        self._world.wake(self._asker)
