"""The connection to PostgreSQL, on a real server: values, transactions, and the errors of the server in our words."""

from __future__ import annotations

import contextlib
import enum
import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from lamplighter import LamplighterError, StoreError, StoreGone, StoreUnavailable, UsageError
from lamplighter.stores.postgresql import connection
from lamplighter.stores.postgresql.address import parse_address
from lamplighter.stores.postgresql.connection import PostgresDatabase, connect
from lamplighter.stores.postgresql.place import PostgresPlace
from lamplighter.stores.postgresql.watcher import Channel
from lamplighter.stores.tables.database import Database
from lamplighter.stores.troubles import CommitUnknown, TurnConflict

from ....support.postgresql.server import DATABASE, PASSWORD, Server
from .people import eventually

Open = Callable[..., PostgresDatabase]


class State(enum.StrEnum):
    QUEUED = "queued"


@pytest.fixture
def opened(postgres_server: Server) -> Iterator[Open]:
    """Opens connections, each with a table `t` to be found, and closes them."""
    schema = "connections"
    postgres_server.psql(f"""
        create schema if not exists {schema} authorization lamplighter; set role lamplighter;
        drop table if exists {schema}.t; create table {schema}.t (a bigint primary key, b text, c double precision);
    """)
    made: list[PostgresDatabase] = []

    def open_one(url: str = postgres_server.url) -> PostgresDatabase:
        made.append(connect(parse_address(f"{url}?schema={schema}"), application_name="tests"))
        return made[-1]

    yield open_one
    for one in made:
        one.close()


@pytest.fixture
def database(opened: Open) -> PostgresDatabase:
    return opened()


def test_it_is_a_database_of_the_shared_statements(database: PostgresDatabase) -> None:
    shared: Database = database

    assert shared.execute("insert into t values (?, ?, ?)", (1, "x", 0.5)).rowcount == 1
    assert shared.execute("select * from t where a = :a", {"a": 1, "unused": 2}).fetchall() == [(1, "x", 0.5)]
    assert shared.executemany("insert into t values (?, ?, ?)", ((n, None, n) for n in range(2, 1002))).rowcount == 1000
    assert shared.execute("update t set b = ? where a > ?", ("y", 501)).rowcount == 500
    assert shared.execute("delete from t where a = 1 returning b").fetchone() == ("x",)
    assert shared.total_changes == 1502
    rows = shared.execute("select a from t where a in (2, 3) order by a")
    assert (rows.fetchone(), list(rows), rows.fetchone()) == ((2,), [(3,)], None)


def test_changes_of_statements_that_were_put_off_count_once_they_are_made(database: PostgresDatabase) -> None:
    database.begin()
    for number in range(2):
        database.later("insert into t values (?, null, null)", (number,))
    before = database.total_changes
    database.execute("update t set b = 'x'")
    after = database.total_changes
    database.later("delete from t where a = ?", (1,))
    database.commit()

    assert (before, after, database.total_changes) == (0, 4, 5)


def test_an_answer_that_nobody_has_waited_for_is_not_the_next_statements(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(database, "_next", interrupt)
        database.execute("select 1")

    assert database.is_closed
    with pytest.raises(LamplighterError):
        database.execute("select 2")


@pytest.mark.parametrize("place", range(3))
def test_a_script_is_done_as_a_whole_or_raises_and_changes_nothing(database: PostgresDatabase, place: int) -> None:
    statements = [f"insert into t values ({number})" for number in range(3)]

    with pytest.raises(LamplighterError, match="nowhere"):
        database.script("; ".join([*statements[:place], "select * from nowhere", *statements[place:]]))
    after = database.execute("select count(*) from t").fetchone()
    database.script("; ".join(statements))

    assert (after, database.execute("select count(*) from t").fetchone()) == ((0,), (3,))


@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63), 0.1, 1e300, -0.0, float("inf"), "", "é\U0001f600", None])
def test_values_come_back_as_they_went(database: PostgresDatabase, value: int | float | str | None) -> None:
    back = database.execute("select ?", (value,)).fetchone()[0]

    assert back == value and type(back) is type(value)


