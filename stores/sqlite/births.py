"""The births of a short turn: jobs without options, one of which may be claimed as it is born."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import count, repeat
from math import inf
from operator import attrgetter
from typing import Any

from ...messages.boots import LedgerTurn
from ...messages.jobs import Instant, JobState, NewJob, Transition, stored_name
from ...rules.codec import encode_own
from ...rules.ledger_moves import told_move
from ..tables import due
from ..tables.job_rows import PLAIN, insertion
from ..tables.open_turn import KEEP_TURN, TurnOverview
from ..transitions import born, granted
from ..turn_ports import Want

CLAIMED = ("row_id", *PLAIN, "claim_no", "boot", "incarnation", "counts_attempt", "claimed_at", "interruptions_max")
"""The fields of a job without options that its birth and its claim set, besides the state and the number of moves."""

INSERT_CLAIMED = f"""
  insert into lamplighter_jobs (state, rev, {", ".join(map(stored_name, CLAIMED))})
  values ('running', 2, {", ".join("?" * len(CLAIMED))})
"""

_claimed = attrgetter(*CLAIMED)


def insert(
    connection: sqlite3.Connection, jobs: Sequence[NewJob], first_no: int, now: Instant, want: Want | None
) -> tuple[list[Transition], Instant] | None:
    """Insert jobs. Returns their moves, and when the next job of the wanted name is due. None, with some or none
    inserted, if an ordinary turn must decide: a job has a twin, or another job of the wanted name comes before it.
    """
    records = [*map(born, jobs, count(first_no))]
    moves = [*map(Transition, repeat("job.queued"), records, repeat(None), repeat({}))]
    next_due = inf
    values: Sequence[Any]
    if want is None:
        statement, values = insertion(jobs, first_no)
    else:
        front = due.front_of(connection, want.name)
        if front.ready is not None or front.has_waited(now) or front.highest is not None:
            return None
        next_due = inf if front.waiting is None else front.waiting
        (record,), is_begun = records, want.begun > 0
        changes = granted(record, want, now, begun=is_begun)
        claimed = record._replace(**changes, state=JobState.RUNNING.value, move_no=record.move_no + 1)
        moves.append(Transition("job.claimed", claimed, record.state, {"begun": is_begun}))
        statement, values = INSERT_CLAIMED, _claimed(claimed)
    try:
        inserted = connection.execute(statement, values)
    except sqlite3.IntegrityError:
        return None
    return (moves, next_due) if inserted.rowcount == len(jobs) else None


def seal(
    connection: sqlite3.Connection, boot: str, was: TurnOverview, moves: Sequence[Transition], now: Instant
) -> LedgerTurn:
    """Give the turn its number, and have its boot keep it until it is logged, as `TableTurn.seal`."""
    did = LedgerTurn(boot, was.boot_no, (was.number or 0) + 1, now, [*map(told_move, moves, repeat(now))])
    connection.execute(KEEP_TURN, (did.turn, encode_own([did]), boot))
    return did
