"""Schedules that follow an application's own transaction: they are there, or gone, if and only if that commits."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys

import pytest

from ...broker.test_schedules_in_own_transactions import life, path, time

__all__ = ["life", "path", "time"]
"""Fixtures that both halves of these tests use."""


KILLED = """
import os, sqlite3, sys
from lamplighter import Runtime
rt = Runtime(sys.argv[1])
rt.start(work=False)
db = sqlite3.connect(sys.argv[1])
db.execute("insert into users values (7, 8)")
rt.scheduler.add("digest", "@every 1s", "x", key="kept", durable=True, catch_up="skip", connection=db)
if sys.argv[2] == "commit":
    db.commit()
os._exit(9)
"""


@pytest.mark.parametrize("end", ["commit", "no commit"])
def test_a_process_that_dies_right_after_the_commit_has_lost_nothing(path, end, runtime, recorder):
    subprocess.run([sys.executable, "-P", "-c", KILLED, str(path), end], check=False)
    rt = runtime(path)

    if end == "commit":
        recorder.wait_for("slot.fired")
    with contextlib.closing(sqlite3.connect(path)) as db:
        users = db.execute("select count(*) from users").fetchone()[0]

    assert [one.key for one in rt.scheduler.list("digest")] == (["kept"] if end == "commit" else [])
    assert users == (1 if end == "commit" else 0)
