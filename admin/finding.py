"""Finds jobs in any store."""

from __future__ import annotations

from typing import Protocol

from ..messages.jobs import JobRecord, JobState
from ..messages.queries import LOOKED_MAX, Found, JobQuery
from ..rules.capabilities import needed
from ..stores.ports import DeadJobs, JobTable


class Searched(Protocol):
    """A store, or a snapshot of one, in which jobs are found."""

    table: JobTable | None
    dead: DeadJobs | None


def find(
    store: Searched, query: JobQuery, *, limit: int, after: str | None = None, looked_max: int = LOOKED_MAX
) -> Found:
    """One bounded search for matching jobs, as `JobTable.find` does; without a table, for dead ones.

    Raises:
        NotSupported: the store has no table, and the query does not ask for dead jobs.
        UsageError: the query or the cursor cannot be.
    """
    if query.graph is not None:
        needed(store.table, "graph")
    if store.dead is not None and set(query.states) == {JobState.DEAD}:
        return store.dead.find(query, limit=limit, after=after)
    return needed(store.table, "list").find(query, limit=limit, after=after, looked_max=looked_max)


def find_all(store: Searched, query: JobQuery, *, limit: int, after: str | None = None) -> list[JobRecord]:
    """The same with as many searches as it takes to find so many, if there are."""
    jobs: list[JobRecord] = []
    while True:
        found = find(store, query, limit=limit - len(jobs), after=after)
        jobs += found.jobs
        if found.complete:
            return jobs
        after = found.next
