"""The source of everything that a test must own: time, chance, ids, threads, mailboxes, replies, stores, presence.

Production has one `Environment()`; the simulation builds another, and the actors cannot tell.
"""

from __future__ import annotations

import asyncio
import os
import platform
import queue
import random
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from ..stores.controls import Controls
from ..stores.hints import Hints
from ..stores.open_transactions import likely_holder
from ..stores.ports import Store
from ..stores.presence import Presence
from .clock import Clock, SystemClock
from .failpoints import Failpoints, unarmed
from .replies import ActorMailbox, LoopReply, Mailbox, ThreadReply, may_stand_in
from .threads import Thread, spawn


def new_id() -> str:
    """An id that no other process will make: 96 random bits in hex."""
    return os.urandom(12).hex()


def whereabouts() -> tuple[str, int]:
    """The host name and process number, as logged."""
    return socket.gethostname(), os.getpid()


def versions() -> tuple[str, str]:
    """The versions of Lamplighter and of Python; the first is empty where it is not installed as a package."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        own = version(__name__.partition(".")[0])
    except PackageNotFoundError:
        own = ""
    return own, platform.python_version()


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The parts that a runtime gets from outside, and a test replaces.

    Attributes:
        clock: where time comes from; made anew for each start, because its thread does not survive a stop or a fork.
        chance: where randomness comes from, made anew likewise.
        new_id: ids of boots and handlers, and what `JobIds` are made of.
        spawn: starts a thread.
        may_stand_in: whether the calling thread may stand in for an actor's.
        direct_share: how many of the turns that only store jobs without options take the direct lane.
        accepted: told of the jobs that a caller has stored itself, as no reply is.
        thread_id: which thread is calling.
        lock: what guards a few steps that must not be taken by two threads at once.
        relock: the same, and the thread that holds it may take it again.
        event: what a sleeping job waits at.
        mailbox: what hands things to a thread.
        actor_mailbox: an actor's mailbox.
        queue: what a signal's handler may put to, whatever it has interrupted.
        signal: has something called at a signal, on the main thread; gives back what was called before.
        reply: what an application's thread waits at for an answer.
        loop_reply: what a task of an application's event loop waits at.
        loop: an event loop for coroutine handlers.
        runners: by kind of lane, what runs it instead of what handlers/ has.
        store: opens the store at an address, instead of what stores/opening.py opens there.
        neighbours: presence and hints between the boots on a store, instead of those that stores/opening.py gives.
        controls: how a boot on a store is asked from outside, likewise.
        visit: makes a short visit to a server, likewise.
        lock_holder: who holds the write lock that a write batch waits for, in words.
        whereabouts: the name of the machine and the number of the process.
        versions: of Lamplighter and of Python.
        pid: which process this is. A lane looks before and after the function that it calls, which may fork; a runtime
            looks whether it was started in this one.
        leave: ends a process at once, with an exit code: a forked child that comes out of an application's function.
        failpoints: where tests make it fail.
    """

    clock: Callable[[], Clock] = SystemClock
    chance: Callable[[], random.Random] = field(default=random.SystemRandom)
    new_id: Callable[[], str] = new_id
    spawn: Callable[[Callable[[], None], str], Thread] = spawn
    may_stand_in: Callable[[], bool] = may_stand_in
    direct_share: float = 1.0
    accepted: Callable[[Any], object] | None = None
    thread_id: Callable[[], int] = threading.get_ident
    lock: Callable[[], AbstractContextManager[Any]] = threading.Lock
    relock: Callable[[], AbstractContextManager[Any]] = threading.RLock
    event: Callable[[], threading.Event] = threading.Event
    mailbox: Callable[[], Mailbox] = Mailbox
    actor_mailbox: Callable[[], ActorMailbox] = ActorMailbox
    queue: Callable[[], Any] = queue.SimpleQueue
    signal: Callable[[int, Any], Any] = signal.signal
    reply: Callable[[], ThreadReply] = ThreadReply
    loop_reply: Callable[[], LoopReply] = LoopReply
    loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    runners: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    store: Callable[..., Store] | None = None
    neighbours: Callable[[Store, str], tuple[Presence, Hints]] | None = None
    controls: Callable[[Store, str], Controls] | None = None
    visit: Callable[[str], Any] | None = None
    lock_holder: Callable[[], str] = likely_holder
    whereabouts: Callable[[], tuple[str, int]] = whereabouts
    versions: Callable[[], tuple[str, str]] = versions
    pid: Callable[[], int] = os.getpid
    leave: Callable[[int], None] = os._exit
    failpoints: Failpoints = field(default_factory=unarmed)

    def clock_of(self, store: Store) -> Clock:
        """The clock by which the jobs of a store are due, made anew for each start."""
        if store.wall is None:
            return self.clock()
        from .store_clock import StoreClock

        return StoreClock(self.clock(), store.wall)
