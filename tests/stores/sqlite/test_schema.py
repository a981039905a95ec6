"""A file of each released version becomes one of this version: what it holds stays, and goes on.

The samples are such files, as text. `make samples` writes that of today's version, and is run before a release and
whenever the schema changes before one. A released sample never changes again.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from lamplighter import Runtime, SchemaTooNew, StoreError
from lamplighter.stores.sqlite import schema
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.testing import Simulation

from support.conformance.kit import a_boot
from support.conformance.kit import new as a_job
from support.samples import KEPT_FOR_EVER, goes_on

SAMPLES = sorted((Path(__file__).parent / "samples").glob("store-*.sql"))


@pytest.fixture(params=SAMPLES, ids=lambda sample: sample.stem)
def old(request, tmp_path):
    """A file as that version left it, with jobs in every state, of a boot that was killed; and with views of the
    application's own, one of which is broken.
    """
    path = tmp_path / "jobs.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(request.param.read_text("utf-8"))
        connection.execute("pragma journal_mode = wal")
        for statement in KEPT_FOR_EVER:
            connection.execute(statement)
        connection.execute("create table theirs (a)")
        connection.execute("create view broken as select a from theirs")
        connection.execute("create view waiting as select id from lamplighter_jobs where state = 'queued'")
        connection.execute("drop table theirs")
    return path


def rows_of(path: Path, what: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"select {what}").fetchall()


def jobs_of(path: Path) -> list[tuple[Any, ...]]:
    """All that a migration keeps of each job."""
    kept = "no, id, name, data, state, priority, run_at, claim_no, attempt, boot, result, error"
    return rows_of(path, f"{kept} from lamplighter_jobs order by no")


def migrate(path: Path) -> None:
    store = SqliteStore(str(path))
    store.open()
    store.close()


def test_a_file_of_each_version_comes_to_the_tables_of_a_new_one(old, tmp_path):
    shapes = []
    for path in (old, tmp_path / "new.db"):
        migrate(path)
        rows = rows_of(path, "name, type, tbl_name, sql from sqlite_schema where name like 'lamplighter%'")
        # SQLite puts the name of a table in quotes that it has renamed, and spaces where nobody reads them.
        shapes.append({name: (*rest, re.sub(r'[\s"]+', "", sql)) for name, *rest, sql in rows})

    assert shapes[0] == shapes[1]


def test_a_file_of_each_version_keeps_its_jobs_and_the_applications_views(old):
    was, waiting = jobs_of(old), rows_of(old, "* from waiting order by id")

    migrate(old)

    assert {row[4] for row in was} == {"queued", "running", "done", "dead", "cancelled"}
    assert (jobs_of(old), rows_of(old, "* from waiting order by id")) == (was, waiting)
    assert rows_of(old, "count(*) from sqlite_schema where type = 'view'") == [(2,)]
    assert rows_of(old, "* from pragma_integrity_check") == [("ok",)]


def test_a_store_whose_making_fails_midway_is_none_and_is_made_by_the_next_who_comes(tmp_path):
    path = tmp_path / "jobs.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        denied = {"lamplighter_slots"}
        connection.set_authorizer(
            lambda action, name, *_: (
                sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_CREATE_TABLE and name in denied else sqlite3.SQLITE_OK
            )
        )
        with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
            schema.migrate(connection, 1_000)
        left = rows_of(path, "name from sqlite_schema")
        denied.clear()
        store_id = schema.migrate(connection, 1_000)

    assert left == []
    assert rows_of(path, "schema_version, store_id from lamplighter_store") == [(schema.VERSION, store_id)]


@pytest.mark.parametrize(
    ("version", "error", "says"),
    [
        (schema.VERSION + 1, SchemaTooNew, "upgrade Lamplighter"),
        (schema.OLDEST - 1, StoreError, "run the older Lamplighter that wrote this one"),
    ],
)
def test_a_file_that_this_code_cannot_read_is_refused_and_stays_as_it_is(old, version, error, says):
    with contextlib.closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("update lamplighter_store set schema_version = ?", (version,))
    was = rows_of(old, "* from lamplighter_store"), jobs_of(old)

    with pytest.raises(error, match=f"got: {version}; .*{says}"):
        migrate(old)

    assert (rows_of(old, "* from lamplighter_store"), jobs_of(old)) == was


def test_a_file_of_each_version_goes_on_and_gives_no_number_again(old):
    jobs, boots = (
        rows_of(old, f"max({of}) from lamplighter_{of_what}")[0][0]
        for of, of_what in (("no", "jobs"), ("boot_no", "boots"))
    )
    store = SqliteStore(str(old))
    store.open()

    with store.turn("b", 1.0) as turn:
        new, _ = turn.jobs.insert([a_job("new")])[0]
        number = turn.boots.register(a_boot("b"))
        turn.jobs.refresh()
        counted = [(step.event, step.job.id) for step in turn.transitions]

    assert (new.row_id, number) == (jobs + 1, boots + 1)
    assert counted == [("job.queued", "new"), ("job.done", "marked-1"), ("job.queued", "uncounted-1")]
    store.close()


def test_a_runtime_goes_on_where_each_version_stopped_and_its_log_is_well(old, tmp_path):
    goes_on(str(old), tmp_path / "log")


def test_the_number_of_a_job_that_was_removed_is_given_to_no_other(tmp_path):
    store = SqliteStore(str(tmp_path / "jobs.db"))
    store.open()
    with store.turn("b", 1.0) as turn:
        first, _ = turn.jobs.insert([a_job("first")])[0]
        turn.queued.cancel(first, "no")
    with store.turn("b", 1e9) as turn:
        assert turn.prune(done_before=1e9, dead_before=1e9, slots_before=None, batch=10) == 1

    with store.turn("b", 1e9) as turn:
        second, _ = turn.jobs.insert([a_job("second")])[0]
    with contextlib.closing(sqlite3.connect(tmp_path / "jobs.db")) as host, host:
        host.execute("begin")
        third, _ = store.host.join(host, 1.0, lambda turn: turn.insert(a_job("third")))

    assert (first.row_id, second.row_id, third.row_id) == (1, 2, 3)
    store.close()


def test_a_commit_of_one_queued_job_writes_few_pages(tmp_path):
    store = SqliteStore(str(tmp_path / "jobs.db"))
    store.open()
    with store.turn("b", 1.0) as turn:
        turn.boots.register(a_boot("b"))
    wal = tmp_path / "jobs.db-wal"
    sizes = []
    for number in range(50):
        with store.turn("b", 1.0) as turn:
            turn.jobs.insert([a_job(f"job-{number}")])
        sizes.append(wal.stat().st_size)
    store.close()

    # Each page is written with a header of 24 bytes. Now and then a page of a table or of an index is full.
    pages = sorted((after - before) // (4096 + 24) for before, after in itertools.pairwise(sizes))
    assert pages[len(pages) // 2] <= 5


def test_a_store_has_one_id_for_as_long_as_its_file_lives(old):
    ids = []
    for path in (old, old, old.with_name("other.db")):
        store = SqliteStore(str(path))
        store.open()
        ids.append(store.store_id)
        store.close()

    assert ids[0] == ids[1]
    assert len({*ids}) == 2
    assert all(len(store_id) == 24 for store_id in ids)


def test_the_start_says_which_store_it_is(tmp_path):
    runtime, said = Runtime(tmp_path / "jobs.db"), queue.SimpleQueue()
    runtime.subscribe(said.put, ["runtime.started"])

    with runtime:
        store_id = runtime.boot.store.store_id

    assert said.get(timeout=30)["store_id"] == store_id


def test_a_simulated_store_has_the_same_id_with_the_same_seed():
    def store_id_of(seed):
        with Simulation(register=lambda runtime: None, seed=seed) as sim:
            return sim.runtime.boot.store.store_id

    assert store_id_of(1) == store_id_of(1) != store_id_of(2)


def test_a_disk_that_is_full_at_the_last_moment_is_what_is_told(tmp_path: Path) -> None:
    # SQLite had rolled back by itself, and the error of a second time was all that one heard.
    class Full(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "commit":
                super().execute("rollback")
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(sql, *parameters)

    connection = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None, factory=Full)
    with contextlib.closing(connection), pytest.raises(sqlite3.OperationalError, match="disk is full"):
        schema.migrate(connection, 1_000)
