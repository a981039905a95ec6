"""Jobs that match a search, and one job."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import quote

from ...admin.views import JobPage, JobView
from ...messages.jobs import Instant, JobState
from ...messages.queries import JobQuery
from ...rules.codec import decode
from ...rules.new_jobs import KEPT_OPTIONS
from ...rules.wording import span
from ..faces.http import Response, redirect
from .page import PageContent, PageVisit

PAGE_JOBS = 50


class Fact(NamedTuple):
    name: str
    value: Any
    is_instant: bool = False


class Tab(NamedTuple):
    name: str
    link: str
    is_here: bool
    amount: object = ""


NAMES_OFFERED_MAX = 200

RUNNING_REFRESH_SECONDS = 2

AGES = {"<15m": "15 minutes", "<1h": "hour", "<1d": "day", "<7d": "week"}
"""How long ago jobs were queued, as the language and the form say it."""


def jobs(visit: PageVisit) -> PageContent | Response:
    text = _asked(visit)
    query = visit.search(text)
    if not FIELDS.isdisjoint(visit.request.asked()) and visit.one("as") != "json":
        # The address that people pass on has the search in the language, and no empty fields.
        return redirect(visit.jobs_of(text))
    with visit.searching() if text else nullcontext():
        found = visit.inspector.jobs(query, limit=PAGE_JOBS, after=visit.one("after") or None)
    rest, fields = _fields(visit, text)
    with visit.inspector.store.snapshot() as seen:
        names = [] if seen.table is None else seen.table.names("", NAMES_OFFERED_MAX)
    more = {"query": text, "rest": rest, "fields": fields, "names": names, "ages": AGES, "states": list(JobState)}
    return PageContent("jobs.html", "Jobs", found, {**more, "tabs": list(_tabs(visit, text, query))})


FIELDS = frozenset({"name", "state", "group", "error", "queued"})


def _asked(visit: PageVisit) -> str:
    """The search, in the language, of the box and the fields beside it."""
    state, age = visit.one("state"), visit.one("queued")
    chosen = JobQuery(
        names=(visit.one("name"),) if visit.one("name") else (),
        states=(JobState(state),) if state else (),
        error=visit.one("error") or None,
        group=visit.one("group") or None,
    )
    terms = [visit.one("q"), str(chosen), f"queued:{age}" if age in AGES else ""]
    return " ".join(filter(None, terms))


def _fields(visit: PageVisit, text: str) -> tuple[str, dict[str, str]]:
    """A search as the box and the fields beside it show it: a term that a field can show is not in the box."""
    rest, fields = text, dict.fromkeys(FIELDS, "")
    for field in fields:
        term = re.compile(rf'(?<!\S){field}:("(?:[^"\\]|\\.)*"|\S+)(?!\S)')
        found = term.findall(rest)
        if len(found) != 1 or (field == "queued" and found[0] not in AGES):
            continue
        query = visit.search(f"{field}:{found[0]}")
        values = {"name": query.names, "state": query.states, "group": (query.group,), "error": (query.error,)}
        fields[field] = found[0] if field == "queued" else str(values[field][0])
        rest = " ".join(term.sub(" ", rest).split())
    return rest, fields


def job(visit: PageVisit) -> PageContent:
    found = visit.inspector.job(visit.rest)
    job = found.job
    more = {
        "is_open": job.state in (JobState.QUEUED, JobState.RUNNING),
        "state_now": JobState(job.state),
        "ways_gone": set(_ways(found)),
        "facts": list(_facts(job)),
        "lasted": _lasted(job, found.at),
        "notices": visit.notices,
        "trace_link": _trace_link(visit),
    }
    # The lines that a running job logs are not in the store.
    every = RUNNING_REFRESH_SECONDS if job.state == JobState.RUNNING else None
    return PageContent("job.html", job.id, found, more, refresh_seconds=every)


def _ways(page: JobPage) -> Iterator[tuple[JobState, JobState]]:
    """The transitions that a job has made."""
    job, state = page.job, JobState(page.job.state)
    outcomes = {one.claim_no: one.outcome for one in page.attempts or ()}
    was_queued = not job.claim_no or (state == JobState.CANCELLED and outcomes.get(job.claim_no) != "cancelled")
    if job.claim_no:
        yield JobState.QUEUED, JobState.RUNNING
    if job.claim_no > 1 or (job.claim_no and (was_queued or state == JobState.QUEUED)):
        yield JobState.RUNNING, JobState.QUEUED
    yield JobState.QUEUED if was_queued else JobState.RUNNING, state


def _tabs(visit: PageVisit, text: str, query: JobQuery) -> Iterator[Tab]:
    """The states of jobs. Counts are those of a name or of all: those of other searches would take as many searches."""
    words = [word for word in text.split() if not word.startswith("state:")]
    here = next((word.partition(":")[2] for word in text.split() if word.startswith("state:")), None)
    is_counted = replace(query, names=(), states=()) == JobQuery() and len(query.names) <= 1
    counts = visit.inspector.counts(*query.names).of if is_counted else {}
    yield Tab("all", visit.jobs_of(" ".join(words)), here is None)
    for state in JobState:
        link = visit.jobs_of(" ".join([*words, f"state:{state.value}"]))
        yield Tab(state.value, link, here == state.value, counts.get(state.value, ""))


def _lasted(job: JobView, now: Instant) -> str:
    """How long a job waited for its last attempt, and how long that took."""
    if job.claimed_at is None or job.boot is None:
        return f"has been due for {span(now - job.run_at)}" if job.run_at <= now and job.ended_at is None else ""
    waited = span(max(0.0, job.claimed_at - job.run_at))
    ran = span(max(0.0, (now if job.ended_at is None else job.ended_at) - job.claimed_at))
    return f"waited {waited}, {'has run for' if job.ended_at is None else 'ran'} {ran}"


def _facts(job: JobView) -> Iterator[Fact]:
    yield Fact("queued", job.queued_at, True)
    yield Fact("due", job.run_at, True)
    for name, instant in (("claimed", job.claimed_at), ("ended", job.ended_at), ("expires", job.expires_at)):
        if instant is not None:
            yield Fact(name, instant, True)
    yield Fact("attempts", f"{job.attempt}" if job.max_attempts is None else f"{job.attempt} of {job.max_attempts}")
    yield Fact("claims", job.claim_no)
    for option in KEPT_OPTIONS:
        if option != "max_attempts" and (value := getattr(job, option)) is not None:
            yield Fact(option, span(value) if option == "timeout" else value)
    if job.debounce is not None:
        yield Fact("debounce", job.debounce)


def _trace_link(visit: PageVisit) -> str | None:
    """Where the trace is shown that a carrier has given a job (https://www.w3.org/TR/trace-context/)."""
    if visit.trace_url is None:
        return None
    with visit.inspector.store.snapshot() as seen:
        record = seen.jobs.known((visit.rest,)).get(visit.rest)
    carried = {} if record is None or record.carried is None else decode(record.carried)
    parts = str(carried.get("traceparent", "")).split("-")
    return visit.trace_url.replace("{trace_id}", quote(parts[1], safe="")) if len(parts) == 4 else None
