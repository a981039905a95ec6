"""Who keeps the write lock, and who keeps the log: real processes that do."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from lamplighter.doctor.lock_checks import _who_waits

from .kit import change, found, levels, new_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_store(tmp_path / "jobs.db")


def test_a_free_write_lock_is_said_to_be_free(path, runtime):
    assert levels(found(path, "store.lock")) == ["ok"]

    runtime()

    assert levels(found(path, "store.lock")) == ["ok"]


@pytest.mark.parametrize(
    ("waiting", "says"),
    [
        ({"b1": 3.0}, "runtime b1 has waited for it for 3 s"),
        ({"b1": 3.0, "b2": 9.0, "b3": 4.0}, "runtime b2 has waited for it for 9 s, as do 2 more"),
    ],
)
def test_of_the_runtimes_that_wait_for_the_write_lock_the_first_is_named(waiting, says):
    assert _who_waits(waiting) == says


def test_whoever_looks_is_not_taken_for_somebody_who_reads_on(path, runtime):
    runtime()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as own:
        own.execute("begin")
        own.execute("select count(*) from lamplighter_jobs").fetchone()
        change(path, "create table host (x)", "insert into host values (zeroblob(12000000))")

        (finding,) = found(path, "store.wal")

    assert finding.level == "ok"


def test_a_log_that_nobody_keeps_is_well(path, runtime):
    assert levels(found(path, "store.wal")) == ["ok"]

    runtime()
    change(path, "create table host (x)", "insert into host values (zeroblob(12000000))")

    assert levels(found(path, "store.wal")) == ["ok"]
