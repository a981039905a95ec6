"""Queues that hand things to a thread, above all to that of an actor."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

READER = "reader"

YIELDS_MAX = 4
"""How often the reader of a mailbox lets other threads have the interpreter first: a busy thread keeps it for 5 ms."""


class Mailbox:
    """The queue that a thread reads: pykka's `put`, `get`, `empty`, and a look at what waits.

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
        taken = None
        try:
            taken = self._mail.popleft()
            self._arrived.get_nowait()
        except (IndexError, queue.Empty):
            # There is none; or the reader need not be woken for it, or is already, and will find that it is gone.
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
        # A dict and no lock: the step that takes the place says who has taken it. So an error that is raised from
        # outside, into a thread that takes it, finds it to be given back.
        self._reading: dict[str, int] = {READER: 0}
        """The thread that reads. The reader does so from its start to its end, but not while it waits."""

    def put(self, envelope: Any) -> None:
        if self.is_read_here():
            # Nobody need be woken: whoever reads looks before it waits.
            self._mail.append(envelope)
        else:
            super().put(envelope)

    def get(self) -> Any:
        if (envelope := self.take()) is not None:
            return envelope
        here = threading.get_ident()
        self._reading.clear()
        while True:
            self._arrived.get()
            # The thread that has its place reads on, and wakes it for the rest. If it waited for that place, nobody
            # could take it again.
            if self._reading.setdefault(READER, here) == here:
                if self._mail:
                    return self._mail.popleft()
                self._reading.clear()

    def is_read_here(self) -> bool:
        """Whether it is the calling thread that reads."""
        return self._reading.get(READER) == threading.get_ident()

    def lend(self, read: Callable[[], object]) -> bool:
        """Read in the place of the reader. False unless that waits, or has not begun to read."""
        here = {READER: threading.get_ident()}
        if self._reading == here:
            # This thread is in the midst of it.
            return False
        try:
            is_lent = self._reading.setdefault(READER, here[READER]) == here[READER]
            if is_lent:
                read()
            return is_lent
        finally:
            # No call comes before the place is given back, so neither does an error from outside.
            if self._reading == here:
                try:
                    self._reading.clear()
                finally:
                    if self._mail:
                        self._arrived.put(None)
