"""A lock of the code under test that tells who waits for it: threads meet at it without a sleep."""

from __future__ import annotations

import threading


class Asked:
    """A lock in whose place it stands. `event` is set when somebody asks for it in a `with`."""

    def __init__(self, lock: threading.RLock) -> None:
        self.acquire, self.release, self.event = lock.acquire, lock.release, threading.Event()

    def __enter__(self) -> None:
        self.event.set()
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def meet(self, thread: threading.Thread) -> None:
        """Start a thread, and go on when it has asked for the lock or ended."""
        self.event.clear()
        thread.start()
        while thread.is_alive() and not self.event.is_set():
            thread.join(0.001)
