"""Lamplighter: an embedded, durable job runtime for Python."""

from .errors import (
    Discard,
    JobFailed,
    KeyTaken,
    LamplighterError,
    NotStarted,
    NotSupported,
    RuntimeFailed,
    SchemaTooNew,
    Snooze,
    StaleClaim,
    StoreCorrupt,
    StoreError,
    StoreGone,
    StoreUnavailable,
    UnknownHandler,
    UnknownJob,
    UnknownSchedule,
    UsageError,
)
from .handlers.handler import JobTimeout
from .job import Job
from .log.configure import configure_logging
from .log.emitter import JobFields
from .messages.jobs import JobSpec, JobState
from .messages.outcomes import Backoff
from .rules.restart_budget import RestartBudget
from .runtime import Runtime

__all__ = [
    "Backoff", "Discard", "Job", "JobFailed", "JobFields", "JobSpec", "JobState", "JobTimeout", "KeyTaken",
    "LamplighterError", "NotStarted", "NotSupported", "RestartBudget", "Runtime", "RuntimeFailed", "SchemaTooNew",
    "Snooze", "StaleClaim", "StoreCorrupt", "StoreError", "StoreGone", "StoreUnavailable", "UnknownHandler",
    "UnknownJob", "UnknownSchedule", "UsageError", "configure_logging",
]  # fmt: skip
