"""Threads that wait for the next lane, until their handler is gone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Generic, TypeVar

W = TypeVar("W")


class IdlePool(Generic[W]):
    """The idle threads of one handler, which wait for its next job."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: list[W] = []
        self._closed = False

    def take(self) -> W | None:
        """Take an idle thread, if there is one."""
        with self._lock:
            return self._workers.pop() if self._workers else None

    def keep(self, worker: W) -> bool:
        """Add an idle thread. False when the handler was removed, and the thread must end."""
        with self._lock:
            if not self._closed:
                self._workers.append(worker)
            return not self._closed

    def close(self) -> Sequence[W]:
        """Keep no more, and return those that were idle."""
        with self._lock:
            self._closed = True
            workers, self._workers = self._workers, []
        return workers
