"""Counts a boot's worker threads over all handlers, so that no more idle ones are kept than may be needed (`most`)."""

from __future__ import annotations

import threading
from collections.abc import Callable


class ThreadCounter:
    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._count = 0

    @property
    def is_over(self) -> bool:
        """Whether there are more threads than can ever be needed at once: an idle one should end."""
        return self._count > self._most

    def count(self, work: Callable[[], None]) -> None:
        """Run a worker thread's loop, and count it meanwhile."""
        with self._lock:
            self._count += 1
        try:
            work()
        finally:
            with self._lock:
                self._count -= 1
