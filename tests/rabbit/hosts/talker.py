"""A host that does a little of everything on a RabbitMQ and logs it to a file; the test kills it whenever it likes.

talker.py URL LOG LEVEL PREFIX: queues jobs named by the prefix, until its standard input is closed; says every tenth.
"""

from __future__ import annotations

import contextlib
import logging
import random
import sys
import threading

import structlog
from lamplighter import Discard, Job, NotSupported, Runtime, Snooze, StoreUnavailable

url, log, level, prefix = sys.argv[1:]
# Each line is one write to a file opened for appending: a SIGKILL tears none, and several processes may share it.
out = open(log, "a", buffering=1)  # noqa: SIM115
logger = structlog.wrap_logger(
    structlog.WriteLogger(out),
    processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer(default=repr)],
    wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
)
runtime = Runtime(url, logger=logger)


def moody(job: Job) -> None:
    """Every way in which a job can end."""
    match random.randrange(8) if job.attempt == 1 else 0:
        case 1:
            raise ValueError("once")
        case 2:
            raise Snooze(0.05)
        case 3:
            raise Discard("no")
        case 4:
            job.sleep(0.05)
        case 5:
            runtime.jobs.queue("moody")


runtime.jobs.add_handler("moody", moody, concurrency=3, backoff=[0.05])
runtime.jobs.add_handler("stuck", lambda job: job.sleep(0.2), timeout=0.05, max_attempts=2, backoff=[0.0])
runtime.scheduler.add("moody", "@every 1s")
asked = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), asked.set()), daemon=True).start()
with runtime:
    print("started", flush=True)
    number = 0
    while not asked.is_set():
        number += 1
        try:
            job = runtime.jobs.queue("moody", id=f"{prefix}-{number}")
            if number % 7 == 0:
                runtime.jobs.queue("stuck")
            if number % 5 == 0:
                # Where the job is by now it may be that it cannot be.
                with contextlib.suppress(NotSupported):
                    runtime.jobs.requeue(job)
            if number % 10 == 0:
                print("queued", number, flush=True)
        except StoreUnavailable:
            # The same job is queued again: it may be there by then.
            number -= 1
