"""An older file becomes a newer one: what it holds stays, and goes on."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sqlite3

import pytest
from lamplighter import Runtime
from lamplighter.history.audit.audit import audit_logs
from lamplighter.history.audit.store_view import StoreView
from lamplighter.stores.sqlite.store import SqliteStore, schema
from lamplighter.testing import Simulation

from support.conformance.kit import a_boot
from support.conformance.kit import new as a_job

STATES = ("queued", "running", "done", "dead", "cancelled")


HELD = {"claim_no": 1, "boot": "gone", "incarnation": 1, "begun": 1, "claimed_at": 1.0}


def insert(connection, state):
    fields = {
        "id": state,
        "name": "work",
        "data": "[1]",
        "state": state,
        "priority": 0,
        "run_at": 1.0,
        "queued_at": 1.0,
        "corr": state,
        "rev": STATES.index(state) + 1,
        "told": state,
        **(HELD if state == "running" else {}),
        **({"ended_at": 4e9} if state in ("done", "dead", "cancelled") else {}),
    }
    names, marks = ", ".join(fields), ", ".join("?" * len(fields))
    connection.execute(f"insert into lamplighter_jobs ({names}) values ({marks})", tuple(fields.values()))


@pytest.fixture
def old(tmp_path):
    """A file as the first version left it, with a job in every state and a boot that has died."""
    path = tmp_path / "jobs.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma journal_mode = wal")
        for statement in schema.MIGRATIONS[1]:
            connection.execute(statement)
        connection.execute("update lamplighter_store set schema_version = 1, rev = 5")
        connection.execute("insert into lamplighter_boots values ('gone', 1, 'here', 1.0, null, '[]', '[]')")
        for state in STATES:
            insert(connection, state)
    return path


def test_a_file_of_the_first_version_keeps_its_jobs_in_every_state(old):
    store = SqliteStore(str(old))
    store.open()

    found = {job.id: job.state for job in store.list(name=None, state=None, limit=10, before=None)}

    assert schema.read_version(store._writer) == schema.VERSION
    assert found == {state: state for state in STATES}
    store.close()


def test_a_runtime_goes_on_where_the_first_version_stopped(old):
    runtime = Runtime(old)
    ran = []
    runtime.jobs.add_handler("work", lambda job: ran.append(job.id))

    with runtime:
        for job_id in ("queued", "running"):
            runtime.jobs.join(job_id, timeout=30)
        states = {state: runtime.jobs.get(state).state.value for state in STATES}

    assert sorted(ran) == ["queued", "running"]
    assert states == {"queued": "done", "running": "done", "done": "done", "dead": "dead", "cancelled": "cancelled"}


@pytest.fixture
def before(old):
    """The same file as the version before the ledger left it: with a job that a host's own transaction has ended."""
    with contextlib.closing(sqlite3.connect(old, isolation_level=None)) as connection:
        for statement in schema.MIGRATIONS[2]:
            connection.execute(statement)
        connection.execute("update lamplighter_store set schema_version = 2, store_id = 'the one'")
        connection.execute("update lamplighter_jobs set rev = null where state = 'done'")
        connection.execute("delete from lamplighter_jobs where state = 'cancelled'")
    return old


def test_a_file_of_the_version_before_goes_on_with_its_id_and_gives_no_number_again(before):
    store = SqliteStore(str(before))
    store.open()

    with store.turn("b", 1.0) as turn:
        new, _ = turn.insert(a_job("new"))
        number = turn.register(a_boot("b"))
        turn.count_host_moves()
        counted = [(step.event, step.job.id, step.job.rev) for step in turn.transitions]

    assert store.store_id == "the one"
    # Five jobs had been there, the last of which is gone; and a boot.
    assert (new.no, number) == (6, 2)
    assert counted == [("job.queued", "new", 1), ("job.done", "done", 2)]
    assert {job.id: job.rev for job in store.list(name=None, state=None, limit=10, before=None)} == {
        "queued": 1,
        "running": 1,
        "done": 2,
        "dead": 1,
        "new": 1,
    }
    store.close()


