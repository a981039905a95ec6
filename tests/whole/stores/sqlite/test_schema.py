"""A file of each released version becomes one of this version: what it holds stays, and goes on.

The samples are such files, as text. `samples/write.py` writes that of today's version, and is run before a release and
whenever the schema changes before one. A released sample never changes again.
"""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys

import pytest
from lamplighter.stores.sqlite import schema

from ....stores.sqlite.test_schema import SAMPLES, jobs_of, migrate, rows_of


@pytest.fixture(params=SAMPLES, ids=lambda sample: sample.stem)
def old(request, tmp_path):
    """A file as that version left it, with jobs in every state, of a boot that was killed; and with views of the
    application's own, one of which is broken.
    """
    path = tmp_path / "jobs.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(request.param.read_text("utf-8"))
        connection.execute("pragma journal_mode = wal")
        # Whenever this runs, nothing is so old that retention removes it, or has expired, and what was to run an hour
        # after the sample was written is not due.
        connection.execute("update lamplighter_jobs set ended_at = 4e9 where ended_at is not null")
        connection.execute("update lamplighter_jobs set expires_at = 4e9 where expires_at is not null")
        connection.execute("update lamplighter_jobs set run_at = 4e9 where state = 'queued' and run_at > queued_at")
        connection.execute("create table theirs (a)")
        connection.execute("create view broken as select a from theirs")
        connection.execute("create view waiting as select id from lamplighter_jobs where state = 'queued'")
        connection.execute("drop table theirs")
    return path


DIES = """
import os, signal, sys
from lamplighter.stores.sqlite import schema
from lamplighter.stores.sqlite.store import SqliteStore

def statements():
    yield "update lamplighter_jobs set data = 'lost'"
    os.kill(os.getpid(), signal.SIGKILL)

schema.VERSION += 1
schema.MIGRATIONS[schema.VERSION] = statements()
SqliteStore(sys.argv[1]).open()
"""
"""Migrates a file to the next version, and is killed when all but the commit is done."""


def test_a_migration_that_is_killed_changes_nothing(old):
    was = jobs_of(old)

    killed = subprocess.run([sys.executable, "-P", "-c", DIES, str(old)], check=False)
    migrate(old)

    assert killed.returncode == -signal.SIGKILL
    assert (jobs_of(old), rows_of(old, "schema_version from lamplighter_store")) == (was, [(schema.VERSION,)])
    assert rows_of(old, "* from pragma_integrity_check") == [("ok",)]
