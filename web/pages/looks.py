"""The pages that only look, but for those of jobs: what they read, and what they show."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from ... import __version__
from ...admin.inspector import NAMES_MAX
from ...admin.metrics import metrics_of
from ...admin.stats import Stats, stats_by_start, stats_of
from ...admin.views import NAME_ORDERS, NameView
from ...doctor.diagnosis import Diagnosis, Level
from ...errors import StoreUnavailable, UsageError
from ...messages.queries import JobQuery
from ...messages.tallies import HOUR, MINUTE, Tally, start_of
from ...messages.views import StacksView
from ...rules.control_lines import AskRefused
from ...stores.control_client import BootView
from ..faces.http import Response
from .page import NotThere, PageContent, PageVisit, with_query

T = TypeVar("T")


class Arrangement(NamedTuple):
    """How a list is searched and sorted; `links` lead to the same one, sorted by a column."""

    find: str
    sort: str
    links: Mapping[str, str]


class ChartSpan(NamedTuple):
    """How far back the charts go. One column stands for `unit` seconds."""

    unit: int
    seconds: int
    name: str
    says: str
    time_format: str


SPANS = {
    "1h": ChartSpan(MINUTE, 3600, "1h", "in the last hour", "%H:%M"),
    "24h": ChartSpan(HOUR, 86_400, "24h", "in the last 24 hours", "%H:%M"),
    "7d": ChartSpan(HOUR, 7 * 86_400, "7d", "in the last 7 days", "%d %b %H:%M"),
}

WORST = 3
"""So many of the doctor's findings are shown: what somebody must do something about."""

HEALTH_TELLS = frozenset({"boots.dead", "boots.hung", "boots.none", "names.parked", "names.paused"})
"""The doctor's checks of what the health of a store tells already."""

NUMBERS = (
    ("ready", "queued"),
    ("running", "running"),
    ("scheduled", "queued"),
    ("parked", "queued"),
    ("dead", "dead"),
)
"""The fields of an `Overview`, and the state of the jobs that each counts."""


def overview(visit: PageVisit) -> PageContent:
    """Six numbers, what became of jobs lately, what is wrong, and the first names."""
    span, now = _span(visit), visit.now
    model = visit.inspector.overview()
    with visit.inspector.store.snapshot() as seen:
        totals = None if seen.tallies is None else seen.tallies.totals(span.unit, now - span.seconds, now)
    numbers = [(name, getattr(model, name), visit.jobs_of(f"state:{state}")) for name, state in NUMBERS]
    first = model.names[:PAGE_NAMES]
    more = {
        "names": with_stats(visit, first),
        "has_more": len(model.names) > len(first),
        "numbers": numbers,
        "chart": charts(totals, span, now),
        "spans": [(name, with_query(visit.request.link("/"), span=name)) for name in SPANS],
        "now": now,
        "wrong": _folded(one for one in visit.examined().wrong if one.check not in HEALTH_TELLS),
        "tones": TONES,
    }
    return PageContent("overview.html", "Overview", model, more)


def _span(visit: PageVisit) -> ChartSpan:
    return SPANS.get(visit.one("span"), SPANS["1h"])


def _folded(findings: Iterable[Diagnosis]) -> Sequence[tuple[Diagnosis, int]]:
    """The first finding of each check, and how many more there are; the worst checks."""
    by_check: dict[str, list[Diagnosis]] = {}
    for one in findings:
        by_check.setdefault(one.check, []).append(one)
    return [(some[0], len(some) - 1) for some in by_check.values()][:WORST]


def charts(tallies: Sequence[Tally] | None, span: ChartSpan, now: float) -> dict[str, Any]:
    """What became of jobs: for each unit of time, also where nothing happened, how many a minute and how long it took.
    Attempts that are tried again are those that failed, without the jobs that died of it.
    """
    by_start = stats_by_start(tallies or ())
    starts = range(start_of(span.unit, now - span.seconds), start_of(span.unit, now) + span.unit, span.unit)
    columns = [by_start.get(start) for start in starts]
    minutes = span.unit / MINUTE
    counts = {
        "started": [one.waited.n / minutes if one and one.waited else 0.0 for one in columns],
        "done": [one.done / minutes if one else 0.0 for one in columns],
        "failed": [max(0, one.failed - one.dead) / minutes if one else 0.0 for one in columns],
        "dead": [one.dead / minutes if one else 0.0 for one in columns],
    }
    times = {
        title: {p: [getattr(spread, p) if spread else None for spread in spreads] for p in PERCENTILES}
        for title, spreads in (
            ("Waited", [one and one.waited for one in columns]),
            ("Ran", [one and one.ran for one in columns]),
        )
    }
    labels = [datetime.fromtimestamp(start, UTC).strftime(span.time_format) for start in starts]
    return {"is_kept": tallies is not None, "span": span, "labels": labels, "counts": counts, "times": times}


