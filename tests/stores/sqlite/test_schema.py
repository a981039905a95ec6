"""An older file becomes a newer one: what it holds stays, and goes on."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import re
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from lamplighter import Runtime
from lamplighter.history.audit.audit import audit_logs
from lamplighter.history.audit.store_view import StoreView
from lamplighter.messages.tallies import EVER
from lamplighter.stores.sqlite import schema
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.testing import Simulation

from support.conformance.kit import a_boot
from support.conformance.kit import new as a_job

SAMPLE = Path(__file__).parent / "samples" / "store-0.1.0.sql"

JOBS = 19
"""So many are in it."""

COPIES = 60_000 if os.environ.get("LAMPLIGHTER_TORTURE") == "1" else 200
"""So many more of each: with torture, more than a million jobs."""

COUNTED = {"uncounted-1": "queued", "uncounted-2": "done", "marked-1": "done"}
"""What an application's own transaction has done at last: no line of 0.1.0 tells of it, and so this version does."""


def left_by_the_first_version(path: Path, copies: int = 0) -> Path:
    """A file as 0.1.0 left it, with jobs in every state, each as often as asked for, of a boot that was killed."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(SAMPLE.read_text("utf-8"))
        connection.execute("pragma journal_mode = wal")
        names = [row[1] for row in connection.execute("pragma table_info (lamplighter_jobs)")]
        # Another one may have no key, or its slot.
        copied = ", ".join({"id": "id || '-' || n", "unique_key": "null"}.get(name, name) for name in names[1:])
        connection.execute(
            f"""with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < ?)
                insert into lamplighter_jobs ({", ".join(names[1:])})
                select {copied} from numbers cross join (select * from lamplighter_jobs) where ? > 0""",
            (copies, copies),
        )
        # Whenever this runs, nothing is so old that retention removes it, or has expired.
        connection.execute("update lamplighter_jobs set ended_at = 4e9 where ended_at is not null")
        connection.execute("update lamplighter_jobs set expires_at = 4e9 where expires_at is not null")
    return path


@pytest.fixture
def old(tmp_path):
    return left_by_the_first_version(tmp_path / "jobs.db")


def rows_of(path: Path, what: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"select {what}").fetchall()


def test_a_file_of_the_first_version_comes_to_what_a_new_one_is(old, tmp_path):
    shape = "type, name, tbl_name, sql from sqlite_schema where name not like 'sqlite%'"
    for path in (old, tmp_path / "new.db"):
        store = SqliteStore(str(path))
        store.open()
        store.close()

    # SQLite puts the name of a table in quotes that it has renamed, and spaces where nobody reads them.
    of_old, of_new = (
        {row[1]: (row[0], row[2], re.sub(r'[\s"]+', "", row[3])) for row in rows_of(path, shape)}
        for path in (old, tmp_path / "new.db")
    )

    assert of_old == of_new


def by_state(path: Path) -> dict[str, int]:
    """How many jobs there are in each state."""
    return dict(rows_of(path, "state, count(*) from lamplighter_jobs group by state"))


def differing(path: Path, before: Path) -> int:
    """How many jobs two files have not in common, by all that a migration keeps of one."""
    kept = "no, id, name, data, state, priority, run_at, claim_no, attempt, boot, result, error"
    ours, theirs = (f"select {kept} from {file}.lamplighter_jobs" for file in ("main", "before"))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("attach ? as before", (str(before),))
        return sum(
            connection.execute(f"select count(*) from ({one} except {other})").fetchone()[0]
            for one, other in ((ours, theirs), (theirs, ours))
        )


@pytest.mark.timeout(600)
def test_a_file_of_the_first_version_keeps_its_jobs_in_every_state(tmp_path):
    old, before = (left_by_the_first_version(tmp_path / name, COPIES) for name in ("jobs.db", "before.db"))
    was = by_state(old)

    store = SqliteStore(str(old))
    store.open()
    store.close()

    assert was.keys() == {"queued", "running", "done", "dead", "cancelled"}
    assert sum(was.values()) == JOBS * (COPIES + 1)
    assert (by_state(old), differing(old, before)) == (was, 0)
    assert rows_of(old, "count(*) from lamplighter_jobs where rev <> 1") == [(len(COUNTED) * (COPIES + 1),)]
    assert rows_of(old, "* from pragma_integrity_check") == [("ok",)]


DIES = """
import os, signal, sys
from lamplighter.stores.sqlite import schema
from lamplighter.stores.sqlite import schema
from lamplighter.stores.sqlite.store import SqliteStore

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class DiesAtItsEnd(tuple):
    def __iter__(self):
        yield from tuple.__iter__(self)
        die()

path, steps = sys.argv[1], int(sys.argv[2])
if steps:
    begin = schema.writelock.begin
    def counting(connection, busy_ms):
        begin(connection, busy_ms)
        connection.set_progress_handler(die, steps)
    schema.writelock.begin = counting
