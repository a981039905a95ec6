"""An older file becomes a newer one: what it holds stays, and goes on."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from lamplighter import Runtime
from lamplighter.stores.sqlite.store import SqliteStore, schema
from lamplighter.testing import Simulation

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


def test_a_broken_view_of_the_applications_own_keeps_nobody_from_an_older_file(old):
    with contextlib.closing(sqlite3.connect(old)) as connection:
        connection.execute("create table theirs (a)")
        connection.execute("create view broken as select a from theirs")
        connection.execute("drop table theirs")

    store = SqliteStore(str(old))
    store.open()

    assert schema.read_version(store._writer) == schema.VERSION
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
