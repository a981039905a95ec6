"""Failures in groups, and one group."""

from __future__ import annotations

from .page import NotThere, PageContent, PageVisit

SAMPLES = 20
"""How many jobs of a group are listed."""


def errors(visit: PageVisit) -> PageContent:
    return PageContent("errors.html", "Errors", visit.inspector.errors())


def group(visit: PageVisit) -> PageContent:
    found, jobs = visit.inspector.failed_in(visit.rest, limit=SAMPLES)
    if found is None:
        raise NotThere(f"no failures {visit.rest!r}: their jobs were requeued, or are gone")
    return PageContent("error.group.html", found.exception or "Failure", found, {"jobs": jobs})
