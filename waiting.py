"""Who waits for which job to end, on which runtime's threads. Kept outside of the broker, so that it survives one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from .messages.jobs import JobRecord
from .replies import answer


class Waiters:
    """Futures by job id."""

    def __init__(self, future: Callable[[], Future[Any]]) -> None:
        self._future = future
        self._lock = threading.Lock()
        self._futures: dict[str, list[Future[Any]]] = {}

    def add(self, job_id: str) -> Future[Any]:
        """A future that gets the job's record once it has ended."""
        future = self._future()
        with self._lock:
            self._futures.setdefault(job_id, []).append(future)
        return future

    def drop(self, job_id: str, future: Future[Any]) -> None:
        """Wait no longer."""
        with self._lock:
            futures = self._futures.get(job_id, [])
            if future in futures:
                futures.remove(future)
            if not futures:
                self._futures.pop(job_id, None)

    def awaited(self) -> list[str]:
        """The ids of the jobs that somebody waits for."""
        return list(self._futures)

    def wake(self, ended: Iterable[JobRecord]) -> None:
        """Tell those who wait for these jobs."""
        for job in ended if self._futures else ():
            with self._lock:
                futures = self._futures.pop(job.id, [])
            for future in futures:
                answer(future, job, None)

    def fail(self, error: BaseException) -> None:
        """Tell everybody that nothing will come."""
        with self._lock:
            futures = [future for futures in self._futures.values() for future in futures]
            self._futures.clear()
        for future in futures:
            answer(future, None, error)
