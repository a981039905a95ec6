"""Queues jobs of all kinds, and does those of all hosts on the store, to be killed at any instant.

crowd.py STORE PREFIX FIRST LOG EFFECTS: until it is told `enough`, it queues one family of jobs after the other, saying
`accepted NUMBER` once each is stored. Each run of a job writes when it began, and when it ended, to EFFECTS.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from common import orders, say
from lamplighter import Job, JobSpec, Rate, Runtime, StoreUnavailable

store, prefix, first, log, effects = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]

handler = logging.FileHandler(log)
handler.setFormatter(logging.Formatter("%(message)s"))
logging.getLogger("lamplighter").addHandler(handler)
logging.getLogger("lamplighter").setLevel(logging.INFO)

runtime = Runtime(store, interruptions_max=1000, reply_seconds_max=60.0)
jobs = runtime.jobs
wrote = os.open(effects, os.O_CREAT | os.O_APPEND | os.O_WRONLY)


def note(what: str, job: Job) -> None:
    group = "-" if job.data is None or "group" not in job.data else job.data["group"]
    os.write(wrote, f"{what} {job.name} {group} {job.id} {job.token} {os.getpid()} {time.monotonic()!r}\n".encode())


def lasting(seconds: float) -> Callable[[Job], int]:
    def run(job: Job) -> int:
        note("began", job)
        if job.data and job.data.get("fails") and job.attempt == 1:
            note("ended", job)
            raise ValueError("once")
        job.sleep(seconds)
        note("ended", job)
        return 7

    return run


def chain(job: Job) -> int:
    note("began", job)
    assert job.step("one", lambda: 1) == 1
    job.sleep(0.005)
    assert job.step("two", lambda: 2) == 2
    job.then(JobSpec(name="plain", id=f"{job.id}-next"))
    note("ended", job)
    return 7


often: dict[str, Any] = {"max_attempts": 1000, "backoff": [0.01]}
jobs.add_handler("plain", lasting(0.001), concurrency=4, **often)
jobs.add_handler("total", lasting(0.02), concurrency=4, concurrency_total=3, **often)
jobs.add_handler("grouped", lasting(0.01), concurrency=4, concurrency_per_group=1, **often)
jobs.add_handler("rated", lasting(0.0), concurrency=4, rate=Rate(50, per=1.0), **often)
jobs.add_handler("chain", chain, concurrency=2, **often)
jobs.add_handler("merge", lasting(0.001), concurrency=2, **often)
jobs.add_handler("tick", lasting(0.0), **often)
runtime.scheduler.add("tick", "* * * * * *")


def family(number: int) -> list[JobSpec]:
    own = f"{prefix}-{number}"
    group = {"group": f"g{number % 3}"}
    parts = [JobSpec(name="plain", data={"fails": number % 7 == part}, id=f"{own}-part{part}") for part in range(3)]
    return [
        *parts,
        JobSpec(name="merge", id=f"{own}-merge", after=parts),
        JobSpec(name="total", id=f"{own}-total"),
        JobSpec(name="grouped", data=group, id=f"{own}-grouped", group=group["group"]),
        JobSpec(name="rated", id=f"{own}-rated"),
        JobSpec(name="chain", id=f"{own}-chain"),
        # All hosts ask for the same few keys.
        JobSpec(name="plain", id=f"{own}-unique", unique=f"u{number % 5}"),
    ]


def insist(call: Callable[[], Any]) -> Any:
    """As an application does that its jobs' ids let ask again."""
    while True:
        try:
            return call()
        except StoreUnavailable:
            threading.Event().wait(0.05)


enough, over = threading.Event(), threading.Event()


def listen() -> None:
    for _ in orders():
        enough.set()
    over.set()


threading.Thread(target=listen, daemon=True).start()
insist(runtime.start)
say("started")
number = first
while not enough.is_set() and not over.is_set():
    insist(lambda number=number: jobs.queue_many(family(number)))
    number += 1
    say("accepted", number)
    enough.wait(0.02)
over.wait()
runtime.stop()
