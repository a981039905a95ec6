"""The test kit's disk: what it keeps, what it may lose, how it fails."""

from __future__ import annotations

import random
import sqlite3

import pytest
from lamplighter import StoreCorrupt, StoreUnavailable
from lamplighter.messages.jobs import NewJob
from lamplighter.messages.queries import JobQuery
from lamplighter.stores.sqlite.store import SqliteStore

from support.disk.disk import Disk
from support.disk.sectors import SECTOR_BYTES, StoredFile

NOW = 1_000_000.0


def new(job_id: str, data: str = "null") -> NewJob:
    return NewJob(id=job_id, name="work", data=data, priority=0, run_at=NOW, queued_at=NOW, root_id=job_id)


def opened(disk: Disk, **options) -> SqliteStore:
    store = SqliteStore("jobs.db", connect=disk.connect, **options)
    store.open()
    return store


def put(store: SqliteStore, *jobs: NewJob) -> None:
    with store.turn("b", NOW) as turn:
        for job in jobs:
            turn.jobs.insert([job])


def ids(store: SqliteStore) -> list[str]:
    return sorted(job.id for job in store.table.find(JobQuery(), limit=1_000).jobs)


@pytest.fixture
def disk() -> Disk:
    return Disk(random.Random(1))


def test_what_was_synced_survives_and_of_the_rest_any_sector_may(disk):
    file = StoredFile()
    file.change(0, b"a" * 3 * SECTOR_BYTES)
    file.sync()
    file.change(0, b"b" * 3 * SECTOR_BYTES)

    left = {file.survivor(random.Random(seed)) for seed in range(300)}

    firsts = {tuple(image[at : at + 1] for at in range(0, 3 * SECTOR_BYTES, SECTOR_BYTES)) for image in left}
    assert len(firsts) == 8
    assert all(set(image) <= set(b"ab") and len(image) == 3 * SECTOR_BYTES for image in left)
    assert [image for image in left if len(set(image[:SECTOR_BYTES])) == 2], "no sector was torn"


def test_the_same_chance_leaves_the_same(disk):
    file = StoredFile()
    for number in range(100):
        file.change(number * 700, bytes([number]) * 1_000)

    first, second, other = (file.survivor(random.Random(seed)) for seed in (3, 3, 4))

    assert first == second != other


@pytest.mark.parametrize(("durability", "syncs"), [("full", 1), ("os", 0)])
def test_a_turn_costs_one_sync_under_full_and_none_under_os(disk, durability, syncs):
    store = opened(disk, durability=durability)
    put(store, new("first"))
    before = disk.acts["sync"]

    for number in range(10):
        put(store, new(str(number)))

    assert disk.acts["sync"] - before == 10 * syncs


def test_a_turn_that_changes_nothing_costs_nothing(disk):
    store = opened(disk)
    before = dict(disk.acts)

    put(store)

    assert disk.acts == before


def test_a_cut_keeps_every_acknowledged_turn_and_the_old_life_is_refused(disk):
    store = opened(disk)
    put(store, new("a"))

    after = opened(disk.cut())

    assert ids(after) == ["a"]
    with pytest.raises(StoreUnavailable, match="disk I/O error"):
        put(store, new("b"))
    with pytest.raises(StoreUnavailable, match="disk I/O error"):
        opened(disk)


def test_a_killed_process_loses_nothing_but_a_cut_after_it_may(disk):
    # Its tables are written safely, so that a cut concerns the job alone.
    opened(disk).close()
    store = opened(disk, durability="os")
    put(store, new("a"))
    killed = disk.kill()

    images = [Disk(random.Random(1), killed.image()) for _ in range(40)]

    assert ids(opened(killed)) == ["a"]
    assert {tuple(ids(opened(image))) for image in images} == {(), ("a",)}


def test_only_one_connection_is_open_at_a_time(disk):
    first = opened(disk)

    second = disk.connect("jobs.db")

    with pytest.raises(sqlite3.OperationalError, match="database is locked"):
        second.execute("select * from lamplighter_jobs")
    first.close()
    assert second.execute("select * from lamplighter_jobs").fetchall() == []


