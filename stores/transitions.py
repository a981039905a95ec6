"""What a move changes in a job's record, whichever store keeps it; and the trail that its louder events sum up."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..messages.jobs import Instant, JobRecord, NewJob, Transition
from ..messages.outcomes import Outcome, OutcomeKind, Verdict
from ..messages.schedules import ScheduleRecord
from .ports import Deed, Want

FirstMark = tuple[int | None, str | None, str]
"""`rev`, `told` and `trail` of a new job."""

_BLANK = tuple(JobRecord._field_defaults.values())
# The fields of a JobRecord that no NewJob has: those before the ones that a NewJob may leave out, and those behind
# them, up to the first mark.
_UNTRIED, _UNHELD = _BLANK[:3], _BLANK[1 + len(NewJob._field_defaults) : -6]


def born(job: NewJob, no: int, first: FirstMark) -> JobRecord:
    """A new job as its store keeps it."""
    return JobRecord._make(
        (no, *job[:3], "queued", *job[3:7], *_UNTRIED, *job[7:-2], *_UNHELD, *first, is_to_wait(job), *job[-2:])
    )


def is_to_wait(job: NewJob) -> int:
    """The `waits` of a new job."""
    return int(job.run_at > job.queued_at)


def granted(job: JobRecord, want: Want, now: Instant, *, begun: bool, passed: int = 0) -> dict[str, Any]:
    """What a claim changes.

    Args:
        passed: how many claims it has had that were lost with their runtimes, and took a number each.
    """
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


FREE: dict[str, Any] = {"boot": None, "incarnation": None, "deferred": 0}
"""What the end of any claim changes: no boot holds the job any more."""


def released(claimed: JobRecord, now: Instant) -> dict[str, Any]:
    """What giving a job back changes. The job was due, and stays so if the clock was set back since.

    `must_begin` asks for an idle lane, so that no job is claimed in advance and given back for ever.
    """
    return {**FREE, "must_begin": 1, "run_at": min(claimed.run_at, now)}


def requeued(run_at: Instant, now: Instant) -> dict[str, Any]:
    """What a requeue changes: all but what the job was queued with, and the numbers of its claims. It expires no more:
    whoever queues it again wants it done.
    """
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
        "ended_at": None,
    }


def ending(claimed: JobRecord, outcome: Outcome, verdict: Verdict, now: Instant) -> dict[str, Any]:
    """What the end of a claim changes. Whatever it is to wait for now is a number of seconds from now."""
    changes = {
        **FREE,
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
            # It has been started, so it does not expire any more. A snooze takes no attempt, and leaves it unstarted.
            changes["expires_at"] = None
    return changes


def says_ending(outcome: Outcome, verdict: Verdict) -> dict[str, Any]:
    """What the event of that end says."""
    return {"outcome": outcome.kind.value, "reason": verdict.reason, "run_at": verdict.run_at}


def mark(rev: int, at: Instant) -> str:
    """One transition in a trail."""
    return f"{rev}@{_written(at)}"


def first_mark(job: NewJob, rev: int) -> FirstMark:
    """What a new job has got its first revision for."""
    return rev, "queued", mark(rev, job.queued_at)


UNTOLD: FirstMark = (None, None, "")
"""What it has as long as it has none: the next turn gives it one."""


def joined(trail: str, mark: str) -> str:
    """A trail with one more transition."""
    return f"{trail},{mark}" if trail else mark


@lru_cache(maxsize=16)
def _written(at: Instant) -> str:
    """Most transitions of a turn have the same instant."""
    return f"{at:.6f}"


def revs(trail: str) -> list[int]:
    """The revisions of the transitions in a trail."""
    return [int(step.partition("@")[0]) for step in trail.split(",")]


def sums(trail: str) -> dict[str, Any]:
    """What the event that ends a trail says of its transitions: `revs` and `times`."""
    return {"revs": revs(trail), "times": [float(step.partition("@")[2]) for step in trail.split(",")]}


def deed_of(step: Transition) -> Deed:
    """What another broker or boot needs to know of a transition, in case it must log that in the place of this one."""
    deed = (step.rev, step.event, step.job.id)
    return (*deed, tuple(revs(step.trail))) if step.trail else deed


def deed_of_change(stored: ScheduleRecord, news: str) -> Deed:
    """The same of a schedule that was declared, and is new or another one now."""
    rule = (stored.when, stored.timezone, stored.dst_gap, stored.dst_fold)
    return (None, f"schedule.{news}", stored.id, stored.change_no, stored.changed_at, *rule)
