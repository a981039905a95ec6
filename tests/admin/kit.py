"""Jobs, boots and what boots say of themselves, for situations that tests make up."""

from __future__ import annotations

from typing import Any

from lamplighter.admin.why import WaitContext
from lamplighter.messages.boots import BootRecord
from lamplighter.messages.jobs import JobRecord
from lamplighter.messages.views import ActorView, HandlerView, Health, LaneView, ProcessView, RuntimeView, TurnView
from lamplighter.stores.control_client import BootView, boot_view
from lamplighter.stores.ports import QueuePosition

NOW = 1_000_000.0
STORE = "app.db"
CLEAR = QueuePosition(ahead=0, is_capped=False, running=0)


def a_job(**changed: Any) -> JobRecord:
    """A job that has been due for a minute."""
    fields = {
        "row_id": 1,
        "id": "j1",
        "name": "mail",
        "data": "null",
        "state": "queued",
        "priority": 0,
        "run_at": NOW - 60,
        "queued_at": NOW - 60,
        "root_id": "j1",
    }
    return JobRecord(**{**fields, **changed})


def a_record(boot: str = "b1", **changed: Any) -> BootRecord:
    """A boot that runs the jobs of `mail`."""
    fields = {"pid": 7, "host": "h", "started_at": NOW - 600, "hint": None, "names": ("mail",)}
    return BootRecord(boot=boot, **{**fields, **changed})


def an_actor(name: str = "handler:mail", **changed: Any) -> ActorView:
    """An actor that works, and has nothing to do."""
    fields: dict[str, Any] = {
        "incarnation": 1,
        "status": "up",
        "mailbox": 0,
        "oldest_seconds": None,
        "busy_seconds": None,
        "jobs": (),
        "restarts_in_window": 0,
        "last_crash": None,
    }
    return ActorView(name=name, **{**fields, **changed})


def a_handler(**changed: Any) -> HandlerView:
    """A handler of `mail` with two lanes."""
    fields: dict[str, Any] = {
        "id": "mail#1",
        "name": "mail",
        "kind": "thread",
        "concurrency": 2,
        "total": None,
        "timeout": None,
        "attempts": 20,
    }
    return HandlerView(**{**fields, **changed})


def a_lane(job_id: str, seconds: float = 1.0, **changed: Any) -> LaneView:
    """A job that runs."""
    fields: dict[str, Any] = {
        "lane": 1,
        "job_name": "mail",
        "handler": "mail#1",
        "kind": "thread",
        "attempt": 1,
        "claim_no": 1,
        "since": NOW - seconds,
        "deadline": None,
        "cancelled": None,
        "abandoned": None,
    }
    return LaneView(job_id=job_id, seconds=seconds, **{**fields, **changed})


def a_view(**changed: Any) -> RuntimeView:
    """What a boot says that could take a job at once."""
    turns = TurnView(took_seconds=0.001, waited_seconds=0.0, under_way_seconds=None, is_waiting=False, trouble=None)
    fields: dict[str, Any] = {
        "at": NOW,
        "boot": "b1",
        "boot_no": 1,
        "host": "h",
        "pid": 7,
        "version": "0.2.0",
        "python": "3.13.0",
        "started_at": NOW - 600,
        "kind": "worker",
        "store": STORE,
        "store_id": "s1",
        "names": ("mail",),
        "only": None,
        "leads": None,
        "is_draining": False,
        "health": Health(status="green", reasons=(), boot="b1"),
        "process": ProcessView(rss_bytes=None, threads=None, descriptors=None, descriptors_max=None),
        "turns": turns,
        "actors": (an_actor("supervisor"), an_actor("broker"), an_actor()),
        "handlers": (a_handler(),),
        "lanes": (),
        "lanes_open": 0,
        "limits": {"workers_max": 10**15, "lane_grace_seconds": 5.0},
    }
    return RuntimeView(**{**fields, **changed})


def waiting_to_write(seconds: float) -> TurnView:
    """What a boot says whose write batch has not got the write lock for so long."""
    return TurnView(took_seconds=None, waited_seconds=None, under_way_seconds=seconds, is_waiting=True, trouble=None)


def a_boot(
    boot: str = "b1", *, view: RuntimeView | None = None, is_alive: bool | None = True, **changed: Any
) -> BootView:
    """A living boot that has said nothing unless a view is given."""
    return boot_view(a_record(boot, **changed), is_alive=is_alive, view=view)


def a_situation(job: JobRecord | None = None, *boots: BootView, **changed: Any) -> WaitContext:
    """A job that a boot could take at once."""
    fields: dict[str, Any] = {"now": NOW, "store": STORE, "before": CLEAR}
    return WaitContext(job=job or a_job(), boots=boots or (a_boot(view=a_view()),), **{**fields, **changed})
