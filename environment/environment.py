"""Where everything comes from that a test must own: time, chance, ids, threads, mailboxes, futures, stores, neighbours.

Production has one `Environment()`; the simulation builds another, and the actors cannot tell.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import queue
import random
import secrets
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..stores.hints import Hints, NoHints, ServerHints, SocketHints, Teller
from ..stores.ports import SERVER_SCHEMES, Store
from ..stores.presence import FilePresence, Presence, SolePresence
from ..stores.sqlite.store import SqliteStore
from .clock import Clock, SystemClock
from .failpoints import Failpoints, unarmed
from .replies import LoopReply, ThreadReply

if TYPE_CHECKING:
    from ..stores.rabbitmq.address import Address
    from ..stores.rabbitmq.link import Link
    from ..stores.rabbitmq.visit import Visit

YIELDS_MAX = 4
"""How often the reader of a mailbox lets others have the interpreter first: one that is busy keeps it for 5 ms."""


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
        try:
            self._mail.append(envelope)
        finally:
            # A lane's thread may be struck in between, and its reader would from then on be one behind.
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
            self._arrived.get_nowait()
        except queue.Empty:
            return None
        return self._mail.popleft() if self._mail else None

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


class Thread(Protocol):
    """What `Environment.spawn` gives back."""

    def is_alive(self) -> bool:
        """Whether it still runs."""

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, or for so many seconds."""

    def stack(self) -> str:
        """Where it is now, as a traceback reads; empty when it has ended."""

    def strike(self, error: type[BaseException] | None) -> None:
        """Raise an error inside of it at its next step; None, from itself, takes back one that was not raised yet."""


class _Recalled(BaseException):
    """Takes the place of an error that is not wanted any more."""


THREADS = "/proc/self/task"
"""Where Linux lists the threads of this process."""


class SystemThread(threading.Thread):
    """A thread that never keeps the host's process alive."""

    def __init__(self, run: Callable[[], None], name: str) -> None:
        super().__init__(target=run, name=f"lamplighter {name}", daemon=True)

    def is_alive(self) -> bool:
        if not super().is_alive():
            return False
        # One that was ended by C code (`pthread_exit`) never tells Python.
        return self.native_id is None or not os.path.isdir(THREADS) or os.path.exists(f"{THREADS}/{self.native_id}")

    def stack(self) -> str:
        frame = sys._current_frames().get(self.ident or 0)
        try:
            return "" if frame is None else "".join(traceback.format_stack(frame))
        except Exception as error:
            # It runs on while its frames are read, and one that has returned need not look like a frame any more.
            return f"its stack could not be read: {error!r}"

    def strike(self, error: type[BaseException] | None) -> None:
        if error is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident or 0), ctypes.py_object(error))
            return
        # CPython 3.11 and 3.12 slow the whole process down from an error that is set, or taken back, until one is
        # raised, and hang when it is traced meanwhile. So another takes its place, and is raised here and now.
        try:
            self.strike(_Recalled)
            while True:
                pass
        except _Recalled:
            pass


def spawn(run: Callable[[], None], name: str) -> Thread:
    """Run on a thread of its own."""
    thread = SystemThread(run, name)
    thread.start()
    return thread


def thread_reply() -> ThreadReply:
    """What a host's thread waits at."""
    return ThreadReply(threading.Lock())


def new_id() -> str:
    """An id that no other process will make: 96 random bits in hex."""
    return secrets.token_hex(12)


