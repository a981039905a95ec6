"""The job that this thread or task runs, for the application's own lines inside a handler."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar, copy_context
from typing import Any

import structlog

from .log_line import LogLine

JOB_FIELDS = ("job_id", "job_name", "claim_no", "attempt", "corr")
"""The fields of the application's own lines inside a handler."""

ABSENT = "-"
"""The value of these fields outside of a handler, so that a format never fails."""

_job: ContextVar[dict[str, Any] | None] = ContextVar("lamplighter_job", default=None)

_BOUND = {
    name: token.var
    for name, token in copy_context().run(structlog.contextvars.bind_contextvars, **dict.fromkeys(JOB_FIELDS)).items()
}
"""Structlog's own variables for a job's fields, which each job sets anew."""


def enter_job(root_id: str, **fields: Any) -> None:
    """Add a job's fields to the application's lines in this context. The caller gives each job a context of its own."""
    job = {**fields, "corr": root_id}
    _job.set(job)
    for name, value in job.items():
        _BOUND[name].set(value)


def current_root_id() -> str | None:
    """The root of the job that this thread or task runs; None outside of a handler."""
    job = _job.get()
    return None if job is None else job["corr"]


def current_job() -> Mapping[str, Any]:
    """`JOB_FIELDS` of the job that this thread or task runs; empty outside of a handler."""
    return _job.get() or {}


class JobFields(logging.Filter):
    """Gives the records of a handler's own lines the fields of its job, for formats such as `%(job_id)s`.

    Add it to handlers or loggers of the standard library. It lets every record pass and sets `job_id`, `job_name`,
    `claim_no`, `attempt` and `corr`, unless the record has them already.

    Args:
        outside: their value outside of a handler.
    """

    def __init__(self, outside: str | None = ABSENT) -> None:
        super().__init__()
        self.outside = outside

    def filter(self, record: logging.LogRecord) -> bool:
        """Runs on the thread or task that logs."""
        about = current_job()
        if isinstance(record.msg, LogLine) and record.msg.is_event:
            about = record.msg.fields
            if "job_id" in about and "corr" not in about:
                # `job.done` omits that a job is its own root.
                about = {**about, "corr": about["job_id"]}
        for name in JOB_FIELDS:
            # The application's `extra=` fields stay; those of another JobFields outside of a handler are replaced.
            if is_absent(getattr(record, name, None)):
                setattr(record, name, about.get(name, self.outside))
        return True


def is_absent(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value == ABSENT)
