"""A host that does a little of everything and logs it to a file; the test kills it whenever it likes.

talker.py STORE LOG LEVEL PREFIX: queues jobs named by the prefix, until its standard input is closed. On a RabbitMQ,
where less can be asked for, and which may be away, it says every tenth.
"""

from __future__ import annotations

import contextlib
import logging
import random
import sqlite3
import sys
import threading
import time

import structlog
from lamplighter import Cancel, Discard, Job, NotSupported, Runtime, Snooze, StoreUnavailable

store, log, level, prefix = sys.argv[1:]
# Each line is one write to a file opened for appending: a SIGKILL tears none, and several processes may share it.
out = open(log, "a", buffering=1)  # noqa: SIM115
logger = structlog.wrap_logger(
    structlog.WriteLogger(out),
    processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer(default=repr)],
    wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
)
runtime = Runtime(store, logger=logger)
on_file = "://" not in store
# A delay of RabbitMQ's is not so short.
soon = 0.01 if on_file else 0.05


def moody(job: Job) -> None:
    """Every way in which a job can end."""
    match random.randrange(9) if job.attempt == 1 else 0:
        case 1:
            raise ValueError("once")
        case 2:
            raise Snooze(soon)
        case 3:
            raise Discard("no")
        case 4:
            job.sleep(0.05)
        case 5:
            runtime.jobs.queue("moody")
        case 7:
            job.then(*[("part", number) for number in range(3)])
        case 6:
            raise Cancel("not needed")
        case 8 if on_file:
            for name in ("one", "two"):
                job.step(name, time.time)


def ask_of_a_file(number: int) -> None:
    """What a store with a table can be asked for."""
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


def ask_of_a_server(number: int) -> None:
    """What a RabbitMQ can be asked for."""
    job = runtime.jobs.queue("moody", id=f"{prefix}-{number}")
    if number % 7 == 0:
        runtime.jobs.queue("stuck")
    if number % 5 == 0:
        # Where the job is by now it may be that it cannot be.
        with contextlib.suppress(NotSupported):
            runtime.jobs.requeue(job)
    if number % 10 == 0:
        print("queued", number, flush=True)


runtime.jobs.add_handler("moody", moody, concurrency=3, backoff=[soon])
runtime.jobs.add_handler("part", lambda job: job.data)
runtime.jobs.add_handler("stuck", lambda job: job.sleep(0.2), timeout=0.05, max_attempts=2, backoff=[0.0])
runtime.scheduler.add("moody", "@every 1s")
asked = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), asked.set()), daemon=True).start()
with runtime:
    print("started", flush=True)
    number = 1
    ask, away = (ask_of_a_file, ()) if on_file else (ask_of_a_server, (StoreUnavailable,))
    while not asked.is_set():
        # Of one that is away the same is asked again: the job may be there by then.
        with contextlib.suppress(*away):
            ask(number)
            number += 1
print("ended", flush=True)
