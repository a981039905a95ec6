"""The jobs that have failed, as a store gives them: of each state the newest, and some at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ..messages.jobs import JobRecord, JobState
from ..messages.queries import LOOKED_MAX, JobQuery
from ..stores.ports import StoreSnapshot
from .finding import find

FAILED_MAX = 5_000
"""So many dead jobs, and so many that are tried again, are put into groups: the newest."""

FAILED_ON_SERVER_MAX = 2_000
"""The most jobs on a RabbitMQ, those that died last, whose failures are grouped."""

READ_AT_ONCE = 500
"""So many of them are in memory at a time."""


def failures(seen: StoreSnapshot, name: str | None) -> Iterator[JobRecord]:
    """The jobs that died last, and those that were queued last and have failed before, so many of each at most."""
    names = () if name is None else (name,)
    dead = JobQuery(names=names, states=(JobState.DEAD,), fate="no")
    if seen.table is None:
        # Each look sees all of them.
        yield from find(seen, dead, limit=FAILED_ON_SERVER_MAX).jobs
    else:
        yield from islice(in_pages(seen, dead), FAILED_MAX)
        failing = JobQuery(names=names, states=(JobState.QUEUED, JobState.RUNNING), attempt_min=1)
        yield from (job for job in islice(in_pages(seen, failing), FAILED_MAX) if job.error is not None)


def in_pages(seen: StoreSnapshot, query: JobQuery) -> Iterator[JobRecord]:
    """The jobs of one look, some at a time: each may have a megabyte."""
    looked, after = 0, None
    while looked < LOOKED_MAX:
        found = find(seen, query, limit=READ_AT_ONCE, after=after, looked_max=LOOKED_MAX - looked)
        yield from found.jobs
        looked, after = looked + found.looked_at, found.next
        if after is None:
            return
