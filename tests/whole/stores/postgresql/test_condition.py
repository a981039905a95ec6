"""A server and a store in it, as they are seen from outside: by the doctor, by an operator, by whoever reads."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from lamplighter import StoreError, StoreUnavailable
from lamplighter.stores.postgresql.address import parse_address
from lamplighter.stores.postgresql.condition import PostgresCondition
from lamplighter.stores.postgresql.connection import PostgresDatabase, connect
from lamplighter.stores.postgresql.readers import connect_reader, database_of, lives_at, readers
from lamplighter.stores.postgresql.schema import migrate
from lamplighter.stores.tables.schema import VERSION

from ....support.postgresql.server import ROLE, Server


def condition_of(url: str) -> PostgresCondition:
    return PostgresCondition(parse_address(url), time.time)


@pytest.fixture
def database(postgres: str) -> Iterator[PostgresDatabase]:
    with contextlib.closing(connect(parse_address(postgres), application_name="a shop")) as database:
        yield database


@pytest.fixture
def migrated() -> Callable[[str], str]:
    def migrated(url: str) -> str:
        with contextlib.closing(connect(parse_address(url))) as database:
            migrate(database)
        return url

    return migrated


@contextlib.contextmanager
def waiting(url: str) -> Iterator[None]:
    """A runtime's session that waits for rows of jobs."""

    def wait() -> None:
        with contextlib.closing(connect(parse_address(url))) as database, contextlib.suppress(StoreUnavailable):
            database.script("set lock_timeout = '30s'; select * from lamplighter_jobs for update")

    thread = threading.Thread(target=wait)
    thread.start()
    yield
    thread.join()


def test_tables_that_were_just_made_are_as_this_version_makes_them(postgres):
    seen = condition_of(postgres)

    assert seen.differences() == []
    assert seen.missing_rights() == {}
    assert (seen.facts.version, seen.facts.owns, seen.facts.role) == (VERSION, True, ROLE)
    assert seen.facts.fsync == "on" and not seen.facts.is_standby
    assert abs(seen.facts.ahead) < 60


def test_a_look_of_the_doctor_can_write_nothing(postgres):
    with condition_of(postgres)._reading() as reader, pytest.raises(StoreUnavailable, match="can only be read"):
        reader.execute("delete from lamplighter_jobs")


def test_a_schema_without_tables_has_version_0_and_is_no_store_to_read(fresh_postgres):
    url = fresh_postgres()

    assert condition_of(url).facts.version == 0
    with pytest.raises(StoreError, match="which has none of its tables; the start of a runtime"):
        connect_reader(parse_address(url))


def test_what_somebody_has_changed_in_the_tables_is_told(fresh_postgres, migrated):
    url = migrated(fresh_postgres())
    with contextlib.closing(connect(parse_address(url))) as database:
        database.script("alter table lamplighter_jobs drop column carried, add column colour bigint")
        database.script("drop index lamplighter_jobs_ended")

    assert condition_of(url).differences() == [
        "column lamplighter_jobs.carried is missing",
        "column lamplighter_jobs.colour is not of this version",
        "index lamplighter_jobs_ended is missing, or invalid",
    ]


def test_the_session_that_turns_wait_for_is_named(postgres, database):
    database.begin()
    database.execute("lock table lamplighter_jobs in exclusive mode")
    with waiting(postgres):
        seen, holder = condition_of(postgres), None
        while holder is None:
            holder = seen.lock_holder(time.sleep)
        database.rollback()

    assert holder.words == f"session {database.pid} (a shop, {ROLE} from 127.0.0.1), idle in transaction"
    assert (holder.pid, holder.holds, holder.stops) == (None, "rows", "turns that need them wait")


def test_a_transaction_that_nobody_waits_for_is_named_only_after_a_turn_has_failed(postgres, database):
    seen = condition_of(postgres)
    assert seen.lock_holder() is None

    database.begin()
    database.execute("update lamplighter_jobs set name = 'a' where id = 'b'")

    assert seen.lock_holder(lambda seconds: None) is None
    assert seen.lock_holder() is not None


def test_whoever_keeps_an_old_snapshot_is_told(postgres, database):
    database.script("begin isolation level repeatable read; select 1")

    (session,) = condition_of(postgres).old_snapshots()

    assert session.words.startswith(f"session {database.pid} (a shop, ")
    assert session.seconds is not None and session.transactions >= 0


def test_rights_that_a_role_lacks_are_told_by_table(postgres, postgres_server: Server):
    postgres_server.psql(
        "create role clerk login password 'hush-hush'; grant usage on schema shared to clerk; "
        "grant select on all tables in schema shared to clerk; grant insert on shared.lamplighter_jobs to clerk"
    )
    try:
        seen = condition_of(postgres.replace("//lamplighter:", "//clerk:"))
        missing = seen.missing_rights()

        assert missing["lamplighter_jobs"] == "update, delete"
        assert missing["lamplighter_boots"] == "insert, update, delete"
        assert seen.facts.owns is False
    finally:
        postgres_server.psql("drop owned by clerk; drop role clerk")


def test_a_server_that_is_not_there_lets_nobody_in():
    seen = condition_of("postgresql://nobody@127.0.0.1:1/none")

    assert seen.unreached is not None and "cannot be used now" in seen.unreached


def test_a_store_that_holds_nothing_is_read_at_one_instant(postgres):
    with lives_at(parse_address(postgres)) as lives:
        assert len(lives.store_id()) == 24
        assert (lives.boot_no(), list(lives.boots()), lives.accounted()) == (0, [], {})
        assert [*lives.jobs(), *lives.slots(), *lives.steps(), *lives.orphans(), *lives.left_waiting()] == []


def test_readers_see_one_instant_and_can_write_nothing(postgres, database):
    reading = readers(partial(connect_reader, parse_address(postgres)))
    with reading.lend() as reader:
        reader.execute("begin")
        assert reader.execute("select count(*) from lamplighter_pauses").fetchone() == (0,)
        database.execute("insert into lamplighter_pauses (name) values ('a')")
        assert reader.execute("select count(*) from lamplighter_pauses").fetchone() == (0,)
        reader.execute("commit")
        assert reader.execute("select count(*) from lamplighter_pauses").fetchone() == (1,)
    with pytest.raises(StoreUnavailable, match="can only be read"), reading.lend() as reader:
        reader.execute("delete from lamplighter_pauses")
    reading.close()


def test_a_reader_whose_session_was_ended_is_replaced(postgres, postgres_server: Server):
    reading = readers(partial(connect_reader, parse_address(postgres)))
    with reading.lend() as reader:
        pid = reader.pid
    postgres_server.psql(f"select pg_terminate_backend({pid}, 5000)")

    with reading.lend() as reader:
        assert reader.pid != pid
        assert reader.execute("select count(*) from lamplighter_jobs").fetchone() == (0,)
    reading.close()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("postgresql://ada:x@localhost/shop", "postgresql://bob@127.0.0.1:5432/shop?sslmode=require"),
        ("postgresql:///ada?host=/run/db", "postgresql://ada@/?host=/run/db"),
    ],
)
def test_two_addresses_of_one_database_are_known_as_such(one, other):
    assert database_of(one) == database_of(other)
    assert database_of(one) != database_of(other.replace("shop", "shed").replace("ada", "eve"))
