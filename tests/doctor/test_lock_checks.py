"""Who keeps the write lock, and who keeps the log: real processes that do."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from .kit import change, found, levels, new_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_store(tmp_path / "jobs.db")


def test_a_free_write_lock_is_said_to_be_free(path, runtime):
    assert levels(found(path, "store.lock")) == ["ok"]

    runtime()

    assert levels(found(path, "store.lock")) == ["ok"]


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
