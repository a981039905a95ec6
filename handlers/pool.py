"""Threads that run one lane after another for one handler, and wait in between: one daemon thread a lane, or one that
waits for a child process.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

from ..environment.environment import Environment
from ..environment.threads import Thread
from ..messages.jobs import Seconds
from ..messages.outcomes import Outcome
from .execute import execute
from .handler import Handler, JobTimeout
from .lane import Lane, RunHandle
from .outcomes import UNENDED, escaped


class ThreadCounter:
    """Counts a boot's worker threads over all handlers, so that no more idle ones are kept than may be needed."""

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


class Pool:
    """A `Runner` with a thread for each lane, which keeps threads whose lanes have ended in time.

    Attributes:
        worker: the class of its workers.
        title: the beginning of its threads' names.
    """

    worker: Callable[[Pool, Environment], Worker]
    title: str

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._closed = False
        self._headcount: ThreadCounter | None = None

    def start(self, lane: Lane) -> None:
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is None:
            environment = lane.context.environment
            worker = self.worker(self, environment)
            thread_counter = self._headcount = lane.context.thread_counter
            worker.thread = environment.spawn(
                partial(thread_counter.count, worker.work), f"{self.title} {lane.handler.name}"
            )
        lane.handle = worker
        worker.lanes.put(lane)

    def keep(self, worker: Worker) -> bool:
        """Keep an idle thread. False when it must end: the handler was removed, or there are enough threads."""
        with self._lock:
            is_kept = not (self._closed or self._headcount is None or self._headcount.is_over)
            if is_kept:
                self._idle.append(worker)
            return is_kept

    def is_blocked(self, handler: Handler) -> bool:
        return False

    def tasks(self) -> Sequence[tuple[str, str]]:
        return ()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.lanes.put(None)

    def wait(self, seconds: Seconds) -> None:
        """Nothing is around its threads that would have to be left."""


class Worker(RunHandle):
    thread: Thread

    def __init__(self, pool: Pool, environment: Environment) -> None:
        self.lanes = environment.mailbox()
        self.pool = pool
        self._stays = True

    def work(self) -> None:
        """Run lanes from `lanes`, and those that get their places, until None comes or the pool drops this worker."""
        while self._stays and (lane := self.lanes.get()) is not None:
            following = lane
            while following is not None:
                following = self._run_and_tell(following)

    @abstractmethod
    def run(self, lane: Lane) -> Outcome:
        """Run a lane, and return its outcome."""

    def is_alive(self) -> bool:
        return self.thread.is_alive()

    def _run_and_tell(self, lane: Lane) -> Lane | None:
        """Run a lane and report its end. Return the lane that has got its place."""
        following = None
        self._stays = False
        try:
            outcome = self.run(lane)
            following = lane.pass_on()
            # A thread whose lane was abandoned has been replaced already, and one that could have no child process is
            # of no use while others may have theirs.
            is_wanted = lane.abandoned_because is None and lane.shortage is None
            self._stays = following is not None or (is_wanted and self.pool.keep(self))
            lane.finish(outcome, following)
        except BaseException as error:
            # A function may have left a profiler on this thread, or a late error: both may raise here.
            lane.finish(escaped(error, lane.context.limits.error_characters_max), following)
        return following


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
        self._struck, self._calling = False, lane
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
