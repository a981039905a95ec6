"""Writes a store of this version as a sample for test_schema.py, with a job in every state. Run it before each release:

.venv/bin/python -P tests/stores/sqlite/samples/write.py
"""

from __future__ import annotations

import platform
import sqlite3
import sysconfig
import tempfile
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import lamplighter
from lamplighter import Debounce, Discard, Runtime

HERE = Path(__file__).parent
STATES = {
    "queued-1": "queued", "later-1": "queued", "paused-1": "queued", "unique-1": "queued",
    "grouped-1": "queued", "child-1": "queued", "retries-1": "queued", "expires-1": "queued", "uncounted-1": "queued",
    "running-1": "running", "done-1": "done", "marked-1": "done", "dead-1": "dead", "cancelled-1": "cancelled",
}  # fmt: skip
"""The jobs of a sample. The moves of `uncounted-1` and `marked-1` are in no turn: the application's own transaction
made them last.
"""


def fail(job):
    raise Discard("it cannot work") if job.name == "bad" else ValueError("not yet")


def dump(path: str) -> str:
    """Run a runtime on a file, and dump what the file would hold if its process were killed just after a commit."""
    hangs, end = Event(), Event()
    runtime = Runtime(path)
    jobs = runtime.jobs
    jobs.add_handler("quick", lambda job: job.step("first", lambda: job.data))
    jobs.add_handler("hang", lambda job: (job.progress(1, 2), job.step("s", lambda: 1), hangs.set(), end.wait()))
    jobs.add_handler("bad", fail)
    jobs.add_handler("flaky", fail, max_attempts=5, backoff=[3600.0])
    failed = SimpleQueue()
    runtime.subscribe(failed.put, ["job.dead", "job.failed"])
    with runtime:
        jobs.join(jobs.queue("quick", {"x": [1, 2, {"y": "ü"}]}, id="done-1"), timeout=10)
    with runtime, closing(sqlite3.connect(path, isolation_level=None)) as own:
        for name, job_id in (("bad", "dead-1"), ("flaky", "retries-1")):
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
        runtime.scheduler.add("nobody", "0 0 1 1 *", key="yearly", timezone="Europe/Berlin")
        jobs.queue("hang", id="running-1", timeout=3600)
        hangs.wait(10)
        own.execute("begin immediate")
        own.execute("update lamplighter_store set clock_count = 'of another machine'")
        jobs.queue("quick", id="uncounted-1", connection=own)
        jobs.mark_done("marked-1", "own", connection=own)
        text = "\n".join(own.iterdump())
        own.execute("rollback")
        end.set()
    return text


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        text = dump(f"{folder}/jobs.db")
        paths = {folder: "/srv", str(Path(lamplighter.__file__).parent): "/srv/lamplighter", str(HERE): "/srv"}
    for found, shown in {**paths, sysconfig.get_path("stdlib"): "/usr/lib/python", platform.node(): "host"}.items():
        text = text.replace(found, shown)
    version = lamplighter.__version__.partition(".dev")[0]
    (HERE / f"store-{version}.sql").write_text(text + "\n", "utf-8")
