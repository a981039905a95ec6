"""One step of a job: what it is after it, and the transition that tells of it. Revisions are numbered per job here."""

from __future__ import annotations

from typing import Any

from ..lifecycle import MOVES
from ..messages.jobs import Instant, JobRecord, Transition
from ..stores.base import Deed

SUMMING = frozenset(MOVES) - {"job.queued", "job.claimed", "job.released"}
"""Transitions whose line stands at info or above and sums up the quieter ones before it."""


def deed_of(step: Transition) -> Deed:
    """What whoever must tell a step instead needs to know of it."""
    revs = step.fields.get("revs")
    return (step.rev, step.event, step.job.id) if revs is None else (step.rev, step.event, step.job.id, tuple(revs))


def born(job: JobRecord) -> Transition:
    """A job was queued."""
    return Transition(event="job.queued", job=job, before=None, rev=job.rev or 1, fields={})


def move(
    job: JobRecord, event: str, now: Instant, fields: dict[str, Any], *, passed: int = 0, **changes: Any
) -> Transition:
    """A job moves on.

    Args:
        passed: how many steps it has made that nobody knows any more: claims whose runtime is gone.
    """
    rev = (job.rev or 1) + passed + 1
    trail = f"{job.trail},{rev}@{now:.6f}" if job.trail else f"{rev}@{now:.6f}"
    state = MOVES[event][1].value
    told = dict(fields)
    if event in SUMMING:
        steps = [step.partition("@") for step in trail.split(",")]
        told |= {"revs": [int(number) for number, _, _ in steps], "times": [float(at) for _, _, at in steps]}
        trail = ""
    moved = job._replace(**{"state": state, "rev": rev, "told": state, "trail": trail, **changes})
    return Transition(event=event, job=moved, before=job.state, rev=rev, fields=told)
