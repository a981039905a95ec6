"""How an answer reaches a waiting thread or task, and the error it gets when nobody can answer any more.

A `concurrent.futures.Future` would do for both. It wakes a thread twice, once for the answer and once for the lock that
guards it, and an event loop once for each task.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from ..errors import LamplighterError, UsageError
from ..messages.jobs import Seconds
from ..messages.mail import Reply

R = TypeVar("R")

READER = "reader"

YIELDS_MAX = 4
"""How often a mailbox's reader first yields the interpreter to other threads: a busy thread keeps it for 5 ms."""

CALLS_SPARE = 300
"""More nested calls than an actor's work ever needs."""


class Mailbox:
    """The queue that a thread reads: pykka's `put`, `get`, `empty`, and a look at the waiting mail.

    A deque holds the mail and a SimpleQueue wakes the reader, so that the oldest mail can be read without removing it,
    which neither queue.Queue nor SimpleQueue allows.
    """

    def __init__(self) -> None:
        self.mail: deque[Any] = deque()
        """The unread mail, the oldest first. Only the reader removes from it."""
        self._arrived: queue.SimpleQueue[None] = queue.SimpleQueue()

    def put(self, envelope: Any) -> None:
        try:
            self.mail.append(envelope)
        finally:
            # An error may be raised into a lane's thread in between. Without the `finally` the reader would then stay
            # one message behind.
            self._arrived.put(None)

    def get(self) -> Any:
        while True:
            self._arrived.get()
            if self.mail:
                return self.mail.popleft()

    def empty(self) -> bool:
        return not self.mail

    def first(self) -> Any | None:
        """The oldest mail. Any thread may call this."""
        try:
            return self.mail[0]
        except IndexError:
            return None

    def take(self) -> Any | None:
        taken = None
        try:
            taken = self.mail.popleft()
            self._arrived.get_nowait()
        except (IndexError, queue.Empty):
            # Empty, or its wake-up token is already taken: the reader tolerates a spurious wake-up.
            pass
        return taken

    def gather(self, expected: int) -> None:
        """Let other threads write, until `expected` messages wait or no thread is about to write. Reader only."""
        for _ in range(YIELDS_MAX):
            known = len(self.mail)
            if known >= expected:
                return
            # Yields to threads that want the interpreter now: nobody is waited for.
            time.sleep(0)
            if len(self.mail) == known:
                return

    def __len__(self) -> int:
        return len(self.mail)


class ActorMailbox(Mailbox):
    """An actor's mailbox. While its one reader waits, other threads may take its place, one at a time."""

    def __init__(self) -> None:
        super().__init__()
        # A dict and no lock: the step that takes the place also records the thread. So an error raised from outside
        # into that thread leaves a place that can be given back.
        self._reading: dict[str, int] = {READER: 0}
        """The reading thread. The reader counts as reading from its start to its end, except while it waits."""

    def put(self, envelope: Any) -> None:
        try:
            self.mail.append(envelope)
        finally:
            # A reading thread need not be woken: it looks before it waits.
            if self._reading.get(READER) != threading.get_ident():
                self._arrived.put(None)

    def get(self) -> Any:
        if self.mail and (envelope := self.take()) is not None:
            return envelope
        here = threading.get_ident()
        self._reading.clear()
        while True:
            self._arrived.get()
            # The stand-in reads on, and wakes the reader for the rest. If the reader waited for the place, nobody could
            # take it again.
            if self._reading.setdefault(READER, here) == here:
                if self.mail:
                    return self.mail.popleft()
                self._reading.clear()

    def is_read_here(self) -> bool:
        """Whether the calling thread is the reading one."""
        return self._reading.get(READER) == threading.get_ident()

    def lend(self, read: Callable[[], object]) -> bool:
        """Read in the place of the reader. False unless it waits, or has not begun to read."""
        here = {READER: threading.get_ident()}
        if self._reading == here:
            # This thread is already reading.
            return False
        try:
            is_lent = self._reading.setdefault(READER, here[READER]) == here[READER]
            if is_lent:
                read()
            return is_lent
        finally:
            # No call happens before the place is given back, so no error from outside is raised there.
            if self._reading == here:
                try:
                    self._reading.clear()
                finally:
                    if self.mail:
                        self._arrived.put(None)


ENDING = (
    "expected a call that may wait for the runtime, got one as the interpreter ends, when no other thread runs: "
    "from a finalizer (__del__, weakref.finalize) of what lives until then; let go of it before, or call from atexit"
)


def reply_of(body: object) -> Reply | None:
    """The reply of a message whose sender waits for an answer."""
    reply: Reply | None = getattr(body, "reply", None)
    return reply


class BrokerLost(LamplighterError):
    """The broker died before it answered; the caller asks the next incarnation. `read`: whether the broker had taken
    the question out of its mailbox, and so may have died of it.
    """

    def __init__(self, message: str, *, read: bool) -> None:
        super().__init__(message)
        self.read = read


