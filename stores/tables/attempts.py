"""Rows of `lamplighter_attempts`: ended claims of a job that failed or were interrupted, and the lines of claims."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields

from ...messages.jobs import Attempt, Instant, JobRecord
from ...messages.outcomes import Outcome, OutcomeKind
from .database import Database
from .job_rows import in_batches
from .open_turn import OpenTurn

COLUMNS = tuple(field.name for field in fields(Attempt))

ATTEMPTS_KEPT_MAX = 100

OUTPUTS_KEPT_MAX = 10
"""The most claims of a job that are kept for what they have logged, and did not fail. Their `outcome` is empty."""

INSERT = f"""
  insert into lamplighter_attempts ({", ".join(COLUMNS)}, log) values ({", ".join("?" * len(COLUMNS))}, ?)
  on conflict (job_id, claim_no) do update set
"""

# A deferred claim has logged before it ends.
KEEP = f"""{INSERT} {", ".join(f"{column} = excluded.{column}" for column in COLUMNS[2:])},
  log = coalesce(excluded.log, lamplighter_attempts.log)"""

KEEP_LINES = f"{INSERT} log = coalesce(lamplighter_attempts.log, excluded.log)"


def keep(turn: OpenTurn, claimed: JobRecord, outcome: Outcome, attempt: int, now: Instant) -> None:
    """Keep how a claim ended, unless it succeeded or nobody is to blame; and what it has logged.

    Args:
        attempt: how many are counted then.
    """
    is_failure = outcome.kind not in (OutcomeKind.SUCCEEDED, OutcomeKind.SNOOZED, OutcomeKind.DEFERRED) and (
        outcome.kind is not OutcomeKind.INTERRUPTED or outcome.blamed
    )
    if not (is_failure or outcome.log):
        return
    turn.later(
        KEEP,
        (
            claimed.id,
            claimed.claim_no,
            attempt,
            outcome.kind.value if is_failure else "",
            claimed.boot or "",
            claimed.counts_attempt,
            claimed.claimed_at or now,
            now,
            outcome.error or outcome.reason,
            outcome.traceback,
            outcome.log,
        ),
    )
    if not is_failure and claimed.claim_no > OUTPUTS_KEPT_MAX:
        query = "delete from lamplighter_attempts where job_id = ? and claim_no <= ? and outcome = ''"
        turn.later(query, (claimed.id, claimed.claim_no - OUTPUTS_KEPT_MAX))
    if claimed.claim_no <= ATTEMPTS_KEPT_MAX:
        return
    turn.later(
        """delete from lamplighter_attempts where job_id = ? and claim_no <=
           (select claim_no from lamplighter_attempts where job_id = ? order by claim_no desc limit 1 offset ?)""",
        (claimed.id, claimed.id, ATTEMPTS_KEPT_MAX),
    )


def keep_lines(connection: Database, claimed: JobRecord, log: str, now: Instant) -> None:
    """Keep the lines of a claim that ended before its function, as by a cancel or `mark_done`, and has none yet."""
    query = "select 1 from lamplighter_jobs where no = ? and settled_no = ?"
    if connection.execute(query, claimed.key).fetchone() is not None:
        row = (claimed.attempt, "", claimed.boot or "", claimed.counts_attempt, claimed.claimed_at or now, now)
        connection.execute(KEEP_LINES, (claimed.id, claimed.claim_no, *row, None, None, log))


def recent_interruptions(connection: Database, job_ids: Collection[str], since: Instant) -> dict[str, int]:
    query = """select job_id, count(*) from lamplighter_attempts
               where job_id in ({places}) and outcome = 'interrupted' and begun = 1 and ended_at >= ? group by job_id"""
    return dict(in_batches(connection, query, job_ids, since))


def read(connection: Database, job_id: str) -> Sequence[Attempt]:
    query = f"""select {", ".join(COLUMNS)} from lamplighter_attempts
                where job_id = ? and outcome <> '' order by claim_no"""
    kept = (dict(zip(COLUMNS, row, strict=True)) for row in connection.execute(query, (job_id,)))
    return [Attempt(**{**one, "begun": bool(one["begun"])}) for one in kept]


def logged(connection: Database, job_id: str) -> Sequence[tuple[int, str]]:
    """The numbers of claims that have logged, with the lines of each as JSON text."""
    query = "select claim_no, log from lamplighter_attempts where job_id = ? and log is not null order by claim_no"
    return [(row[0], row[1]) for row in connection.execute(query, (job_id,))]
