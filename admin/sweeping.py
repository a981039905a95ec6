"""One action on many jobs, a batch a turn: each job only if it is still as it was found."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..api.job import Job
from ..broker import jobs
from ..broker.jobs import has_followed, parents_first
from ..broker.turn_context import TurnContext
from ..errors import KeyTaken, UsageError, shown
from ..messages.jobs import ENDED, Attribution, Instant, JobRecord, JobState, Seconds
from ..messages.mail import CancelJob, Requeue
from ..messages.queries import JobQuery
from ..rules.capabilities import needed
from ..rules.limits import batches
from ..rules.validation import check_name
from ..stores.ports import Readable
from .error_groups import key_of
from .views import Amount

SWEPT_A_TURN_MAX = 500
"""The most jobs that one turn acts on: runtimes wait meanwhile."""

Sweep = Literal["requeue", "cancel"]


class Swept(NamedTuple):
    """How far a sweep has come.

    Attributes:
        asked: jobs that it was given so far.
        done: those that it has acted on.
        changed: those that were gone, or no longer what they were when they were found.
        refused: those whose unique key another unfinished job holds.
    """

    asked: int = 0
    done: int = 0
    changed: int = 0
    refused: int = 0


class Wanted(NamedTuple):
    """A job that a sweep was given; `found` is its record then, or None where only its id was given."""

    job_id: str
    found: JobRecord | None


def wanted(given: Any) -> Wanted:
    """An argument of a sweep: a record, a `Job`, or an id.

    Raises:
        UsageError: it is none of these.
    """
    match given:
        case Job():
            return Wanted(given.id, given.record)
        case JobRecord():
            return Wanted(given.id, given)
        case str():
            return Wanted(check_name(given, "each id"), None)
    raise UsageError(f"expected a page to have jobs, their records or their ids, got: {shown(given)}")


def in_turns(all_wanted: Sequence[Wanted]) -> Iterator[Sequence[Wanted]]:
    """Batches of the size of one turn."""
    return batches(all_wanted, SWEPT_A_TURN_MAX)


def sweep(
    context: TurnContext,
    some: Sequence[Wanted],
    action: Sweep,
    delay: Seconds,
    who: Attribution,
    *,
    afresh: bool = False,
    states: Collection[str] | None = None,
    until: Instant = math.inf,
) -> Swept:
    """Act on these jobs in one turn, optionally only in these states, requeueing after `delay`. A job that has ended
    later than `until` is skipped: it has run again since it was found.
    """
    stored = context.turn.jobs.find([one.job_id for one in some])
    here = [(job, found) for job_id, found in some if (job := stored.get(job_id)) is not None]
    meant = [job for job, found in here if _is_it(job, found, action, states) and (job.ended_at or until) <= until]
    done = refused = 0
    for job in parents_first(meant):
        try:
            # A job that its parents' end has freed is cancelled all the same.
            if not has_followed(context, job) or action == "cancel":
                _act(context, job, action, delay, who, afresh)
            done += 1
        except KeyTaken:
            refused += 1
    return Swept(len(some), done, len(some) - len(meant), refused)


def _act(context: TurnContext, job: JobRecord, action: Sweep, delay: Seconds, who: Attribution, afresh: bool) -> None:
    if action == "requeue":
        jobs.requeue(context, Requeue(job.id, delay, None, who, afresh), among_others=True)
    else:
        jobs.cancel(context, CancelJob(job.id, None, who))


def _is_it(job: JobRecord, found: JobRecord | None, action: Sweep, states: Collection[str] | None) -> bool:
    """Whether a job is still as it was found; without that, whether the action applies to its state."""
    if states is not None and job.state not in states:
        return False
    if found is not None and (job.key, job.state) != (found.key, found.state):
        return False
    return (found is not None and action == "requeue") or (job.state in ENDED) == (action == "requeue")


if TYPE_CHECKING:
    from .sweeping import Sweep

COUNTED_MAX = 100_000
"""The maximum of the count before a page asks for a confirmation."""

TYPED_FROM = 1_000
"""From so many jobs on, the confirmation is the typed number."""


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
