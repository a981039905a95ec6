"""The SQLite store keeps every promise, in a file, in memory and on the kit's disk; and what is its own alone."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import sqlite3
import stat
import threading
import weakref

import pytest
from lamplighter import Runtime, StoreCorrupt, StoreError, StoreUnavailable, UsageError
from lamplighter.messages.jobs import JobParent
from lamplighter.stores.sqlite import connections, schema
from lamplighter.stores.sqlite import connections as connecting
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.troubles import StoreBusy

from support.conformance.kit import DONE, SUCCEEDED, a_boot, a_schedule, claim_in, job_of, new, put, take
from support.conformance.suite import StoreConformance
from support.disk.disk import Disk


class TestStoreInAFile(StoreConformance):
    def make_store(self, place):
        return SqliteStore(str(place / "jobs.db"), busy_seconds_max=0.05)

    def connect_host(self, store):
        host = sqlite3.connect(store.address)
        host.execute("begin")
        return host


class TestStoreInMemory(StoreConformance):
    cannot = frozenset({"host", "durable", "several"})

    def make_store(self, place):
        return SqliteStore(":memory:")


class TestStoreOnTheKitsDisk(StoreConformance):
    cannot = frozenset({"host", "several"})

    @pytest.fixture(autouse=True)
    def disk(self):
        self.connect = Disk(random.Random(1)).connect

    def make_store(self, place):
        return SqliteStore("jobs.db", busy_seconds_max=0.05, connect=self.connect)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.db"


def opened(path, **options):
    store = SqliteStore(str(path), **options)
    store.open()
    return store


def test_a_store_that_was_frozen_for_a_fork_goes_on(path):
    store = opened(path)
    put(store, new("a"))

    assert store.freeze()
    store.thaw()

    assert [job.id for job in take(store)] == ["a"]
    store.close()


def test_a_store_that_could_not_be_opened_after_a_fork_is_opened_after_the_next(path):
    store = opened(path)
    away = path.with_suffix(".away")
    assert store.freeze()
    path.rename(away)
    store.thaw()
    away.rename(path)

    assert store.freeze()
    store.thaw()

    assert [job.id for job in put(store, new("a"))] == ["a"]
    store.close()


def test_a_file_that_we_create_is_for_its_owner_only(path):
    opened(path).close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_hosts_own_file_keeps_its_mode_its_tables_and_its_user_version(path):
    with sqlite3.connect(path) as host:
        host.execute("create table users (name text)")
        host.execute("insert into users values ('ada')")
        host.execute("pragma user_version = 42")
    host.close()
    os.chmod(path, 0o640)

    store = opened(path)
    put(store, new("a"))
    store.close()

    with sqlite3.connect(path) as host:
        names = [row[0] for row in host.execute("select name from sqlite_schema where type = 'table'")]
        assert host.execute("select * from users").fetchall() == [("ada",)]
        assert host.execute("pragma user_version").fetchone() == (42,)
    host.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert {name for name in names if not name.startswith(("lamplighter_", "sqlite_"))} == {"users"}


def test_the_file_is_in_wal_mode_and_synced_fully_by_default(path):
    for durability, level in (("full", 2), ("os", 1)):
        store = opened(path, durability=durability)
        assert store._writer.execute("pragma synchronous").fetchone() == (level,)
        assert store._writer.execute("pragma journal_mode").fetchone() == ("wal",)
        store.close()


def test_a_file_that_another_has_alone_is_asked_for_seconds_whatever_the_timeout(path, monkeypatch):
    # Each of the five hundred tries waited for the busy timeout: with that at a second, a start took nine minutes.
    opened(path).close()
    host = sqlite3.connect(path, isolation_level=None)
    host.execute("pragma locking_mode = exclusive")
    host.execute("begin immediate")
    host.execute("commit")
    monkeypatch.setattr(connecting, "WAL_TRIES_MAX", 2)
    raised = []

    def open_it():
        with pytest.raises(StoreBusy, match="locked") as caught:
            opened(path, busy_seconds_max=300)
        raised.append(caught.value)

    opening = threading.Thread(target=open_it, daemon=True)
    opening.start()
    opening.join(30)
    host.close()

    assert len(raised) == 1


def test_what_a_turn_has_gathered_goes_with_it_and_waits_for_no_collector(store):
    # All turns since the collector's last run were kept, and it came in the midst of one, for 14 ms.
    gc.disable()
    try:
        with store.turn("b", 1.0) as turn:
            turn.boots.register(a_boot("b"))
            turn.schedules.declare([a_schedule()])
            turn.jobs.refresh()
            turn.jobs.insert([new("parent", run_at=0.0), new("child", parents=(JobParent("parent", 0),))])
            (claim,) = claim_in(turn)
            turn.steps.keep(claim.job, "step", "1")
            turn.jobs.settle(claim.job, SUCCEEDED, DONE)
            turn.links.free(10)
        kept = weakref.ref(turn)
        del turn

        assert kept() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("others", [(), ("before",), ("before", "between")])
def test_a_job_that_a_hosts_trigger_keeps_out_is_not_said_to_be_stored(path, others):
    # It was answered as queued, and those inserted with it were given each other's places.
    store = opened(path)
    with sqlite3.connect(path) as host:
        host.execute(
            """create trigger of_the_hosts before insert on lamplighter_jobs when new.id = 'kept out'
               begin select raise(ignore); end"""
        )
    host.close()
    jobs = [*map(new, others), new("kept out")]

    with pytest.raises(StoreError, match="a trigger on lamplighter_jobs"), store.turn("boot", 1.0) as turn:
        turn.jobs.insert(jobs)

    with pytest.raises(StoreError, match="a trigger on lamplighter_jobs"), store.turn("boot", 1.0) as turn:
        turn.jobs.insert([jobs[-1]])
    assert job_of(store, "kept out") is None
    store.close()


def test_what_was_stored_is_there_after_a_reopening(path):
    store = opened(path)
    put(store, new("a", data="[1]"))
    store.close()

    again = opened(path)
    assert job_of(again, "a").data == "[1]"
    again.close()


def test_opening_twice_at_once_migrates_once(path):
    stores, errors = [], []

    def open_one():
        try:
            stores.append(opened(path))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert errors == []
    assert [schema.read_version(store._writer) for store in stores] == [schema.VERSION] * 6
    for store in stores:
        store.close()


def test_an_older_schema_comes_forward_in_one_transaction_or_not_at_all(path, monkeypatch):
    store = opened(path)
    put(store, new("a"))
    store.close()
    known = schema.VERSION
    monkeypatch.setattr(schema, "VERSION", known + 2)
    more = {known + 1: ("create table lamplighter_new (x text)",), known + 2: ("this is no SQL",)}
    steps = {**schema.MIGRATIONS, **more}
    monkeypatch.setattr(schema, "MIGRATIONS", steps)

    with pytest.raises(sqlite3.OperationalError):
        opened(path)
    with sqlite3.connect(path) as connection:
        after_failure = schema.read_version(connection)
        tables = connection.execute("select count(*) from sqlite_schema where name = 'lamplighter_new'").fetchone()
    connection.close()
    steps[known + 2] = ("insert into lamplighter_new values ('brought forward')",)
    mended = opened(path)

    assert (after_failure, tables) == (known, (0,))
    assert schema.read_version(mended._writer) == known + 2
    assert job_of(mended, "a").state == "queued"
    mended.close()


@pytest.mark.parametrize("content", [b"not a database at all" * 100, os.urandom(8192)], ids=["text", "noise"])
def test_what_is_not_sqlite_is_refused_and_not_touched(path, content):
    path.write_bytes(content)

    with pytest.raises(StoreCorrupt):
        opened(path)

    assert path.read_bytes() == content


def test_an_empty_file_becomes_a_store(path):
    path.touch()

    store = opened(path)

    assert store.jobs.counts(None)["queued"] == 0
    store.close()


def test_a_corrupt_file_is_said_to_be_corrupt(path):
    store = opened(path)
    put(store, *(new(str(n), data=f'"{"x" * 500}"') for n in range(200)))
    store.close()
    damaged = bytearray(path.read_bytes())
    for at in range(4096, len(damaged)):
        damaged[at] = 0xA5
    path.write_bytes(damaged)

    with pytest.raises(StoreCorrupt, match="put back a backup"):
        again = opened(path)
        try:
            put(again, new("one"))
        finally:
            again.close()


def test_a_runtime_on_a_corrupt_file_says_so_at_start(path):
    store = opened(path)
    put(store, *(new(str(n), data=f'"{"x" * 500}"') for n in range(200)))
    store.close()
    damaged = bytearray(path.read_bytes())
    damaged[4096:] = b"\xa5" * (len(damaged) - 4096)
    path.write_bytes(damaged)
    rt = Runtime(path)

    with pytest.raises(StoreCorrupt):
        rt.start()
    rt.stop()


def test_a_path_with_characters_that_mean_something_to_uris_works(tmp_path):
    path = tmp_path / "what? 100% #1.db"

    opened(path).close()

    assert path.exists()


def test_a_lock_held_by_another_makes_a_turn_unavailable_and_changes_nothing(path):
    store = opened(path, busy_seconds_max=0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")

    with pytest.raises(StoreBusy, match="locked"):
        put(store, new("a"))
    readable = store.jobs.counts(None)["queued"]
    other.execute("rollback")
    other.close()

    assert readable == 0
    assert put(store, new("a"))[0].state == "queued"
    store.close()


def test_a_file_is_opened_while_another_has_the_write_lock(path):
    opened(path).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")

        store = opened(path, busy_seconds_max=0.05)

        with pytest.raises(StoreBusy, match="locked"):
            put(store, new("a"))
        other.execute("rollback")
    store.close()


def asked_for(path, busy_seconds_max):
    """How often a turn that never gets the write lock has asked for it."""
    store = opened(path, busy_seconds_max=busy_seconds_max)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    asked = []
    store._writer.set_trace_callback(asked.append)

    with pytest.raises(StoreBusy, match="locked"):
        put(store, new("a"))
    other.execute("rollback")
    other.close()
    store.close()
    return sum(statement.lower() == "begin immediate" for statement in asked)


def test_who_waits_long_for_the_write_lock_asks_no_less_often_than_who_has_just_come(path):
    # With SQLite's own back-off it asked every 100 ms in the end, and one of four neighbours had most of the file.
    assert asked_for(path, 10 * connections.ROUND_MS / 1000) == 10


def test_the_write_lock_is_asked_for_once_where_nobody_is_to_be_waited_for(path):
    assert asked_for(path, 0.0) == 1


def test_what_is_no_busy_neighbour_is_not_waited_for(path):
    store = opened(path)
    store._writer.execute("pragma query_only = 1")
    asked = []
    store._writer.set_trace_callback(asked.append)

    with pytest.raises((StoreUnavailable, sqlite3.OperationalError), match="readonly"):
        put(store, new("a"))

    assert [statement.lower() for statement in asked].count("begin immediate") == 1
    store.close()


def test_a_full_disk_makes_a_turn_unavailable_and_it_heals(path):
    store = opened(path)
    pages = store._writer.execute("pragma page_count").fetchone()[0]
    store._writer.execute(f"pragma max_page_count = {pages}")

    with pytest.raises(StoreUnavailable, match="full"):
        put(store, *(new(str(n), data=f'"{"x" * 4000}"') for n in range(50)))
    store._writer.execute("pragma max_page_count = 1000000")

    assert store.jobs.counts(None)["queued"] == 0
    assert put(store, new("a"))[0].move_no == 1
    store.close()


def test_changed_tells_of_other_connections_only(path):
    one, two = opened(path), opened(path)
    one.changed()
    put(one, new("a"))
    own = one.changed()
    put(two, new("b"))

    assert (own, one.changed(), one.changed()) == (False, True, False)
    one.close()
    two.close()


def test_the_durability_must_be_one_that_is_known():
    with pytest.raises(UsageError):
        SqliteStore(":memory:", durability="maybe")


def test_an_error_from_outside_as_a_turn_begins_leaves_no_transaction_open(tmp_path, monkeypatch):
    store, begin = SqliteStore(str(tmp_path / "jobs.db")), connections.begin_writing
    store.open()

    def struck(*args):
        begin(*args)
        raise TimeoutError

    monkeypatch.setattr("lamplighter.stores.sqlite.store.begin_writing", struck)
    with pytest.raises(TimeoutError), store.turn("b", 1.0):
        pass
    monkeypatch.undo()

    with store.turn("b", 1.0):
        pass


@pytest.mark.parametrize("busy_ms", [0, 1, 17, 18, 19, 36])
def test_whatever_the_wait_for_the_write_lock_it_ends_with_the_lock_or_an_error(tmp_path, busy_ms):
    holder, writer = (sqlite3.connect(tmp_path / "a.db", isolation_level=None) for _ in range(2))
    connections.be_patient(writer, busy_ms)
    holder.execute("begin immediate")

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        connections.begin_writing(writer, busy_ms)
    holder.execute("rollback")
    connections.begin_writing(writer, busy_ms)

    assert writer.in_transaction
    holder.close()
    writer.close()


def test_only_a_lock_is_waited_for_before_a_file_has_a_log(tmp_path, monkeypatch):
    """Another error would be reported late."""
    waited = []
    monkeypatch.setattr(connections, "WAL_RETRY_SECONDS", 0.0)
    monkeypatch.setattr(threading.Event, "wait", lambda self, seconds: waited.append(seconds))
    sqlite3.connect(tmp_path / "a.db").execute("create table t (n)").connection.close()
    reader = sqlite3.connect(f"file:{tmp_path / 'a.db'}?mode=ro", uri=True)
    holder, other = (sqlite3.connect(tmp_path / "a.db", isolation_level=None) for _ in range(2))

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connections.into_wal(reader)
    of_the_error = len(waited)
    holder.execute("begin exclusive")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        connections.into_wal(other)

    assert (of_the_error, len(waited)) == (0, connections.WAL_TRIES_MAX - 1)
    for one in (reader, holder, other):
        one.close()


def test_of_a_moved_database_and_a_deleted_log_the_error_names_the_database(tmp_path):
    store = SqliteStore(str(tmp_path / "jobs.db"))
    store.open()
    put(store, new("a"))
    (tmp_path / "jobs.db").rename(tmp_path / "elsewhere.db")
    (tmp_path / "jobs.db-wal").unlink()

    with pytest.raises(StoreError, match=r"the file \S+jobs\.db was deleted, moved"):
        put(store, new("b"))

    store.close()
