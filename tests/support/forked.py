"""Handlers whose function forks: what the child may say of its parent's job, in whose function it goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, sys
from lamplighter import NotStarted, Runtime

def whole(job):
    child = os.fork()
    if child == 0:
        try:
            {call}
        except NotStarted:
            os._exit(7)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

with Runtime(sys.argv[1]) as runtime:
    runtime.jobs.add_handler("whole", whole)
    job = runtime.jobs.join(runtime.jobs.queue("whole"), timeout=60)
    print(job.result, *(job.name for job in runtime.jobs.list()))
"""

REFUSED = "7 whole\n"
"""What is said where the call is refused, and there are no more jobs than the one that forks."""


def said_of_a_forked_call(store: Path, call: str) -> str:
    """How the child has left that makes this call, and which jobs there are then.

    The process is one of its own: the tests' has threads of other libraries, which may hold a lock that the child would
    wait for.
    """
    host = [sys.executable, "-P", "-c", PROGRAM.format(call=call), str(store)]
    return subprocess.run(host, capture_output=True, text=True, check=True, timeout=100).stdout
