"""Signals in `lamplighter_steps`, and what hosts' transactions have kept there: how a turn tells of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...errors import UsageError
from ...messages.jobs import Attribution, JobRecord
from ...messages.steps import SIGNAL, StepRecord
from ...rules.codec import decode
from ...rules.lifecycle import awaited_signal
from ...rules.signals import signalled, stepped
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
    query = "select count(*) from lamplighter_steps where job = ? and claim_no in (0, -1)"
    if connection.execute(query, (job.row_id,)).fetchone()[0] >= SIGNALS_MAX:
        raise UsageError(f"expected at most {SIGNALS_MAX:,} signals of job {job.id}, got one more: {step.name!r}")
    row = step if who is None else steps.untold(step, *who)
    connection.execute(steps.INSERT, (job.row_id, *row))
    return step, True


def _take_untold(connection: Database, row_id: int) -> Sequence[tuple[StepRecord, Sequence[Any]]]:
    """The steps and signals of a job that hosts' transactions have kept since a turn has last told of some."""
    rows = list(
        map(StepRecord._make, connection.execute(f"{steps.OF_JOB} and claim_no < 0 order by at, name", (row_id,)))
    )
    told = [(steps.plain(row), decode(row.result)[1:]) for row in rows]
    update = "update lamplighter_steps set result = ?, claim_no = ? where job = ? and name = ?"
    connection.executemany(update, [(step.result, step.claim_no, row_id, step.name) for step, _ in told])
    return told


def tell(turn: OpenTurn, job: JobRecord, wake: Callable[[JobRecord, str], JobRecord]) -> JobRecord:
    """Log the steps and signals of a job in hosts' transactions, and wake the job if it waits for one of them."""
    for step, more in _take_untold(turn.connection, job.row_id):
        if step.claim_no != steps.SENT:
            told, line = stepped(job, step.name, step.result, job.move_no, *more, boot=turn.boot)
            turn.note(told)
            turn.news.append(("job.stepped", line))
            continue
        told, line = signalled(job, step, Attribution(*more))
        turn.note(told)
        turn.news.append(("job.signalled", line))
        if awaited_signal(job) == (signal := step.name.removeprefix(SIGNAL)):
            job = wake(job, signal)
    return job
