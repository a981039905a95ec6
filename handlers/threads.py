"""Lanes on threads: one daemon thread a lane, reused for the next job when it has ended in time."""

from __future__ import annotations

import threading

from ..environment.environment import Environment
from ..messages.outcomes import Outcome
from .execute import execute
from .handler import JobTimeout
from .lane import Lane
from .outcomes import UNENDED
from .pool import Pool, Worker


class _ThreadWorker(Worker):
    """A thread whose stack can be read, and in which an error can be raised."""

    def __init__(self, pool: Pool, environment: Environment) -> None:
        super().__init__(pool, environment)
        self._lock = threading.Lock()
        self._calling: Lane | None = None
        self._struck = False

    def stack(self, lane: Lane) -> str:
        return self.thread.stack() if self._calling is lane else ""

    def kill(self, lane: Lane) -> None:
        if lane.handler.on_timeout == "raise":
            with self._lock:
                if self._calling is lane:
                    self._struck = True
                    self.thread.strike(JobTimeout)

    def run(self, lane: Lane) -> Outcome:
        self.thread.may_be_struck = lane.handler.on_timeout == "raise"
        self._calling = lane
        outcome = UNENDED
        try:
            outcome = execute(lane)
            with self._lock:
                self._calling = None
            if self._struck:
                # An error raised into this thread that has not arrived yet must not arrive while the lane's end is
                # reported.
                self.thread.strike(None)
        except JobTimeout:
            self._calling = None
        return outcome


class ThreadRunner(Pool):
    worker = _ThreadWorker
    title = "lane"
