"""Moves a whole store into one that is empty: all rows of all tables, in one transaction of the target.

Numbers and ids stay the same, so that the logs of both stores are one history. The source is marked in a transaction
that began before the first row was read, and that commits after the target's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

from ...errors import UsageError
from ...messages.jobs import Instant, JobState
from ..ports import Store
from .database import Database
from .schema import CREATION
from .turn import TableTurn

BOOT = "migration"

PAGE = 1_000
"""Rows that are in memory at once."""

KEYS: Mapping[str, tuple[str, ...]] = {
    found["table"]: tuple((found["column"] or found["columns"]).split(", "))
    for found in (
        re.search(
            r"create table (?P<table>\w+) \(.*?((?P<column>\w+)\s+\w+ primary key|primary key \((?P<columns>[^)]+)\))",
            statement,
            re.DOTALL,
        )
        for statement in CREATION
    )
    if found is not None and found["table"] != "lamplighter_store"
}
"""The columns of the primary key of each table that has rows of its own."""

COUNTERS = "boots, change_no"
"""The columns of the store's row that move. Those of the clock stay: the other store may have another machine's."""


def move(source: Store, target: Store, now: Instant) -> int:
    """Move all that a store keeps into another one, and have the first refuse to be opened from then on.

    If a move was interrupted after the commit of the target, the next one finds the same rows there, and only makes
    sure that the source refuses.

    Returns:
        how many jobs it has moved.

    Raises:
        UsageError: runtimes live on one of the stores, jobs run, or the target is not empty. Nothing was moved.
        StoreUnavailable, StoreGone, StoreError: as a turn.
    """
    with _alone(source, now) as old:
        with _alone(target, now) as new:
            if _store_id(old) != _store_id(new):
                _copy(old, new, target.address)
            elif not _are_same(old.connection, new.connection):
                raise UsageError(
                    f"expected {target.address} to hold all of {source.address} after a move that was interrupted, "
                    "got: different rows, because one of them was used since; remove the one that is not to go on"
                )
            ((jobs,),) = new.connection.execute("select count(*) from lamplighter_jobs").fetchall()
        old.connection.execute("update lamplighter_store set moved_to = ?", (target.address,))
    return int(jobs)


@contextmanager
def _alone(store: Store, now: Instant) -> Iterator[TableTurn]:
    """A turn beside which nobody writes, on a store where no runtime lives."""
    with store.turn(BOOT, now) as turn:
        assert isinstance(turn, TableTurn), "the caller gives stores with tables"
        turn.hold_all()
        check_idle(store)
        yield turn


def check_idle(store: Store) -> None:
    """Refuse a store on which a runtime lives: it would run jobs that are moved."""
    presence, _, _ = store.place.meet(store, BOOT)
    # A copy without lock files has no living boots. A lock file that may not be opened counts as alive.
    living = [
        boot
        for boot in store.surroundings(BOOT).boots
        if presence.is_alive(boot.boot) or presence.hidden(boot.boot) is not None
    ]
    if living:
        where = ", ".join(f"process {boot.pid} on {boot.host}" for boot in living)
        raise UsageError(
            f"expected no runtime on {store.address}, got: {where}; stop it first (if it has died, start another one, "
            "which finds that out, and stop that)"
        )
    running = store.jobs.counts(None)[JobState.RUNNING.value]
    if running:
        raise UsageError(
            f"expected no running job in {store.address}, got: {running}, of a process that has died; start a "
            "runtime there once, so that they are taken back, and stop it"
        )


def _store_id(turn: TableTurn) -> str:
    return str(turn.connection.execute("select store_id from lamplighter_store").fetchone()[0])


def _copy(old: TableTurn, new: TableTurn, address: str) -> None:
    for table in KEYS:
        if new.connection.execute(f"select 1 from {table} limit 1").fetchone() is not None:
            raise UsageError(
                f"expected an empty store at {address}, got: one with rows in {table}; give another file or schema, "
                "or delete this one if you need nothing of it (on PostgreSQL: drop schema ... cascade)"
            )
    for table in KEYS:
        for rows in _pages(old.connection, table):
            new.fill(table, rows)
    ((store_id, *counters),) = old.connection.execute(f"select store_id, {COUNTERS} from lamplighter_store").fetchall()
    settings = ", ".join(f"{counter} = ?" for counter in ("store_id", *COUNTERS.split(", ")))
    new.connection.execute(f"update lamplighter_store set {settings}", (store_id, *counters))
    new.number_after(old.numbered_to())


def _are_same(one: Database, other: Database) -> bool:
    query = f"select {COUNTERS} from lamplighter_store"
    return one.execute(query).fetchone() == other.execute(query).fetchone() and all(
        left == right for table in KEYS for left, right in zip_longest(_pages(one, table), _pages(other, table))
    )


def _pages(connection: Database, table: str) -> Iterator[Sequence[tuple[Any, ...]]]:
    """All rows of a table in the order of its key, some at a time."""
    key = ", ".join(KEYS[table])
    places = ", ".join("?" * len(KEYS[table]))
    query, last = f"select {key}, * from {table} {{}} order by {key} limit {PAGE}", ()
    while rows := connection.execute(query.format(f"where ({key}) > ({places})" if last else ""), last).fetchall():
        last = rows[-1][: len(KEYS[table])]
        yield [row[len(last) :] for row in rows]
