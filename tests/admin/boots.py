"""Boots for the tests of what is judged of them: each fares well, but for what a test changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lamplighter.messages.views import ActorView, HandlerView, ProcessView, RuntimeView
from lamplighter.stores.control_client import BootView

from . import kit
from .kit import NOW

__all__ = ["NOW", "a_boot", "a_handler", "a_view", "an_actor"]

USES = ProcessView(rss_bytes=1, threads=1, descriptors=1, descriptors_max=100)


def a_view(**changes: Any) -> RuntimeView:
    bare: dict[str, Any] = {"host": "here", "names": ("work",), "actors": (), "handlers": (), "process": USES}
    return kit.a_view(**{**bare, "limits": {"abandoned_threads_max": 16}, **changes})


def a_boot(view: RuntimeView | None = None, **changes: Any) -> BootView:
    well: dict[str, Any] = {"host": "here", "names": (), "condition": "answers", "status": "green"}
    return replace(kit.a_boot(view=view), **{**well, **changes})


def an_actor(**changes: Any) -> ActorView:
    return kit.an_actor(**{"name": "handler:work", "restarts_max": 4, **changes})


def a_handler(**changes: Any) -> HandlerView:
    return kit.a_handler(**{"name": "work", "concurrency": 1, **changes})
