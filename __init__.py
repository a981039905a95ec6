"""Lamplighter: an embedded, durable job runtime for Python.

Each name is imported when it is asked for first, so that `import lamplighter` costs a program's start next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import (
        Discard,
        JobFailed,
        KeyTaken,
        LamplighterError,
        NotStarted,
        NotSupported,
        ResultLost,
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
    from .log.job_context import JobFields
    from .messages.jobs import JobSpec, JobState
    from .messages.outcomes import Backoff
    from .rules.restart_budget import RestartBudget
    from .runtime import Runtime

__all__ = [
    "Backoff",
    "Discard",
    "Job",
    "JobFailed",
    "JobFields",
    "JobSpec",
    "JobState",
    "JobTimeout",
    "KeyTaken",
    "LamplighterError",
    "NotStarted",
    "NotSupported",
    "RestartBudget",
    "ResultLost",
    "Runtime",
    "RuntimeFailed",
    "SchemaTooNew",
    "Snooze",
    "StaleClaim",
    "StoreCorrupt",
    "StoreError",
    "StoreGone",
    "StoreUnavailable",
    "UnknownHandler",
    "UnknownJob",
    "UnknownSchedule",
    "UsageError",
    "configure_logging",
]

_HOMES = {
    "JobTimeout": "handlers.handler",
    "Job": "job",
    "configure_logging": "log.configure",
    "JobFields": "log.job_context",
    "JobSpec": "messages.jobs",
    "JobState": "messages.jobs",
    "Backoff": "messages.outcomes",
    "RestartBudget": "rules.restart_budget",
    "Runtime": "runtime",
}
"""Where a name lives, unless it is one of `errors`."""

if not TYPE_CHECKING:
    # A type checker would take it for an answer to every name.

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f".{_HOMES.get(name, 'errors')}", __name__), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
