"""A file of each released version becomes one of this version: what it holds stays, and goes on.

The samples are such files, as text. `make samples` writes that of today's version, and is run before a release and
whenever the schema changes before one. A released sample never changes again.
"""

from __future__ import annotations

import signal
import subprocess
import sys

from lamplighter.stores.sqlite import schema

from ....stores.sqlite.test_schema import jobs_of, migrate, old, rows_of

__all__ = ["old"]
"""Fixtures that both halves of these tests use."""


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
