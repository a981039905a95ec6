"""A host with process lanes. processes.py STORE: obeys orders."""

from __future__ import annotations

import logging
import os
import sys

import process_handlers
from common import install_oracle, orders, say
from lamplighter import Job, JobFailed, Runtime


class Said(logging.Handler):
    """Tells the test what a handler has logged."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line a record of the child's."""
        if "from the child" in record.getMessage():
            say("logged", record.getMessage())


logging.getLogger("lamplighter").addHandler(Said())
logging.getLogger("lamplighter").setLevel(logging.INFO)
runtime = Runtime(sys.argv[1], lane_grace_seconds=0.5)
runtime.jobs.add_handler("segfault", process_handlers.segfault, isolation="process", interruptions_max=2)
runtime.jobs.add_handler("hang", process_handlers.hang, isolation="process", timeout=5.0, max_attempts=1)
runtime.jobs.add_handler("hang-on", process_handlers.hang, isolation="process")
runtime.jobs.add_handler("descend", process_handlers.descend, isolation="process")


@runtime.jobs.handler("light")
def light(job: Job) -> int:
    """On a thread of the host's process."""
    return os.getpid()


with runtime:
    install_oracle(sys.argv[1])
    say("started", os.getpid())
    for word, *rest in orders():
        if word == "queue":
            say("queued", runtime.jobs.queue(rest[0], 7, id=rest[1]).id)
        elif word == "join":
            try:
                job = runtime.jobs.join(rest[0], timeout=30)
                say("ended", job.state.value, job.result)
            except JobFailed:
                job = runtime.jobs.get(rest[0])
                say("ended", job.state.value, job.reason)
            say("progress", job.progress_report)
        elif word == "attempts":
            for attempt in runtime.jobs.attempts(rest[0]):
                say("attempt", attempt.outcome, attempt.error)
            say("attempts-end")
