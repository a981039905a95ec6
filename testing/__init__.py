"""The published test kit: what a host needs to test its jobs without waiting, and to break what they rest on.

Each name is imported when it is asked for: those that need greenlet (`Simulation`, `Inline`), hypothesis
(`simulations`), pytest (`StoreConformance`) or apsw (`Disk`) need it only then.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .asserts import assert_not_queued, assert_queued
    from .clock import ManualClock, ManualTime
    from .conformance import StoreConformance
    from .draining import drain
    from .faults import Faults
    from .inline import Inline
    from .power import Disk
    from .scripts import Call, Script, crash, discard, fail, hang, ok, snooze, work
    from .shrinking import Luck, simulations
    from .simulation import Simulation
    from .verdict import Violation

__all__ = [
    "Call", "Disk", "Faults", "Inline", "Luck", "ManualClock", "ManualTime", "Script", "Simulation",
    "StoreConformance", "Violation", "assert_not_queued", "assert_queued", "crash", "discard", "drain", "fail", "hang",
    "ok", "simulations", "snooze", "work",
]  # fmt: skip

_HOMES = {
    "Disk": "power", "Faults": "faults", "Inline": "inline", "Luck": "shrinking", "ManualClock": "clock",
    "ManualTime": "clock", "Simulation": "simulation", "StoreConformance": "conformance", "Violation": "verdict",
    "assert_not_queued": "asserts", "assert_queued": "asserts", "drain": "draining", "simulations": "shrinking",
}  # fmt: skip
"""Where a name lives, unless it is one of a script's."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES.get(name, 'scripts')}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
