"""A connection to PostgreSQL that runs the SQL of `stores.tables`.

Statements are prepared under names of our own, because psycopg's cursors take three times as long for each.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import psycopg
from psycopg.adapt import Loader, Transformer
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus

from ...environment.clock import SystemClock
from ...errors import StoreError, StoreUnavailable, UsageError, shown
from .. import locks
from ..troubles import CommitUnknown
from .address import EXPECTED, POOLER, PostgresAddress
from .failures import ends_session, translated
from .spelling import compiled

VERSION_MIN = 15
STATEMENTS_MAX = 1000
"""A connection's prepared statements: each length of a list is a statement of its own."""

AHEAD_MAX = 200
"""Rows that are sent before the answers to them are read. Their answers must fit the buffers between."""

PLAN_CHANGES, PLAN_SECONDS = 64, 60.0
"""Statements are planned anew once a connection has changed so many rows, then after twice as many, and so on; after so
long the number begins anew. A plan that was made while a table was nearly empty may read the whole table at each run,
however many rows that has by then, until the server gathers statistics, about every minute."""

STATEMENT_SECONDS_MAX = 30
GRACE_SECONDS = 10
"""How much longer than the server's own limit a statement may be without an answer."""

NO_ANSWER = "the server did not answer in time"

CLIENT = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "target_session_attrs": "read-write",
}
"""Options of libpq, unless the address has others."""

SESSION = f"""
set search_path = "{{schema}}"; set jit = off; set plan_cache_mode = force_generic_plan; set enable_seqscan = off;
set enable_bitmapscan = off; set enable_mergejoin = off; set enable_hashjoin = off; set lock_timeout = '100ms';
set statement_timeout = '{STATEMENT_SECONDS_MAX}s'; set idle_in_transaction_session_timeout = '10s';
set tcp_keepalives_idle = 5; set tcp_keepalives_interval = 2; set tcp_keepalives_count = 3;
set tcp_user_timeout = '10s'; set extra_float_digits = 1; set client_min_messages = error;
do $$ begin
  set client_connection_check_interval = '1s';
exception when others then null;  -- not on every system of a server
end $$;
"""
"""By SET, because poolers refuse options at the start of a session. While a table is small, the plans must already be
those of a large one.
"""

DURABILITY = {
    "os": "set synchronous_commit = off",
    "full": "select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'",
}


class _NumberLoader(Loader):
    """Sums of whole numbers are of a type without bounds."""

    def load(self, data: Any) -> int | float:
        text = bytes(data)
        return int(text) if text.lstrip(b"-").isdigit() else float(text)


class Answered:
    """The rows that a statement has given, or the number of those that it has changed."""

    __slots__ = ("_left", "rowcount")

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._left = iter(rows)
        self.rowcount = rowcount

    def fetchone(self) -> Any:
        return next(self._left, None)

    def fetchall(self) -> list[Any]:
        return list(self._left)

    def __iter__(self) -> Iterator[Any]:
        return self._left


def _encode_text(value: str) -> bytes:
    if "\0" in value:
        raise UsageError(f"expected a text without NUL, which PostgreSQL cannot keep, got: {shown(value)}")
    return str.encode(value)


NO_TYPE, INT8, TEXT, FLOAT8, NUMERIC = 0, 20, 25, 701, 1700
TYPES: Mapping[type, tuple[int, frozenset[int], Callable[[Any], bytes]]] = {
    int: (INT8, frozenset({INT8, FLOAT8, NUMERIC}), lambda value: b"%d" % value),
    float: (FLOAT8, frozenset({FLOAT8, NUMERIC}), lambda value: repr(float(value)).encode()),
    str: (TEXT, frozenset({TEXT}), _encode_text),
}
"""The type that a value has on the server, those that it may have been given instead, and how it is sent."""


def _kind(value: object) -> type:
    """The type of which a value is one: an enum with texts is a text, and a truth a number."""
    for kind in TYPES:
        if isinstance(value, kind):
            return kind
    raise TypeError(f"expected an int, a float, a str or None for PostgreSQL, got: {shown(value)}")


def plain_value(value: Any) -> Any:
    """A value as any driver takes it."""
    if value is None:
        return None
    kind = _kind(value)
    if kind is str:
        _encode_text(value)
        return str.__str__(value)
    return kind(value)