PERCENTILES = ("p50", "p95", "p99")

STATS_SECONDS = 3_600.0
"""How far back the statistics of a name go."""

PAGE_NAMES = 50
"""So many names are on a page."""


Keys = Mapping[str, Callable[[Any], Any]]
"""How things in a list are sorted, by what is asked for; the most first."""

NAME_KEYS: Keys = {"waits" if name == "oldest" else name: key for name, key in NAME_ORDERS.items()}

ERROR_KEYS: Keys = {
    "name": lambda one: one.name,
    "dead": lambda one: -one.dead,
    "failing": lambda one: -one.failing,
    "first": lambda one: -one.first_seen,
    "last": lambda one: -one.last_seen,
}

SCHEDULE_KEYS: Keys = {
    "name": lambda one: one.name,
    "next": lambda one: one.next[0].at if one.next else math.inf,
    "last": lambda one: -(one.last_slot or 0.0),
}


def arranged(
    visit: PageVisit, things: Iterable[T], keys: Keys, text: Callable[[T], str]
) -> tuple[list[T], Arrangement]:
    """Things that have the text that a visitor looks for, sorted as they wish."""
    find, sort = visit.one("find"), visit.one("sort")
    found = [one for one in things if find.lower() in text(one).lower()]
    if (key := keys.get(sort.removeprefix("-"))) is not None:
        found.sort(key=key, reverse=sort.startswith("-"))
    path = visit.request.path
    links = {name: visit.request.link(path, find=find, sort=f"-{name}" if sort == name else name) for name in keys}
    return found, Arrangement(find, sort, links)


def names(visit: PageVisit) -> PageContent:
    """Names in order, some a page, and how their jobs fare. Sorted or searched, they are the first of a thousand."""
    is_whole = bool(visit.one("find") or visit.one("sort"))
    limit = NAMES_MAX if is_whole else PAGE_NAMES + 1
    found, arrangement = arranged(
        visit, visit.inspector.names(limit=limit, after=visit.one("after") or None), NAME_KEYS, lambda one: one.name
    )
    next = found[PAGE_NAMES - 1].name if len(found) > PAGE_NAMES and not is_whole else None
    shown = found[:PAGE_NAMES]
    rest = len(found) - PAGE_NAMES if is_whole else 0
    more = {"names": with_stats(visit, shown), "now": visit.now, "next": next, "rest": rest, "arranged": arrangement}
    return PageContent("names.html", "Names", shown, more)


def name(visit: PageVisit) -> PageContent:
    found = visit.inspector.name(visit.rest)
    if found is None:
        raise NotThere(f"no name {visit.rest!r}: no job of it is here, and nobody has a handler for it")
    views = [boot.view for boot in visit.inspector.runtimes.all() if boot.view is not None]
    span, now = _span(visit), visit.now
    with visit.inspector.store.snapshot() as seen:
        sums = seen.tallies
        tallies = None if sums is None else sums.between(span.unit, now - span.seconds, now, found.name)
    more = {
        "chart": charts(tallies, span, now),
        "spans": [(name, with_query(visit.request.path_of("/names/", found.name), span=name)) for name in SPANS],
        "names": with_stats(visit, [found]),
        "handlers": [(view.boot, handler) for view in views for handler in view.handlers if handler.name == found.name],
        "query": str(JobQuery(names=(found.name,))),
        "notices": visit.notices,
        "now": now,
    }
    return PageContent("name.html", found.name, found, more)


