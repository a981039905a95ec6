"""The tables of a store on PostgreSQL: made once, by whoever comes first, or refused with what helps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from lamplighter import SchemaTooNew, StoreError, StoreGone, UsageError
from lamplighter.stores.postgresql import schema
from lamplighter.stores.postgresql.address import parse_address
from lamplighter.stores.postgresql.connection import PostgresDatabase, connect
from lamplighter.stores.tables.schema import CREATION, VERSION

from ....support.postgresql.fixtures import empty
from ....support.postgresql.server import DATABASE, Server

COLUMNS = "select table_name, column_name, data_type from information_schema.columns where table_schema = ?"


@pytest.fixture
def connected() -> Iterator[Callable[[str], PostgresDatabase]]:
    made: list[PostgresDatabase] = []

    def one(url: str) -> PostgresDatabase:
        made.append(connect(parse_address(url)))
        return made[-1]

    yield one
    for database in made:
        database.close()


def name_of(url: str) -> str:
    return parse_address(url).schema


def test_all_tables_are_made_with_types_that_hold_what_sqlite_s_do(fresh_postgres, connected):
    url = fresh_postgres()
    database = connected(url)
    store_id = schema.migrate(database, lambda: "chosen")

    found = {(table, column): kind for table, column, kind in database.execute(COLUMNS, (name_of(url),))}
    own = {key: found.pop(key) for key in list(found) if key[0] == "lamplighter_asks"}
    assert store_id == "chosen"
    assert own["lamplighter_asks", "answer"] == "bytea"
    assert {table for table, _ in found} == {
        one.split()[2] for one in CREATION if one.lstrip().startswith("create table")
    }
    assert set(found.values()) == {"bigint", "double precision", "text"}
    assert found["lamplighter_jobs", "run_at"] == "double precision"
    options = database.execute("select reloptions::text from pg_class where oid = to_regclass('lamplighter_boots')")
    assert options.fetchone() == ("{fillfactor=50}",)


def test_rows_are_numbered_where_sqlite_numbers_them(fresh_postgres, connected):
    url = fresh_postgres()
    database = connected(url)
    schema.migrate(database)

    rows = database.execute(
        "insert into lamplighter_schedule_changes (schedule_id, at) values ('a', 1.0), ('b', 1.0) returning no"
    )
    assert rows.fetchall() == [(1,), (2,)]
    assert database.execute("select nextval('lamplighter_job_no')").fetchone() == (1,)


def test_texts_sort_by_their_code_points(fresh_postgres, connected):
    url = fresh_postgres()
    database = connected(url)
    schema.migrate(database)
    database.executemany("insert into lamplighter_retired values (?, 0)", [(text,) for text in "aBé_b"])

    found = database.execute("select schedule_id from lamplighter_retired order by schedule_id").fetchall()

    assert [text for (text,) in found] == sorted("aBé_b")


def test_many_who_come_at_once_make_one_store(fresh_postgres, connected):
    url = fresh_postgres()
    databases = [connected(url) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(schema.migrate, databases))

    assert len(found) == 1 and all(len(store_id) == 24 for store_id in found)


def test_a_store_that_is_there_is_not_locked_at_the_next_start(fresh_postgres, connected):
    url = fresh_postgres()
    holder, database = connected(url), connected(url)
    store_id = schema.migrate(holder)
    holder.begin()
    holder.execute("update lamplighter_store set boots = 1")

    assert schema.migrate(database) == store_id


def test_a_store_whose_making_fails_midway_is_none(fresh_postgres, connected, monkeypatch):
    url = fresh_postgres()
    database = connected(url)
    with monkeypatch.context() as patched:
        patched.setattr(schema, "OWN", ["this is no SQL"])
        with pytest.raises(Exception, match="syntax error"):
            schema.migrate(database)
    left = database.execute("select to_regnamespace(?)", (name_of(url),)).fetchone()

    assert left == (None,)
    assert len(schema.migrate(database)) == 24


def test_an_older_schema_comes_forward_in_one_transaction_or_not_at_all(fresh_postgres, connected, monkeypatch):
    url = fresh_postgres()
    database = connected(url)
    store_id = schema.migrate(database)
    steps = {VERSION + 1: ["create table lamplighter_new (x text)"], VERSION + 2: ["this is no SQL"]}
    monkeypatch.setattr(schema, "VERSION", VERSION + 2)
    monkeypatch.setattr(schema, "MIGRATIONS", steps)

    with pytest.raises(Exception, match="syntax error"):
        schema.migrate(database)
    with pytest.raises(UsageError, match=f"version {VERSION + 2}, got: postgresql://.*, which has {VERSION}"):
        schema.check_existing(database)
    steps[VERSION + 2] = ["insert into lamplighter_new values ('brought forward')"]

    assert schema.migrate(database) == store_id
    assert schema.read_version(database) == VERSION + 2
    schema.check_existing(database)


@pytest.mark.parametrize(
    ("version", "error", "says"),
    [
        (VERSION + 1, SchemaTooNew, "upgrade Lamplighter in this process, or give it another schema"),
        (schema.OLDEST - 1, StoreError, "run the older Lamplighter that wrote this one"),
    ],
)
def test_a_schema_that_this_code_cannot_read_is_refused(fresh_postgres, connected, version, error, says):
    url = fresh_postgres()
    database = connected(url)
    schema.migrate(database)
    database.execute("update lamplighter_store set schema_version = ?", (version,))

    for call in (schema.migrate, schema.check_existing):
        with pytest.raises(error, match=f"got: {version}; {says}|got: {version}; .*{says}"):
            call(database)


def test_what_must_exist_and_does_not_is_a_usage_error_and_is_not_made(fresh_postgres, connected):
    database = connected(fresh_postgres())

    with pytest.raises(UsageError, match=r"got: postgresql://.*, which has none of its tables"):
        schema.check_existing(database)
    assert schema.read_version(database) == 0


def test_a_role_without_the_right_to_create_is_told_what_to_grant(postgres_server: Server, fresh_postgres, connected):
    url = fresh_postgres()
    name = name_of(url)
    postgres_server.psql("drop role if exists worker; create role worker login password 'hush-hush'")
    as_worker = connected(url.replace("lamplighter:hush-hush", "worker:hush-hush"))

    with pytest.raises(StoreGone, match=f'authorization "worker", or grant create, usage on schema "{name}"') as raised:
        schema.migrate(as_worker)
    postgres_server.psql(f'create schema "{name}"; grant create, usage on schema "{name}" to worker')

    assert len(schema.migrate(as_worker)) == 24
    assert "hush-hush" not in str(raised.value)
    postgres_server.psql(f'drop schema "{name}" cascade; drop role worker')


def test_two_schemas_of_one_database_are_two_stores(fresh_postgres, connected):
    one, other = fresh_postgres(), fresh_postgres()

    assert schema.migrate(connected(one)) != schema.migrate(connected(other))


def test_a_store_without_its_tables_is_gone(fresh_postgres, connected, postgres_server: Server):
    url = fresh_postgres()
    database = connected(url)
    schema.migrate(database)
    postgres_server.psql(f"drop schema {name_of(url)} cascade", database=DATABASE)

    with pytest.raises(StoreGone, match="has lost tables of Lamplighter"):
        database.execute("select * from lamplighter_jobs")


def test_an_emptied_store_is_another_one_that_holds_nothing(postgres, connected):
    database = connected(postgres)
    was = schema.migrate(database)
    database.execute("insert into lamplighter_retired values ('a', 1)")
    database.execute("select nextval('lamplighter_job_no')")
    empty(postgres)

    assert schema.migrate(database) != was
    assert database.execute("select count(*) from lamplighter_retired").fetchone() == (0,)
    assert database.execute("select nextval('lamplighter_job_no')").fetchone() == (1,)
