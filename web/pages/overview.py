"""How all of it fares, at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ...messages.tallies import HOUR, MINUTE, Tally, start_of
from .doctor import TONES
from .names import PAGE_NAMES, with_stats
from .page import PageContent, PageVisit


class ChartSpan(NamedTuple):
    """How far back the chart goes. One column stands for `unit` seconds."""

    unit: int
    seconds: int
    says: str
    time_format: str


SPANS = {
    "1h": ChartSpan(MINUTE, 3600, "in the last hour", "%H:%M"),
    "24h": ChartSpan(HOUR, 86_400, "in the last 24 hours", "%H:%M"),
    "7d": ChartSpan(HOUR, 7 * 86_400, "in the last 7 days", "%d %b %H:%M"),
}

WORST = 3
"""So many of the doctor's findings are shown: what somebody must do something about."""

ENDED = ("done", "dead", "cancelled")


NUMBERS = (
    ("ready", "queued"),
    ("running", "running"),
    ("scheduled", "queued"),
    ("parked", "queued"),
    ("dead", "dead"),
)
"""The fields of an `Overview`, and the state of the jobs that each counts."""


def overview(visit: PageVisit) -> PageContent:
    """Health, six numbers, what ended lately, and every name."""
    span, now = SPANS.get(visit.one("span"), SPANS["1h"]), visit.now
    model = visit.inspector.overview()
    with visit.place.store.snapshot() as seen:
        totals = None if seen.tallies is None else seen.tallies.totals(span.unit, now - span.seconds, now)
    chart = _chart(totals, span, now)
    numbers = [(name, getattr(model, name), visit.jobs_of(f"state:{state}")) for name, state in NUMBERS]
    first = model.names[:PAGE_NAMES]
    more = {
        "names": with_stats(visit, first),
        "has_more": len(model.names) > len(first),
        "numbers": numbers,
        "chart": chart,
        "spans": SPANS,
        "now": now,
    }
    more |= {"worst": visit.examined().worst(WORST), "tones": TONES}
    return PageContent("overview.html", "Overview", model, more)


def _chart(tallies: Sequence[Tally] | None, span: ChartSpan, now: float) -> dict[str, Any]:
    """The columns of the chart: a column for each unit, also where nothing happened."""
    if tallies is None:
        return {"span": span, "labels": (), "series": {}}
    first, last = start_of(span.unit, now - span.seconds), start_of(span.unit, now)
    starts = range(first, last + span.unit, span.unit)
    sums = {(tally.start, tally.kind): tally.n for tally in tallies}
    return {
        "span": span,
        "labels": [datetime.fromtimestamp(start, UTC).strftime(span.time_format) for start in starts],
        "series": {kind: [sums.get((start, kind), 0) for start in starts] for kind in ENDED},
    }
