"""The writes of an application in its own transaction, on its own connection to the store's database.

Its jobs are marked as uncounted (`move_no`), its changes of schedules lie apart, and neither is logged: the broker's
next turn counts and carries them out. A rollback leaves nothing.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...messages.jobs import Attribution, Instant, JobRecord, JobState, NewJob, Seconds
from ...messages.outcomes import Outcome, Verdict
from ...messages.schedules import HostChange, ScheduleRecord
from ...messages.steps import SIGNAL, StepRecord
from ...rules.validation import unknown_parent
from ..transitions import LET_GO, UNCOUNTED, born, ending, finished, is_replaced_by, replaced
from ..troubles import TRIES_MAX
from . import host_follow_ups, links, steps
from .database import Statements
from .job_rows import WHOLE, KeptOut, changed, in_batches, insert_uncounted, stored_twins, update
from .schedule_changes import insert_change, schedule_as_changed

FIND = f"select {WHOLE} from lamplighter_jobs where id = ? /*pg for no key update*/"

# An application may stay in its transaction for minutes, and must not hold up the ends of parents. The turn that counts
# the child looks at them again.
PARENTS = "select id from lamplighter_jobs where id in ({places}) order by no /*pg for key share*/"


class TableHostTurn:
    """A `HostTurn` on tables."""

    def __init__(self, statements: Statements, now: Instant) -> None:
        self._statements = statements
        self._now = now

    def insert(self, job: NewJob) -> tuple[JobRecord, bool]:
        if not job.parents:
            return self._insert(job)
        ids = [one.job_id for one in job.parents]
        known = {row[0] for row in in_batches(self._statements, PARENTS, ids)}
        if missing := [job_id for job_id in ids if job_id not in known]:
            raise unknown_parent(missing[0])
        with self.wholly():
            return self._insert(job)

    def _insert(self, job: NewJob) -> tuple[JobRecord, bool]:
        for tries_left in range(TRIES_MAX, 0, -1):
            row_id = insert_uncounted(self._statements, job)
            if row_id is not None:
                if job.parents:
                    links.tie(self._statements, row_id, job.parents, links.TIE_BESIDE)
                return born(job, row_id, move_no=UNCOUNTED), True
            (twin,) = stored_twins(self._statements, (job,))
            if twin is None:
                # Where others write at the same time, the twin may have ended since.
                if tries_left == 1:
                    raise KeptOut(1)
                continue
            if not is_replaced_by(twin, job):
                return twin, False
            return self._move(twin, JobState.QUEUED.value, replaced(twin, job)), True
        raise AssertionError("the last try has returned or raised")

    @contextlib.contextmanager
    def wholly(self) -> Iterator[None]:
        self._statements.execute("savepoint lamplighter")
        try:
            yield
        except BaseException:
            if self._is_in_transaction():
                self._statements.execute("rollback to lamplighter")
                self._statements.execute("release lamplighter")
            raise
        self._statements.execute("release lamplighter")

    def _is_in_transaction(self) -> bool:
        return True

    def find(self, job_id: str) -> JobRecord | None:
        row = self._statements.execute(FIND, (job_id,)).fetchone()
        return None if row is None else JobRecord._make(row)

    def settle(self, claimed: JobRecord, outcome: Outcome, verdict: Verdict) -> None:
        self._move(claimed, verdict.state.value, ending(claimed, outcome, verdict, self._now))

    def finish(self, job: JobRecord, result: str | None) -> None:
        self._move(job, JobState.DONE.value, {**finished(result, self._now), **LET_GO})

    def send(self, job: JobRecord, signal: str, data: str, who: Attribution) -> tuple[StepRecord, bool]:
        from .signals import send

        kept, is_new = send(self._statements, job, StepRecord(SIGNAL + signal, data, steps.SENT, self._now), who)
        if is_new:
            self._move(job, job.state, {})
        return kept, is_new

    def keep(self, claimed: JobRecord, name: str, result: str, took: Seconds) -> None:
        row = steps.untold(StepRecord(name, result, claimed.claim_no, self._now), took)
        self._statements.execute(steps.INSERT, (claimed.row_id, *row))
        self._move(claimed, claimed.state, {})

    def follow(self, ended: JobRecord, born: Sequence[JobRecord]) -> None:
        host_follow_ups.note(self._statements, ended, born)

    def schedule(self, schedule_id: str) -> ScheduleRecord | None:
        return schedule_as_changed(self._statements, schedule_id)

    def change_schedule(self, change: HostChange) -> None:
        insert_change(self._statements, change)

    def _move(self, before: JobRecord, state: str, changes: dict[str, Any]) -> JobRecord:
        # A job that was moved before, and not counted since, has such a `move_no` already.
        changes = {**changes, "state": state, "move_no": -abs(before.move_no)}
        update(self._statements, before, changes)
        return changed(before, tuple(changes), changes.values())


def driver_connection(connection: Any, is_driver: Callable[[Any], object]) -> Any:
    """The driver's connection inside SQLAlchemy's and Django's objects, found by shape: no dependencies. None if there
    is none.
    """
    for _ in range(5):
        if is_driver(connection):
            return connection
        # SQLAlchemy's Connection begins its transaction at the first statement that it sees, and it does not see ours:
        # without this its commit() would do nothing, and the job would be rolled back.
        if callable(getattr(connection, "in_transaction", None)) and not connection.in_transaction():
            connection.begin()
        # Django's connection may be closed between transactions.
        if callable(ensure := getattr(connection, "ensure_connection", None)):
            ensure()
        inner = getattr(connection, "driver_connection", None)
        if inner is None:
            # A method of a Session. A sqlite3.Connection is callable too, and must not be called.
            inner = getattr(connection, "connection", None)
            inner = inner() if inspect.ismethod(inner) else inner
        connection = inner
    return None
