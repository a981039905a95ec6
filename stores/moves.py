"""What a move changes in a job's record, whichever store keeps it; and the trail that its louder events sum up."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..messages.jobs import Instant, JobRecord, NewJob, Transition
from ..messages.outcomes import Outcome, Verdict
from .base import Deed, Want


def born(job: NewJob, no: int, rev: int | None) -> JobRecord:
    """A new job as its store keeps it. Without a revision it is untold."""
    told, trail = first_mark(job, rev)
    return JobRecord(
        no, job.id, job.name, job.data, "queued", job.priority, job.run_at, job.queued_at, job.corr,
        max_attempts=job.max_attempts, timeout=job.timeout, expires_at=job.expires_at, unique_key=job.unique_key,
        schedule=job.schedule, slot=job.slot, solo=int(job.solo), rev=rev, told=told, trail=trail,
    )  # fmt: skip


def granted(job: JobRecord, want: Want, now: Instant, *, begun: bool, passed: int = 0) -> dict[str, Any]:
    """What a claim changes.

    Args:
        passed: how many claims it has had that were lost with their runtimes, and took a number each.
    """
    return {
        "claim_no": job.claim_no + passed + 1,
        "boot": want.boot,
        "incarnation": want.incarnation,
        "begun": int(begun),
        "deferred": 0,
        "claimed_at": now,
        "interruptions_max": want.interruptions_max,
        "progress": None,
    }


FREE: dict[str, Any] = {"boot": None, "incarnation": None, "deferred": 0}
"""What the end of any claim changes: nobody holds the job."""

RELEASED: dict[str, Any] = {**FREE, "wary": 1}
"""What giving a job back changes. Wary: the next claim is begun, so no job can be given back for ever."""


def requeued(run_at: Instant) -> dict[str, Any]:
    """What a requeue changes: all but what the job was queued with, and the numbers of its claims."""
    return {
        **FREE,
        "run_at": run_at,
        "attempt": 0,
        "interruptions": 0,
        "suspect_until": None,
        "wary": 0,
        "result": None,
        "reason": None,
        "error": None,
        "traceback": None,
        "progress": None,
        "ended_at": None,
    }


def ending(claimed: JobRecord, outcome: Outcome, verdict: Verdict, now: Instant) -> dict[str, Any]:
    """What the end of a claim changes."""
    return {
        **FREE,
        "settled_no": claimed.claim_no,
        "attempt": verdict.attempt,
        "run_at": claimed.run_at if verdict.run_at is None else verdict.run_at,
        "interruptions": verdict.interruptions,
        "suspect_until": verdict.suspect_until,
        "wary": int(verdict.wary),
        "result": outcome.result,
        "reason": verdict.reason,
        "error": outcome.error,
        "traceback": outcome.traceback,
        "ended_at": now if verdict.run_at is None else None,
    }


def says_ending(outcome: Outcome, verdict: Verdict) -> dict[str, Any]:
    """What the event of that end says."""
    return {"outcome": outcome.kind.value, "reason": verdict.reason, "run_at": verdict.run_at}


def mark(rev: int, at: Instant) -> str:
    """One transition in a trail."""
    return f"{rev}@{_written(at)}"


def first_mark(job: NewJob, rev: int | None) -> tuple[str | None, str]:
    """`told` and `trail` of a new job."""
    return (None, "") if rev is None else ("queued", mark(rev, job.queued_at))


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
    """What whoever must tell a transition instead needs to know of it."""
    deed = (step.rev, step.event, step.job.id)
    return (*deed, tuple(revs(step.trail))) if step.trail else deed
