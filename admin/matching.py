"""All jobs that match a query, for an act on them: they are counted first, and then searched page by page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..messages.jobs import ENDED, Instant, JobState
from ..messages.queries import JobQuery
from ..rules.capabilities import needed
from ..stores.ports import Readable
from .error_groups import key_of
from .views import Amount

if TYPE_CHECKING:
    from .sweeping import Sweep

COUNTED_MAX = 100_000
"""The maximum of the count before a page asks for a confirmation."""

TYPED_ABOVE = 1_000
"""For more jobs than this, the confirmation is the typed number."""


def actionable(query: JobQuery, action: Sweep, asked_at: Instant) -> JobQuery:
    """The jobs of a query that were there when somebody asked, and to which the action applies.

    Raises:
        UsageError: the query does not name their states: acted jobs would match again.
    """
    allowed = ENDED if action == "requeue" else {JobState.QUEUED, JobState.RUNNING}
    if not query.states or not allowed.issuperset(query.states):
        named = " or ".join(f"state:{state.value}" for state in JobState if state in allowed)
        raise UsageError(f"expected a search with {named} to {action} what it finds, got: {str(query)!r}")
    until = asked_at if query.queued_until is None else min(asked_at, query.queued_until)
    if action != "requeue":
        return replace(query, queued_until=until)
    ended = asked_at if query.ended_until is None else min(asked_at, query.ended_until)
    return replace(query, queued_until=until, ended_until=ended)


def matching(store: Readable, query: JobQuery) -> Iterator[Sequence[str]]:
    """The ids of all matching jobs, page by page, each page read on demand. No reader stays open between pages: it
    would keep the store's log from being cleared.

    Raises:
        NotSupported: the store keeps no table of jobs.
    """
    return needed(store.table, "list").sweep(query)


def failed_alike(store: Readable, name: str, group: str, asked_at: Instant) -> Iterator[Sequence[str]]:
    """The ids, page by page, of all dead jobs of a name that were in a group of failures (by its id) when somebody
    asked.

    Raises:
        NotSupported: as `matching`.
    """
    query = actionable(JobQuery(names=(name,), states=(JobState.DEAD,)), "requeue", asked_at)
    for ids in matching(store, query):
        with store.snapshot() as seen:
            known = seen.jobs.known(tuple(ids))
        yield [job_id for job_id in ids if job_id in known and key_of(known[job_id]).id == group]


def counted(pages: Iterable[Sequence[str]]) -> Amount:
    count = 0
    for ids in pages:
        count += len(ids)
        if count > COUNTED_MAX:
            return Amount(count=COUNTED_MAX, is_capped=True)
    return Amount(count=count)
