"""Every system and every workload, by name."""

from __future__ import annotations

import importlib

from peers.base import Peer
from workloads import lanes, shared
from workloads.base import Workload

SYSTEMS = {
    "lamplighter": "peers.lamplighter:Lamplighter",
    "lamplighter-silent": "peers.lamplighter:Silent",
}
"""Where the adapter of each system is. Imported only where it is used: nobody needs every peer."""

WORKLOADS: dict[str, Workload] = {workload.id: workload for workload in (*shared.WORKLOADS, *lanes.WORKLOADS)}


def adapter(system: str) -> type[Peer]:
    """The adapter of a system.

    Raises:
        ImportError: its package is not installed.
    """
    module, _, name = SYSTEMS[system].partition(":")
    found: type[Peer] = getattr(importlib.import_module(module), name)
    return found


def takes_part(system: str, workload: Workload) -> bool:
    """Whether a system is meant to do a workload."""
    return (
        workload.systems == "all"
        or system == "lamplighter"
        or (workload.systems == "both" and system.startswith("lamplighter"))
    )
