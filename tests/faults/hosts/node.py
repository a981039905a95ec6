"""One worker process of several on a file.

node.py STORE [HANDLES...] [--every-second]: handles these names (its job says when it ran), and obeys orders.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time

from common import install_oracle, orders, say
from lamplighter import Job, Runtime

store, *names = sys.argv[1:]
runtime = Runtime(store)


def ran(job: Job) -> None:
    """Says when."""
    say("ran", job.id, f"{time.time():.6f}", os.getpid())


if "--every-second" in names:
    names.remove("--every-second")
    runtime.jobs.add_handler("tick", ran)
    runtime.scheduler.add("tick", "* * * * * *")
for name in names:
    runtime.jobs.add_handler(name, ran)
with runtime:
    install_oracle(store)
    say("started", os.getpid())
    for word, *rest in orders():
        if word == "queue":
            runtime.jobs.queue(rest[0], id=rest[1])
            say("queued", rest[1], f"{time.time():.6f}")
        elif word == "queue-on":
            connection = sqlite3.connect(store, timeout=60, isolation_level=None)
            connection.execute("begin immediate")
            runtime.jobs.queue(rest[0], id=rest[1], connection=connection)
            connection.execute("commit")
            say("queued", rest[1], f"{time.time():.6f}")
            connection.close()
        elif word == "neighbours":
            # One turn of its own, so that it has seen who else lives.
            runtime.jobs.counts()
            say("neighbours")
