"""One of several versions beside one another.

versions.py URL EFFECTS OWN: runs the jobs `for-OWN` and `tick-OWN`, the second of which it has come every second, and
queues a job for each version that it is told of. It notes in the file EFFECTS what it runs.
"""

from __future__ import annotations

import os
import sys

from lamplighter import Job, Runtime

url, effects, own = sys.argv[1:]
runtime = Runtime(url)
log = os.open(effects, os.O_CREAT | os.O_APPEND | os.O_WRONLY)


def note(*words: object) -> None:
    """One line, in one write."""
    os.write(log, (" ".join(map(str, words)) + "\n").encode())


runtime.jobs.add_handler(f"for-{own}", lambda job: note("ran", *job.data))


@runtime.jobs.handler(f"tick-{own}")
def tick(job: Job) -> None:
    """Every second."""
    assert job.slot is not None
    note(f"tick-{own}", job.slot.timestamp())


def tell(event: dict[str, object]) -> None:
    """What a test waits for, or does not want to see."""
    print(str(event["event"]).replace(".", "-"), event.get("reason", ""), flush=True)


runtime.scheduler.add(f"tick-{own}", "* * * * * *", catch_up="all")
runtime.subscribe(tell, events=["scheduler.leads", "message.unreadable", "actor.crashed"])
with runtime:
    print("started", flush=True)
    for line in sys.stdin:
        word, *versions = line.split()
        for version in versions:
            runtime.jobs.queue(f"for-{version}", [word, own, version])