def test_what_was_there_before_the_ledger_is_not_missed_in_the_log(before, tmp_path):
    lines = []
    runtime = Runtime(before)
    runtime.jobs.add_handler("work", lambda job: None)
    runtime.subscribe(lambda line: lines.append(json.dumps(line) + "\n"))
    with runtime:
        for job_id in ("queued", "running"):
            runtime.jobs.join(job_id, timeout=30)
    log = tmp_path / "log"
    log.write_text("".join(lines))

    for store in (None, StoreView(str(before))):
        report = audit_logs([str(log)], store)
        assert report.ok, report.findings


@pytest.mark.timeout(900)
def test_a_big_file_keeps_every_job(tmp_path):
    count = 1_000_000 if os.environ.get("LAMPLIGHTER_TORTURE") == "1" else 5_000
    path = tmp_path / "jobs.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma journal_mode = wal")
        for statement in schema.MIGRATIONS[1]:
            connection.execute(statement)
        for state in STATES:
            insert(connection, state)
        for statement in schema.MIGRATIONS[2]:
            connection.execute(statement)
        connection.execute("update lamplighter_store set schema_version = 2, rev = 5")
        connection.execute("begin")
        copied = ", ".join(
            name for name in schema.KEPT_COLUMNS.replace("\n", " ").replace(" ", "").split(",") if name != "id"
        )
        connection.execute(
            f"""with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < ?)
                insert into lamplighter_jobs (id, {copied}, rev, told, waits)
                select state || n, {copied}, n, state, 0
                from numbers cross join lamplighter_jobs where n % 5 = no - 1""",
            (count,),
        )
        connection.execute("commit")
        was = connection.execute("select id, no, state from lamplighter_jobs order by no").fetchall()

    store = SqliteStore(str(path))
    store.open()

    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select id, no, state from lamplighter_jobs order by no").fetchall() == was
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        assert connection.execute("select count(*) from lamplighter_jobs where rev <> 1").fetchone() == (0,)
    assert len(was) == count + len(STATES)
    store.close()


def test_the_number_of_a_job_that_was_removed_is_given_to_no_other(tmp_path):
    store = SqliteStore(str(tmp_path / "jobs.db"))
    store.open()
    with store.turn("b", 1.0) as turn:
        first, _ = turn.insert(a_job("first"))
        turn.cancel(first, "no")
    with store.turn("b", 1e9) as turn:
        assert turn.prune(done_before=1e9, dead_before=1e9, slots_before=None, batch=10) == 1

    with store.turn("b", 1e9) as turn:
        second, _ = turn.insert(a_job("second"))
    with contextlib.closing(sqlite3.connect(tmp_path / "jobs.db")) as host, host:
        host.execute("begin")
        third, _ = store.queue_on(host, a_job("third"))

    assert (first.no, second.no, third.no) == (1, 2, 3)
    store.close()


def test_a_commit_of_one_queued_job_writes_few_pages(tmp_path):
    store = SqliteStore(str(tmp_path / "jobs.db"))
    store.open()
    with store.turn("b", 1.0) as turn:
        turn.register(a_boot("b"))
    wal = tmp_path / "jobs.db-wal"
    sizes = []
    for number in range(50):
        with store.turn("b", 1.0) as turn:
            turn.insert(a_job(f"job-{number}"))
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
    runtime, said = Runtime(tmp_path / "jobs.db"), []
    runtime.subscribe(said.append, ["runtime.started"])

    with runtime:
        store_id = runtime.boot.store.store_id

    assert [line["store_id"] for line in said] == [store_id]


def test_a_simulated_store_has_the_same_id_with_the_same_seed():
    def store_id_of(seed):
        with Simulation(register=lambda runtime: None, seed=seed) as sim:
            return sim.runtime.boot.store.store_id

    assert store_id_of(1) == store_id_of(1) != store_id_of(2)
