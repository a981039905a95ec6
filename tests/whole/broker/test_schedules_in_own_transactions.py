"""Schedules that follow an application's own transaction: they are there, or gone, if and only if that commits."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys

import pytest
from lamplighter import Runtime
from lamplighter.environment import Environment
from lamplighter.testing.manual_clock import ManualTime

from ...broker.test_schedules_in_own_transactions import NOON


@pytest.fixture
def path(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "app.db")) as db, db:
        db.execute("create table users (id integer primary key, hour integer)")
    return tmp_path / "app.db"


@pytest.fixture
def db(path):
    """The application's own connection."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        yield db


@pytest.fixture
def time():
    return ManualTime(NOON.timestamp())


@pytest.fixture
def life(path, time, recorder):
    """Makes the runtime of an application's next life, on the same file and with the same log."""

    def make(*, stops_within_one: bool = False) -> Runtime:
        # It stops in the middle of a transaction of the application, and is not to wait for its end.
        limits = {"reply_seconds_max": 0.5, "busy_seconds_max": 0.05} if stops_within_one else {}
        rt = Runtime(path, environment=Environment(clock=time.clock), **limits)
        rt.jobs.add_handler("digest", lambda job: job.data)
        rt.subscribe(recorder)
        return rt

    return make


@pytest.fixture
def rt(life):
    with life() as rt:
        yield rt


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