class JobIds:
    """Ids of one life's jobs, each higher than the one before; nobody makes them twice, and nobody can guess them.

    They rise so that new ones lie side by side in the store's index of ids. Among a hundred thousand jobs, ids that are
    all random would make each insert write a page of its own.

    Args:
        new_id: 96 random bits in hex, anew for each id.
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._begin = new_id()[:12]
        self._numbers = count()

    def __call__(self) -> str:
        """The next id: 48 bits of this life, 32 that count, 32 random ones."""
        return f"{self._begin}{next(self._numbers):08x}{self._new_id()[:8]}"


def open_store(
    address: str, *, durability: str, busy_seconds_max: float, failpoints: Failpoints, new_id: Callable[[], str]
) -> Store:
    """The store at an address."""
    if address.partition("://")[0] in SERVER_SCHEMES:
        return _open_rabbit(address, failpoints, new_id)
    return SqliteStore(
        address, durability=durability, busy_seconds_max=busy_seconds_max, failpoints=failpoints, new_id=new_id
    )


def _open_rabbit(url: str, failpoints: Failpoints, new_id: Callable[[], str]) -> Store:
    # Only here: whoever is on SQLite does not have pika, and starts without the rest.
    from ..stores.rabbitmq.address import parse_address
    from ..stores.rabbitmq.notices import Seams
    from ..stores.rabbitmq.store import RabbitStore

    address = parse_address(url)
    link = _link_to(address)
    seams = Seams(clock=SystemClock(), event=threading.Event, future=Future, new_id=new_id)
    return RabbitStore(
        str(address), link, seams=seams, results=address.results, wait=address.wait, failpoints=failpoints
    )


def visit(url: str) -> Visit:
    """A short visit to a RabbitMQ."""
    from ..stores.rabbitmq.address import parse_address
    from ..stores.rabbitmq.visit import Visit

    address = parse_address(url)
    return Visit(str(address), _link_to(address), threading.Event)


def _link_to(address: Address) -> Link:
    from ..stores.rabbitmq.pika.link import PikaLink
    from ..stores.rabbitmq.prefixed import PrefixedLink
    from ..stores.rabbitmq.topology import PREFIX

    name = f"lamplighter {socket.gethostname()} {os.getpid()}"
    link = PikaLink(address, spawn=spawn, event=threading.Event, chance=random.SystemRandom(), name=name)
    return link if address.prefix == PREFIX else PrefixedLink(link, address.prefix)


def neighbours(store: Store, boot: str) -> tuple[Presence, Hints]:
    """How the boots on a store know of one another."""
    if store.is_server:
        return SolePresence(), ServerHints(cast(Teller, store))
    if store.in_memory:
        return SolePresence(), NoHints()
    folder = Path(f"{store.address}-boots")
    return FilePresence(folder), SocketHints(folder, boot)


def whereabouts() -> tuple[str, int]:
    """The name of this machine, and the number of this process, as the log tells them."""
    return socket.gethostname(), os.getpid()


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The seams of a runtime.

    Attributes:
        clock: where time comes from; made anew for each start, because its thread does not survive a stop or a fork.
        chance: where randomness comes from, made anew likewise.
        new_id: ids of boots and handlers, and what `JobIds` are made of.
        spawn: starts a thread.
        lock: what guards a few steps that must not be taken by two threads at once.
        event: what a sleeping job waits at.
        mailbox: an actor's inbox, and whatever else hands things to a thread.
        reply: what a host's thread waits at for an answer.
        loop_reply: what a task of a host's event loop waits at.
        loop: an event loop for coroutine handlers.
        runners: by kind of lane, what runs it instead of what lanes/ has.
        store: the store at an address.
        neighbours: presence and hints between the boots on a store.
        whereabouts: the name of the machine and the number of the process.
        pid: which process this is. A lane looks before and after a host's function, which may fork.
        leave: ends a process at once, with an exit code: a forked child that comes out of a host's function.
        failpoints: where tests make it fail.
    """

    clock: Callable[[], Clock] = SystemClock
    chance: Callable[[], random.Random] = field(default=random.SystemRandom)
    new_id: Callable[[], str] = new_id
    spawn: Callable[[Callable[[], None], str], Thread] = spawn
    lock: Callable[[], AbstractContextManager[Any]] = threading.Lock
    event: Callable[[], threading.Event] = threading.Event
    mailbox: Callable[[], Mailbox] = Mailbox
    reply: Callable[[], ThreadReply] = thread_reply
    loop_reply: Callable[[], LoopReply] = LoopReply
    loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    runners: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    store: Callable[..., Store] = open_store
    neighbours: Callable[[Store, str], tuple[Presence, Hints]] = neighbours
    whereabouts: Callable[[], tuple[str, int]] = whereabouts
    pid: Callable[[], int] = os.getpid
    leave: Callable[[int], None] = os._exit
    failpoints: Failpoints = field(default_factory=unarmed)
