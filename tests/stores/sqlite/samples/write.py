"""Writes a file of this version as a sample for test_schema.py, with a job in every state: `make samples` runs it."""

from __future__ import annotations

import platform
import sqlite3
import sysconfig
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

import lamplighter
from lamplighter import Debounce, Discard, Rate, Runtime

HERE = Path(__file__).parent
VERSION = lamplighter.__version__.partition(".dev")[0]
STATES = {
    "queued-1": "queued", "later-1": "queued", "paused-1": "queued", "unique-1": "queued",
    "grouped-1": "queued", "child-1": "queued", "retries-1": "queued", "expires-1": "queued", "uncounted-1": "queued",
    "waiting-1": "queued", "running-1": "running", "done-1": "done", "marked-1": "done", "dead-1": "dead",
    "cancelled-1": "cancelled",
}  # fmt: skip
"""The jobs of a sample. The moves of `uncounted-1` and `marked-1` are in no turn: the application's own transaction
made them last.
"""


def fail(job):
    job.log.info("begun", name=job.name)
    raise Discard("it cannot work") if job.name == "bad" else ValueError("not yet")


def fill(runtime: Runtime, own: Any, more: Callable[[], str]) -> str:
    """Run a runtime that has a job in every state, and return what `more` says at a moment when one is running and when
    a transaction of the application's, which is not committed in the end, has made the last moves.

    Args:
        own: a connection of the application's, without a transaction.
    """
    hangs, end = Event(), Event()
    jobs = runtime.jobs
    jobs.add_handler("quick", lambda job: job.step("first", lambda: job.data))
    jobs.add_handler("hang", lambda job: (job.progress(1, 2), job.step("s", lambda: 1), hangs.set(), end.wait()))
    jobs.add_handler("bad", fail)
    jobs.add_handler("flaky", fail, max_attempts=5, backoff=[3600.0])
    jobs.add_handler("asks", lambda job: job.wait("answer"), rate=Rate(1000, per=60))
    failed = SimpleQueue()
    runtime.subscribe(failed.put, ["job.dead", "job.failed", "job.snoozed"])
    with runtime:
        jobs.join(jobs.queue("quick", {"x": [1, 2, {"y": "ü"}]}, id="done-1"), timeout=10)
    with runtime:
        for name, job_id in (("bad", "dead-1"), ("flaky", "retries-1"), ("asks", "waiting-1")):
            jobs.queue(name, id=job_id)
            failed.get(timeout=10)
        jobs.pause("paused", by="ops", reason="maintenance")
        jobs.queue("paused", id="paused-1")
        jobs.limit("nobody", 3)
        jobs.queue("nobody", id="queued-1", priority=5)
        jobs.queue("nobody", id="later-1", delay=3600)
        jobs.queue("nobody", id="unique-1", unique="key")
        jobs.queue("nobody", debounce=Debounce("key", quiet=3600, at_most=7200))
        jobs.queue("nobody", id="grouped-1", group="g")
        jobs.queue("nobody", id="child-1", after=["done-1", "later-1"])
        jobs.queue("nobody", id="expires-1", expires=3600)
        jobs.queue("nobody", id="marked-1")
        jobs.queue("nobody", id="cancelled-1")
        jobs.cancel("cancelled-1", by="ops")
        runtime.scheduler.add("nobody", "0 0 1 1 *", key="yearly", timezone="Europe/Berlin", durable=True)
        jobs.queue("hang", id="running-1", timeout=3600)
        hangs.wait(10)
        own.execute("begin")
        own.execute("update lamplighter_store set clock_count = 'of another machine'")
        jobs.queue("quick", id="uncounted-1", connection=own)
        jobs.mark_done("marked-1", "own", connection=own)
        text = more()
        own.execute("rollback")
        end.set()
    return text


def cleaned(text: str, folder: str = "/nowhere") -> str:
    """A sample without the names of the machine that it was made on."""
    paths = {folder: "/srv", str(Path(lamplighter.__file__).parent): "/srv/lamplighter", str(HERE): "/srv"}
    for found, shown in {**paths, sysconfig.get_path("stdlib"): "/usr/lib/python", platform.node(): "host"}.items():
        text = text.replace(found, shown)
    return text


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(sqlite3.connect(f"{folder}/jobs.db", isolation_level=None)) as own,
    ):
        # What the file would hold if its process were killed just after a commit.
        text = fill(Runtime(f"{folder}/jobs.db"), own, lambda: "\n".join(own.iterdump()))
    (HERE / f"store-{VERSION}.sql").write_text(cleaned(text, folder) + "\n", "utf-8")
