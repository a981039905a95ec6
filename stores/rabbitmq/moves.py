"""One step of a job: the job after it, and its transition."""

from __future__ import annotations

from typing import Any

from ...messages.jobs import JobRecord, Transition
from ...rules.lifecycle import MOVES


def move(job: JobRecord, event: str, fields: dict[str, Any], *, passed: int = 0, **changes: Any) -> Transition:
    """A job moves on.

    Args:
        passed: how many steps it has made that nobody knows any more: claims whose runtime is gone.
    """
    moved = job._replace(**{"state": MOVES[event][1].value, "rev": job.rev + passed + 1, **changes})
    return Transition(event, moved, job.state, fields)