def test_a_full_disk_refuses_the_turn_and_is_used_again_when_there_is_room(disk):
    store = opened(disk)
    disk.capacity = sum(len(content) for content in disk.files.values()) + 10_000

    with pytest.raises(StoreUnavailable, match="database or disk is full"):
        put(store, *(new(str(number), f'"{"x" * 4_000}"') for number in range(20)))
    disk.capacity = None

    assert ids(store) == []
    put(store, new("a"))
    assert ids(store) == ["a"]


@pytest.mark.parametrize(("fault", "text"), [("io", "disk I/O error"), ("full", "database or disk is full")])
@pytest.mark.parametrize("act", ["write", "sync"])
def test_a_write_or_sync_that_fails_takes_its_whole_turn_along(disk, act, fault, text):
    store = opened(disk)
    put(store, new("before"))
    disk.fail_next(act, fault)

    with pytest.raises(StoreUnavailable, match=text):
        put(store, new("failed"))

    put(store, new("after"))
    assert ids(store) == ["after", "before"]
    assert ids(opened(disk.cut())) == ["after", "before"]


def test_the_nth_act_fails_and_no_other(disk):
    store = opened(disk)
    disk.fail_next("sync", skip=2)

    results = []
    for number in range(5):
        try:
            put(store, new(str(number)))
            results.append("held")
        except StoreUnavailable:
            results.append("failed")

    assert results == ["held", "held", "failed", "held", "held"]


def test_a_checkpoint_that_fails_spoils_no_commit():
    disk = Disk(random.Random(1), checkpoint_pages=1)
    store = opened(disk)
    disk.fail_next("write", path="jobs.db")

    put(store, new("a"))
    with pytest.raises(StoreUnavailable):
        # The planned fault was used up: this one is met by the commit.
        disk.fail_next("write")
        put(store, new("b"))

    assert ids(opened(disk.cut())) == ["a"]


def test_a_turn_whose_sync_failed_may_yet_be_there_after_a_cut():
    """Nobody can know: its log was written, and only its sync failed. So ids are made by the caller."""
    left = set()
    for seed in range(40):
        disk = Disk(random.Random(seed))
        store = opened(disk)
        disk.fail_next("sync")
        with pytest.raises(StoreUnavailable):
            put(store, new("a"))
        left.add(tuple(ids(opened(disk.cut()))))

    assert left == {(), ("a",)}


def test_a_turn_whose_sync_failed_is_there_after_a_kill_unless_another_came_after_it(disk):
    store = opened(disk)
    disk.fail_next("sync")
    with pytest.raises(StoreUnavailable):
        put(store, new("a"))
    now = ids(store)
    first = disk.kill()
    store = opened(first)
    first.fail_next("sync")
    with pytest.raises(StoreUnavailable):
        put(store, new("b"))
    put(store, new("c"))

    assert now == []
    assert ids(opened(first.kill())) == ["a", "c"]


def test_an_error_of_before_comes_out_of_the_statement_and_nothing_of_it_is_done(disk):
    store = opened(disk)

    def stop(act, path):
        raise KeyboardInterrupt

    disk.before = stop
    with pytest.raises(KeyboardInterrupt):
        put(store, new("a"))
    disk.before = lambda act, path: None

    assert ids(store) == []


@pytest.mark.parametrize(
    ("statement", "kind", "text"),
    [
        (
            "insert into lamplighter_store (one, schema_version, boots, last_no, change_no) values (1, 1, 1, 1, 1)",
            sqlite3.IntegrityError,
            "UNIQUE constraint failed: ",
        ),
        (
            "insert into lamplighter_pauses (name, since) values ('a', 'b')",
            sqlite3.IntegrityError,
            "cannot store TEXT value in REAL",
        ),
        ("select", sqlite3.OperationalError, "incomplete input"),
        ("select * from no_table", sqlite3.OperationalError, "no such table: no_table"),
    ],
)
def test_errors_are_those_of_pythons_own_sqlite3(disk, statement, kind, text):
    store = opened(disk)

    with pytest.raises(kind, match=text) as caught:
        store._writer.execute(statement)

    assert type(caught.value) is kind


def test_what_is_no_database_is_said_to_be_corrupt():
    with pytest.raises(StoreCorrupt, match="not a database"):
        opened(Disk(random.Random(1), {"jobs.db": b"noise" * 2_000}))
