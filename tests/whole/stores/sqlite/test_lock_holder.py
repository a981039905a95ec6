"""Which process has the write lock."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from lamplighter.stores.sqlite.shared_memory import LOCKS, write_lock_holder

pytestmark = pytest.mark.skipif(not os.access(LOCKS, os.R_OK), reason="this system does not tell who holds a lock")

HOLDS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("begin immediate")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path):
    path = tmp_path / "app.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("create table t (a)")
    yield path
    connection.close()


def test_the_process_that_writes_is_named_until_it_has_ended(file):
    command = [sys.executable, "-c", HOLDS, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert write_lock_holder(str(file)) == holder.pid
        holder.kill()
        holder.wait()

    assert write_lock_holder(str(file)) is None
