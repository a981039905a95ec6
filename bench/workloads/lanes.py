"""Drains by each kind of lane that Lamplighter has."""

from __future__ import annotations

from functools import partial

from lamplighter import Job
from peers.lamplighter import Lamplighter, nothing
from starts import ran

from .base import Workload
from .shared import drain

LANES = 4
TASKS = 100


def four_lanes(peer: Lamplighter) -> None:
    """Four threads of one handler."""
    peer.jobs.add_handler("nothing", nothing, concurrency=LANES)


def hundred_tasks(peer: Lamplighter) -> None:
    """A coroutine function, a hundred at once."""
    peer.jobs.add_handler("nothing", nothing_async, concurrency=TASKS)


async def nothing_async(job: Job) -> None:
    """A job that does nothing, as a coroutine."""
    ran(job.data)


WORKLOADS = (
    Workload(id="drain-4", title="drain by four lanes", run=partial(drain, four_lanes), systems="both"),
    Workload(
        id="drain-async-100",
        title="drain by a coroutine, 100 at once",
        run=partial(drain, hundred_tasks),
        systems="both",
    ),
)
