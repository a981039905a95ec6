"""All that a store keeps in tables, read for an audit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Self

from ...messages.boots import BootRecord
from ..stored_lives import StoredJob, StoredSlots
from .boots import read_boots
from .database import Database
from .schema import stored_id

READ_AHEAD = 5_000

JOBS = """select id, name, state, claim_no, attempt, rev, data, case when due_in is null then run_at end, no
          from lamplighter_jobs where no > ? order by no limit ?"""

SLOTS = "select schedule_id, slot, last, count, outcome, job_id from lamplighter_slots order by schedule_id, slot"


class TableLives:
    """A `StoredLives`.

    Args:
        connection: in a transaction, if all that is read is to belong to one instant.
        close: releases the connection.
    """

    def __init__(self, connection: Database, close: Callable[[], None] = lambda: None) -> None:
        self._connection = connection
        self.close = close

    def store_id(self) -> str:
        return stored_id(self._connection)

    def boot_no(self) -> int:
        return int(self._connection.execute("select boots from lamplighter_store").fetchone()[0])

    def boots(self) -> list[BootRecord]:
        return read_boots(self._connection)

    def jobs(self) -> Iterator[StoredJob]:
        last = 0
        while rows := self._connection.execute(JOBS, (last, READ_AHEAD)).fetchall():
            yield from (StoredJob._make(row[:-1]) for row in rows)
            last = rows[-1][-1]

    def slots(self) -> Iterator[StoredSlots]:
        return (StoredSlots(*row) for row in self._connection.execute(SLOTS))

    def steps(self) -> Iterator[tuple[str, str]]:
        yield from self._connection.execute(
            "select id, s.name from lamplighter_steps s join lamplighter_jobs j on j.no = s.job"
        )

    def accounted(self) -> dict[str, float]:
        return dict(self._connection.execute("select id, accounted_to from lamplighter_schedules"))

    def orphans(self) -> Iterator[tuple[str, str | None]]:
        yield from self._connection.execute(
            """select id, boot from lamplighter_jobs
               where state = 'running' and deferred = 0
                 and (boot is null or boot not in (select boot from lamplighter_boots))"""
        )

    def left_waiting(self) -> Iterator[str]:
        rows = self._connection.execute(
            """select id from lamplighter_jobs j where state = 'queued' and waits = 2 and rev > 0 and not exists (
                 select 1 from lamplighter_links l join lamplighter_jobs p on p.no = l.parent
                 where l.child = j.no
                   and (p.state = 'queued' or p.state = 'running' or p.rev <= 0
                     or exists (select 1 from lamplighter_parents_to_check where parent = p.no)))"""
        )
        yield from (str(row[0]) for row in rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
