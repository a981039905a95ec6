"""Why a job that waits for others does so, and what has one start again that has ended with another."""

from __future__ import annotations

from collections.abc import Sequence

from ..messages.jobs import JobRecord
from ..stores.ports import DependencyStatus
from .wait_context import Why


def what_it_waits_for(awaited: DependencyStatus) -> Why:
    """The jobs that a job waits for."""
    if not awaited.open:
        return Why(
            code="waits_for",
            sentence=f"{_all_of(awaited.total)} that it has waited for {'has' if awaited.total == 1 else 'have'} ended",
            changes="the next write batch of any process on the store",
        )
    more = [f"{awaited.open - len(awaited.ids):,} more"] if awaited.open > len(awaited.ids) else []
    count = f"{awaited.open:,} of {awaited.total:,} jobs" if awaited.total > 1 else "a job"
    waits = f"it waits for {count}: {listed([*awaited.ids, *more])}"
    ends = f"the end of {'that job' if awaited.open == 1 else 'these jobs'}"
    if awaited.fated is not None:
        job_id, state = awaited.fated
        waits += f"; it does not start then either, as {job_id} is {state}"
        ends = f"a requeue of {job_id}, for which it then waits again"
    return Why(
        code="waits_for", sentence=waits, changes=f"{ends}; or a requeue of this one, which then waits for nobody"
    )


def _all_of(jobs: int) -> str:
    return "the job" if jobs == 1 else f"all {jobs:,} jobs"


def revival(job: JobRecord) -> str:
    """The command that starts a dead or cancelled job again."""
    if job.is_linked:
        return "a requeue of that job, for which this one then waits again; or of this one, which waits for nobody"
    return "a requeue"


def listed(items: Sequence[str]) -> str:
    """Names, and an `and` before the last."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last
