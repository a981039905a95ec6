"""Handlers for process lanes: importable, because a child imports them."""

from __future__ import annotations

import ctypes
import os
import time

from common import say
from lamplighter import Job


def segfault(job: Job) -> None:
    """Read address 0."""
    ctypes.string_at(0)


def hang(job: Job) -> None:
    """Never return, whatever is asked."""
    say("child", os.getpid())
    while True:
        time.sleep(3600)


def descend(job: Job) -> int:
    """Use everything that a child hands to its parent."""
    job.log.info("from the child", number=job.data)
    job.progress(1, 2, "half")
    child = job.queue("light", {"from": job.data}, priority=3)
    say("descended", child.id, child.priority)
    return os.getpid()
