"""Finding jobs on whichever store they are."""

from __future__ import annotations

from typing import Protocol

from ..messages.jobs import JobRecord, JobState
from ..messages.queries import LOOKED_MAX, Found, JobQuery
from ..rules.capabilities import needed
from ..stores.ports import DeadJobs, JobTable


class Searched(Protocol):
    """Where jobs are found: a store, or a snapshot of one."""

    table: JobTable | None
    dead: DeadJobs | None


def find(
    store: Searched, query: JobQuery, *, limit: int, after: str | None = None, looked_max: int = LOOKED_MAX
) -> Found:
    """One look at a store for jobs that match, as `JobTable.find` says; without a table, for dead ones.

    Raises:
        NotSupported: the store has no table, and the query does not say that they are dead.
        UsageError: the query or the cursor cannot be.
    """
    if store.dead is not None and set(query.states) == {JobState.DEAD}:
        return store.dead.find(query, limit=limit, after=after)
    return needed(store.table, "list").find(query, limit=limit, after=after, looked_max=looked_max)


def find_all(store: Searched, query: JobQuery, *, limit: int, after: str | None = None) -> list[JobRecord]:
    """The same with as many looks as it takes to find so many, if there are."""
    jobs: list[JobRecord] = []
    while True:
        found = find(store, query, limit=limit - len(jobs), after=after)
        jobs += found.jobs
        if found.complete:
            return jobs
        after = found.next
