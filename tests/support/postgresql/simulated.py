"""A real PostgreSQL inside of a simulation: each process has its store on it, and one statement runs at a time.

A process stops before each trip of its turns to the server, so that turns overlap in any order that chance gives. One
that waits for a lock of another waits in the simulation's time: the server tells who does. So a seed gives the same run
again, on a server that does nothing else meanwhile.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from lamplighter.environment.environment import Environment
from lamplighter.environment.failpoints import Failpoints
from lamplighter.errors import StoreUnavailable
from lamplighter.messages.jobs import Instant
from lamplighter.stores.ports import Store
from lamplighter.stores.postgresql.address import PostgresAddress, parse_address
from lamplighter.stores.postgresql.connection import Answered, PostgresDatabase, connect
from lamplighter.stores.postgresql.readers import lives_at
from lamplighter.stores.postgresql.store import PostgresStore
from lamplighter.stores.stored_lives import StoredLives
from lamplighter.stores.troubles import TurnConflict
from lamplighter.testing.simulation.faults import Faults
from lamplighter.testing.simulation.virtual_primitives import VirtualRelock
from lamplighter.testing.simulation.virtual_scheduler import Process, VirtualScheduler

from .fixtures import empty

LOCK_SECONDS_MAX = 0.1
"""As `lock_timeout` of the store's sessions, in the simulation's time."""

LOCK_LOOK_SECONDS = 0.005

REAL_MS = 3
"""So long a statement may take before the server is asked whether it waits for a lock."""

SETTINGS = {"autovacuum": "off", "deadlock_timeout": "10min"}
"""Of a server on which a seed gives the same run again: nothing else has transactions, or ends one of two that wait."""

SESSION = """
set lock_timeout = 0; set statement_timeout = 0; set idle_in_transaction_session_timeout = 0;
"""
"""Nothing here ends by real time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresFaults(Faults):
    """What may go wrong with a PostgreSQL too.

    Attributes:
        cut_session: the session of a turn is lost, before the server has a statement, or before it has answered. Where
            that is the commit, nobody knows whether it holds.
        conflict: a statement of a turn is refused, as after a deadlock.
        restart_server: all sessions of all processes are lost.
    """

    cut_session: float = 0.0
    conflict: float = 0.0
    restart_server: float = 0.0


OF_A_SERVER = tuple(field.name for field in fields(PostgresFaults)[len(fields(Faults)) :])


def on_postgres(faults: Faults) -> PostgresFaults:
    """The same faults as PostgreSQL has them: without those of a file."""
    rates: dict[str, Any] = {field.name: getattr(faults, field.name) for field in fields(Faults)}
    # A turn has several trips.
    of_file = rates["store_error"] + rates["commit_unknown"]
    rates |= {"power_cut": 0.0, "store_error": 0.0, "commit_unknown": 0.0}
    return PostgresFaults(**rates, cut_session=of_file / 16, conflict=of_file / 8, restart_server=of_file / 160)


@cache
def _prepared(url: str, pid: int) -> tuple[PostgresDatabase, PostgresAddress, str]:
    """A session for looks, and a schema, of this process."""
    url = f"{url.partition('?')[0]}?schema=simulated_{pid}_{secrets.token_hex(3)}"
    address = parse_address(url)
    return connect(address, durability="os"), address, url


class SimulatedPostgres:
    """A server with the stores of a simulation's processes on it: `Simulation(..., server=SimulatedPostgres(url))`.

    Args:
        url: of a database. Each process of the operating system has a schema of its own, which each simulation empties.
    """

    strikes: Mapping[str, tuple[str, ...]] = {
        "store.trip": ("kill_process", "cut_session", "conflict", "restart_server"),
    }

    def __init__(self, world: VirtualScheduler, url: str) -> None:
        self._watch, self._where, self.address = _prepared(url, os.getpid())
        empty(self.address)
        self._watch.execute("update lamplighter_store set store_id = ?", (f"{world.chance.getrandbits(96):024x}",))
        self.world = world
        self.sessions: dict[SimulatedDatabase, None] = {}
        self.waiting: dict[SimulatedDatabase, None] = {}

    @property
    def is_running(self) -> bool:
        """Whether one of the simulation's tasks runs, and not the test or what makes time pass."""
        return self.world.current.process.number > 0

    def store(self, environment: Environment, process: Process, failpoints: Failpoints) -> Store:
        return SimulatedStore(self, environment, process, failpoints)

    def lives(self) -> StoredLives:
        return lives_at(self._where)

    def forget(self, boot: str) -> None:
        query = "delete from lamplighter_boots where boot in (select boot from lamplighter_boots where boot = ?"
        self._watch.execute(f"{query} for update skip locked)", (boot,))

    def befall(self, stores: Sequence[Store], kind: str) -> None:
        if kind == "restart_server":
            for session in list(self.sessions):
                self.end(session)
            return
        for store in stores:
            assert isinstance(store, SimulatedStore)
            store.trouble = kind

    def is_held(self, session: SimulatedDatabase) -> bool:
        query = "select cardinality(pg_blocking_pids(cast(? as int))) > 0"
        return bool(self._watch.execute(query, (session.pid,)).fetchone()[0])

    def cancel(self, session: SimulatedDatabase) -> None:
        self._watch.execute("select pg_cancel_backend(cast(? as int))", (session.pid,))

    def end(self, session: SimulatedDatabase) -> None:
        """End a session, and wait until the server has rolled back what it did."""
        self.sessions.pop(session, None)
        self.waiting.pop(session, None)
        there = "select pg_terminate_backend(pid) from pg_stat_activity where pid = ?"
        while self._watch.execute(there, (session.pid,)).fetchone() is not None:
            pass
        self.stand()

    def stand(self) -> None:
        """Wait until each session that waits for a lock still does, or has its answer: then only chance goes on."""
        for session in self.waiting:
            while not session.has_news and not self.is_held(session):
                pass


