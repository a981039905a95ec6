"""Jobs and schedules in the application's own transactions. Loaded where a call has a `connection`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from ..errors import StaleClaim, UnknownSchedule, UsageError, shown
from ..messages.jobs import ClaimKey, Instant, JobRecord, JobState, NewJob
from ..messages.mail import MarkDone
from ..messages.outcomes import Outcome, OutcomeKind, Policy
from ..messages.schedules import HostChange
from ..messages.steps import KeepStep
from ..rules.capabilities import needed
from ..rules.lifecycle import judge
from ..stores.ports import HostTurn, Store
from .follow_ups import store_follow_ups
from .jobs import stale_step
from .turn_context import is_current, only_queued

JOBS, SCHEDULES = "connection", "connection of schedules"


def change_schedule(change: HostChange, turn: HostTurn) -> None:
    """Add, change or remove a durable schedule. Raises UnknownSchedule if there is none to remove."""
    before = turn.schedule(change.schedule_id)
    if change.record is None and (before is None or not before.durable):
        named = "id" if change.key is None else "key"
        got = change.schedule_id if change.key is None else change.key
        raise UnknownSchedule(f"expected the {named} of a durable schedule that is there, got: {shown(got)}")
    if before is None or change.record is None or before.definition != change.record.definition:
        turn.change_schedule(change)


def joined(store: Store, connection: Any, now: Instant, work: Callable[[HostTurn], Any], wanted: str = JOBS) -> Any:
    """Run `work` in the transaction of the application's open connection, which is synchronous.

    Raises:
        UsageError: see `HostTransactions.join`.
        NotSupported: the store is not in the application's database.
    """
    done = needed(store.host, wanted).join(connection, now, work)
    if inspect.iscoroutine(done):
        done.close()
        raise UsageError(
            "expected a connection= that is not awaited, got: "
            f"{type(connection).__module__}.{type(connection).__qualname__}; give it to aqueue or amark_done, or make "
            "this call within run_sync, with what that gives you"
        )
    return done


async def awaited(
    store: Store, connection: Any, now: Instant, work: Callable[[HostTurn], Any], wanted: str = JOBS
) -> Any:
    """`joined`, also for asynchronous connections."""
    done = needed(store.host, wanted).join(connection, now, work)
    return await done if inspect.isawaitable(done) else done


def finish(end: MarkDone, now: Instant, turn: HostTurn) -> None:
    """End a job as done. Raises StaleClaim if the claim no longer holds it, or if without a claim it is not queued."""
    job = turn.find(end.job_id)
    if job is None or end.row_id not in (None, job.row_id):
        raise _not_there(end)
    with turn.wholly() if end.then else nullcontext():
        if end.claim_no is None and job.state == JobState.QUEUED:
            turn.finish(job, end.result)
        elif end.claim_no is not None and is_current(job, ClaimKey(job.row_id, end.claim_no), end.boot):
            outcome = Outcome(OutcomeKind.SUCCEEDED, end.result, progress=end.progress)
            verdict = judge(job, outcome, Policy(), now, earlier_interruptions=0, chance=0.0)
            turn.settle(job, outcome, verdict)
        elif end.claim_no is None:
            raise only_queued(job)
        else:
            # Raise even where this end has done the job: the application's own writes beside it would count twice.
            raise _not_there(end)
        _follow_up(turn, job, end.then, now)


def keep_step(step: KeepStep, turn: HostTurn) -> str:
    """Keep a step's result, which is returned. Raises StaleClaim if the claim no longer holds the job."""
    claimed = step.claim.job
    job = turn.find(claimed.id)
    if job is None or not is_current(job, step.claim.key, claimed.boot):
        raise stale_step(claimed, job, f"step {step.name!r} is not kept: roll back")
    with turn.wholly():
        turn.keep(job, step.name, step.result, step.took)
    return step.result


def _not_there(end: MarkDone) -> StaleClaim:
    return StaleClaim(f"job {end.job_id} is not there to be marked done by claim {end.claim_no}; roll back")


def _follow_up(turn: HostTurn, ended: JobRecord, then: Sequence[NewJob], now: Instant) -> None:
    asked, stored = store_follow_ups(lambda jobs: [turn.insert(job) for job in jobs], ended, then, now, has_table=True)
    # A stored job with other data may follow an earlier end already.
    born = [record for job, (record, fresh) in zip(asked, stored, strict=True) if fresh and record.id == job.id]
    turn.follow(ended, born)
