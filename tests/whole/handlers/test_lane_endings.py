"""Whatever a handler does, its job ends and its lane is there for the next one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from lamplighter.actors.handler_actor import LOST

DEATHS = """
import asyncio, ctypes, logging
from lamplighter import JobFailed, Runtime
from lamplighter.handlers import lanes

lanes.WATCH_SECONDS = 0.1
logging.getLogger("lamplighter").setLevel(100)
runtime = Runtime(":memory:")
lost = []
runtime.subscribe(lost.append, events=["lane.lost"])

@runtime.jobs.handler("thread", max_attempts=1)
def on_thread(job):
    if job.data != "fine":
        ctypes.CDLL(None).pthread_exit(None)
    return job.data

@runtime.jobs.handler("task", max_attempts=1)
async def as_task(job):
    return on_thread(job)

with runtime:
    for name in ("thread", "task"):
        try:
            runtime.jobs.join(runtime.jobs.queue(name), timeout=30)
        except JobFailed as error:
            print(error.job.error)
        print(runtime.jobs.join(runtime.jobs.queue(name, "fine"), timeout=30).result, runtime.health().status)
print(len(lost))
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="the death of a thread in C is seen on Linux only")
def test_a_thread_that_dies_under_its_lanes_is_noticed_said_and_replaced():
    """In a process of its own: Python keeps pointers into the stack of a thread that C code has ended."""
    host = subprocess.run([sys.executable, "-c", DEATHS], capture_output=True, text=True, check=False)

    assert host.stdout.splitlines() == [LOST, "fine green", LOST, "fine green", "2"], host.stderr
