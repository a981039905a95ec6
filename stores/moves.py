"""What a move changes in a job's record, whichever store keeps it; and the trail that its louder events sum up."""

from __future__ import annotations

from typing import Any

from ..lifecycle import MOVES
from ..messages.jobs import Instant, JobRecord, Transition
from ..messages.outcomes import Outcome, Verdict
from .base import Deed

SUMMING = frozenset(MOVES) - {"job.queued", "job.claimed", "job.released"}
"""Transitions whose line stands at info or above and sums up the quieter ones before it."""


def ending(claimed: JobRecord, outcome: Outcome, verdict: Verdict, now: Instant) -> dict[str, Any]:
    """What the end of a claim changes."""
    return {
        "settled_no": claimed.claim_no,
        "attempt": verdict.attempt,
        "run_at": claimed.run_at if verdict.run_at is None else verdict.run_at,
        "interruptions": verdict.interruptions,
        "suspect_until": verdict.suspect_until,
        "wary": int(verdict.wary),
        "boot": None,
        "incarnation": None,
        "deferred": 0,
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
    return f"{rev}@{at:.6f}"


def joined(trail: str, mark: str) -> str:
    """A trail with one more transition."""
    return f"{trail},{mark}" if trail else mark


def sums(trail: str) -> dict[str, Any]:
    """What the event that ends a trail says of its transitions: `revs` and `times`."""
    steps = [step.partition("@") for step in trail.split(",")]
    return {"revs": [int(rev) for rev, _, _ in steps], "times": [float(at) for _, _, at in steps]}


def deed_of(step: Transition) -> Deed:
    """What whoever must tell a transition instead needs to know of it."""
    revs = step.fields.get("revs")
    return (step.rev, step.event, step.job.id) if revs is None else (step.rev, step.event, step.job.id, tuple(revs))
