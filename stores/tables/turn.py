"""One turn: its parts, and what all of them leave behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...messages.jobs import Instant
from ...rules.codec import encode_own
from . import clock_steps, pauses, rates, removal
from .boots import TableMembers
from .dependencies import TableLinks
from .jobs import TableJobs
from .open_turn import FREEING, KEEP_TURN, PAUSES, OpenTurn
from .schedules import TableSchedules
from .steps import TableSteps
from .tallies import TableTallies


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

    keep_time = clock_steps.keep_time

    def prune(self, *, done_before: Instant, dead_before: Instant, slots_before: Instant | None, batch: int) -> int:
        if self.clock.is_in_doubt(self.now):
            return 0
        # Two turns that remove rows of one kin at once would each leave the rest to the other.
        self.gate(FREEING)
        if self.has_pauses:
            self.gate(PAUSES)
            pauses.forget_passed(self.connection, self.now)
        rates.forget_unspent(self.connection, self.now)
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