def with_stats(visit: PageVisit, views: Iterable[NameView]) -> Sequence[tuple[NameView, Stats]]:
    """Names, each with what became of its jobs lately."""
    now = visit.now
    with visit.inspector.store.snapshot() as seen:
        sums = seen.tallies
        return [
            (view, stats_of(() if sums is None else sums.between(MINUTE, now - STATS_SECONDS, now, view.name)))
            for view in views
        ]


SAMPLES = 20
"""How many jobs of a group are listed."""


def errors(visit: PageVisit) -> PageContent:
    model = visit.inspector.errors()
    groups, arrangement = arranged(
        visit, model.groups, ERROR_KEYS, lambda one: f"{one.exception} {one.message} {one.name} {one.line}"
    )
    return PageContent("errors.html", "Errors", model, {"groups": groups, "arranged": arrangement})


def group(visit: PageVisit) -> PageContent:
    found, jobs = visit.inspector.failed_in(visit.rest, limit=SAMPLES)
    if found is None:
        raise NotThere(f"no failures {visit.rest!r}: their jobs were requeued, or are gone")
    return PageContent("error.group.html", found.exception or "Failure", found, {"jobs": jobs})


LISTED_MAX = 500
SINCE_SECONDS = 2 * 86_400.0
"""How far back a schedule's slots are told."""

SLOTS_SHOWN_MAX = 200


def schedules(visit: PageVisit) -> PageContent:
    found = visit.inspector.schedules(limit=LISTED_MAX, after=visit.one("after"))
    shown, arrangement = arranged(visit, found, SCHEDULE_KEYS, lambda one: f"{one.key} {one.id} {one.name} {one.words}")
    more = {"schedules": shown, "arranged": arrangement, "next": found[-1].id if len(found) == LISTED_MAX else None}
    return PageContent("schedules.html", "Schedules", found, more)


def schedule(visit: PageVisit) -> PageContent:
    now = visit.now
    found = visit.inspector.schedule(visit.rest, since=now - SINCE_SECONDS, until=now)
    slots = list(reversed(found.slots))[:SLOTS_SHOWN_MAX]
    more = {"one": found.schedule, "slots": slots, "notices": visit.notices}
    return PageContent("schedule.html", found.schedule.key or found.schedule.id, found, more)


REFRESH_SECONDS = 1
"""The work of a process shows in no store, so it is asked again."""


def runtimes(visit: PageVisit) -> PageContent:
    boots = visit.inspector.runtimes.all()
    views = {boot.boot: boot.view for boot in boots if boot.view is not None}
    model = {"boots": visit.inspector.boots(), "views": views}
    return PageContent("runtimes.html", "Runtimes", model, {"views": views}, refresh_seconds=REFRESH_SECONDS)


def runtime(visit: PageVisit) -> PageContent:
    found = runtime_of(visit, visit.rest)
    boot = found.boot
    more = {"seen": found, "stacks": _stacks(visit, boot) if visit.one("stacks") else None, "notices": visit.notices}
    return PageContent("runtime.html", f"Runtime {boot}", found.view, more, refresh_seconds=REFRESH_SECONDS)


def runtime_of(visit: PageVisit, boot: str) -> BootView:
    found = visit.inspector.runtimes.one(boot)
    if found is None:
        raise NotThere(f"no runtime {boot!r} on the store: it has stopped, or was found dead")
    return found


def _stacks(visit: PageVisit, boot: str) -> StacksView | str:
    """Where every thread of a runtime is, or why it does not say."""
    try:
        return visit.client.ask(boot, "stacks", StacksView)
    except (StoreUnavailable, AskRefused, UsageError) as error:
        return str(error)


DOCTOR_REFRESH_SECONDS = 30
"""As long as an examination is kept."""

TONES: dict[Level, str] = {"ok": "green", "note": "quiet", "unknown": "quiet", "warning": "yellow", "error": "red"}
"""How each level looks; each is said in words too."""


def doctor(visit: PageVisit) -> PageContent:
    found = visit.examined()
    more = {"findings": found.worst_first, "tones": TONES, "counts": found.counts}
    return PageContent("doctor.html", "Doctor", found, more, refresh_seconds=DOCTOR_REFRESH_SECONDS)


def metrics(visit: PageVisit) -> Response:
    # Imported only here: the page needs no Prometheus.
    from ...contrib.prometheus import scraped

    kind, text = scraped(metrics_of(visit.inspector, version=__version__))
    return Response(kind=kind, body=text)
