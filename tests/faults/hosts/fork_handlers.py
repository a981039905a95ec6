"""Handlers that fork: importable, because a child imports them."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from common import say
from lamplighter import Job


def forks(job: Job) -> str:
    """The forked child comes out of the function by returning, raising or leaving, as the data says."""
    child = os.fork()
    if child == 0:
        if job.data == "raises":
            raise ValueError("in the forked child")
        if job.data == "leaves":
            sys.exit(3)
        return "the forked child"
    _, status = os.waitpid(child, 0)
    return f"{job.id}: the forked child left with {os.waitstatus_to_exitcode(status)}"


def leaves(job: Job) -> str:
    """The forked child tries to speak for its job before it goes."""
    child = os.fork()
    if child == 0:
        try:
            job.queue("forks", id="never")
        except Exception as error:
            print(f"refused {type(error).__name__}")
        sys.exit("no more")
    os.waitpid(child, 0)
    return "itself"


def stays(job: Job) -> None:
    """Once a file is there, log what nobody reads, and never return."""
    say("ready", os.getpid())
    while not Path(job.data).exists():
        time.sleep(0.01)
    for number in range(20):
        job.log.info("a line", number=number)
    say("logged")
    while True:
        time.sleep(3600)


async def aforks(job: Job) -> str:
    """As a coroutine."""
    return forks(job)


async def aleaves(job: Job) -> str:
    """As a coroutine."""
    return leaves(job)


def fork_a_sleeper() -> None:
    """Fork one that holds all of this process's sockets, until its group is killed."""
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)
