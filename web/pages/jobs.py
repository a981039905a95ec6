"""Jobs that match a search, and one job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple
from urllib.parse import quote

from ...admin.views import JobPage, JobView
from ...messages.jobs import JobState
from ...rules.codec import decode
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


def jobs(visit: PageVisit) -> PageContent:
    text = visit.one("q")
    query = visit.search(text)
    with visit.searching() if text else nullcontext():
        found = visit.inspector.jobs(query, limit=PAGE_JOBS, after=visit.one("after") or None)
    more = {"query": text, "tabs": list(_tabs(visit, text))}
    return PageContent("jobs.html", "Jobs", found, more)


def job(visit: PageVisit) -> PageContent:
    found = visit.inspector.job(visit.rest)
    job = found.job
    more = {
        "is_open": job.state in (JobState.QUEUED, JobState.RUNNING),
        "state_now": JobState(job.state),
        "ways_gone": set(_ways(found)),
        "facts": list(_facts(job)),
        "notices": visit.notices,
        "trace_link": _trace_link(visit),
    }
    return PageContent("job.html", job.id, found, more)


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


def _tabs(visit: PageVisit, text: str) -> Iterator[Tab]:
    words = [word for word in text.split() if not word.startswith("state:")]
    here = next((word.partition(":")[2] for word in text.split() if word.startswith("state:")), None)
    yield Tab("all", visit.jobs_of(" ".join(words)), here is None)
    for state in JobState:
        yield Tab(state.value, visit.jobs_of(" ".join([*words, f"state:{state.value}"])), here == state.value)


def _facts(job: JobView) -> Iterator[Fact]:
    yield Fact("queued", job.queued_at, True)
    yield Fact("due", job.run_at, True)
    for name, instant in (("claimed", job.claimed_at), ("ended", job.ended_at), ("expires", job.expires_at)):
        if instant is not None:
            yield Fact(name, instant, True)
    yield Fact("attempts", f"{job.attempt}" if job.max_attempts is None else f"{job.attempt} of {job.max_attempts}")
    yield Fact("claims", job.claim_no)
    yield Fact("priority", job.priority)
    if job.group is not None:
        yield Fact("group", job.group)
    if job.debounce is not None:
        yield Fact("debounce key", job.debounce)
    if job.unique is not None:
        yield Fact("unique key", job.unique)


def _trace_link(visit: PageVisit) -> str | None:
    """Where the trace is shown that a carrier has given a job (https://www.w3.org/TR/trace-context/)."""
    if visit.trace_url is None:
        return None
    with visit.inspector.store.snapshot() as seen:
        record = seen.jobs.known((visit.rest,)).get(visit.rest)
    carried = {} if record is None or record.carried is None else decode(record.carried)
    parts = str(carried.get("traceparent", "")).split("-")
    return visit.trace_url.replace("{trace_id}", quote(parts[1], safe="")) if len(parts) == 4 else None
