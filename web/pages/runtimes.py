"""The runtimes on the store, and what one of them does now."""

from __future__ import annotations

from ...admin.control_client import BootView
from ...errors import StoreUnavailable, UsageError
from ...messages.views import StacksView
from ...rules.control_lines import AskRefused
from .page import NotThere, PageContent, PageVisit

REFRESH_SECONDS = 1
"""The work of a process shows in no store, so it is asked again."""


def runtimes(visit: PageVisit) -> PageContent:
    boots = visit.place.runtimes.all()
    views = {boot.boot: boot.view for boot in boots if boot.view is not None}
    model = {"boots": visit.inspector.boots(), "views": views}
    return PageContent("runtimes.html", "Runtimes", model, {"views": views}, refresh_seconds=REFRESH_SECONDS)


def runtime(visit: PageVisit) -> PageContent:
    found = runtime_of(visit, visit.rest)
    boot = found.boot
    more = {"seen": found, "stacks": _stacks(visit, boot) if visit.one("stacks") else None, "notices": visit.notices}
    return PageContent("runtime.html", f"Runtime {boot}", found.view, more, refresh_seconds=REFRESH_SECONDS)


def runtime_of(visit: PageVisit, boot: str) -> BootView:
    found = visit.place.runtimes.one(boot)
    if found is None:
        raise NotThere(f"no runtime {boot!r} on the store: it has stopped, or was found dead")
    return found


def _stacks(visit: PageVisit, boot: str) -> StacksView | str:
    """Where every thread of a runtime is, or why it does not say."""
    try:
        return visit.place.room.ask(boot, "stacks", StacksView)
    except (StoreUnavailable, AskRefused, UsageError) as error:
        return str(error)
