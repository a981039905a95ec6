"""Signals in `lamplighter_steps`: how a turn, or a host's transaction, keeps one, and how a turn tells the latter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...errors import UsageError
from ...messages.jobs import Attribution, JobRecord
from ...messages.steps import SIGNAL, StepRecord
from ...rules.codec import decode, encode_own
from ...rules.lifecycle import awaited_signal
from ...rules.signals import signalled
from . import steps
from .database import Database, Statements
from .open_turn import OpenTurn

SIGNALS_MAX = 1_000
"""The most signals of one job that are kept."""


def send(
    connection: Statements, job: JobRecord, step: StepRecord, who: Attribution | None = None
) -> tuple[StepRecord, bool]:
    """Keep a signal, unless something has ended that wait; returns what is kept, and whether it is this. `who`, if no
    turn does it.
    """
    if (kept := steps.one(connection, job.row_id, step.name)) is not None:
        return kept, False
    query = "select count(*) from lamplighter_steps where job = ? and claim_no <= 0"
    if connection.execute(query, (job.row_id,)).fetchone()[0] >= SIGNALS_MAX:
        raise UsageError(f"expected at most {SIGNALS_MAX:,} signals of job {job.id}, got one more: {step.name!r}")
    row = step if who is None else step._replace(result=encode_own([step.result, *who]), claim_no=steps.UNTOLD)
    connection.execute(steps.INSERT, (job.row_id, *row))
    return step, True


def _take_untold(connection: Database, row_id: int) -> Sequence[tuple[StepRecord, Attribution]]:
    """The signals of a job that hosts' transactions have kept since a turn has last told of some."""
    query = f"{steps.OF_JOB} and claim_no = ? order by at, name"
    rows = list(map(StepRecord._make, connection.execute(query, (row_id, steps.UNTOLD))))
    told = [(steps.plain(row), Attribution(*decode(row.result)[1:])) for row in rows]
    update = "update lamplighter_steps set result = ?, claim_no = ? where job = ? and name = ?"
    connection.executemany(update, [(step.result, steps.SENT, row_id, step.name) for step, _ in told])
    return told


def tell(turn: OpenTurn, job: JobRecord, wake: Callable[[JobRecord, str], JobRecord]) -> JobRecord:
    """Log the signals of hosts' transactions to a job, and wake the job if it waits for one of them."""
    for step, who in _take_untold(turn.connection, job.row_id):
        told, line = signalled(job, step, who)
        turn.note(told)
        turn.news.append(("job.signalled", line))
        if awaited_signal(job) == (signal := step.name.removeprefix(SIGNAL)):
            job = wake(job, signal)
    return job