class SimulatedStore(PostgresStore):
    """The store of a process.

    Attributes:
        trouble: what strikes its next trip.
    """

    def __init__(
        self, server: SimulatedPostgres, environment: Environment, process: Process, failpoints: Failpoints
    ) -> None:
        super().__init__(server.address, durability="os", failpoints=failpoints, new_id=environment.new_id)
        # Logs are the same whichever database it is.
        self.address = "postgresql://simulated"
        self._server, self._process = server, process
        self._lock: Any = VirtualRelock(server.world)
        self.trouble: str | None = None
        self.wall: Callable[[], Instant] | None = lambda: server.world.now

    def _connect(self) -> PostgresDatabase:
        def make(raw: Any, address: PostgresAddress) -> PostgresDatabase:
            return SimulatedDatabase(raw, address, self._server, self)

        database = connect(self._where, durability=self._durability, make=make)
        database.script(SESSION)
        return database

    def trip(self) -> str | None:
        """Let others go on first, and then a trouble strike: "before" or "after" the trip the session is lost."""
        world = self._server.world
        world.pause()
        self._failpoints.at("store.trip", self)
        trouble, self.trouble = self.trouble, None
        return world.chance.choice(("before", "after")) if trouble == "cut_session" else trouble

    def close(self) -> None:
        if self._process.is_alive:
            super().close()
        elif self._writer is not None:
            # Nobody waits for the turn of a process that was killed.
            self._writer.close()
            self._readers.close()


class SimulatedDatabase(PostgresDatabase):
    def __init__(self, raw: Any, address: PostgresAddress, server: SimulatedPostgres, store: SimulatedStore) -> None:
        super().__init__(raw, address)
        self._server, self._store = server, store
        self._lock_until: float | None = None
        self._was_refused = self._is_statement = False
        server.sessions[self] = None

    def execute(self, query: str, parameters: Any = (), /) -> Answered:
        self._is_statement = True
        try:
            return super().execute(query, parameters)
        finally:
            self._is_statement = False

    def _ask(self, *sends: Callable[[], None]) -> list[Any]:
        in_transaction = self.in_transaction
        trouble = self._store.trip() if self._server.is_running else None
        if trouble == "before":
            self._server.end(self)
        if trouble == "conflict" and self._is_statement and in_transaction:
            raise TurnConflict("a statement was refused")
        self._lock_until, self._was_refused = None, False
        try:
            answers = super()._ask(*sends)
        except StoreUnavailable as error:
            if self._was_refused:
                raise TurnConflict(str(error)) from error
            raise
        finally:
            self._server.stand()
        if trouble == "after":
            self.close()
            raise StoreUnavailable("the session was lost before the answer came")
        return answers

    def _next(self) -> Any:
        connection = self._connection
        while connection.flush() or connection.is_busy():
            if self._poll.poll(REAL_MS):
                connection.consume_input()
            elif self._server.is_held(self):
                self._wait_for_lock()
        return connection.get_result()

    def _wait_for_lock(self) -> None:
        world = self._server.world
        self._lock_until = world.elapsed + LOCK_SECONDS_MAX if self._lock_until is None else self._lock_until
        if world.elapsed >= self._lock_until:
            world.reached["lock timeout"] += 1
            self._was_refused = True
            self._server.cancel(self)
            self._poll.poll()
            return
        world.reached["waits for a lock"] += 1
        self._server.waiting[self] = None
        world.park(LOCK_LOOK_SECONDS)
        self._server.waiting.pop(self, None)

    def close(self) -> None:
        super().close()
        with suppress(StoreUnavailable):
            self._server.end(self)
