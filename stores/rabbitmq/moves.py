"""One step of a job: the job after it, and its transition. Each job counts its own revisions here."""

from __future__ import annotations

from typing import Any

from ...messages.jobs import Instant, JobRecord, Transition
from ...rules.lifecycle import MOVES, QUIET
from ..transitions import joined, mark


def move(
    job: JobRecord, event: str, now: Instant, fields: dict[str, Any], *, passed: int = 0, **changes: Any
) -> Transition:
    """A job moves on.

    Args:
        passed: how many steps it has made that nobody knows any more: claims whose runtime is gone.
    """
    rev = (job.rev or 1) + passed + 1
    trail = joined(job.trail, mark(rev, now))
    state = MOVES[event][1].value
    kept, summed = (trail, "") if event in QUIET else ("", trail)
    moved = job._replace(**{"state": state, "rev": rev, "told": state, "trail": kept, **changes})
    return Transition(event, moved, job.state, rev, fields, summed)
