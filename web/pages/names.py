"""The names of jobs, and one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...admin.stats import Stats, stats_of
from ...admin.views import NameView
from ...messages.queries import JobQuery
from ...messages.tallies import MINUTE
from .page import NotThere, PageContent, PageVisit

STATS_SECONDS = 3_600.0
"""How far back the statistics of a name go."""

PAGE_NAMES = 50
"""So many names are on a page."""


def names(visit: PageVisit) -> PageContent:
    """Names in order, some a page, and how their jobs fare."""
    found = visit.inspector.names(limit=PAGE_NAMES + 1, after=visit.one("after") or None)
    next = found[PAGE_NAMES - 1].name if len(found) > PAGE_NAMES else None
    more = {"names": with_stats(visit, found[:PAGE_NAMES]), "now": visit.now, "next": next}
    return PageContent("names.html", "Names", found[:PAGE_NAMES], more)


def name(visit: PageVisit) -> PageContent:
    found = visit.inspector.name(visit.rest)
    if found is None:
        raise NotThere(f"no name {visit.rest!r}: no job of it is here, and nobody has a handler for it")
    views = [boot.view for boot in visit.place.runtimes.all() if boot.view is not None]
    more = {
        "names": with_stats(visit, [found]),
        "handlers": [(view.boot, handler) for view in views for handler in view.handlers if handler.name == found.name],
        "query": str(JobQuery(names=(found.name,))),
        "notices": visit.notices,
        "now": visit.now,
    }
    return PageContent("name.html", found.name, found, more)


def with_stats(visit: PageVisit, views: Iterable[NameView]) -> Sequence[tuple[NameView, Stats]]:
    """Names, each with what became of its jobs lately."""
    now = visit.now
    with visit.place.store.snapshot() as seen:
        sums = seen.tallies
        return [
            (view, stats_of(() if sums is None else sums.between(MINUTE, now - STATS_SECONDS, now, view.name)))
            for view in views
        ]