def test_sums_and_comparisons_are_numbers_and_truths(database: PostgresDatabase) -> None:
    database.executemany("insert into t values (?, 'x', ?)", [(2**62, 0.5), (2**62 + 1, 1.5)])

    found = database.execute("select sum(a), sum(c), count(*), exists (select 1 from t), avg(a - ?) from t", (2**62,))

    assert found.fetchone() == (2**63 + 1, 2.0, 2, True, 0.5)


def test_an_enum_with_texts_is_its_text_and_a_truth_is_a_number(database: PostgresDatabase) -> None:
    database.execute("insert into t values (?, ?, ?)", (True, State.QUEUED, False))

    assert database.execute("select * from t").fetchone() == (1, "queued", 0.0)


def test_one_text_takes_other_types_each_time(database: PostgresDatabase) -> None:
    query = "select coalesce(?, 5), ? + 1.0"

    found = [database.execute(query, values).fetchone() for values in ((None, 1), (2**40, 1.5), (6, None))]

    assert found == [(5, 2.0), (2**40, 2.5), (6, None)]


def test_a_statement_with_too_few_values_is_refused(database: PostgresDatabase) -> None:
    query = "select * from t where a = ? and b = ?"
    database.execute(query, (1, "x"))

    with pytest.raises(TypeError, match="expected 2 values, got: 1"):
        database.execute(query, (1,))
    with pytest.raises(TypeError, match="expected an int, a float, a str or None"):
        database.execute(query, (1, b"x"))
    assert database.execute(query, (1, "x")).fetchall() == []


def test_a_text_with_nul_is_refused_and_harms_nothing(database: PostgresDatabase) -> None:
    database.begin()
    with pytest.raises(UsageError, match="without NUL"):
        database.execute("insert into t values (1, ?, null)", ("a\0b",))
    database.commit()

    assert database.execute("select count(*) from t").fetchone() == (0,)