else:
    schema.MIGRATIONS[2] = DiesAtItsEnd(schema.MIGRATIONS[2])
SqliteStore(path).open()
"""
"""Begins the migration of a file, and is killed after so many steps of SQLite, or when all but the commit is done."""

STEPS_OF_A_JOB = 20
"""To copy a job SQLite takes several times as many steps."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("steps_of_a_job", [STEPS_OF_A_JOB, 0], ids=["copying", "at its end"])
def test_a_migration_that_is_killed_changes_nothing_and_the_next_loses_nothing(tmp_path, steps_of_a_job):
    old, before = (left_by_the_first_version(tmp_path / name, COPIES) for name in ("jobs.db", "before.db"))
    was = by_state(old)

    steps = str(steps_of_a_job * sum(was.values()))
    killed = subprocess.run([sys.executable, "-P", "-c", DIES, str(old), steps], check=False)

    assert killed.returncode == -signal.SIGKILL
    assert (rows_of(old, "schema_version from lamplighter_store"), by_state(old)) == ([(1,)], was)

    store = SqliteStore(str(old))
    store.open()
    store.close()

    assert rows_of(old, "schema_version from lamplighter_store") == [(schema.VERSION,)]
    assert (by_state(old), differing(old, before)) == (was, 0)
    assert rows_of(old, "* from pragma_integrity_check") == [("ok",)]


def test_of_a_file_of_the_first_version_every_name_is_known_and_how_many_jobs_it_had(old):
    expected = dict(rows_of(old, "name, count(*) from lamplighter_jobs group by name"))
    ended = dict(rows_of(old, "state, count(*) from lamplighter_jobs where ended_at is not null group by state"))

    store = SqliteStore(str(old))
    store.open()
    names, tallies = store.table.names(), store.tallies.between(EVER, 0.0, 0.0)
    store.close()

    assert list(names) == sorted(expected)
    assert {tally.name: tally.n for tally in tallies if tally.kind == "queued"} == expected
    kinds = Counter()
    for tally in tallies:
        kinds[tally.kind] += tally.n
    assert {kind: kinds[kind] for kind in ended} == ended


def test_a_file_of_the_first_version_goes_on_and_gives_no_number_again(old):
    with contextlib.closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("delete from lamplighter_jobs where id = 'uncounted-2'")
    store = SqliteStore(str(old))
    store.open()

    with store.turn("b", 1.0) as turn:
        new, _ = turn.jobs.insert([a_job("new")])[0]
        number = turn.boots.register(a_boot("b"))
        turn.jobs.refresh()
        counted = [(step.event, step.job.id, step.job.rev) for step in turn.transitions]

    # Nineteen jobs had been there, the last of which is gone; and a boot.
    assert (new.no, number) == (20, 2)
    assert counted == [
        ("job.queued", "new", 1),
        ("job.done", "marked-1", 2),
        ("job.queued", "uncounted-1", 1),
    ]
    store.close()


def test_the_applications_own_views_stay_as_they_are_though_one_is_broken(old):
    with contextlib.closing(sqlite3.connect(old)) as connection:
        connection.execute("create table theirs (a)")
        connection.execute("create view broken as select a from theirs")
        connection.execute("create view waiting as select id from lamplighter_jobs where state = 'queued'")
        connection.execute("drop table theirs")
    waiting = rows_of(old, "* from waiting order by id")

    store = SqliteStore(str(old))
    store.open()
    store.close()

    assert rows_of(old, "* from waiting order by id") == waiting != []
    assert rows_of(old, "count(*) from sqlite_schema where type = 'view'") == [(2,)]


def test_a_runtime_goes_on_where_the_first_version_stopped_and_its_log_is_well(old, tmp_path):
    lines = []
    runtime = Runtime(old)
    for name in ("quick", "hang", "nobody"):
        runtime.jobs.add_handler(name, lambda job: job.data)
    runtime.subscribe(lambda line: lines.append(json.dumps(line) + "\n"))
    with runtime:
        for job_id in ("running-1", "queued-1", "expires-1", "uncounted-1"):
            runtime.jobs.join(job_id, timeout=30)
        states = {
            job_id: runtime.jobs.get(job_id).state.value for job_id in ("done-1", "dead-1", "waits-2", "paused-1")
        }
        results = runtime.jobs.get("queued-1").result, runtime.jobs.get("marked-1").result
    log = tmp_path / "log"
    log.write_text("".join(lines))

    assert states == {"done-1": "done", "dead-1": "dead", "waits-2": "queued", "paused-1": "queued"}
    assert results == ({"x": [1, 2, {"y": "\u00fc"}]}, "own")
    for store in (None, StoreView(str(old))):
        report = audit_logs([str(log)], store)
        assert report.ok, report.findings


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

    assert (first.no, second.no, third.no) == (1, 2, 3)
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
