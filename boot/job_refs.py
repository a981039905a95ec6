"""How a caller names a job: by its id, a snapshot of it, or the token of an attempt."""

from __future__ import annotations

from typing import Any

from ..api.job import Job, JobTypes
from ..errors import UsageError
from ..messages.jobs import JobState
from ..rules.validation import check_name
from ..stores.ports import Store

Ref = Job[Any] | str


def id_of(job: Ref) -> str:
    """The job's id.

    Raises:
        UsageError: it is neither an id nor a Job.
    """
    return job.id if isinstance(job, Job) else check_name(job, "job")


def claim_of(store: Store, job: Ref) -> tuple[str, int | None, int | None]:
    """The job's id, its `no` and its claim number, as far as each is known.

    Raises:
        UsageError: it is neither a Job nor an id nor a token, or could be both an id and a token.
    """
    if isinstance(job, Job):
        no, claim_no = job.record.key
        return job.id, no, claim_no if job.record.state == JobState.RUNNING else None
    job_id, _, number = job.rpartition(":") if isinstance(job, str) else ("", "", "")
    # An application may give its jobs ids such as "order:7", which look like tokens.
    if not (job_id and number.isdecimal()):
        return check_name(job, "job"), None, None
    known = store.jobs.known((job, job_id))
    if job not in known:
        return job_id, None, int(number)
    if job_id in known:
        raise UsageError(f"expected a token or an id, got: {job!r}, which is both here; pass the Job itself")
    return job, None, None


def types_of(job: Ref) -> JobTypes | None:
    """The known types of a job, if it came from its handler object."""
    return job.types if isinstance(job, Job) else None
