"""The writes of an application in its own transaction, on its own connection to the same database: of psycopg, psycopg2
or asyncpg, or what SQLAlchemy and Django have around one of these.

Statements run by the application's driver. The tables are named with their schema, because the application's
search_path is its own.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row

from ...errors import UsageError, shown
from ...messages.jobs import Instant
from ...messages.schedules import ScheduleRecord
from ..ports import HostTurn
from ..tables.host_turn import TableHostTurn, driver_connection
from .address import PostgresAddress
from .connection import Answered, plain_value
from .spelling import COMPILED_MAX, compiled

NAME = re.compile(r"\blamplighter_\w+")
PLACE = re.compile(r"'(?:[^']|'')*'|\$(\d+)|%")
RETURNS_ROWS = re.compile(r"\s*select\b|.*\breturning\b", re.DOTALL)

NO_TABLES = ("42P01", "3F000")
NO_RIGHTS = "42501"
FAILED = "25P02"
"""The transaction has failed already, and takes nothing more."""

Asked = tuple[Sequence[Any], int]
"""The rows that a statement has given, and how many rows it has touched."""

Ask = Callable[[str, Sequence[Any]], Asked]
AskAsync = Callable[[str, Sequence[Any]], Coroutine[Any, Any, Asked]]


class Driver(NamedTuple):
    """A kind of connection.

    Attributes:
        is_it: whether an object is one.
        ask: runs a statement; a coroutine function where the connection `is_async`.
        in_transaction: whether the statement that comes next can be rolled back.
    """

    is_it: Callable[[Any], bool]
    ask: Callable[..., Any]
    in_transaction: Callable[[Any], bool]
    is_async: bool = False


def _ask_psycopg(raw: Any, text: str, values: Sequence[Any]) -> Asked:
    with psycopg.RawCursor(raw, row_factory=tuple_row) as cursor:
        cursor.execute(text.encode(), values)
        return (cursor.fetchall() if cursor.description else ()), cursor.rowcount


async def _ask_async_psycopg(raw: Any, text: str, values: Sequence[Any]) -> Asked:
    async with psycopg.AsyncRawCursor(raw, row_factory=tuple_row) as cursor:
        await cursor.execute(text.encode(), values)
        return (await cursor.fetchall() if cursor.description else ()), cursor.rowcount


def _ask_psycopg2(raw: Any, text: str, values: Sequence[Any]) -> Asked:
    # Created this way, the cursor has no factory of the host's.
    with sys.modules["psycopg2.extensions"].cursor(raw) as cursor:
        cursor.execute(_by_name(text), {str(place): value for place, value in enumerate(values, start=1)})
        return (cursor.fetchall() if cursor.description else ()), cursor.rowcount


async def _ask_asyncpg(raw: Any, text: str, values: Sequence[Any]) -> Asked:
    if RETURNS_ROWS.match(text):
        rows = await raw.fetch(text, *values)
        return rows, len(rows)
    *_, count = (await raw.execute(text, *values)).split()
    return (), int(count) if count.isdigit() else -1


@lru_cache(maxsize=COMPILED_MAX)
def _by_name(text: str) -> str:
    """A text with `%(1)s` instead of `$1`, as psycopg2 takes it."""
    return PLACE.sub(lambda found: "%%" if found[0] == "%" else f"%({found[1]})s" if found[1] else found[0], text)


def _psycopg_begins(raw: Any) -> bool:
    return not raw.autocommit or raw.info.transaction_status != TransactionStatus.IDLE


def _is_of(library: str, name: str) -> Callable[[Any], bool]:
    """Whether an object is of a class that a library has, if the library is loaded: it is no dependency."""

    def is_it(connection: Any) -> bool:
        kind = getattr(sys.modules.get(library), name, None)
        return kind is not None and isinstance(connection, kind)

    return is_it


def _asyncpg_is_in_transaction(raw: Any) -> bool:
    return bool(raw.is_in_transaction())


DRIVERS = (
    Driver(lambda one: isinstance(one, psycopg.Connection), _ask_psycopg, _psycopg_begins),
    Driver(lambda one: isinstance(one, psycopg.AsyncConnection), _ask_async_psycopg, _psycopg_begins, is_async=True),
    Driver(_is_of("psycopg2.extensions", "connection"), _ask_psycopg2, _psycopg_begins),
    Driver(_is_of("asyncpg.connection", "Connection"), _ask_asyncpg, _asyncpg_is_in_transaction, is_async=True),
    Driver(_is_of("asyncpg.pool", "PoolConnectionProxy"), _ask_asyncpg, _asyncpg_is_in_transaction, is_async=True),
)


def _driver_of(connection: Any) -> Driver | None:
    return next((driver for driver in DRIVERS if driver.is_it(connection)), None)


class HostStatements:
    """The `Statements` of an application's connection.

    Args:
        ask: runs one, in PostgreSQL's spelling.
    """

    def __init__(self, ask: Ask, schema: str) -> None:
        self._ask = ask
        self._schema = schema

    def execute(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Answered:
        text, names = _qualified(query, self._schema)
        values = parameters if names is None else [parameters[name] for name in names]  # type: ignore[call-overload]
        rows, count = self._ask(text, [plain_value(value) for value in values])
        return Answered(list(rows), count)

    def executemany(self, query: str, rows: Iterable[Any], /) -> Answered:
        return Answered([], sum(self.execute(query, row).rowcount for row in rows))


@lru_cache(maxsize=COMPILED_MAX)
def _qualified(query: str, schema: str) -> tuple[str, tuple[str, ...] | None]:
    text, names = compiled(query)
    return NAME.sub(rf'"{schema}".\g<0>', text), names


class PostgresHostTurn(TableHostTurn):
    def __init__(self, statements: HostStatements, now: Instant, schema: str) -> None:
        super().__init__(statements, now)
        self._schema = schema

    def schedule(self, schedule_id: str) -> ScheduleRecord | None:
        # There may be no row yet that could be locked.
        gate = f"lamplighter {self._schema} schedule {schedule_id}"
        self._statements.execute("select pg_advisory_xact_lock(hashtextextended(?, 0))", (gate,))
        self._statements.execute("select 1 from lamplighter_schedules where id = ? for no key update", (schedule_id,))
        return super().schedule(schedule_id)


class PostgresHost:
    """The `HostTransactions` of a store.

    Args:
        store_id: of the open store.
    """

    def __init__(self, address: PostgresAddress, store_id: Callable[[], str | None]) -> None:
        self._address = address
        self._store_id = store_id
        # A connection leads to the same database for as long as it lives.
        self._known: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    def join(self, connection: Any, now: Instant, work: Callable[[HostTurn], Any]) -> Any:
        run_sync = getattr(connection, "run_sync", None)
        if callable(run_sync):
            # An AsyncSession or AsyncConnection of SQLAlchemy.
            return run_sync(self.join, now, work)
        driver = _driver_of(connection)
        if driver is not None and driver.is_async:
            return self._join_on_loop(driver, connection, now, work)
        raw = driver_connection(connection, _driver_of)
        driver = _driver_of(raw)
        if driver is None:
            raise UsageError(
                "expected connection= to be an open connection of psycopg, psycopg2 or asyncpg, or a SQLAlchemy "
                "Connection or Session, or Django's connection, on PostgreSQL, got: "
                f"{type(connection).__module__}.{type(connection).__qualname__}"
            )
        ask: Ask = partial(driver.ask, raw)
        if driver.is_async:
            _begin(connection, driver, raw)
            await_only, coroutine = sys.modules["sqlalchemy.util"].await_only, ask
            ask = lambda text, values: await_only(coroutine(text, values))  # noqa: E731
        return self._work(driver, raw, ask, now, work)

    def _work(self, driver: Driver, raw: Any, ask: Ask, now: Instant, work: Callable[[HostTurn], Any]) -> Any:
        if raw.is_closed() if hasattr(raw, "is_closed") else raw.closed:
            raise UsageError("expected connection= to be open, got: one that is closed")
        if getattr(getattr(raw, "pgconn", None), "pipeline_status", PipelineStatus.OFF) != PipelineStatus.OFF:
            raise UsageError(
                "expected connection= outside of psycopg's pipeline mode, which is not supported, got: inside"
            )
        if not driver.in_transaction(raw):
            raise UsageError(
                "expected connection= to be in a transaction, got: one in autocommit mode, which would store this at "
                "once, whatever becomes of your other work; begin a transaction first, or leave connection= out"
            )
        statements = HostStatements(ask, self._address.schema)
        try:
            self._check_store(raw, statements)
            return work(PostgresHostTurn(statements, now, self._address.schema))
        except Exception as error:
            if _code(error) == FAILED:
                raise UsageError(
                    "expected connection= to be in a transaction that may go on, got: one in which a statement has "
                    "failed; roll it back"
                ) from error
            raise

    async def _join_on_loop(self, driver: Driver, raw: Any, now: Instant, work: Callable[[HostTurn], Any]) -> Any:
        """Do work on another thread, whose statements this loop runs."""
        loop = asyncio.get_running_loop()

        def ask(text: str, values: Sequence[Any]) -> Asked:
            asked: Asked = asyncio.run_coroutine_threadsafe(driver.ask(raw, text, values), loop).result()
            return asked

        done = asyncio.ensure_future(asyncio.to_thread(self._work, driver, raw, ask, now, work))
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            # Only then may the application use its connection again.
            await asyncio.wait((done,))
            raise

    def _check_store(self, raw: Any, statements: HostStatements) -> None:
        """Make sure that a connection leads to this very store, once for each connection.

        Raises:
            UsageError: it leads to another one, or to none, or has no rights there.
        """
        known, schema = self._store_id(), self._address.schema
        # A proxy of a pool ends with its loan.
        key = getattr(raw, "_con", raw)
        if known is not None and self._known.get(key) == known:
            return
        try:
            row = statements.execute("select store_id from lamplighter_store").fetchone()
        except Exception as error:
            code = _code(error)
            if code in NO_TABLES:
                raise UsageError(
                    f"expected connection= to lead to the database of the store {self._address}, got: a database "
                    f"without tables of Lamplighter in the schema {schema}; roll your transaction back"
                ) from error
            if code == NO_RIGHTS:
                raise UsageError(
                    f"expected connection= to be of a role that may use the store {self._address}, got: {error}; grant "
                    f'usage on schema "{schema}", and select, insert, update on its tables and usage on its sequences'
                ) from error
            raise
        if row is None or row[0] != known:
            raise UsageError(
                f"expected connection= to lead to the store {self._address}, whose id is {known}, got: another store "
                f"in the schema {schema} of another database, whose id is {shown(None if row is None else row[0])}"
            )
        self._known[key] = row[0]

    def written_here(self, *, blocks: bool = True) -> bool:
        # No transaction of the application holds up all turns.
        return False


def _code(error: Exception) -> str | None:
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def _begin(connection: Any, driver: Driver, raw: Any) -> None:
    """Have SQLAlchemy begin the transaction: the asyncpg connection inside begins none by itself."""
    if not driver.in_transaction(raw):
        found = connection.connection() if callable(getattr(connection, "get_bind", None)) else connection
        found.exec_driver_sql("select 1")