class _Statement:
    """A statement, which is prepared when its first values come.

    Attributes:
        types: of its parameters. The types of the values that come first count, and the server's choice for None.
    """

    __slots__ = ("name", "names", "text", "types")

    def __init__(self, query: str) -> None:
        text, self.names = compiled(query)
        self.text, self.name = text.encode(), b""
        self.types: list[int] | None = None

    def encode(self, parameters: Any) -> tuple[list[bytes | None], list[int] | None]:
        """The values for the server, and the types that the statement must be prepared with before it can take them."""
        values = parameters if self.names is None else [parameters[name] for name in self.names]
        types, fits, encoded = self.types, True, list[bytes | None]()
        if types is None:
            types, fits = [NO_TYPE] * len(values), False
        if len(types) != len(values):
            raise TypeError(f"expected {len(types)} values, got: {len(values)} for {self.text.decode()}")
        for place, value in enumerate(values):
            if value is None:
                encoded.append(None)
                continue
            wanted, taken, encode = TYPES[type(value) if type(value) in TYPES else _kind(value)]
            if types[place] not in taken:
                types, fits = [*types[:place], wanted, *types[place + 1 :]], False
            encoded.append(encode(value))
        return encoded, None if fits else types


class PostgresDatabase:
    """A connection: the `Database` of `stores.tables`. One thread at a time may use it.

    Outside of a transaction each statement is one of its own. An error of the server closes nothing; a lost connection
    is closed, and `is_closed`.

    Attributes:
        address: whose schema the names of tables are found in.
        raw: psycopg's connection, for what is not here. No statement of it may change the transaction.
        total_changes: rows that were inserted, updated or deleted.
        pid: of the server's process for this session.
    """

    IntegrityError = psycopg.IntegrityError

    def __init__(self, raw: psycopg.Connection[Any], address: PostgresAddress) -> None:
        self.raw = raw
        self.address = address
        self.total_changes = 0
        self.pid = raw.pgconn.backend_pid
        self._connection = raw.pgconn
        raw.adapters.register_loader(NUMERIC, _NumberLoader)
        self._transformer = Transformer(raw)
        self._statements: dict[str, _Statement] = {}
        self._prepared = 0
        self._plan_changes = self._replan_at = PLAN_CHANGES
        self._planned_at = SystemClock().monotonic()
        self._later: list[Callable[[], None]] = []
        self._poll = select.poll()
        self._poll.register(self._connection.socket, select.POLLIN)
        with _sockets.lock:
            _sockets[self] = locks.OpenFile(self._connection.socket, os.fstat(self._connection.socket))

    def execute(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Answered:
        """Run a statement, in the text that SQLite would take.

        Raises:
            IntegrityError: a row that must not be.
            TurnConflict, StoreUnavailable, StoreGone, StoreError: see `translated`.
        """
        statement = self._statement(query)
        values = self._encoded(statement, parameters)
        (answer,) = self._ask(partial(self._connection.send_query_prepared, statement.name, values))
        return self._rows(answer)

    def executemany(self, query: str, rows: Iterable[Any], /) -> Answered:
        """Run a statement for each row of values. It returns no rows; `rowcount` is the sum."""
        statement, send, rowcount, left = self._statement(query), self._connection.send_query_prepared, 0, iter(rows)
        while batch := [self._encoded(statement, row) for row in islice(left, AHEAD_MAX)]:
            answers = self._ask(*(partial(send, statement.name, values) for values in batch))
            rowcount += sum(self._rows(answer).rowcount for answer in answers)
        return Answered([], rowcount)

    def later(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> None:
        """Run a statement in the same trip as the next one, or as the commit, which raise if it fails."""
        statement = self._statement(query)
        values = self._encoded(statement, parameters)
        self._later.append(partial(self._connection.send_query_prepared, statement.name, values))

    def copy(self, table: str, rows: Iterable[Sequence[Any]], /) -> None:
        """Insert whole rows into a table, in less time than statements take.

        Raises:
            UsageError: a text has a NUL.
            StoreUnavailable, StoreGone, StoreError: see `translated`.
        """
        row: Sequence[Any] = ()
        try:
            with self.raw.cursor() as cursor, cursor.copy(f"copy {table} from stdin") as copy:
                for row in rows:
                    copy.write_row(row)
        except psycopg.DataError as error:
            got = shown(next((value for value in row if isinstance(value, str) and "\0" in value), row[:2]))
            raise UsageError(
                f"expected rows of {table} that PostgreSQL can keep, got one with {got}: {error}; remove it first"
            ) from None
        except psycopg.Error as error:
            meant = translated(error, self.address.shown)
            raise meant from (None if meant is error else error)

    def script(self, text: str) -> None:
        """Run statements without parameters, in PostgreSQL's own spelling; outside of a transaction as one."""
        if self._later:
            # A text with several statements cannot share a trip.
            self._ask()
        self._ask(partial(self._connection.send_query, text.encode()))

    @property
    def in_transaction(self) -> bool:
        return self._connection.transaction_status not in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN)

    @property
    def has_news(self) -> bool:
        """Whether something has come that no statement has asked for, such as that the server ends the session."""
        self._poll.modify(self._connection.socket, select.POLLIN)
        return bool(self._poll.poll(0))

    @property
    def is_closed(self) -> bool:
        return self.raw.closed

    def begin(self, *asks: tuple[str, Sequence[Any]]) -> list[Answered]:
        """Begin a transaction, and run its first statements in the same trip, in order."""
        first = [b"begin isolation level read committed", *([b"discard plans"] if self._is_to_replan() else [])]
        sends = [partial(self._connection.send_query_params, text, None) for text in first]
        for query, values in asks:
            statement = self._statement(query)
            encoded = self._encoded(statement, values)
            sends.append(partial(self._connection.send_query_prepared, statement.name, encoded))
        return list(map(self._rows, self._ask(*sends)[len(first) :]))

    def _is_to_replan(self) -> bool:
        """Whether statements are to be planned anew now; if so, the next time is set."""
        if self.total_changes < self._replan_at:
            return False
        now = SystemClock().monotonic()
        self._plan_changes = 2 * self._plan_changes if now < self._planned_at + PLAN_SECONDS else PLAN_CHANGES
        self._planned_at, self._replan_at = now, self.total_changes + self._plan_changes
        return True

    def commit(self) -> None:
        """Commit.

        Raises:
            CommitUnknown: the server has not said whether it did.
        """
        with self.committing():
            (answer,) = self._ask(partial(self._connection.send_query_params, b"commit", None))
        if answer.command_status == b"ROLLBACK":
            raise StoreUnavailable(
                f"the store {self.address} has rolled a transaction back in which a statement failed"
            )

    @contextlib.contextmanager
    def committing(self) -> Iterator[None]:
        """The block commits.

        Raises:
            CommitUnknown: the server has not said whether it did.
        """
        try:
            yield
        except StoreUnavailable as error:
            if not self.is_closed:
                raise
            raise CommitUnknown(
                f"the store {self.address} did not say whether a write batch was stored: {error}"
            ) from error

    def rollback(self) -> None:
        """Roll back what was begun, if it was; on a connection that is lost the server does."""
        self._later.clear()
        if not self.is_closed and self.in_transaction:
            with contextlib.suppress(StoreUnavailable):
                self.script("rollback")

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """Roll back to here, and no further, if the block raises."""
        self.script("savepoint s")
        try:
            yield
        except BaseException:
            if not self.is_closed:
                self.script("rollback to savepoint s; release savepoint s")
            raise
        self.script("release savepoint s")

    def fileno(self) -> int:
        return self._connection.socket

    def close(self) -> None:
        """End the session. Its locks are free once the server has noticed."""
        with _sockets.lock:
            _sockets.pop(self, None)
            self.raw.close()

    def _statement(self, query: str) -> _Statement:
        statement = self._statements.get(query)
        if statement is None:
            statement = self._statements[query] = _Statement(query)
        return statement

    def _encoded(self, statement: _Statement, parameters: Any) -> list[bytes | None]:
        encoded, types = statement.encode(parameters)
        if types is not None:
            self._prepare(statement, types)
        return encoded

    def _prepare(self, statement: _Statement, types: list[int]) -> None:
        """Prepare a statement, anew if other types have come."""
        self._prepared += 1
        name, connection = f"lamplighter_{self._prepared}".encode(), self._connection
        *_, described = self._ask(
            partial(connection.send_prepare, name, statement.text, types),
            partial(connection.send_describe_prepared, name),
        )
        gone, statement.name = statement.name, name
        statement.types = [described.param_type(place) for place in range(described.nparams)]
        if not gone and len(self._statements) > STATEMENTS_MAX:
            gone = self._statements.pop(next(iter(self._statements))).name
        if gone:
            self.script(f"deallocate {gone.decode()}")

    def _rows(self, answer: Any) -> Answered:
        changed = answer.command_tuples or 0
        has_rows = answer.status == ExecStatus.TUPLES_OK
        if not has_rows or not answer.command_status.startswith(b"SELECT"):
            self.total_changes += changed
        if not has_rows:
            return Answered([], changed)
        self._transformer.set_pgresult(answer)
        return Answered(self._transformer.load_rows(0, answer.ntuples, tuple), changed)

    def _ask(self, *sends: Callable[[], None]) -> list[Any]:
        """Send, several in one trip, and wait for the answers."""
        answers: list[Any] = []
        later, self._later = self._later, []
        if later:
            sends = (*later, *sends)
        trouble: psycopg.Error | None = None
        try:
            if len(sends) > 1:
                self._connection.enter_pipeline_mode()
            for send in sends:
                send()
            if len(sends) > 1:
                self._connection.pipeline_sync()
                while (answer := self._next()) is None or answer.status != ExecStatus.PIPELINE_SYNC:
                    if answer is not None:
                        answers.append(answer)
                self._connection.exit_pipeline_mode()
            else:
                while (answer := self._next()) is not None:
                    answers.append(answer)
        except psycopg.Error as lost:
            self.close()
            trouble = lost
        except BaseException:
            # An answer may be on its way that nobody would wait for.
            self.close()
            raise
        failed = next((answer for answer in answers if answer.status == ExecStatus.FATAL_ERROR), None)
        if failed is not None:
            # If the connection is lost too, these words of the server say why.
            trouble = psycopg.errors.error_from_result(failed)
        if trouble is None:
            for answer in answers[: len(later)]:
                self._rows(answer)
            return answers[len(later) :]
        if self._connection.status != ConnStatus.OK or ends_session(trouble):
            self.close()
        meant = translated(trouble, self.address.shown)
        raise meant from (None if meant is trouble else trouble)

    def _next(self) -> Any:
        """The next answer of the server, or the None between two."""
        connection = self._connection
        while (unsent := connection.flush()) or connection.is_busy():
            self._poll.modify(connection.socket, select.POLLIN | select.POLLOUT if unsent else select.POLLIN)
            if not self._poll.poll((STATEMENT_SECONDS_MAX + GRACE_SECONDS) * 1000):
                raise psycopg.OperationalError(NO_ANSWER)
            connection.consume_input()
        return connection.get_result()


class _Connection(psycopg.Connection[Any]):
    """One whose cursors do not wait for ever either, as where a proxy holds a connection open and says nothing."""

    def wait(self, gen: Any, *options: Any, **more: Any) -> Any:
        return super().wait(self._in_time(gen), *options, **more)

    def _in_time(self, gen: Any) -> Any:
        monotonic = SystemClock().monotonic
        give_up_at = monotonic() + STATEMENT_SECONDS_MAX + GRACE_SECONDS
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and monotonic() >= give_up_at:
                    self.close()
                    raise psycopg.OperationalError(NO_ANSWER)
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


_sockets: locks.ClosedInChild[PostgresDatabase, locks.OpenFile] = locks.ClosedInChild()
"""The server would take a process for alive as long as a child of its has a copy."""


def connect(
    address: PostgresAddress,
    *,
    application_name: str = "lamplighter",
    durability: str = "full",
    make: Callable[[Any, PostgresAddress], PostgresDatabase] = PostgresDatabase,
) -> PostgresDatabase:
    """Connect, and set the session up.

    Raises:
        UsageError: libpq cannot take the address; the text shows nothing of it that may be a secret.
        StoreError: the server is too old, has another encoding, or a pooler stands between.
        StoreUnavailable, StoreGone: see `translated`.
    """
    options = {"application_name": application_name, **CLIENT, **_parameters(address), "client_encoding": "utf8"}
    try:
        raw = _Connection.connect("", autocommit=True, prepare_threshold=None, **options)
    except psycopg.Error as error:
        meant = translated(error, address.shown)
        raise meant from (None if meant is error else error)
    database = make(raw, address)
    try:
        _check(database)
        database.script(SESSION.format(schema=address.schema) + DURABILITY[durability])
        if not address.is_pooled and database.execute("select pg_backend_pid()").fetchone()[0] != database.pid:
            raise StoreError(f"the store {address} answers from another session than that of its start: {POOLER}")
    except BaseException:
        database.close()
        raise
    return database


def _parameters(address: PostgresAddress) -> dict[str, Any]:
    try:
        return dict(conninfo_to_dict(address.conninfo))
    except psycopg.Error as error:
        # Other words of libpq may show half a password.
        unknown = re.search(r'invalid URI query parameter: "([a-z_]{1,40})"', str(error))
        got = f"the unknown option {unknown[1]}" if unknown else "another one"
    raise UsageError(f"expected an address of PostgreSQL as libpq takes it, {EXPECTED}, got: {got}")


def _check(database: PostgresDatabase) -> None:
    server = database.raw.pgconn
    if server.server_version < VERSION_MIN * 10_000:
        raise StoreError(
            f"expected PostgreSQL {VERSION_MIN} or newer, got: {server.server_version / 10_000:g} at {database.address}"
        )
    encoding = (server.parameter_status(b"server_encoding") or b"?").decode()
    if encoding != "UTF8":
        raise StoreError(
            f"expected a database in UTF8, got: {encoding} at {database.address}; create one with "
            "encoding 'UTF8' template template0"
        )
