"""Rows of `lamplighter_steps`: results of steps, and signals, kept until their job is done."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ...messages.jobs import JobRecord
from ...messages.steps import SIGNAL, StepMark, StepRecord, StepsSeen
from ...rules.codec import decode, encode_own
from ..turn_ports import KeptNow
from .database import Database, Statements
from .open_turn import OpenTurn, TurnPart

STEPS = """
create table lamplighter_steps (
  job integer not null, name text not null, result text not null, claim_no integer not null, at real not null,
  primary key (job, name)
) strict, without rowid
"""
"""`job` is the job's `row_id`: an id may be used again, a `row_id` may not."""

INSERT = "insert into lamplighter_steps (job, name, result, claim_no, at) values (?, ?, ?, ?, ?)"

OF_JOB = "select name, result, claim_no, at from lamplighter_steps where job = ?"

SENT = 0
"""The `claim_no` of a signal."""

KEPT_BY = "max(claim_no, -1 - claim_no)"
"""The claim that has kept a step. A step or signal of a host's transaction that no turn has told has -1 less that
there, and more in its `result`: how long the step took, or who has sent the signal.
"""


class TableSteps(TurnPart):
    def keep(self, claimed: JobRecord, name: str, result: str) -> KeptNow | None:
        # After a store has gone back, another boot's claim may have the same number.
        current = self._connection.execute(
            """select rev from lamplighter_jobs where no = ? and claim_no = ? and boot = ? and state = 'running'
               /*pg for share */""",
            (*claimed.key, claimed.boot),
        ).fetchone()
        if current is None:
            return None
        step = StepRecord(name, result, claimed.claim_no, self._turn.now)
        inserted = self._connection.execute(f"{INSERT} on conflict do nothing", (claimed.row_id, *step))
        self._turn.has_steps = True
        if inserted.rowcount == 1:
            return KeptNow(step, abs(current[0]), is_new=True)
        kept = one(self._connection, claimed.row_id, name)
        assert kept is not None, "the insert has found it"
        return KeptNow(kept, abs(current[0]), is_new=False)

    def send(self, job: JobRecord, signal: str, data: str) -> tuple[StepRecord, bool]:
        # Imported where it is needed: most applications send none.
        from .signals import send

        self._turn.has_steps = True
        return send(self._connection, job, StepRecord(SIGNAL + signal, data, SENT, self._turn.now))

    def sent(self, job: JobRecord, signal: str) -> StepRecord | None:
        # A signal is sent by now, or its sender finds the job as this turn leaves it.
        self._turn.lock("select 1 from lamplighter_jobs where no = ? /*pg for no key update */", (job.row_id,))
        return one(self._connection, job.row_id, SIGNAL + signal)

    def remove(self, job: JobRecord) -> int:
        # Also those that another turn has kept since this one began.
        return self._connection.execute("delete from lamplighter_steps where job = ?", (job.row_id,)).rowcount


def remove(turn: OpenTurn, jobs: Collection[int]) -> int:
    """Remove all steps of jobs, by `row_id`; returns how many. Costs nothing in a store without steps."""
    if not turn.has_steps:
        return 0
    rows = [(row_id,) for row_id in jobs]
    return turn.connection.executemany("delete from lamplighter_steps where job = ?", rows).rowcount


def untold(step: StepRecord, *more: Any) -> StepRecord:
    return step._replace(result=encode_own([step.result, *more]), claim_no=-1 - step.claim_no)


def plain(row: StepRecord) -> StepRecord:
    return row._replace(result=decode(row.result)[0], claim_no=-1 - row.claim_no) if row.claim_no < 0 else row


def one(connection: Statements, row_id: int, name: str) -> StepRecord | None:
    row = connection.execute(f"{OF_JOB} and name = ?", (row_id, name)).fetchone()
    return None if row is None else plain(StepRecord._make(row))


def read(connection: Database, row_id: int) -> Sequence[StepRecord]:
    rows = connection.execute(f"{OF_JOB} order by {KEPT_BY}, at, name", (row_id,))
    return [plain(StepRecord._make(row)) for row in rows]


def seen(connection: Database, row_id: int, most: int) -> StepsSeen:
    ((count,),) = connection.execute("select count(*) from lamplighter_steps where job = ?", (row_id,)).fetchall()
    newest = connection.execute(
        f"""select name, length(result), {KEPT_BY}, at from lamplighter_steps where job = ?
            order by {KEPT_BY} desc, at desc, name desc limit ?""",
        (row_id, most),
    ).fetchall()
    return StepsSeen(count, [StepMark(*row) for row in newest[::-1]])
