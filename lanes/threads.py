"""Lanes on threads: one daemon thread a lane, kept for the next job when it has ended in time."""

from __future__ import annotations

import threading

from ..environment import Environment, Thread
from ..messages.outcomes import Outcome
from .calls import Ending, call
from .handler import JobTimeout
from .idle import Idle
from .lane import Lane


class ThreadRunner:
    """Runs the lanes of one handler."""

    def __init__(self) -> None:
        self._idle: Idle[_Worker] = Idle()

    def start(self, lane: Lane) -> None:
        """Run a lane on an idle thread, or on a new one.

        Raises:
            RuntimeError: the system gives no more threads.
        """
        worker = self._idle.take()
        if worker is None:
            worker = _Worker(self._idle, lane.context.environment)
            worker.thread = lane.context.environment.spawn(worker.work, f"lane {lane.handler.name}")
        worker.lanes.put(lane)

    def close(self) -> None:
        """Let idle threads end."""
        for worker in self._idle.close():
            worker.lanes.put(None)


class _Worker:
    thread: Thread

    def __init__(self, idle: Idle[_Worker], environment: Environment) -> None:
        self.lanes = environment.mailbox()
        self._idle = idle

    def work(self) -> None:
        stays = True
        while stays and (lane := self.lanes.get()) is not None:
            while lane is not None:
                outcome = _Call(lane, self.thread).run()
                following = lane.pass_on()
                # A thread whose lane was abandoned has been replaced already.
                stays = following is not None or (lane.abandoned_because is None and self._idle.keep(self))
                lane.finish(outcome, following)
                lane = following


class _Call:
    """One call of a function on this thread, which another thread may look at or raise an error in."""

    def __init__(self, lane: Lane, thread: Thread) -> None:
        self._lane = lane
        self._thread = thread
        self._lock = threading.Lock()
        self._calling = True
        lane.stack = self._stack
        if lane.handler.on_timeout == "raise":
            lane.kill = self._raise

    def run(self) -> Outcome:
        outcome = Ending.outcome
        try:
            outcome = call(self._lane)
            with self._lock:
                self._calling = False
            # An error that was raised here but not delivered yet must not strike the next job on this thread.
            self._thread.strike(None)
        except JobTimeout:
            self._calling = False
        return outcome

    def _stack(self) -> str:
        return self._thread.stack() if self._calling else ""

    def _raise(self) -> None:
        with self._lock:
            if self._calling:
                self._thread.strike(JobTimeout)
