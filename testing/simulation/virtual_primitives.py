"""Stand-ins for threads, locks, events, mailboxes, clocks and event loops in a `VirtualScheduler`.

Each of them waits by letting the world run something else. That is all that the actors, lanes and faces need: they are
the production ones.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from ...environment.replies import ActorMailbox, LoopReply, Mailbox, ThreadReply
from ...errors import UsageError
from ...messages.jobs import Instant, JobRecord
from ..manual_clock import ManualClock
from .virtual_scheduler import Process, Task, VirtualScheduler


class VirtualEvent(threading.Event):
    def __init__(self, world: VirtualScheduler) -> None:
        self._world = world
        self._is_set = False
        self._waiters: list[Task] = []
        self._holder: Task | None = None

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._pass_lock()
        self._is_set = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            self._world.wake(waiter)

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        self._pass_lock()
        if not self._is_set:
            self._waiters.append(self._world.current)
            self._world.park(timeout)
        return self._is_set

    def _pass_lock(self) -> None:
        """A real Event has a lock: a signal handler that needs it while its own thread holds it deadlocks."""
        task = self._world.current
        if task.signals or task.in_handler:
            while self._holder is task:
                self._world.park()
            self._holder = task
            self._world.handle_signals()
            self._holder = None


class VirtualThread:
    def __init__(self, world: VirtualScheduler, run: Callable[[], object], name: str, process: Process) -> None:
        self._world = world
        self._ended = VirtualEvent(world)
        self._task = world.spawn(lambda: self._run(run), name, process)

    def _run(self, run: Callable[[], object]) -> None:
        try:
            run()
        finally:
            self._ended.set()

    @property
    def may_be_struck(self) -> bool:
        return self._task.may_be_struck

    @may_be_struck.setter
    def may_be_struck(self, may_be: bool) -> None:
        self._task.may_be_struck = may_be

    def is_alive(self) -> bool:
        return not self._task.is_dead

    def join(self, timeout: float | None = None) -> None:
        self._ended.wait(timeout)

    def stack(self) -> str:
        frame = self._task.greenlet.gr_frame
        return "" if frame is None else "".join(traceback.format_stack(frame))

    def strike(self, error: type[BaseException] | None) -> None:
        self._world.strike(self._task, error)


class VirtualLock:
    """A lock that a task may hold while others run."""

    def __init__(self, world: VirtualScheduler) -> None:
        self._world = world
        self._is_held = False
        self._waiters: deque[Task] = deque()

    def __enter__(self) -> None:
        while self._is_held:
            self._waiters.append(self._world.current)
            self._world.park()
        self._is_held = True

    def __exit__(self, *_: object) -> None:
        self._is_held = False
        if self._waiters:
            self._world.wake(self._waiters.popleft())


class VirtualRelock(VirtualLock):
    """A `VirtualLock` that the task that holds it may take again."""

    _holder: Task | None = None
    _times = 0

    def __enter__(self) -> None:
        if self._holder is not self._world.current:
            super().__enter__()
            self._holder = self._world.current
        self._times += 1

    def __exit__(self, *_: object) -> None:
        self._times -= 1
        if self._times == 0:
            self._holder = None
            super().__exit__()


class VirtualQueue:
    """A stand-in for a `queue.SimpleQueue`: a signal's handler puts to it, and another one while it does."""

    def __init__(self, world: VirtualScheduler) -> None:
        self._world = world
        self._items: deque[Any] = deque()
        self._reader: Task | None = None

    def put(self, item: Any) -> None:
        self._world.pause()
        self._items.append(item)
        self._world.wake(self._reader)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        self._world.handle_signals()
        if not self._items and block:
            self._reader = self._world.current
            self._world.park(timeout)
        if not self._items:
            raise queue.Empty
        return self._items.popleft()


class VirtualMailbox(Mailbox):
    def __init__(self, world: VirtualScheduler) -> None:
        self._world = world
        self.mail: deque[Any] = deque()
        self._reader: Task | None = None

    def put(self, envelope: Any) -> None:
        self.mail.append(envelope)
        if self._reader is not None:
            self._world.wake(self._reader)

    def get(self) -> Any:
        world, mail = self._world, self.mail
        world.pause()
        while not mail:
            self._wait()
        return mail.popleft()

    def _wait(self) -> None:
        self._reader = task = self._world.current
        task.is_idle = True
        self._world.park()
        task.is_idle = False
        self._reader = None

    def take(self) -> Any | None:
        return self.mail.popleft() if self.mail else None

    def gather(self, expected: int) -> None:
        """Does nothing: the pauses decide which messages come before a turn."""


