"""Finds jobs in any store."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from ..errors import UsageError
from ..messages.jobs import Instant, JobRecord, JobState
from ..messages.queries import LOOKED_MAX, Found, JobQuery
from ..rules.capabilities import needed
from ..stores.ports import DeadJobs, JobTable
from .query import parse_query


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


def narrowed(query: str | None, now: Instant, name: str | None, state: JobState | None) -> JobQuery:
    """A query in the language of the command line, with a name and a state of its jobs that were given beside it.

    Raises:
        UsageError: it cannot be read, or has a name or a state itself.
    """
    meant = JobQuery() if query is None else parse_query(query, now)
    for what, asked, wanted in (("name", meant.names, name), ("state", meant.states, state)):
        if asked and wanted is not None:
            raise UsageError(f"expected the {what} of the jobs once, got it as an argument and in the query")
    names, states = meant.names if name is None else (name,), meant.states if state is None else (state,)
    return replace(meant, names=names, states=states)


def find_all(store: Searched, query: JobQuery, *, limit: int, after: str | None = None) -> list[JobRecord]:
    """The same with as many searches as it takes to find so many, if there are."""
    jobs: list[JobRecord] = []
    while True:
        found = find(store, query, limit=limit - len(jobs), after=after)
        jobs += found.jobs
        if found.complete:
            return jobs
        after = found.next
