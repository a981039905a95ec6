"""Works through jobs of which one ends the process each time, among innocent ones that are long.

poison.py URL: works until its standard input ends.
"""

from __future__ import annotations

import os
import sys

from lamplighter import Job, Runtime

runtime = Runtime(sys.argv[1])


@runtime.jobs.handler("work", concurrency=4)
def work(job: Job) -> None:
    """Innocent or not."""
    if job.data == "poison":
        job.sleep(0.1)
        os._exit(3)
    if job.data == "long":
        job.sleep(0.4)


with runtime:
    sys.stdin.read()
