"""A host whose handlers fork. forks.py STORE KIND: obeys orders; KIND is thread, task or process."""

from __future__ import annotations

import logging
import sys

import fork_handlers
from common import orders, say
from lamplighter import JobFailed, Runtime

logging.getLogger("lamplighter").setLevel(100)
runtime = Runtime(sys.argv[1], lane_grace_seconds=0.5)
isolation = "process" if sys.argv[2] == "process" else "thread"
for name in ("forks", "leaves"):
    fn = getattr(fork_handlers, name if sys.argv[2] != "task" else f"a{name}")
    runtime.jobs.add_handler(name, fn, isolation=isolation, max_attempts=1)
runtime.jobs.add_handler("stays", fork_handlers.stays, isolation="process", max_attempts=1)

with runtime:
    say("started")
    for word, *rest in orders():
        if word == "queue":
            runtime.jobs.queue(rest[0], rest[2] if rest[2:] else None, id=rest[1])
        elif word == "join":
            try:
                say("ended", runtime.jobs.join(rest[0], timeout=30).result)
            except JobFailed as error:
                say("ended", error.job.state.value, error.job.error)
        elif word == "fork":
            fork_handlers.fork_a_sleeper()
            say("forked")
