"""Schedules, and what became of the slots of one."""

from __future__ import annotations

from .page import PageContent, PageVisit

LISTED_MAX = 500
SINCE_SECONDS = 2 * 86_400.0
"""How far back a schedule's slots are told."""

SLOTS_SHOWN_MAX = 200


def schedules(visit: PageVisit) -> PageContent:
    after = visit.one("after") or None
    found = visit.inspector.schedules(limit=LISTED_MAX, after=after)
    more = {"next": found[-1].id if len(found) == LISTED_MAX else None}
    return PageContent("schedules.html", "Schedules", found, more)


def schedule(visit: PageVisit) -> PageContent:
    now = visit.now
    found = visit.inspector.schedule(visit.rest, since=now - SINCE_SECONDS, until=now)
    slots = list(reversed(found.slots))[:SLOTS_SHOWN_MAX]
    more = {"one": found.schedule, "slots": slots, "notices": visit.notices}
    return PageContent("schedule.html", found.schedule.key or found.schedule.id, found, more)
