"""Reads a store in a PostgreSQL: for a runtime outside of its turns, and from outside of any runtime."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from getpass import getuser
from typing import TYPE_CHECKING

from ...errors import StoreError
from ..ports import JobTable, StoreSnapshot
from ..tables.lives import TableLives
from ..tables.readers import Readers
from ..tables.rows import JobRows, snapshot_of
from ..tables.schema import VERSION, check_version
from .address import PostgresAddress
from .connection import PostgresDatabase, connect
from .schema import OLDEST, read_version

if TYPE_CHECKING:
    from ..places import StorePlace

READERS_MAX, IDLE_MAX = 4, 1
"""A session costs the server some megabytes, and a web application has many processes."""

READ_ONLY = "set default_transaction_read_only = on"

SNAPSHOT = "select cast(pg_current_snapshot() as text)"
"""It differs after each transaction that has written anything on the server."""


LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")


def readers(connect: Callable[[], PostgresDatabase]) -> Readers[PostgresDatabase]:
    return Readers(connect, most=READERS_MAX, idle_max=IDLE_MAX, is_usable=_is_usable)


def connect_reader(address: PostgresAddress) -> PostgresDatabase:
    """Connect, for reading alone.

    Raises:
        StoreError: there is no store of this version.
        SchemaTooNew, StoreUnavailable, StoreGone, UsageError: see `connect` and `check_version`.
    """
    database = connect(address, application_name="lamplighter reader")
    try:
        database.script(READ_ONLY)
        version = read_version(database)
        check_version(version, VERSION, OLDEST, other="schema")
        if version < VERSION:
            has = f"which has version {version}" if version else "which has none of its tables"
            raise StoreError(
                f"expected a store of schema version {VERSION} in the schema {address.schema}, got: {address}, {has}; "
                "the start of a runtime makes or updates it"
            )
    except BaseException:
        database.close()
        raise
    return database


def _is_usable(database: PostgresDatabase) -> bool:
    """Whether nothing has come on an idle connection: a server that ends it says so."""
    return not database.is_closed and not database.has_news


def lives_at(address: PostgresAddress) -> TableLives:
    """All that the store keeps, at one instant."""
    database = connect_reader(address)
    # Between two reads, logs are read, which may take minutes.
    database.script("set idle_in_transaction_session_timeout = 0")
    database.execute("begin")
    return TableLives(database, database.close)


def database_of(conninfo: str, **options: str) -> tuple[str, ...]:
    """The host, the port and the name of the database to which libpq would connect."""
    # Imported only here: `connection` has said before what is missing where psycopg is not installed.
    from psycopg.conninfo import conninfo_to_dict

    found = conninfo_to_dict(conninfo, **options)
    user = str(found.get("user") or os.environ.get("PGUSER") or getuser())
    host = str(found.get("host") or found.get("hostaddr") or os.environ.get("PGHOST") or "")
    port = str(found.get("port") or os.environ.get("PGPORT") or 5432)
    name = str(found.get("dbname") or os.environ.get("PGDATABASE") or user)
    return ("localhost" if host in LOCAL_HOSTS else host, port, name)


class PostgresReadable:
    """A `WatchedReadable`."""

    def __init__(self, place: StorePlace, address: PostgresAddress) -> None:
        self.place = place
        self.address = str(address)
        self._readers = readers(partial(connect_reader, address))
        self.table: JobTable | None = JobRows(self._readers.lend)

    @contextmanager
    def snapshot(self) -> Iterator[StoreSnapshot]:
        with self._readers.lend() as reader, snapshot_of(reader) as seen:
            yield seen

    @contextmanager
    def watch(self) -> Iterator[Callable[[], object]]:
        """A function whose value changes with every commit of anybody, valid in the block."""
        with self._readers.lend() as reader:
            yield lambda: reader.execute(SNAPSHOT).fetchone()[0]

    def version(self) -> str:
        with self.watch() as version:
            return str(version())

    def close(self) -> None:
        self._readers.close()
