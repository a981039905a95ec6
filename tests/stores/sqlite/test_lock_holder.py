"""Which process has the write lock."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from lamplighter.stores.sqlite.shared_memory import LOCKS, write_lock_holder

pytestmark = pytest.mark.skipif(not os.access(LOCKS, os.R_OK), reason="this system does not tell who holds a lock")


@pytest.fixture
def file(tmp_path: Path):
    path = tmp_path / "app.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("create table t (a)")
    yield path
    connection.close()


def test_this_process_is_named_too_and_keeps_its_locks(file):
    mine = sqlite3.connect(file, isolation_level=None)
    mine.execute("begin immediate")

    assert write_lock_holder(str(file)) == os.getpid()
    assert write_lock_holder(str(file)) == os.getpid()
    mine.close()


def test_nobody_is_named_where_nobody_writes(file, tmp_path):
    assert write_lock_holder(str(file)) is None
    assert write_lock_holder(str(tmp_path / "nowhere.db")) is None
