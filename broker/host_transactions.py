"""Jobs and schedules in the application's own transactions. Loaded where a call has a `connection`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

from ..errors import StaleClaim, UnknownSchedule, UsageError, shown
from ..messages.jobs import ClaimKey, Instant, JobRecord, JobState, NewJob
from ..messages.mail import MarkDone
from ..messages.outcomes import Outcome, OutcomeKind, Policy
from ..messages.schedules import HostChange
from ..rules.capabilities import needed
from ..rules.lifecycle import judge
from ..stores.ports import HostTurn, Store
from .follow_ups import store_follow_ups
from .turn_context import is_current

JOBS, SCHEDULES = "connection", "connection of schedules"


def queue_on(store: Store, connection: Any, job: NewJob, now: Instant) -> tuple[JobRecord, bool]:
    """Insert a job in the application's open transaction.

    Raises:
        UsageError: see `HostTransactions.join`.
        NotSupported: the store is not in the application's database.
    """
    stored: tuple[JobRecord, bool] = joined(store, connection, now, lambda turn: turn.insert(job))
    return stored


async def queue_on_async(store: Store, connection: Any, job: NewJob, now: Instant) -> tuple[JobRecord, bool]:
    """`queue_on`, also for asynchronous connections."""
    stored: tuple[JobRecord, bool] = await awaited(store, connection, now, lambda turn: turn.insert(job))
    return stored


def change_schedule_on(store: Store, connection: Any, change: HostChange) -> None:
    """Add, change or remove a durable schedule in the application's transaction.

    Raises:
        UnknownSchedule: there is none to remove.
        UsageError, NotSupported: as `queue_on`.
    """
    joined(store, connection, change.at, partial(_change_schedule, change), SCHEDULES)


async def change_schedule_on_async(store: Store, connection: Any, change: HostChange) -> None:
    await awaited(store, connection, change.at, partial(_change_schedule, change), SCHEDULES)


def _change_schedule(change: HostChange, turn: HostTurn) -> None:
    before = turn.schedule(change.schedule_id)
    if change.record is None and (before is None or not before.durable):
        named = "id" if change.key is None else "key"
        got = change.schedule_id if change.key is None else change.key
        raise UnknownSchedule(f"expected the {named} of a durable schedule that is there, got: {shown(got)}")
    if before is None or change.record is None or before.definition != change.record.definition:
        turn.change_schedule(change)


def finish_on(store: Store, connection: Any, end: MarkDone, now: Instant) -> None:
    """End a job as done in the application's transaction.

    Raises:
        StaleClaim: the claim no longer holds it, or without a claim it is not queued.
        UsageError, NotSupported: as `queue_on`.
    """
    joined(store, connection, now, partial(_finish, end, now))


async def finish_on_async(store: Store, connection: Any, end: MarkDone, now: Instant) -> None:
    await awaited(store, connection, now, partial(_finish, end, now))


def joined(store: Store, connection: Any, now: Instant, work: Callable[[HostTurn], Any], wanted: str = JOBS) -> Any:
    """Run `work` on a synchronous connection."""
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
    done = needed(store.host, wanted).join(connection, now, work)
    return await done if inspect.isawaitable(done) else done


def _finish(end: MarkDone, now: Instant, turn: HostTurn) -> None:
    job = turn.find(end.job_id)
    if job is None or end.row_id not in (None, job.row_id):
        raise _not_there(end)
    with turn.wholly() if end.then else nullcontext():
        if end.claim_no is None and job.state == JobState.QUEUED:
            turn.finish(job, end.result)
        elif end.claim_no is not None and is_current(job, ClaimKey(job.row_id, end.claim_no), end.boot):
            outcome = Outcome(kind=OutcomeKind.SUCCEEDED, result=end.result)
            verdict = judge(job, outcome, Policy(), now, earlier_interruptions=0, chance=0.0)
            turn.settle(job, outcome, verdict)
        else:
            # Raise even where this end has done the job: the application's own writes beside it would count twice.
            raise _not_there(end)
        _follow_up(turn, job, end.then, now)


def _not_there(end: MarkDone) -> StaleClaim:
    return StaleClaim(f"job {end.job_id} is not there to be marked done by claim {end.claim_no}; roll back")


def _follow_up(turn: HostTurn, ended: JobRecord, then: Sequence[NewJob], now: Instant) -> None:
    asked, stored = store_follow_ups(lambda jobs: [turn.insert(job) for job in jobs], ended, then, now, has_table=True)
    # A stored job with other data may follow an earlier end already.
    born = [record for job, (record, fresh) in zip(asked, stored, strict=True) if fresh and record.id == job.id]
    turn.follow(ended, born)
