"""The runtime's own threads: their stacks, whether they run, and raising an error inside of one."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Protocol

THREADS = "/proc/self/task"
"""Linux' list of this process's threads."""

BEGIN_SECONDS = 0.001
"""Polling interval for the start of a thread, which the application may have prevented."""


class Thread(Protocol):
    may_be_struck: bool
    """Whether `strike` may be called at any moment."""

    def is_alive(self) -> bool:
        """Whether it still runs."""

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, or for so many seconds."""

    def stack(self) -> str:
        """Its current traceback; empty when it has ended."""

    def strike(self, error: type[BaseException] | None) -> None:
        """Raise an error inside of it at its next step; None, from itself, takes back one that was not raised yet."""


def has_ended(thread: Thread | None) -> bool:
    """Whether a thread was started, and runs no more."""
    return thread is not None and not thread.is_alive()


class SystemThread(threading.Thread):
    """A thread that never keeps the process alive."""

    may_be_struck = False
    has_begun = False

    def __init__(self, run: Callable[[], None], name: str) -> None:
        super().__init__(target=run, name=f"lamplighter {name}", daemon=True)

    def run(self) -> None:
        self.has_begun = True
        super().run()

    def is_alive(self) -> bool:
        if not super().is_alive():
            return False
        # C code may end a thread (`pthread_exit`) without Python's knowledge.
        return self.native_id is None or not os.path.isdir(THREADS) or os.path.exists(f"{THREADS}/{self.native_id}")

    def stack(self) -> str:
        frame = sys._current_frames().get(self.ident or 0)
        return "" if frame is None else _stack(frame)

    def strike(self, error: type[BaseException] | None) -> None:
        if error is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident or 0), ctypes.py_object(error))
            return
        # CPython 3.11 and 3.12 slow the whole process down from when an error is set, or taken back, until one is
        # raised, and hang when traced meanwhile. So another takes its place, and is raised here and now.
        try:
            self.strike(_Recalled)
            while True:
                pass
        except _Recalled:
            pass


def spawn(run: Callable[[], None], name: str) -> SystemThread:
    """Run on a thread of its own.

    Raises:
        RuntimeError: the system gives no more threads; or the application's trace function raises, so that the thread
            ends before it has begun.
    """
    thread = SystemThread(run, name)
    is_watched = _is_watched()
    thread.start()
    # Another thread may install a tracer, or take it back, just as this one starts.
    if is_watched or _is_watched():
        while not thread.has_begun:
            if not thread.is_alive():
                raise RuntimeError(
                    f"expected the thread {thread.name!r} to begin, and it has ended at once: what threading.settrace "
                    "or threading.setprofile was given raises; its error is on standard error"
                )
            thread.join(BEGIN_SECONDS)
    return thread


def _is_watched() -> bool:
    return threading.gettrace() is not None or threading.getprofile() is not None


def stacks() -> list[tuple[str, str]]:
    """(name, stack) of every thread of this process, including the application's."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return [
        (names.get(ident, f"thread {ident}, which Python has not started"), _stack(frame))
        for ident, frame in sys._current_frames().items()
    ]


def _stack(frame: FrameType) -> str:
    try:
        return "".join(traceback.format_stack(frame))
    except Exception as error:
        # The thread runs on while its frames are read, and a returned frame may not look like one any more.
        return f"its stack could not be read: {error!r}"


class _Recalled(BaseException):
    """Raised in the place of an error that is no longer wanted."""
