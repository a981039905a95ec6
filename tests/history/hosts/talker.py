"""A host that does a little of everything and logs it to a file; the test kills it whenever it likes.

talker.py STORE LOG LEVEL PREFIX: queues jobs named by the prefix, until its standard input is closed.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import sys
import threading
import time

import structlog
from lamplighter import Discard, Job, Runtime, Snooze

store, log, level, prefix = sys.argv[1:]
# Each line is one write to a file opened for appending: a SIGKILL tears none, and several processes may share it.
out = open(log, "a", buffering=1)  # noqa: SIM115
logger = structlog.wrap_logger(
    structlog.WriteLogger(out),
    processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer(default=repr)],
    wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
)
runtime = Runtime(store, logger=logger)


def moody(job: Job) -> None:
    """Every way in which a job can end."""
    match random.randrange(8) if job.attempt == 1 else 0:
        case 1:
            raise ValueError("once")
        case 2:
            raise Snooze(0.01)
        case 3:
            raise Discard("no")
        case 4:
            job.sleep(0.05)
        case 5:
            runtime.jobs.queue("moody")


runtime.jobs.add_handler("moody", moody, concurrency=3, backoff=[0.01])
runtime.jobs.add_handler("stuck", lambda job: job.sleep(0.2), timeout=0.05, max_attempts=2, backoff=[0.0])
runtime.scheduler.add("moody", "@every 1s")
asked = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), asked.set()), daemon=True).start()
with runtime:
    print("started", flush=True)
    number = 0
    while not asked.is_set():
        number += 1
        job = runtime.jobs.queue("moody", id=f"{prefix}-{number}")
        if number % 7 == 0:
            runtime.jobs.queue("stuck", unique="one")
        if number % 5 == 0:
            runtime.jobs.requeue(job)
        if number % 11 == 0:
            runtime.jobs.cancel(runtime.jobs.queue("nobody"))
        if number % 13 == 0:
            connection = sqlite3.connect(store, timeout=60, isolation_level=None)
            connection.execute("begin immediate")
            born = runtime.jobs.queue("later", delay=3600, connection=connection)
            runtime.jobs.mark_done(born, connection=connection)
            connection.execute("commit")
            connection.close()
        time.sleep(0.002)
print("ended", flush=True)
