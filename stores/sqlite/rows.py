"""Reads of a SQLite store outside of turns."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ...messages.jobs import Attempt, Instant, JobRecord, JobState, Seconds
from ...messages.names import PauseRecord
from ...messages.queries import LOOKED_MAX, CappedCounts, Census, Found, JobQuery
from ...messages.schedules import ScheduleRecord, SlotEntry
from ...messages.steps import StepRecord, StepsSeen
from ...rules.queries import place_at
from ..ports import DependencyStatus, DueCheck, GoneParent, QueuePosition, Slots
from . import attempts, census, due, finding, links, pauses, queue_position, steps
from .finding import at_one_instant
from .job_rows import jobs_by_id
from .schedule_changes import schedule_as_changed, schedules_as_changed

READ_AHEAD = 5_000

Reading = Callable[[], AbstractContextManager[sqlite3.Connection]]


class JobRows:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def known(self, job_ids: Collection[str]) -> dict[str, JobRecord]:
        with self._reading() as reader:
            return jobs_by_id(reader, job_ids)

    def outlook(self, names: Collection[str], now: Instant) -> DueCheck:
        with self._reading() as reader:
            return due.outlook(reader, names, now)

    def counts(self, name: str | None, seconds_max: Seconds | None = None) -> dict[str, int]:
        query = "select state, count(*) from lamplighter_jobs where :name is null or name = :name group by state"
        with self._reading() as reader:
            found = dict(reader.execute(query, {"name": name}).fetchall())
        return {state.value: found.get(state.value, 0) for state in JobState}

    def pauses(self) -> Sequence[PauseRecord]:
        with self._reading() as reader:
            return pauses.read(reader)

    def find(self, query: JobQuery, *, limit: int, after: str | None = None, looked_max: int = LOOKED_MAX) -> Found:
        with self._reading() as reader:
            return finding.find(reader, query, limit=limit, after=place_at(after), looked_max=looked_max)

    def sweep(self, query: JobQuery) -> Iterator[Sequence[str]]:
        for one in finding.parts(query):
            with self._reading() as reader:
                after, last = None, finding.newest(reader, one, LOOKED_MAX)
            while last is not None:
                with self._reading() as reader:
                    look = finding.following(reader, one, after, last, limit=READ_AHEAD, looked_max=LOOKED_MAX)
                if look.places:
                    yield [place.id for place in look.places]
                after = look.places[-1] if len(look.places) == READ_AHEAD else look.edge
                if after is None:
                    break

    def census(self, names: Collection[str], cap: int, now: Instant) -> dict[str, Census]:
        with self._reading() as reader, at_one_instant(reader):
            return census.census(reader, names, cap, now)

    def capped_counts(self, name: str | None, cap: int) -> CappedCounts:
        with self._reading() as reader, at_one_instant(reader):
            return census.counts(reader, name, cap)

    def names(self, first: str = "", limit: int | None = None) -> Sequence[str]:
        with self._reading() as reader, at_one_instant(reader):
            return census.names(reader, first, limit)

    def due_names(self, now: Instant, limit: int) -> Sequence[str]:
        with self._reading() as reader, at_one_instant(reader):
            return census.due_names(reader, now, limit)

    def children(self, root_id: str, limit: int) -> Sequence[JobRecord]:
        with self._reading() as reader:
            return census.children(reader, root_id, limit)

    def before(self, job: JobRecord, now: Instant, most: int) -> QueuePosition:
        with self._reading() as reader:
            return queue_position.before(reader, job, now, most)

    def parents(self, row_id: int, after: int, limit: int) -> Sequence[JobRecord]:
        with self._reading() as reader:
            return links.parents(reader, row_id, after, limit)

    def gone_parents(self, row_id: int, limit: int) -> Sequence[GoneParent]:
        with self._reading() as reader:
            return links.gone_parents(reader, row_id, limit)

    def linked(self, row_id: int, limit: int) -> Sequence[JobRecord]:
        with self._reading() as reader:
            return links.children(reader, row_id, limit)

    def awaited(self, row_id: int, most: int) -> DependencyStatus:
        with self._reading() as reader, at_one_instant(reader):
            return links.awaited(reader, row_id, most)

    def attempts(self, job_id: str) -> Sequence[Attempt]:
        with self._reading() as reader:
            return attempts.read(reader, job_id)

    def steps(self, row_id: int) -> Sequence[StepRecord]:
        with self._reading() as reader:
            return steps.read(reader, row_id)

    def steps_seen(self, row_id: int, most: int) -> StepsSeen:
        with self._reading() as reader, at_one_instant(reader):
            return steps.seen(reader, row_id, most)


class ScheduleRows:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def all(self) -> Sequence[ScheduleRecord]:
        with self._reading() as reader, at_one_instant(reader):
            return schedules_as_changed(reader)

    def some(self, name: str | None, after: str, limit: int) -> Sequence[ScheduleRecord]:
        with self._reading() as reader, at_one_instant(reader):
            return schedules_as_changed(reader, name, after, limit)

    def one(self, schedule_id: str) -> ScheduleRecord | None:
        with self._reading() as reader, at_one_instant(reader):
            return schedule_as_changed(reader, schedule_id)

    def changed(self, since: int, limit: int) -> Sequence[ScheduleRecord]:
        query = "select * from lamplighter_schedules where change_no > ? order by change_no limit ?"
        with self._reading() as reader:
            return list(map(ScheduleRecord._make, reader.execute(query, (since, limit))))

    def slots(self, schedule_id: str, start: Instant, end: Instant) -> Slots:
        query = """select * from lamplighter_slots
                   where schedule_id = ? and last >= ? and slot < ? order by slot"""
        with self._reading() as reader:
            return Slots(list(map(slot_entry, reader.execute(query, (schedule_id, start, end)))), since=0.0)


def slot_entry(row: tuple[Any, ...]) -> SlotEntry:
    schedule_id, slot, last, count, outcome, reason, job_id = row
    return SlotEntry(
        schedule_id=schedule_id, slot=slot, last=last, count=count, outcome=outcome, reason=reason, job_id=job_id
    )
