"""Every system and every workload, by name."""

from __future__ import annotations

import importlib
from typing import NamedTuple

from peers.base import Peer
from workloads import flow, growth, itself, lanes, processes, shared
from workloads.base import Workload


class System(NamedTuple):
    """Where an adapter is, and which server it needs. Adapters are imported only where they are used."""

    adapter: str
    server: str | None = None


SYSTEMS = {
    "lamplighter": System("peers.lamplighter:Lamplighter"),
    "lamplighter-silent": System("peers.variants:Silent"),
    "lamplighter-os": System("peers.variants:Os"),
    "huey": System("peers.huey:Huey"),
    "litequeue": System("peers.litequeue:Litequeue"),
    "persist-queue": System("peers.persist_queue:PersistQueue"),
    "apscheduler": System("peers.apscheduler:APScheduler"),
    "dbos": System("peers.dbos:Dbos"),
    "lamplighter-rabbit": System("peers.lamplighter_rabbit:LamplighterOnRabbit", "rabbitmq"),
    "dramatiq": System("peers.dramatiq:Dramatiq", "rabbitmq"),
    "celery": System("peers.celery:CeleryOnRabbit", "rabbitmq"),
    "rq": System("peers.rq:RQ", "redis"),
    "saq": System("peers.saq:SAQ", "redis"),
    "lamplighter-postgres": System("peers.lamplighter_postgres:LamplighterOnPostgres", "postgres"),
    "pgqueuer": System("peers.pgqueuer:Pgqueuer", "postgres"),
    "procrastinate": System("peers.procrastinate:Procrastinate", "postgres"),
}

WORKLOADS: dict[str, Workload] = {
    workload.id: workload for part in (shared, lanes, flow, growth, processes, itself) for workload in part.WORKLOADS
}


def adapter(system: str) -> type[Peer]:
    """The adapter of a system.

    Raises:
        ImportError: its package is not installed.
    """
    module, _, name = SYSTEMS[system].adapter.partition(":")
    found: type[Peer] = getattr(importlib.import_module(module), name)
    return found


def takes_part(system: str, workload: Workload, *, quick: bool = False) -> bool:
    """Whether a system is meant to do a workload, in a quick run or a whole one."""
    if workload.systems == "servers":
        return system in ("lamplighter-rabbit", "lamplighter-postgres")
    if system == "lamplighter":
        return True
    if quick and (workload.when == "ours" or system == "lamplighter-os"):
        return False
    return workload.systems == "all" or (workload.systems == "both" and system == "lamplighter-silent")
