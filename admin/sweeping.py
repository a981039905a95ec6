"""One action on many jobs, a batch a turn: each job only if it is still as it was found."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from ..api.job import Job
from ..broker import jobs
from ..broker.jobs import has_followed, parents_first
from ..broker.turn_context import TurnContext
from ..errors import KeyTaken, UsageError, shown
from ..messages.jobs import ENDED, Attribution, Instant, JobRecord, Seconds
from ..messages.mail import CancelJob, Requeue
from ..rules.limits import batches
from ..rules.validation import check_name

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
