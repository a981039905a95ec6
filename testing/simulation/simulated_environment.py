"""The environment of the processes of a simulation: time, threads, chance, the store, and one another."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

from ...environment.environment import Environment
from ...environment.replies import Mailbox
from ...handlers.execute import execute
from ...handlers.lane import Lane, RunHandle
from ...handlers.pool import Pool, Worker
from ...messages.boots import BootRecord
from ...messages.jobs import Instant
from ...messages.outcomes import Outcome, OutcomeKind
from ...stores.controls import ServerControls
from ...stores.hints import Hints
from ...stores.ports import Store
from ...stores.presence import Presence, SolePresence
from ...stores.sqlite.store import SqliteStore
from .faults import FaultPoints, Faults
from .places import Disk, MessageServer, Server, TableServer
from .virtual_primitives import (
    VirtualActorMailbox,
    VirtualClock,
    VirtualEvent,
    VirtualLock,
    VirtualLoop,
    VirtualLoopReply,
    VirtualMailbox,
    VirtualQueue,
    VirtualRelock,
    VirtualReply,
    VirtualThread,
    accepted,
)
from .virtual_scheduler import Process, VirtualScheduler

HINT_SECONDS_MAX = 0.005
"""The longest that a hint takes, if it arrives."""


class VirtualPresence(Presence):
    """The `Presence` of one simulated process: a boot lives as long as its process does.

    `homes` are the processes that boots live in. A boot whose entry is taken away has lost its lock file.
    """

    def __init__(self, homes: dict[str, Process], process: Process, *, is_sole: bool) -> None:
        self.is_sole = is_sole
        self._homes = homes
        self._process = process

    def enter(self, boot: str) -> None:
        self._homes[boot] = self._process
        self._process.boots.add(boot)

    def keep(self, boot: str) -> None:
        if boot not in self._homes:
            self.enter(boot)

    def leave(self, boot: str, *, stays: bool = False) -> None:
        self._process.boots.discard(boot)

    def is_alive(self, boot: str) -> bool | None:
        home = self._homes.get(boot)
        return None if home is None else home.is_alive and boot in home.boots

    def bury(self, boot: BootRecord) -> None:
        self._homes.pop(boot.boot, None)


class VirtualHints(Hints):
    """The `Hints` of one simulated process."""

    def __init__(
        self,
        world: VirtualScheduler,
        process: Process,
        boot: str,
        listeners: dict[str, tuple[Process, Callable[[], None]]],
        faults: Faults,
    ) -> None:
        self.address: str | None = boot
        self._world = world
        self._process = process
        self._listeners = listeners
        self._faults = faults

    def listen(self, heard: Callable[[], None], spawn: Callable[[Callable[[], None], str], object]) -> None:
        assert self.address is not None
        self._listeners[self.address] = (self._process, heard)

    def send(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            if self._strikes("lost_hint"):
                continue
            if self._strikes("deafen"):
                self._listeners.pop(address, None)
                continue
            self._world.after(self._world.chance.uniform(0.0, HINT_SECONDS_MAX), lambda to=address: self._hear(to))  # type: ignore[misc]

    def close(self) -> None:
        self._listeners.pop(self.address or "", None)

    def _strikes(self, fault: str) -> bool:
        odds = getattr(self._faults, fault)
        if not odds or self._world.chance.random() >= odds:
            return False
        self._world.reached[fault] += 1
        return True

    def _hear(self, address: str) -> None:
        process, heard = self._listeners.get(address, (None, None))
        if process is not None and heard is not None and process.is_alive:
            heard()


class VirtualProcessRunner(Pool):
    """A `Runner` in whose simulation each lane is a child process of its own."""

    title = "process lane"

    def __init__(self, world: VirtualScheduler, parent: Process) -> None:
        super().__init__()
        self.worker = partial(_VirtualKeeper, world, parent)


class _VirtualKeeper(Worker):
    """A task of the parent that has lanes run in children, and learns of their death."""

    def __init__(self, world: VirtualScheduler, parent: Process, pool: Pool, environment: Environment) -> None:
        super().__init__(pool, environment)
        self._world = world
        self._parent = parent
        self._mailbox = environment.mailbox

    def run(self, lane: Lane) -> Outcome:
        ended = self._mailbox()
        child = lane.handle = _VirtualChild(self._world, Process(self._parent.number, parent=self._parent), ended)
        if lane.abandoned_because is not None:
            child.kill(lane)
        child.begin(lane)
        outcome: Outcome = ended.get()
        lane.handle = self
        return outcome


class _VirtualChild(RunHandle):
    """A child process with the lane that runs in it."""

    def __init__(self, world: VirtualScheduler, process: Process, ended: Mailbox) -> None:
        self._world = world
        self._process = process
        self._ended = ended

    def begin(self, lane: Lane) -> None:
        self._world.spawn(lambda: self._ended.put(execute(lane)), f"child of {lane.handler.name}", self._process)

    def kill(self, lane: Lane) -> None:
        reason = "its process was killed by SIGKILL"
        killed = Outcome(kind=OutcomeKind.INTERRUPTED, reason=reason, error=reason, blamed=not lane.stopping)
        # Schedule this before the kill: if the child kills itself (a fault), this call never returns.
        self._world.after(0.0, lambda: self._ended.put(killed))
        self._world.kill(self._process)


MAIN = "main"
STANDS_IN_SHARE = 0.5
"""How many of the callers that may do an actor's work do it, where the actor waits."""


