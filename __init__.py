"""Lamplighter: an embedded, durable job runtime for Python.

Each name is imported when it is asked for first, so that `import lamplighter` costs a program's start next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str

    from .admin.graphs import GraphHold, GraphNode, OperatorGraph
    from .admin.operator import Operator
    from .admin.schedules import Schedule, SlotStory
    from .admin.sweeping import Swept
    from .api.graphs import JobGraph
    from .api.job import Job
    from .api.job_steps import Step
    from .api.jobs import Jobs
    from .api.runtime import Runtime
    from .api.scheduler import Scheduler
    from .environment.environment import Environment
    from .errors import (
        Cancel,
        Discard,
        JobFailed,
        KeyTaken,
        LamplighterError,
        MissingExtra,
        NotStarted,
        NotSupported,
        ResultLost,
        Retry,
        RuntimeFailed,
        SchemaTooNew,
        SignalRefused,
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
    from .handlers.carriers import Carrier, ChildEnded
    from .handlers.handler import JobTimeout
    from .log.configure import configure_logging
    from .log.job_context import JobFields
    from .messages.jobs import Attempt, Debounce, JobSpec, JobState
    from .messages.names import Rate
    from .messages.outcomes import Backoff
    from .messages.steps import NO_SIGNAL, KeptStep, NoSignal
    from .messages.views import ActorView, Health
    from .rules.limits import Limits, RestartBudget

__all__ = [
    "NO_SIGNAL",
    "ActorView",
    "Attempt",
    "Backoff",
    "Cancel",
    "Carrier",
    "ChildEnded",
    "Debounce",
    "Discard",
    "Environment",
    "GraphHold",
    "GraphNode",
    "Health",
    "Job",
    "JobFailed",
    "JobFields",
    "JobGraph",
    "JobSpec",
    "JobState",
    "JobTimeout",
    "Jobs",
    "KeptStep",
    "KeyTaken",
    "LamplighterError",
    "Limits",
    "MissingExtra",
    "NoSignal",
    "NotStarted",
    "NotSupported",
    "Operator",
    "OperatorGraph",
    "Rate",
    "RestartBudget",
    "ResultLost",
    "Retry",
    "Runtime",
    "RuntimeFailed",
    "Schedule",
    "Scheduler",
    "SchemaTooNew",
    "SignalRefused",
    "SlotStory",
    "Snooze",
    "StaleClaim",
    "Step",
    "StoreCorrupt",
    "StoreError",
    "StoreGone",
    "StoreUnavailable",
    "Swept",
    "UnknownHandler",
    "UnknownJob",
    "UnknownSchedule",
    "UsageError",
    "configure_logging",
]

_HOMES = {
    "Health": "messages.views",
    "ActorView": "messages.views",
    "Operator": "admin.operator",
    "GraphHold": "admin.graphs",
    "GraphNode": "admin.graphs",
    "OperatorGraph": "admin.graphs",
    "JobGraph": "api.graphs",
    "Swept": "admin.sweeping",
    "Schedule": "admin.schedules",
    "SlotStory": "admin.schedules",
    "Scheduler": "api.scheduler",
    "Attempt": "messages.jobs",
    "Limits": "rules.limits",
    "Jobs": "api.jobs",
    "Environment": "environment.environment",
    "Carrier": "handlers.carriers",
    "ChildEnded": "handlers.carriers",
    "JobTimeout": "handlers.handler",
    "Job": "api.job",
    "Step": "api.job_steps",
    "KeptStep": "messages.steps",
    "NO_SIGNAL": "messages.steps",
    "NoSignal": "messages.steps",
    "configure_logging": "log.configure",
    "JobFields": "log.job_context",
    "Debounce": "messages.jobs",
    "JobSpec": "messages.jobs",
    "JobState": "messages.jobs",
    "Backoff": "messages.outcomes",
    "Rate": "messages.names",
    "RestartBudget": "rules.limits",
    "Runtime": "api.runtime",
}
"""Where a name lives, unless it is one of `errors`."""

if not TYPE_CHECKING:
    # A type checker would take it for an answer to every name.

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            found = importlib.import_module("importlib.metadata").version(__name__)
        elif name in __all__:
            found = getattr(importlib.import_module(f".{_HOMES.get(name, 'errors')}", __name__), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
