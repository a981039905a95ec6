"""All jobs, slots or tallies of a store, one after the other. Each read is bounded and short, so that writers are not
held up. A change meanwhile is seen before or after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..messages.jobs import Instant, JobRecord, JobState
from ..messages.queries import LOOKED_MAX, JobQuery
from ..messages.schedules import ScheduleRecord
from ..messages.steps import SIGNAL, WAIT
from ..messages.tallies import EVER, Tally, start_of
from ..rules.capabilities import needed
from ..stores.ports import Readable
from .finding import find
from .views import JobView, Payload, job_view, like, payload

READ_AT_ONCE = 500
"""How many jobs or schedules are in memory at a time: one job may have a megabyte."""

SLOTS_SECONDS = 6 * 3600.0
"""The span of a schedule's slots that one read takes."""

TALLIES_AT_ONCE = 10
"""The span of the tallies that one read takes, in minutes or hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRow:
    """A slot with its job, or a range of slots that did not fire.

    Attributes:
        schedule: the id of the schedule, which has this `key` and queues jobs of this `name`.
        slot, last: the first and the last of the range, which is of `count` slots.
    """

    schedule: str
    key: str | None
    name: str
    slot: Instant
    last: Instant
    count: int
    outcome: str
    reason: str | None
    job_id: str | None


KINDS = {WAIT: "wait", SIGNAL: "signal"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A kept step of a job, the end of the time of a wait, or what has ended a wait.

    Attributes:
        kind: `step`, `wait`, `signal`, or `no signal` where the time of a wait was over.
        claim_no: which claim has kept it; 0 for a signal.
    """

    job_id: str
    job_name: str
    kind: str
    name: str
    claim_no: int
    at: Instant
    result: Payload


def all_jobs(store: Readable, query: JobQuery, *, shows_data: bool) -> Iterator[JobView]:
    """The jobs that match, in the order of `JobTable.find`, without why they wait.

    Raises:
        NotSupported: the store keeps no table of jobs, and the query is not for dead ones.
    """
    return (job_view(job, None, shows_data=shows_data) for job in _records(store, query))


def _records(store: Readable, query: JobQuery) -> Iterator[JobRecord]:
    # Without conditions every examined job matches.
    looked_max, after = READ_AT_ONCE if query == JobQuery() else LOOKED_MAX, None
    while True:
        with store.snapshot() as seen:
            found = find(seen, query, limit=READ_AT_ONCE, after=after, looked_max=looked_max)
        yield from found.jobs
        after = found.next
        if after is None:
            return


def all_steps(store: Readable, query: JobQuery, *, shows_data: bool) -> Iterator[StepRow]:
    """The kept steps, signals and waits of the jobs that match. A job that is done has none."""
    for job in _records(store, query):
        if job.state == JobState.DONE:
            continue
        with store.snapshot() as seen:
            kept = () if seen.table is None else seen.table.steps(job.row_id)
        for one in kept:
            kind = next((kind for begin, kind in KINDS.items() if one.name.startswith(begin)), "step")
            name = one.name if kind == "step" else one.name.partition(":")[2]
            if kind == "signal" and one.claim_no > 0:
                kind = "no signal"
            yield StepRow(
                job_id=job.id,
                job_name=job.name,
                kind=kind,
                name=name,
                claim_no=max(one.claim_no, 0),
                at=one.at,
                result=payload(one.result, is_shown=shows_data),
            )


def all_slots(store: Readable, schedule_id: str | None, since: Instant, until: Instant) -> Iterator[SlotRow]:
    """The slots that the store remembers from `since` to `until`, of one schedule or all, by their ids."""
    for record in _schedules(store, schedule_id):
        start = since
        while start < until:
            end = min(start + SLOTS_SECONDS, until)
            with store.snapshot() as seen:
                entries = seen.schedules.slots(record.id, start, end).entries
            for entry in entries:
                # A range that began before is in the previous read.
                if entry.slot >= start or start == since:
                    yield like(SlotRow, entry, schedule=record.id, key=record.key, name=record.name)
            start = end


def all_tallies(store: Readable, span: int, since: Instant, until: Instant, name: str | None) -> Iterator[Tally]:
    """The sums of minutes, of hours, or of ever, in order, of one name or all.

    Raises:
        NotSupported: the store keeps none.
    """
    start: Instant = start_of(span, since)
    step = math.inf if span == EVER else span * TALLIES_AT_ONCE
    while start <= until:
        # The one at the start of the next read comes then.
        last = min(start + step - span, until)
        with store.snapshot() as seen:
            tallies = needed(seen.tallies, "tallies").between(span, start, last, name)
        yield from tallies
        start += step


def _schedules(store: Readable, schedule_id: str | None) -> Iterator[ScheduleRecord]:
    after = ""
    while True:
        with store.snapshot() as seen:
            if schedule_id is not None:
                some = [one for one in (seen.schedules.one(schedule_id),) if one is not None]
            else:
                some = list(seen.schedules.some(None, after, READ_AT_ONCE))
        yield from some
        if len(some) < READ_AT_ONCE:
            return
        after = some[-1].id
