"""Which process has the write lock."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from lamplighter.stores.sqlite.shared_memory import LOCKS, write_lock_holder

from ....stores.sqlite.test_lock_holder import file

__all__ = ["file"]
"""Fixtures that both halves of these tests use."""


pytestmark = pytest.mark.skipif(not os.access(LOCKS, os.R_OK), reason="this system does not tell who holds a lock")

HOLDS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("begin immediate")
print("held", flush=True)
sys.stdin.read()
"""


def test_the_process_that_writes_is_named_until_it_has_ended(file):
    command = [sys.executable, "-c", HOLDS, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert write_lock_holder(str(file)) == holder.pid
        holder.kill()
        holder.wait()

    assert write_lock_holder(str(file)) is None
