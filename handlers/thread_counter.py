"""How many worker threads a boot has, over the pools of all its handlers."""

from __future__ import annotations

import threading
from collections.abc import Callable


class ThreadCounter:
    """Counts worker threads, so that no more are kept idle than may be at work.

    Args:
        most: how many jobs may run at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._count = 0

    @property
    def is_over(self) -> bool:
        """Whether there are more threads than can ever be needed at once: one that has no job should end."""
        return self._count > self._most

    def count(self, work: Callable[[], None]) -> None:
        """Do what a worker thread does, and count it as long as that lasts."""
        with self._lock:
            self._count += 1
        try:
            work()
        finally:
            with self._lock:
                self._count -= 1
