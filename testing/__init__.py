"""The published test kit: test an application's jobs without waiting, and break what they rest on.

Each name is imported when it is asked for: those that need greenlet (`Simulation`, `Inline`) or hypothesis
(`simulations`) need it only then.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .asserts import assert_not_queued, assert_queued
    from .draining import drain
    from .inline import Inline
    from .manual_clock import ManualClock, ManualTime
    from .scripted_handlers import Call, Script, cancel, crash, discard, fail, hang, ok, snooze, work
    from .simulation.faults import Faults
    from .simulation.shrinking import Choices, simulations
    from .simulation.simulation import Simulation
    from .simulation.verdict import Violation
    from .unit_job import job

__all__ = [
    "Call",
    "Choices",
    "Faults",
    "Inline",
    "ManualClock",
    "ManualTime",
    "Script",
    "Simulation",
    "Violation",
    "assert_not_queued",
    "assert_queued",
    "cancel",
    "crash",
    "discard",
    "drain",
    "fail",
    "hang",
    "job",
    "ok",
    "simulations",
    "snooze",
    "work",
]

_HOMES = {
    "Faults": "simulation.faults",
    "Inline": "inline",
    "Choices": "simulation.shrinking",
    "ManualClock": "manual_clock",
    "ManualTime": "manual_clock",
    "Simulation": "simulation.simulation",
    "Violation": "simulation.verdict",
    "assert_not_queued": "asserts",
    "assert_queued": "asserts",
    "drain": "draining",
    "job": "unit_job",
    "simulations": "simulation.shrinking",
}
"""Where a name lives, unless it is one of a script's."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES.get(name, 'scripted_handlers')}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
