from __future__ import annotations

from ..messages.jobs import ENDED, JobRecord, JobState
from ..rules.new_jobs import KEPT_OPTIONS
from .payloads import payload
from .views import JobView
from .wait_context import Why


def job_view(job: JobRecord, why: Why | None, *, shows_data: bool) -> JobView:
    """A job as people see it.

    Args:
        why: what keeps it from running, or how it is held.
        shows_data: whether its data, its result and its progress may be seen.
    """
    is_running = job.state == JobState.RUNNING
    return JobView(
        id=job.id,
        name=job.name,
        state=job.state,
        attempt=job.attempt + is_running,
        claim_no=job.claim_no,
        queued_at=job.queued_at,
        run_at=job.run_at,
        claimed_at=job.claimed_at,
        ended_at=job.ended_at,
        expires_at=job.expires_at,
        boot=job.boot,
        corr=job.root_id,
        schedule=job.schedule,
        slot=job.slot,
        debounce=job.debounce_key,
        **{option: getattr(job, kept.column) for option, kept in KEPT_OPTIONS.items()},
        reason=job.reason,
        error=job.error,
        data=payload(job.data, is_shown=shows_data),
        result=None if job.result is None else payload(job.result, is_shown=shows_data),
        progress=None if job.progress is None else payload(job.progress, is_shown=shows_data),
        why=None if job.state in ENDED else why,
    )
