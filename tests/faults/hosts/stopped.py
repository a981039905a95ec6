"""Runs until a signal tells it to stop, and then waits for a job that does not end.

stopped.py STORE HOW: `hangs`, or `ends` at once. Says `started` when a job has begun.
"""

from __future__ import annotations

import sys
import threading

from common import say
from lamplighter import Job, Runtime

store, how = sys.argv[1], sys.argv[2]
runtime = Runtime(store, drain=3600)


@runtime.jobs.handler("work")
def work(job: Job) -> str:
    """Look at nothing that it is told."""
    say("started", job.id)
    if how == "hangs":
        threading.Event().wait()
    return "done"


runtime.run()
