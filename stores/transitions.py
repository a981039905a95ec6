"""How each move changes a job's record, in whichever store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from ..messages.jobs import WAITS_FOR_JOBS, WAITS_ITS_TURN, Instant, JobRecord, NewJob, Seconds, Transition
from ..messages.outcomes import Outcome, OutcomeKind, Verdict
from ..messages.schedules import SlotEntry, SlotRange
from .turn_ports import Want

_BORN = ("row_id", "move_no", "waits", "state", *NewJob._fields)
"""Fields that `born` sets; the others have their defaults."""

_OTHERS = {name: default for name, default in JobRecord._field_defaults.items() if name not in _BORN}
_UNTOUCHED = tuple(_OTHERS.values())
_in_order = itemgetter(*map((*_BORN, *_OTHERS).index, JobRecord._fields))

_KEPT = frozenset(
    ("id", "name", "queued_at", "root_id", "unique_key", "schedule", "slot", "one_at_a_time", "debounce_key", "parents")
)
_REPLACED = tuple(name for name in NewJob._fields if name not in _KEPT)

REPLACED = (*_REPLACED, "waits", "move_no")
"""The fields that `replaced` changes, and the number of moves."""

record_of: Callable[[Iterable[Any]], JobRecord] = partial(tuple.__new__, JobRecord)
"""`JobRecord._make`, for values whose number is known, without its call."""

UNCOUNTED = 0
"""`move_no` of a job whose birth no turn has counted yet."""


def born(job: NewJob, row_id: int, *, move_no: int = 1) -> JobRecord:
    return record_of(_in_order((row_id, move_no, is_to_wait(job), "queued", *job, *_UNTOUCHED)))


def is_to_wait(job: NewJob) -> int:
    if job.parents:
        return WAITS_FOR_JOBS
    return int(job.run_at > job.queued_at) if job.group_key is None else WAITS_ITS_TURN


def is_replaced_by(twin: JobRecord, job: NewJob) -> bool:
    """Whether a new job replaces the job that keeps it out. With the same id it is that job, asked for again."""
    return job.debounce_key is not None and twin.id != job.id


def replaced(job: JobRecord, by: NewJob) -> dict[str, Any]:
    """The changes of a debounced job by the next call: due after `quiet`, but no later than either call promises."""
    until = min(job.debounce_until or by.run_at, by.debounce_until or by.run_at)
    run_at = min(by.run_at, until)
    said = {name: getattr(by, name) for name in _REPLACED}
    due_in = max(0.0, run_at - by.queued_at)
    return {**said, "run_at": run_at, "waits": is_to_wait(by), "due_in": due_in, "debounce_until": until}


LET_GO: dict[str, Any] = {"debounce_until": None}
"""Releases the debounce key."""


def granted(job: JobRecord, want: Want, now: Instant, *, begun: bool, passed: int = 0) -> dict[str, Any]:
    return {
        "claim_no": job.claim_no + passed + 1,
        "boot": want.boot,
        "incarnation": want.incarnation,
        "counts_attempt": int(begun),
        "deferred": 0,
        "claimed_at": now,
        "interruptions_max": want.interruptions_max,
        "progress": None,
    }


def deferred(
    claimed: JobRecord, timeout: Seconds | None, passed: Seconds, max_attempts: int, now: Instant
) -> dict[str, Any]:
    """The changes when a handler has returned and its claim lives on without its boot.

    Its timeout is kept as an expiry: afterwards any boot may end the claim.
    """
    left = None if timeout is None else max(0.0, timeout - passed)
    return {
        "deferred": 1,
        "timeout": timeout,
        "max_attempts": max_attempts if claimed.max_attempts is None else claimed.max_attempts,
        "expires_at": None if left is None else now + left,
        "expires_in": left,
    }


LEFT: dict[str, Any] = {"waits": 0}
"""Any other end of a job that waits for parents: their fate no longer matters to it."""


def finished(result: str | None, now: Instant) -> dict[str, Any]:
    """The changes when a queued job ends as done. No claim ended it, so a late ending must count as stale."""
    return {**LEFT, "settled_no": 0, "result": result, "ended_at": now, "reason": None}


CLAIM_OVER: dict[str, Any] = {"incarnation": None, "deferred": 0}
"""The end of any claim. An ended job keeps the boot that ran it last."""

FREE: dict[str, Any] = {**CLAIM_OVER, "boot": None}
"""The same for a job that is queued again: any boot may run it."""


def released(claimed: JobRecord, now: Instant) -> dict[str, Any]:
    """The changes when a claim is given back. The job stays due, even if the clock was set back since.

    `must_begin` asks for an idle lane, so that no job is claimed in advance and given back for ever.
    """
    return {**FREE, "must_begin": 1, "run_at": min(claimed.run_at, now)}


def requeued(run_at: Instant, now: Instant) -> dict[str, Any]:
    """The changes of a requeue. Arguments and claim numbers stay; the expiry goes, as a person wants the job done."""
    return {
        **FREE,
        "run_at": run_at,
        "waits": int(run_at > now),
        "expires_at": None,
        "attempt": 0,
        "due_in": max(0.0, run_at - now),
        "interruptions": 0,
        "suspect_until": None,
        "must_begin": 0,
        "result": None,
        "reason": None,
        "error": None,
        "traceback": None,
        "progress": None,
        "claimed_at": None,
        "ended_at": None,
    }


def freed(job: JobRecord, now: Instant) -> dict[str, Any]:
    """The changes when no parents are left. The job is due now, or at the end of its delay since its birth."""
    if job.run_at > now:
        return {"waits": 1}
    return {"waits": 0, "run_at": now, "due_in": 0.0}


def revived(now: Instant) -> dict[str, Any]:
    """The changes when a job that shared the fate of its parent waits for that parent again."""
    return {**requeued(now, now), "waits": WAITS_FOR_JOBS}


def ending(claimed: JobRecord, outcome: Outcome, verdict: Verdict, now: Instant) -> dict[str, Any]:
    """The changes when a claim ends. Its next wait is in seconds from now."""
    changes = {
        **(CLAIM_OVER if verdict.run_at is None else FREE),
        "settled_no": claimed.claim_no,
        "attempt": verdict.attempt,
        "run_at": claimed.run_at if verdict.run_at is None else verdict.run_at,
        "interruptions": verdict.interruptions,
        "suspect_until": verdict.suspect_until,
        "must_begin": int(verdict.must_begin),
        "result": outcome.result,
        "reason": verdict.reason,
        "error": outcome.error,
        "traceback": outcome.traceback,
        "ended_at": now if verdict.run_at is None else None,
    }
    if verdict.run_at is not None:
        changes["waits"] = int(verdict.run_at > now)
        changes["due_in"] = max(0.0, verdict.run_at - now)
        if outcome.kind is not OutcomeKind.SNOOZED:
            # A started job no longer expires. A snooze takes no attempt, so it leaves the job unstarted.
            changes["expires_at"] = None
    if outcome.progress is not None:
        changes["progress"] = outcome.progress
    if claimed.deferred:
        # The timeout of the claim.
        changes["expires_at"] = None
    return changes


def says_ending(outcome: Outcome, verdict: Verdict) -> dict[str, Any]:
    return {"outcome": outcome.kind.value, "reason": verdict.reason, "run_at": verdict.run_at}


def tied(moves: Sequence[Transition]) -> list[Transition]:
    """The end of a job, followed by the births of its follow-ups: each names the other."""
    end, *births = moves
    told = end._replace(fields={**end.fields, "then": len(births)}) if births else end
    return [told, *(birth._replace(fields={**birth.fields, "then_of": end.job.id}) for birth in births)]


def skipped_entry(schedule_id: str, gone: SlotRange) -> SlotEntry:
    return SlotEntry(
        schedule_id=schedule_id,
        slot=gone.first,
        last=gone.last,
        count=gone.count,
        outcome="skipped",
        reason=gone.reason,
        job_id=None,
    )
