"""What hands things to a thread, an actor's above all."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from typing import Any

YIELDS_MAX = 4
"""How often the reader of a mailbox lets other threads have the interpreter first: a busy thread keeps it for 5 ms."""


class Mailbox:
    """What a thread reads: pykka's `put`, `get`, `empty`, and a look at what waits.

    A deque holds the mail and a SimpleQueue wakes the reader, so that the oldest mail can be looked at, which neither
    queue.Queue nor SimpleQueue allows.
    """

    def __init__(self) -> None:
        self._mail: deque[Any] = deque()
        self._arrived: queue.SimpleQueue[None] = queue.SimpleQueue()

    def put(self, envelope: Any) -> None:
        """Add at the end."""
        try:
            self._mail.append(envelope)
        finally:
            # An error may be raised into a lane's thread in between. Without the `finally` the reader would from then
            # on be one message behind.
            self._arrived.put(None)

    def get(self) -> Any:
        """Take the first, waiting for it."""
        while True:
            self._arrived.get()
            if self._mail:
                return self._mail.popleft()

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._mail

    def first(self) -> Any | None:
        """Look at the first without taking it."""
        try:
            return self._mail[0]
        except IndexError:
            return None

    def take(self) -> Any | None:
        """Take the first if there is one."""
        try:
            taken = self._mail.popleft()
            self._arrived.get_nowait()
        except IndexError:
            return None
        except queue.Empty:
            # The reader is woken for it already, and will find that it is gone.
            pass
        return taken

    def gather(self, expected: int) -> None:
        """Let others write who are about to, until so much waits or nobody does. Called by the reader alone."""
        for _ in range(YIELDS_MAX):
            known = len(self._mail)
            if known >= expected:
                return
            # Lets others have the interpreter. They must want it now: nobody is waited for.
            time.sleep(0)
            if len(self._mail) == known:
                return

    def __len__(self) -> int:
        return len(self._mail)


class ActorMailbox(Mailbox):
    """An actor's. While its one reader waits, others may take its place, one at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._reading = threading.Lock()
        """The reader has it from its start to its end, but not while it waits."""
        self._reading.acquire()
        self._lent_to = 0

    def put(self, envelope: Any) -> None:
        if self._lent_to == threading.get_ident():
            # The reader need not be woken for what is read in its place.
            self._mail.append(envelope)
        else:
            super().put(envelope)

    def get(self) -> Any:
        self._reading.release()
        while True:
            self._arrived.get()
            # Whoever has its place reads on, and wakes it for what is left. If it waited for that place, nobody could
            # take it again.
            if self._reading.acquire(blocking=False):
                if self._mail:
                    return self._mail.popleft()
                self._reading.release()

    def lend(self) -> bool:
        """Take the place of the reader until `give_back`. False unless it waits, or has not begun to read."""
        is_lent = self._reading.acquire(blocking=False)
        if is_lent:
            self._lent_to = threading.get_ident()
        return is_lent

    def give_back(self) -> None:
        """Let the reader go on."""
        self._lent_to = 0
        self._reading.release()
        if self._mail:
            self._arrived.put(None)
