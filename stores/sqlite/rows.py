"""What is read of a SQLite store outside of turns."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager

from ...messages.jobs import Attempt, Instant, JobRecord, JobState
from ...messages.schedules import ScheduleRecord
from ..ports import Before, Outlook, Slots
from . import attempts, before, due
from .job_rows import jobs_by_id
from .schedules import slot_entry

Reading = Callable[[], AbstractContextManager[sqlite3.Connection]]
"""Lends a connection to read with."""


class JobRows:
    """The `JobReader` and the `JobTable` of a file."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def known(self, job_ids: Collection[str]) -> dict[str, JobRecord]:
        with self._reading() as reader:
            return jobs_by_id(reader, job_ids)

    def outlook(self, names: Collection[str], now: Instant) -> Outlook:
        with self._reading() as reader:
            return due.outlook(reader, names, now)

    def counts(self, name: str | None) -> dict[str, int]:
        query = "select state, count(*) from lamplighter_jobs where :name is null or name = :name group by state"
        with self._reading() as reader:
            found = dict(reader.execute(query, {"name": name}).fetchall())
        return {state.value: found.get(state.value, 0) for state in JobState}

    def paused(self) -> tuple[str, ...]:
        with self._reading() as reader:
            return tuple(row[0] for row in reader.execute("select name from lamplighter_pauses order by name"))

    def list(self, *, name: str | None, state: str | None, limit: int, before: JobRecord | None) -> Sequence[JobRecord]:
        query = """select * from lamplighter_jobs
                   where (:name is null or name = :name) and (:state is null or state = :state)
                     and (:before is null or no < :before)
                   order by no desc limit :limit"""
        values = {"name": name, "state": state, "before": None if before is None else before.no, "limit": limit}
        with self._reading() as reader:
            return [JobRecord._make(row) for row in reader.execute(query, values)]

    def dead(self, name: str | None) -> Sequence[str]:
        query = "select id from lamplighter_jobs where state = 'dead' and (:name is null or name = :name) order by no"
        with self._reading() as reader:
            return [job_id for (job_id,) in reader.execute(query, {"name": name})]

    def before(self, job: JobRecord, now: Instant, most: int) -> Before:
        with self._reading() as reader:
            return before.before(reader, job, now, most)

    def attempts(self, job_id: str) -> Sequence[Attempt]:
        with self._reading() as reader:
            return attempts.read(reader, job_id)


class ScheduleRows:
    """The `ScheduleReader` of a file."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def all(self) -> Sequence[ScheduleRecord]:
        with self._reading() as reader:
            return list(map(ScheduleRecord._make, reader.execute("select * from lamplighter_schedules order by id")))

    def one(self, schedule_id: str) -> ScheduleRecord | None:
        with self._reading() as reader:
            row = reader.execute("select * from lamplighter_schedules where id = ?", (schedule_id,)).fetchone()
        return None if row is None else ScheduleRecord._make(row)

    def changed(self, since: int, limit: int) -> Sequence[ScheduleRecord]:
        query = "select * from lamplighter_schedules where change_no > ? order by change_no limit ?"
        with self._reading() as reader:
            return list(map(ScheduleRecord._make, reader.execute(query, (since, limit))))

    def slots(self, schedule_id: str, start: Instant, end: Instant) -> Slots:
        query = """select * from lamplighter_slots
                   where schedule_id = ? and last >= ? and slot < ? order by slot"""
        with self._reading() as reader:
            return Slots(list(map(slot_entry, reader.execute(query, (schedule_id, start, end)))), since=0.0)
