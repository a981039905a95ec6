"""Boots and their views, made by hand: runtimes that fare well, but for what a test changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lamplighter.admin.control_client import BootView
from lamplighter.messages.views import ActorView, HandlerView, Health, ProcessView, RuntimeView, TurnView

NOW = 1_800_000_000.0


def a_view(**changes: Any) -> RuntimeView:
    """A runtime that fares well."""
    view = RuntimeView(
        at=NOW,
        boot="b1",
        boot_no=1,
        host="here",
        pid=7,
        version="1",
        python="3.11",
        started_at=NOW - 60,
        kind="worker",
        store="/srv/jobs.db",
        store_id="s",
        names=("work",),
        only=None,
        leads=None,
        is_draining=False,
        health=Health(status="green", reasons=(), boot="b1"),
        process=ProcessView(rss_bytes=1, threads=1, descriptors=1, descriptors_max=100),
        turns=TurnView(took_seconds=None, waited_seconds=None, under_way_seconds=None, is_waiting=False, trouble=None),
        actors=(),
        handlers=(),
        lanes=(),
        lanes_open=0,
        limits={"abandoned_threads_max": 16},
    )
    return replace(view, **changes)


def a_boot(view: RuntimeView | None = None, **changes: Any) -> BootView:
    boot = BootView(
        boot="b1",
        pid=7,
        host="here",
        is_alive=True,
        condition="answers",
        unheard=None if view else "it was not asked",
        silent_since=None,
        stops=False,
        is_quiet=False,
        status="green",
        reasons=(),
        view=view,
    )
    return replace(boot, **changes)


def an_actor(**changes: Any) -> ActorView:
    actor = ActorView(
        name="handler:work",
        incarnation=1,
        status="up",
        mailbox=0,
        oldest_seconds=None,
        busy_seconds=None,
        jobs=(),
        restarts_in_window=0,
        last_crash=None,
        restarts_max=4,
    )
    return replace(actor, **changes)


def a_handler(**changes: Any) -> HandlerView:
    handler = HandlerView(id="1", name="work", kind="thread", concurrency=1, attempts=3, timeout=None, total=None)
    return replace(handler, **changes)
