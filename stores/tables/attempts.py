"""Rows of `lamplighter_attempts`: the ended claims of a job that failed or were interrupted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields

from ...messages.jobs import Attempt, Instant, JobRecord
from ...messages.outcomes import Outcome, OutcomeKind, Verdict
from .database import Database, upsert
from .job_rows import in_batches

COLUMNS = tuple(field.name for field in fields(Attempt))

ATTEMPTS_KEPT_MAX = 100

KEEP = upsert("lamplighter_attempts", "job_id, claim_no", *COLUMNS[2:])


def keep(connection: Database, claimed: JobRecord, outcome: Outcome, verdict: Verdict, now: Instant) -> None:
    """Keep how a claim ended, unless it succeeded or nobody is to blame."""
    if outcome.kind is OutcomeKind.SNOOZED or (outcome.kind is OutcomeKind.INTERRUPTED and not outcome.blamed):
        return
    connection.execute(
        KEEP,
        (
            claimed.id,
            claimed.claim_no,
            verdict.attempt,
            outcome.kind.value,
            claimed.boot or "",
            claimed.counts_attempt,
            claimed.claimed_at or now,
            now,
            outcome.error or outcome.reason,
            outcome.traceback,
        ),
    )
    if claimed.claim_no <= ATTEMPTS_KEPT_MAX:
        return
    connection.execute(
        """delete from lamplighter_attempts where job_id = ? and claim_no <=
           (select claim_no from lamplighter_attempts where job_id = ? order by claim_no desc limit 1 offset ?)""",
        (claimed.id, claimed.id, ATTEMPTS_KEPT_MAX),
    )


def recent_interruptions(connection: Database, job_ids: Collection[str], since: Instant) -> dict[str, int]:
    query = """select job_id, count(*) from lamplighter_attempts
               where job_id in ({places}) and outcome = 'interrupted' and begun = 1 and ended_at >= ? group by job_id"""
    return dict(in_batches(connection, query, job_ids, since))


def read(connection: Database, job_id: str) -> Sequence[Attempt]:
    rows = connection.execute("select * from lamplighter_attempts where job_id = ? order by claim_no", (job_id,))
    kept = (dict(zip(COLUMNS, row, strict=True)) for row in rows)
    return [Attempt(**{**one, "begun": bool(one["begun"])}) for one in kept]
