"""Where everything comes from that a test must own: time, chance, ids, threads, mailboxes, futures, presence.

Production has one `Environment()`; the simulation builds another, and the actors cannot tell.
"""

from __future__ import annotations

import queue
import random
import secrets
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from .clock import Clock, SystemClock


class Mailbox:
    """An actor's inbox: pykka's `put`, `get`, `empty`, and a look at what waits.

    A deque holds the mail and a SimpleQueue wakes the reader, so that the oldest mail can be looked at, which neither
    queue.Queue nor SimpleQueue allows.
    """

    def __init__(self) -> None:
        self._mail: deque[Any] = deque()
        self._arrived: queue.SimpleQueue[None] = queue.SimpleQueue()

    def put(self, envelope: Any) -> None:
        """Add at the end."""
        self._mail.append(envelope)
        self._arrived.put(None)

    def get(self) -> Any:
        """Take the first, waiting for it."""
        self._arrived.get()
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
            self._arrived.get_nowait()
        except queue.Empty:
            return None
        return self._mail.popleft()

    def __len__(self) -> int:
        return len(self._mail)


def spawn(run: Callable[[], None], name: str) -> threading.Thread:
    """Run on a thread that never keeps the host's process alive."""
    thread = threading.Thread(target=run, name=f"lamplighter {name}", daemon=True)
    thread.start()
    return thread


def new_id() -> str:
    """An id that no other process will make: 96 random bits in hex."""
    return secrets.token_hex(12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The seams of a runtime.

    Attributes:
        clock: where time comes from; made anew for each start, because its thread does not survive a stop or a fork.
        chance: where randomness comes from, made anew likewise.
        new_id: ids of jobs and boots.
        spawn: starts a thread; the result has `is_alive()` and `ident`.
        event: what a sleeping job waits at.
        mailbox: an actor's inbox.
        future: what a host's thread waits at.
    """

    clock: Callable[[], Clock] = SystemClock
    chance: Callable[[], random.Random] = field(default=random.SystemRandom)
    new_id: Callable[[], str] = new_id
    spawn: Callable[[Callable[[], None], str], threading.Thread] = spawn
    event: Callable[[], threading.Event] = threading.Event
    mailbox: Callable[[], Mailbox] = Mailbox
    future: Callable[[], Future[Any]] = Future