def test_more_statements_than_a_session_keeps_are_forgotten(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamplighter.stores.postgresql.connection.STATEMENTS_MAX", 3)
    for number in (*range(8), *range(8)):
        assert database.execute(f"select {number}").fetchone() == (number,)

    assert database.execute("select count(*) from pg_prepared_statements").fetchone()[0] <= 4


def test_a_statement_outside_of_a_transaction_holds_at_once(database: PostgresDatabase, opened: Open) -> None:
    database.execute("insert into t values (1, null, null)")

    assert not database.in_transaction
    assert opened().execute("select count(*) from t").fetchone() == (1,)


def test_a_rolled_back_savepoint_leaves_the_rest(database: PostgresDatabase) -> None:
    database.begin()
    database.execute("insert into t values (1, null, null)")
    with pytest.raises(database.IntegrityError), database.savepoint():
        database.execute("insert into t values (2, null, null)")
        database.execute("insert into t values (1, null, null)")
    with database.savepoint():
        database.execute("insert into t values (3, null, null)")
    assert database.in_transaction
    database.commit()

    assert database.execute("select a from t order by a").fetchall() == [(1,), (3,)]


def test_a_rollback_undoes_and_may_come_twice(database: PostgresDatabase) -> None:
    database.begin()
    database.execute("insert into t values (1, null, null)")
    database.rollback()
    database.rollback()

    assert database.execute("select count(*) from t").fetchone() == (0,)


def test_a_twin_in_a_batch_is_an_integrity_error(database: PostgresDatabase) -> None:
    with pytest.raises(database.IntegrityError):
        database.executemany("insert into t values (?, null, null)", [(1,), (2,), (1,), (3,)])

    assert database.execute("select count(*) from t").fetchone() == (0,)


def test_the_commit_of_a_failed_transaction_is_an_error(database: PostgresDatabase) -> None:
    database.begin()
    with pytest.raises(database.IntegrityError):
        database.executemany("insert into t values (?, null, null)", [(1,), (1,)])
    with pytest.raises(StoreUnavailable, match="rolled a transaction back"):
        database.commit()


def test_a_row_that_another_holds_is_a_conflict(opened: Open) -> None:
    one, other = opened(), opened()
    one.execute("insert into t values (1, null, null)")
    one.begin()
    one.execute("update t set b = 'x'")
    other.begin()

    with pytest.raises(TurnConflict, match="lock timeout"):
        other.execute("update t set b = 'y'")


def test_a_session_that_the_server_ends_is_closed(opened: Open) -> None:
    database, other = opened(), opened()
    database.begin()
    database.execute("insert into t values (1, null, null)")
    other.execute("select pg_terminate_backend(cast(? as int))", (database.pid,))

    with pytest.raises(StoreUnavailable, match="terminating connection"):
        database.execute("select 1")
    assert database.is_closed
    database.rollback()
    with pytest.raises(StoreUnavailable):
        database.execute("select 1")


@pytest.mark.parametrize("change", ["alter table t add column d bigint", "deallocate all"])
def test_a_session_whose_statements_fit_no_more_is_closed(opened: Open, change: str) -> None:
    database = opened()
    database.execute("select * from t")
    database.script(change)

    with pytest.raises(StoreUnavailable, match="must be connected to anew"):
        database.execute("select * from t")
    assert database.is_closed
    assert opened().execute("select * from t").fetchall() == []


def test_a_commit_that_is_not_answered_is_unknown(opened: Open) -> None:
    database, other = opened(), opened()
    database.begin()
    database.execute("insert into t values (1, null, null)")
    other.execute("select pg_terminate_backend(cast(? as int))", (database.pid,))

    with pytest.raises(CommitUnknown):
        database.commit()


def test_an_error_that_is_a_programmer_s_stays_psycopg_s(database: PostgresDatabase) -> None:
    with pytest.raises(Exception, match="syntax error") as raised:
        database.execute("selekt 1")

    assert type(raised.value).__module__ == "psycopg.errors"


def test_statements_are_planned_as_for_large_tables(database: PostgresDatabase) -> None:
    settings = "lock_timeout enable_seqscan plan_cache_mode jit statement_timeout synchronous_commit search_path"
    found = [database.execute(f"show {name}").fetchone()[0] for name in settings.split()]

    assert found == ["100ms", "off", "force_generic_plan", "off", "30s", "on", "connections"]


def test_statements_are_planned_anew_as_a_connection_changes_rows(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan that was made for an empty table reads a large one whole."""
    query, now = "select t.b from t, json_to_recordset(cast(? as json)) as each(a bigint) where t.a = each.a", [0.0]
    monkeypatch.setattr(connection, "SystemClock", lambda: SimpleNamespace(monotonic=lambda: now[0]))
    database.script("analyze t")
    database.execute(query, ("[]",))
    database.script("insert into t select i, 'x', i from generate_series(1, 5000) i")

    def plan() -> str:
        name = database._statements[query].name.decode()
        return " ".join(line for (line,) in database.raw.execute(f"explain execute {name}('[]')").fetchall())

    def changed(rows: int) -> bool:
        """Whether statements are planned anew after so many changes."""
        database.executemany("update t set c = 1 where a = ?", ((n,) for n in range(1, rows + 1)))
        before = database._replan_at
        database.begin()
        database.rollback()
        return database._replan_at != before

    assert (changed(63), "Index Cond" in plan()) == (False, False)
    assert (changed(1), "Index Cond" in plan()) == (True, True)
    assert [changed(127), changed(1), changed(255), changed(1)] == [False, True, False, True]
    now[0] = 61.0
    assert [changed(511), changed(1), changed(63), changed(1)] == [False, True, False, True]


def refused(url: str, kind: type[LamplighterError], says: str) -> None:
    """No connection is made, and no password shown."""
    with pytest.raises(kind, match=says) as raised:
        connect(parse_address(url)).close()
    error: BaseException | None = raised.value
    assert type(error) is kind
    while error is not None:
        assert PASSWORD not in f"{error!r} {error}"
        error = error.__cause__ or error.__context__


def test_a_role_a_database_or_a_password_that_is_wrong_is_said(postgres_server: Server) -> None:
    url = postgres_server.url

    refused(url.replace(PASSWORD, "wrong"), StoreGone, "does not let this role in.*password authentication failed")
    refused(url.replace("lamplighter:", "nobody:"), StoreGone, "does not let this role in")
    refused(f"{url}_2", StoreGone, 'no such database: create it.*database "lamplighter_2" does not exist')
    refused(f"{url}?colour={PASSWORD}", UsageError, "the unknown option colour")
    refused(f"{url}?sslmode={PASSWORD[:4]}", UsageError, "invalid sslmode value")
    refused(f"{url}?port=99999", UsageError, "invalid port")


def test_a_server_that_is_not_there_is_unavailable(postgres_server: Server) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        refused(postgres_server.url.replace(str(postgres_server.port), str(port)), StoreUnavailable, "refused")
    refused("postgresql://host.invalid/jobs", StoreUnavailable, "cannot be used now")


def test_what_a_role_may_not_do_is_said(postgres_server: Server) -> None:
    postgres_server.psql(f"""
        create role guest login password '{PASSWORD}' connection limit 1;
        create role reader login password '{PASSWORD}'; alter role reader set default_transaction_read_only = on;
        create schema if not exists connections authorization lamplighter;
    """)
    as_guest = postgres_server.url.replace("lamplighter:", "guest:")
    guest = connect(parse_address(f"{as_guest}?schema=connections"))
    try:
        refused(as_guest, StoreUnavailable, "no connection free.*too many connections for role")
        refused(postgres_server.url.replace("lamplighter:", "reader:"), StoreUnavailable, "can only be read now")
        with pytest.raises(StoreGone, match="refuses a right to this role: grant it"):
            guest.execute("create table connections.theirs (a bigint)")
    finally:
        guest.close()
        postgres_server.psql("drop role guest; drop role reader")


def test_a_database_in_another_encoding_is_refused(postgres_server: Server) -> None:
    postgres_server.psql("create database latin encoding 'LATIN1' locale 'C' template template0 owner lamplighter")

    refused(
        f"{postgres_server.url.removesuffix(DATABASE)}latin", StoreError, "expected a database in UTF8, got: LATIN1"
    )
    postgres_server.psql("drop database latin")


def test_a_server_that_is_too_old_is_refused(postgres_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamplighter.stores.postgresql.connection.VERSION_MIN", 99)

    refused(postgres_server.url, StoreError, "expected PostgreSQL 99 or newer, got: 1")


def test_a_server_that_can_only_be_read_by_now_is_unavailable(database: PostgresDatabase) -> None:
    database.script("set default_transaction_read_only = on")

    with pytest.raises(StoreUnavailable, match="a standby, or set to be read only"):
        database.execute("insert into t values (1, null, null)")


def test_a_server_is_found_by_its_unix_socket_too(opened: Open, postgres_server: Server) -> None:
    url = postgres_server.socket_url.replace("?", "?schema=connections&")

    with contextlib.closing(connect(parse_address(url))) as database:
        assert database.execute("select count(*) from t").fetchone() == (0,)


@pytest.mark.parametrize("how", ["fast", "immediate", "kill"])
def test_a_server_that_is_started_again_is_found_again(opened: Open, postgres_server: Server, how: Any) -> None:
    database = opened()
    database.execute("insert into t values (1, null, null)")
    database.begin()
    database.execute("insert into t values (2, null, null)")
    postgres_server.kill() if how == "kill" else postgres_server.stop(how)
    try:
        with pytest.raises(StoreUnavailable):
            database.execute("select 1")
        with pytest.raises(StoreUnavailable):
            opened()
    finally:
        postgres_server.start()

    assert database.is_closed
    assert opened().execute("select a from t").fetchall() == [(1,)]


class Proxy:
    """Stands between a client and the server, and gives the client another pid, as a pooler does.

    Attributes:
        is_hushed: nothing more reaches the client of what the server says.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.port = self._listener.getsockname()[1]
        self.is_hushed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
                self._sockets += [client, server]
                threading.Thread(target=self._pass_on, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_server: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                key = data.find(b"K\0\0\0\x0c")
                if is_server and key >= 0:
                    data = data[: key + 5] + b"\0\0\0\x01" + data[key + 9 :]
                if not (is_server and self.is_hushed):
                    target.sendall(data)

    def close(self) -> None:
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.fixture
def proxy(postgres_server: Server) -> Iterator[Proxy]:
    with contextlib.closing(Proxy(postgres_server.port)) as made:
        yield made


def through(proxy: Proxy, server: Server) -> str:
    return server.url.replace(str(server.port), str(proxy.port)) + "?sslmode=disable&gssencmode=disable"


def test_a_pooler_is_refused_unless_it_keeps_sessions(proxy: Proxy, postgres_server: Server) -> None:
    url = through(proxy, postgres_server)

    refused(url, StoreError, r"answers from another session than that of its start.*say \?pooler=session")
    with contextlib.closing(connect(parse_address(f"{url}&pooler=session"))) as database:
        assert database.execute("select 1").fetchone() == (1,)


def test_a_server_that_answers_no_more_is_waited_for_only_so_long(
    proxy: Proxy, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{through(proxy, postgres_server)}&pooler=session"
    asked, committed = connect(parse_address(url)), connect(parse_address(url))
    committed.begin()
    monkeypatch.setattr("lamplighter.stores.postgresql.connection.STATEMENT_SECONDS_MAX", 0)
    monkeypatch.setattr("lamplighter.stores.postgresql.connection.GRACE_SECONDS", 0.05)
    proxy.is_hushed = True

    with pytest.raises(StoreUnavailable, match="did not answer in time"):
        asked.execute("select 1")
    with pytest.raises(CommitUnknown, match="did not say whether"):
        committed.commit()
    assert asked.is_closed and committed.is_closed


def test_a_watcher_whose_server_answers_no_more_has_another_session(
    proxy: Proxy, postgres_server: Server, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{through(proxy, postgres_server)}&pooler=session&schema=shared"
    with contextlib.closing(PostgresPlace(url)) as place:
        place.watcher.hold(Channel(place.watcher, "one"))
        silent = place.watcher._session
        monkeypatch.setattr("lamplighter.stores.postgresql.connection.STATEMENT_SECONDS_MAX", 0)
        monkeypatch.setattr("lamplighter.stores.postgresql.connection.GRACE_SECONDS", 0.05)
        proxy.is_hushed = True

        with pytest.raises(StoreUnavailable, match="did not answer in time"):
            place.watcher.ask("select 1")

        monkeypatch.undo()
        proxy.is_hushed = False
        eventually(lambda: place.watcher._session not in (None, silent), "it connects anew")
        assert place.watcher.ask("select 1") == [(1,)]


def test_megabytes_go_and_come_in_one_statement_and_in_many(database: PostgresDatabase) -> None:
    text = "é" * 1_000_000
    database.executemany("insert into t values (?, ?, null)", [(n, text[: 50_000 + n]) for n in range(300)])
    database.execute("insert into t values (?, ?, null)", (300, text))

    found = database.execute("select a, b from t order by a").fetchall()

    assert found == [*((n, text[: 50_000 + n]) for n in range(300)), (300, text)]