class VirtualActorMailbox(VirtualMailbox, ActorMailbox):
    def __init__(self, world: VirtualScheduler) -> None:
        super().__init__(world)
        self._waits = False
        self._stands_in: Task | None = None

    def get(self) -> Any:
        self._waits = True
        self._world.pause()
        while self._stands_in is not None or not self.mail:
            self._wait()
        self._waits = False
        return self.mail.popleft()

    def is_read_here(self) -> bool:
        reader = None if self._waits else self._reader
        return self._world.current is (self._stands_in or reader)

    def lend(self, read: Callable[[], object]) -> bool:
        if not self._waits or self._stands_in is not None:
            return False
        self._stands_in = task = self._world.current
        # The task may already stand in for another actor.
        before, task.stands_in = task.stands_in, True
        self._world.reached["stood in"] += 1
        try:
            read()
        finally:
            task.stands_in, self._stands_in = before, None
            if self.mail:
                self._world.wake(self._reader)
        return True


class VirtualGate:
    def __init__(self, world: VirtualScheduler) -> None:
        self._world = world
        self._is_free = True
        self._waiter: Task | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not self._is_free:
            self._waiter = self._world.current
            self._world.park(None if timeout < 0 else timeout)
        was_free, self._is_free = self._is_free, False
        return was_free

    def release(self) -> None:
        self._is_free = True
        self._world.wake(self._waiter)


class VirtualReply(ThreadReply):
    """A reply that a task waits at. `answered` is told of every answer that is waited for."""

    def __init__(self, world: VirtualScheduler, answered: Callable[[Any], None]) -> None:
        super().__init__(VirtualGate(world))
        self._answered = answered

    def answer(self, value: Any, error: BaseException | None) -> None:
        if error is None and not self.cancelled():
            self._answered(value)
        super().answer(value, error)


class VirtualLoopReply(LoopReply):
    """A reply that a task of a VirtualLoop waits at. `answered` is told of every answer that is waited for."""

    def __init__(self, world: VirtualScheduler, answered: Callable[[Any], None]) -> None:
        world.check_thread()
        if world.is_in_test:
            raise UsageError(
                "expected a call that is not awaited, such as queue in the place of aqueue: a simulated runtime, as "
                "Inline's is, does not run while the test's own event loop does"
            )
        super().__init__()
        self._answered = answered

    def keep(self, value: Any, error: BaseException | None) -> None:
        if error is None and not self.cancelled():
            self._answered(value)
        super().keep(value, error)


class VirtualClock(ManualClock):
    """A `Clock` in the world's time, for one start of a runtime."""

    def __init__(self, world: VirtualScheduler, process: Process) -> None:
        # The scheduler of a simulation answers as the time of a test does.
        super().__init__(cast(Any, world))
        self._world = world
        self._process = process

    @property
    def is_going(self) -> bool:
        return self._process.is_alive and not self._stopped

    def now(self) -> Instant:
        return self._world.offset + self._world.elapsed


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop that waits in the world's time, and whose executor's threads are tasks."""

    def __init__(self, world: VirtualScheduler, spawn: Callable[[Callable[[], object], str], object]) -> None:
        super().__init__()
        self._world = world
        self._spawn = spawn
        self._selector = self
        self._waiter: Task | None = None
        self._woken = False

    def time(self) -> float:
        return self._world.elapsed

    def select(self, timeout: float | None) -> list[Any]:
        """Stands for the selector's: nothing ever comes from a socket here."""
        if self._woken or (timeout is not None and timeout <= 0):
            self._world.pause()
        else:
            self._waiter = self._world.current
            self._world.park(timeout)
            self._waiter = None
        self._woken = False
        return []

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        outcome: asyncio.Future[Any] = self.create_future()

        def run() -> None:
            try:
                value = func(*args)
            except BaseException as error:
                self.call_soon_threadsafe(_settle, outcome, None, error)
            else:
                self.call_soon_threadsafe(_settle, outcome, value, None)

        self._spawn(run, "executor")
        return outcome

    def _process_events(self, event_list: Any) -> None:
        pass

    def _write_to_self(self) -> None:
        self._woken = True
        self._world.wake(self._waiter)


def _settle(outcome: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if outcome.done():
        return
    if error is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(value)


def accepted(answer: Any) -> list[JobRecord]:
    """The jobs whose acceptance an answer of the broker tells."""
    if not isinstance(answer, list):
        return []
    return [record for record, fresh in answer if fresh and isinstance(record, JobRecord)]
