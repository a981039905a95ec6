"""One turn: its parts, and what all of them leave behind.

A short turn does nothing but store jobs without options, one of which may be claimed as it is born.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, repeat
from math import inf
from operator import attrgetter
from typing import Any

from ...messages.boots import LedgerTurn
from ...messages.clock_steps import Reading, Stepped
from ...messages.jobs import Instant, JobState, NewJob, Transition, stored_name
from ...rules.codec import encode_own
from ...rules.ledger_moves import told_move
from ..transitions import born, granted
from ..turn_ports import Want
from . import clock_steps, due, removal
from .boots import TableMembers
from .database import Database
from .dependencies import TableLinks
from .job_rows import PLAIN, insertion
from .jobs import TableJobs
from .names import forget_passed_pauses, forget_unspent_rates
from .open_turn import FREEING, KEEP_TURN, PAUSES, OpenTurn, Seen, TurnOverview
from .schedules import TableSchedules
from .steps import TableSteps
from .tallies import TableTallies

CLAIMED = ("row_id", *PLAIN, "claim_no", "boot", "incarnation", "counts_attempt", "claimed_at", "interruptions_max")
"""The fields of a job without options that its birth and its claim set, besides the state and the number of moves."""

INSERT_CLAIMED = f"""
  insert into lamplighter_jobs (state, rev, {", ".join(map(stored_name, CLAIMED))})
  values ('running', 2, {", ".join("?" * len(CLAIMED))})
"""

claimed_values = attrgetter(*CLAIMED)


class TableTurn(OpenTurn):
    """A `Turn` on tables, as it is on SQLite; PostgreSQL has one of its own."""

    jobs: TableJobs
    queued: TableJobs

    @property
    def links(self) -> TableLinks:
        return TableLinks(self)

    @property
    def schedules(self) -> TableSchedules:
        return TableSchedules(self)

    @property
    def boots(self) -> TableMembers:
        return TableMembers(self)

    @property
    def tallies(self) -> TableTallies:
        return TableTallies(self)

    @property
    def steps(self) -> TableSteps:
        return TableSteps(self)

    def keep_time(self, reading: Reading, *, may_have_gone_back: bool) -> Stepped | None:
        self.now = reading.now
        is_unknown = reading.counter is None and may_have_gone_back
        return clock_steps.correct(self, reading) if is_unknown or self.clock.has_stepped(reading) else None

    def prune(self, *, done_before: Instant, dead_before: Instant, slots_before: Instant | None, batch: int) -> int:
        if self.clock.is_in_doubt(self.now):
            return 0
        # Two turns that remove rows of one kin at once would each leave the rest to the other.
        self.gate(FREEING)
        if self.has_pauses:
            self.gate(PAUSES)
            forget_passed_pauses(self.connection, self.now)
        forget_unspent_rates(self.connection, self.now)
        pruned = removal.prune(self, done_before, dead_before, batch)
        if pruned:
            self.note({"k": "pruned", "x": pruned})
        self.tallies.prune(self.now, batch)
        return pruned if slots_before is None else pruned + self.schedules.prune(slots_before, batch - pruned)

    def hold_all(self) -> None:
        """Keep others from writing anything until the turn has ended. On SQLite that is so in each turn."""

    def fill(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert whole rows into a table."""
        self.connection.executemany(f"insert into {table} values ({', '.join('?' * len(rows[0]))})", rows)

    def numbered_to(self) -> int:
        """The last number that a job has had."""
        return self.last_no

    def number_after(self, last_no: int) -> None:
        """Give no later job a number up to this one."""
        self.connection.execute("update lamplighter_store set last_no = ?", (last_no,))

    def seal(self) -> None:
        if self.lined_up:
            self.jobs.line_up()
        if self.left_lines:
            self.jobs.leave_lines()
        if self.change_no > self.changes_before:
            self.connection.execute("update lamplighter_store set change_no = ?", (self.change_no,))
        kept = self.sum_up(self.boot_no, self.number or 0)
        if kept and self.number is not None:
            self.number += 1
            self.later(KEEP_TURN, (self.number, encode_own(kept), self.boot))


def overview_of(seen: Seen | None, boot: str, want: Want | None) -> TurnOverview | None:
    """The last view of a boot; None where there is other work than births, so that an ordinary turn must be taken."""
    if seen is None or seen.boot != boot or (was := seen.overview).number is None:
        return None
    if was.has_host_moves or was.has_host_changes or was.has_ripe:
        return None
    return None if want is not None and (was.has_pauses or was.has_suspects) else was


def moves_of_births(jobs: Sequence[NewJob], first_no: int, now: Instant, want: Want | None) -> list[Transition]:
    """The births, and the claim of the one job if a lane wants it."""
    moves = [*map(Transition, repeat("job.queued"), map(born, jobs, count(first_no)), repeat(None), repeat({}))]
    if want is not None:
        record, is_begun = moves[0].job, want.begun > 0
        changes = granted(record, want, now, begun=is_begun)
        claimed = record._replace(**changes, state=JobState.RUNNING.value, move_no=record.move_no + 1)
        moves.append(Transition("job.claimed", claimed, record.state, {"begun": is_begun}))
    return moves


def turn_of_births(boot: str, was: TurnOverview, moves: Sequence[Transition], now: Instant) -> tuple[LedgerTurn, str]:
    """The turn with its number, and its text for the row of its boot, which keeps it until it is logged."""
    did = LedgerTurn(boot, was.boot_no, (was.number or 0) + 1, now, [*map(told_move, moves, repeat(now))])
    return did, encode_own([did])


def insert_births(
    connection: Database, jobs: Sequence[NewJob], first_no: int, now: Instant, want: Want | None
) -> tuple[list[Transition], Instant] | None:
    """Insert the jobs of a short turn. Returns their moves, and when the next job of the wanted name is due. None, with
    some or none inserted, if an ordinary turn must decide: a job has a twin, or another job of the wanted name comes
    before it.
    """
    moves, next_due = moves_of_births(jobs, first_no, now, want), inf
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


def seal_births(
    connection: Database, boot: str, was: TurnOverview, moves: Sequence[Transition], now: Instant
) -> LedgerTurn:
    """Give the turn its number, and have its boot keep it until it is logged, as `TableTurn.seal`."""
    did, kept = turn_of_births(boot, was, moves, now)
    connection.execute(KEEP_TURN, (did.turn, kept, boot))
    return did