class ThreadReply:
    """A thread's wait for one answer. `gate`: a lock that one thread may acquire and another release."""

    __slots__ = ("_error", "_gate", "_is_over", "_value")

    def __init__(self, gate: Any = None) -> None:
        self._gate = gate or threading.Lock()
        self._gate.acquire()
        self._is_over = False
        self._value: Any = None
        self._error: BaseException | None = None

    def wait(self, seconds: Seconds | None) -> Any:
        """The answer; a refusal is raised.

        Raises:
            TimeoutError: no answer has come within so many seconds, and none is waited for any more.
            UsageError: no answer has come, and the interpreter ends.
        """
        if sys.is_finalizing() and not self._is_over:
            raise UsageError(ENDING)
        if not self._gate.acquire(timeout=-1 if seconds is None else max(0.0, seconds)):
            self._is_over = True
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._value

    def cancelled(self) -> bool:
        return self._is_over

    def answer(self, value: Any, error: BaseException | None) -> None:
        if not self._is_over:
            self._is_over, self._value, self._error = True, value, error
            self._gate.release()


def may_stand_in() -> bool:
    """Whether the calling thread may do an actor's work. Not where an error may be raised in the midst of it (signal
    handlers on the main thread, a profiler left by a job), where an event loop waits for it, or where the stack may
    overflow.
    """
    here = threading.current_thread()
    if (
        here is threading.main_thread()
        or getattr(here, "may_be_struck", False)
        or sys.getprofile() is not None
        or sys.gettrace() is not None
        or asyncio._get_running_loop() is not None
    ):
        return False
    try:
        sys._getframe(max(0, sys.getrecursionlimit() - CALLS_SPARE))
    except ValueError:
        # No such frame: the stack is not deep.
        return True
    return False


def run_here(call: Coroutine[Any, Any, R]) -> R:
    """The result of a coroutine that never suspends: all that it waits for, it waits for on this thread."""
    try:
        call.send(None)
    except StopIteration as done:
        result: R = done.value
        return result
    raise AssertionError(f"expected {call!r} to block, and it has awaited something")


def asyncio_loop() -> asyncio.AbstractEventLoop:
    """The event loop on which the caller runs. Raises a UsageError if there is none of asyncio's."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            "expected a running event loop of asyncio, got none. Elsewhere, as under trio, use start, stop and the "
            "calls that block, on a thread: await trio.to_thread.run_sync(runtime.jobs.queue, name, data)"
        ) from None


class LoopReply:
    """A task's wait for one answer on the running event loop."""

    __slots__ = ("_error", "_future", "_is_kept", "_value", "loop")

    def __init__(self) -> None:
        self.loop = asyncio_loop()
        self._future: asyncio.Future[None] = self.loop.create_future()
        self._is_kept = False
        self._value: Any = None
        self._error: BaseException | None = None

    async def wait(self, seconds: Seconds | None) -> Any:
        """The answer; a refusal is raised.

        Raises:
            TimeoutError: no answer has come within so many seconds, and none is waited for any more.
        """
        timer = None if seconds is None else self.loop.call_later(seconds, self._give_up)
        try:
            await self._future
        finally:
            if timer is not None:
                timer.cancel()
        # The error is not set on the future: asyncio complains of unretrieved errors.
        if self._error is not None:
            raise self._error
        return self._value

    def _give_up(self) -> None:
        if not self._future.done():
            self._future.set_exception(TimeoutError())

    def cancelled(self) -> bool:
        return self._future.done()

    def answer(self, value: Any, error: BaseException | None) -> None:
        self.keep(value, error)
        _deliver(self.loop, [self])

    def keep(self, value: Any, error: BaseException | None) -> None:
        """Store the first answer, and have `_deliver` notify the task. Any thread may call this."""
        if not self._is_kept:
            self._is_kept, self._value, self._error = True, value, error

    def give(self) -> None:
        """Give the task the answer, on the loop."""
        if not self._future.done():
            self._future.set_result(None)


def answer(reply: Reply | None, value: Any, error: BaseException | None) -> None:
    if reply is not None:
        reply.answer(value, error)


def answer_all(replies: Iterable[tuple[Reply, Any, BaseException | None]]) -> None:
    """Answer each; the tasks of one event loop together, because each call to a loop is costly."""
    loops: dict[asyncio.AbstractEventLoop, list[LoopReply]] = {}
    for reply, value, error in replies:
        if isinstance(reply, LoopReply):
            reply.keep(value, error)
            loops.setdefault(reply.loop, []).append(reply)
        else:
            reply.answer(value, error)
    for loop, answered in loops.items():
        _deliver(loop, answered)


def _deliver(loop: asyncio.AbstractEventLoop, replies: list[LoopReply]) -> None:
    try:
        loop.call_soon_threadsafe(_give, replies)
    except RuntimeError:
        # The waiting task has gone with the loop.
        if not loop.is_closed():
            raise


def _give(replies: list[LoopReply]) -> None:
    for reply in replies:
        reply.give()