DIRECT_SHARE = 0.5
"""How many of the turns that may take the direct lane take it."""


class SimulatedEnvironment:
    """The environment of the processes of one simulation.

    Attributes:
        disk: below the store, if its power can be cut.
        path: the store's file.
        server: that the stores are on, if they are in no file.
        accepted: the jobs that applications were told are stored, and when they were.
        is_sole: whether nobody else can be on the store, so that nobody need be looked for.
    """

    def __init__(self, world: VirtualScheduler, faults: Faults, server: Server | None, *, is_sole: bool) -> None:
        self.world = world
        self.faults = faults
        self.server = server
        self.is_sole = is_sole
        self.disk: Disk | None = None
        self.path = Path()
        self.accepted: dict[str, Instant] = {}
        self._homes: dict[str, Process] = {}
        self._listeners: dict[str, tuple[Process, Callable[[], None]]] = {}

    @property
    def address(self) -> str | Path:
        if self.server is not None:
            return self.server.address
        return self.path if self.disk is None else "simulation.db"

    def failpoints(self, process: Process, befall: Callable[[Process, str, Any], None], text: str) -> FaultPoints:
        strikes = {} if self.server is None else self.server.strikes
        return FaultPoints(self.world, process, self.faults, strikes, befall, text)

    def environment(
        self,
        process: Process,
        failpoints: FaultPoints,
        stores: list[Store],
        *,
        leave: Callable[[int], None],
        is_starting: Callable[[], bool],
    ) -> Environment:
        """One process's, for one life. Each store that is opened is added to `stores`; `leave` ends a forked child."""
        world = self.world

        def spawn(run: Callable[[], object], name: str) -> VirtualThread:
            if world.current.name == MAIN and is_starting():
                failpoints.at("thread.start")
            return VirtualThread(world, run, name, process)

        def store(address: str, **options: Any) -> Store:
            stores.append(self._store(environment, process, address, options))
            return stores[-1]

        def neighbours(store: Store, boot: str) -> tuple[Presence, Hints]:
            if isinstance(self.server, MessageServer):
                return SolePresence(), self.server.hints(store)
            hints = VirtualHints(world, process, boot, self._listeners, self.faults)
            return VirtualPresence(self._homes, process, is_sole=self.is_sole), hints

        def may_stand_in() -> bool:
            task = world.current
            is_safe = not (world.is_in_test or task.may_be_struck or task.process.is_fork)
            return is_safe and asyncio._get_running_loop() is None and world.chance.random() < STANDS_IN_SHARE

        def visit(url: str) -> Any:
            assert isinstance(self.server, MessageServer)
            return self.server.visit(environment, process)

        environment = Environment(
            clock=lambda: VirtualClock(world, process),
            chance=lambda: world.chance,
            lock_holder=lambda: "somebody",
            new_id=lambda: f"{world.chance.getrandbits(96):024x}",
            spawn=spawn,
            may_stand_in=may_stand_in,
            direct_share=DIRECT_SHARE,
            accepted=self._accept,
            thread_id=lambda: id(world.current),
            lock=lambda: VirtualLock(world),
            relock=lambda: VirtualRelock(world),
            event=lambda: VirtualEvent(world),
            mailbox=lambda: VirtualMailbox(world),
            actor_mailbox=lambda: VirtualActorMailbox(world),
            queue=lambda: VirtualQueue(world),
            signal=process.signal,
            reply=lambda: VirtualReply(world, self._accept),
            loop_reply=lambda: VirtualLoopReply(world, self._accept),
            loop=lambda: VirtualLoop(world, spawn),
            runners={"process": lambda: VirtualProcessRunner(world, process)},
            store=store,
            neighbours=neighbours,
            controls=lambda store, boot: ServerControls(store.notifier),
            visit=visit,
            whereabouts=lambda: ("simulation", process.pid),
            versions=lambda: ("simulated", "simulated"),
            pid=lambda: world.current.process.pid if world.current.process.is_fork else process.pid,
            leave=leave,
            failpoints=failpoints,
        )
        return environment

    def forget(self, process: Process, what: str) -> None:
        """Somebody takes away what tells the others of a process's runtimes: their locks, or their rows."""
        for boot in sorted(process.boots):
            if what == "lose_lock":
                self._homes.pop(boot, None)
                continue
            if isinstance(self.server, TableServer):
                self.server.forget(boot)
                continue
            with closing(sqlite3.connect(self.path, timeout=0.0)) as connection, suppress(sqlite3.OperationalError):
                connection.execute("delete from lamplighter_boots where boot = ?", (boot,))
                connection.commit()

    def _store(self, environment: Environment, process: Process, address: str, options: dict[str, Any]) -> Store:
        if self.server is not None:
            return self.server.store(environment, process, options["failpoints"])
        connect = None if self.disk is None else self.disk.connect
        if connect is None and options["durability"] == "full":
            # Only a power cut loses unsynced data, and without a disk there is none.
            options["durability"] = "os"
        return SqliteStore(address, connect=connect, **options)

    def _accept(self, answer: Any) -> None:
        for job in accepted(answer):
            self.accepted[job.id] = self.world.now
