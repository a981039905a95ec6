"""The births of a short turn: jobs without options, one of which may be claimed as it is born."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, repeat
from math import inf
from operator import attrgetter
from typing import Any

from ...messages.boots import LedgerTurn
from ...messages.jobs import Instant, JobState, NewJob, Transition, stored_name
from ...rules.codec import encode_own
from ...rules.ledger_moves import told_move
from ..transitions import born, granted
from ..turn_ports import Want
from . import due
from .database import Database
from .job_rows import PLAIN, insertion
from .open_turn import KEEP_TURN, Seen, TurnOverview

CLAIMED = ("row_id", *PLAIN, "claim_no", "boot", "incarnation", "counts_attempt", "claimed_at", "interruptions_max")
"""The fields of a job without options that its birth and its claim set, besides the state and the number of moves."""

INSERT_CLAIMED = f"""
  insert into lamplighter_jobs (state, rev, {", ".join(map(stored_name, CLAIMED))})
  values ('running', 2, {", ".join("?" * len(CLAIMED))})
"""

claimed_values = attrgetter(*CLAIMED)


def overview_of(seen: Seen | None, boot: str, want: Want | None) -> TurnOverview | None:
    """The last view of a boot; None where there is other work than births, so that an ordinary turn must be taken."""
    if seen is None or seen.boot != boot or (was := seen.overview).number is None:
        return None
    if was.has_host_moves or was.has_host_changes or was.has_ripe:
        return None
    return None if want is not None and (was.has_pauses or was.has_suspects) else was


def moves_of(jobs: Sequence[NewJob], first_no: int, now: Instant, want: Want | None) -> list[Transition]:
    """The births, and the claim of the one job if a lane wants it."""
    moves = [*map(Transition, repeat("job.queued"), map(born, jobs, count(first_no)), repeat(None), repeat({}))]
    if want is not None:
        record, is_begun = moves[0].job, want.begun > 0
        changes = granted(record, want, now, begun=is_begun)
        claimed = record._replace(**changes, state=JobState.RUNNING.value, move_no=record.move_no + 1)
        moves.append(Transition("job.claimed", claimed, record.state, {"begun": is_begun}))
    return moves


def turn_of(boot: str, was: TurnOverview, moves: Sequence[Transition], now: Instant) -> tuple[LedgerTurn, str]:
    """The turn with its number, and its text for the row of its boot, which keeps it until it is logged."""
    did = LedgerTurn(boot, was.boot_no, (was.number or 0) + 1, now, [*map(told_move, moves, repeat(now))])
    return did, encode_own([did])


def insert(
    connection: Database, jobs: Sequence[NewJob], first_no: int, now: Instant, want: Want | None
) -> tuple[list[Transition], Instant] | None:
    """Insert jobs. Returns their moves, and when the next job of the wanted name is due. None, with some or none
    inserted, if an ordinary turn must decide: a job has a twin, or another job of the wanted name comes before it.
    """
    moves, next_due = moves_of(jobs, first_no, now, want), inf
    values: Sequence[Any]
    if want is None:
        statement, values = insertion(jobs, first_no)
    else:
        front = due.front_of(connection, want.name)
        if front.ready is not None or front.has_waited(now) or front.highest is not None:
            return None
        next_due = inf if front.waiting is None else front.waiting
        statement, values = INSERT_CLAIMED, claimed_values(moves[-1].job)
    try:
        inserted = connection.execute(statement, values)
    except connection.IntegrityError:
        return None
    return (moves, next_due) if inserted.rowcount == len(jobs) else None


def seal(connection: Database, boot: str, was: TurnOverview, moves: Sequence[Transition], now: Instant) -> LedgerTurn:
    """Give the turn its number, and have its boot keep it until it is logged, as `TableTurn.seal`."""
    did, kept = turn_of(boot, was, moves, now)
    connection.execute(KEEP_TURN, (did.turn, kept, boot))
    return did
