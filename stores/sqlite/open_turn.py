"""What the parts of a turn on SQLite share: the transaction, what they know of the store, and what they have done."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from ...messages.jobs import WAITS_ITS_TURN, Instant, JobRecord, JobState
from ...rules.known_clock import KnownClock
from ...rules.turn_record import TurnRecord
from ..troubles import BootLost
from . import turns
from .due import NEXT_EXPIRY

OVERVIEW = f"""
  select boots, max(last_no, (select coalesce(max(no), 0) from lamplighter_jobs)), change_no,
    exists (select 1 from lamplighter_pauses),
    exists (select 1 from lamplighter_jobs where rev <= 0),
    exists (select 1 from lamplighter_schedule_changes),
    exists (select 1 from lamplighter_jobs where state = 'queued' and suspect_until is not null),
    exists (select 1 from lamplighter_links indexed by lamplighter_links_open where met is null),
    exists (select 1 from lamplighter_ripe),
    exists (select 1 from lamplighter_steps),
    exists (select 1 from lamplighter_turns),
    ({NEXT_EXPIRY}),
    clock_count, clock_offset, clock_stepped, b.boot_no, b.turn
  from lamplighter_store left join lamplighter_boots b on b.boot = ?
"""
"""What every turn must know, in one statement."""


class Seen(NamedTuple):
    """How far a boot knows its store to have come.

    Attributes:
        turn: how many turns of its own its row has counted.
        boots, last_no, change_no: the last number of a boot, of a job and of a change of a schedule.
    """

    boot: str
    turn: int
    boots: int
    last_no: int
    change_no: int

    def compare(self, turn: int | None, boots: int, last_no: int, change_no: int) -> BootLost | None:
        """Why the store is not the one that the boot knows any more; None when it is.

        Args:
            turn: what its row has now; None when it has none.
        """
        is_behind = boots < self.boots or last_no < self.last_no or change_no < self.change_no
        if is_behind or (turn is not None and turn < self.turn):
            says = "the store has gone back to an earlier state: an older copy was put in its place"
            return BootLost(says, turn_was=self.turn)
        return (
            BootLost("the store does not know this runtime instance any more: another process took it for dead")
            if turn is None
            else None
        )


class OpenTurn(TurnRecord):
    """A turn while it is open.

    Attributes:
        seen: how far its boot knows the store to have come, if it is registered.
        boot_no: the number of its boot; 0 until that is registered.
        number: how many turns of its boot have changed something; None until that is registered.
        last_boot_no, last_no, change_no: the last number of a boot, of a job, and of a change of a schedule.
        has_pauses, has_host_moves, has_host_changes, has_suspects, has_open_links, has_ripe, has_steps, has_turns:
            whether there may be any.
        lined_up: groups that jobs were queued of, and from when on the first of these is due.
        left_lines: groups of which jobs have ended that were queued.
        born_linked: jobs that were born in this turn, or counted, and wait for others: by their `no`.
        has_ties: whether jobs that hosts have stored follow others; None where nobody has looked.
        counted: jobs that were counted together with one that follows another, or that another follows: by their `no`.
        clock: what the last turn knew of wall time.
    """

    last_boot_no: int
    last_no: int
    change_no: int
    expiry: Instant | None
    number: int | None

    def __init__(
        self, connection: sqlite3.Connection, boot: str, now: Instant, *, openings: int = 0, seen: Seen | None = None
    ) -> None:
        super().__init__(boot, now)
        self.leads = True
        self.connection = connection
        # SQLite's number holds for one connection only; another one may begin with the same.
        self.version = openings << 32 | int(connection.execute("pragma data_version").fetchone()[0])
        (
            self.last_boot_no,
            self.last_no,
            self.change_no,
            self.has_pauses,
            self.has_host_moves,
            self.has_host_changes,
            self.has_suspects,
            self.has_open_links,
            self.has_ripe,
            self.has_steps,
            self.has_turns,
            self.expiry,
            *clock,
            boot_no,
            self.number,
        ) = connection.execute(OVERVIEW, (boot,)).fetchone()
        self.born_linked: list[int] = []
        self.lined_up: dict[turns.Key, Instant] = {}
        self.left_lines: set[turns.Key] = set()
        self.has_ties: bool | None = None
        self.counted: dict[int, JobRecord] = {}
        self.boot_no: int = boot_no or 0
        self.clock = KnownClock(*clock)
        self.seen = seen if seen is not None and seen.boot == boot else None
        self.lost: BootLost | None = None
        if self.seen is not None:
            self.lost = self.seen.compare(self.number, self.last_boot_no, self.last_no, self.change_no)

    def next_change(self) -> int:
        """The number of one more change of a schedule."""
        self.change_no += 1
        return self.change_no

    def heed(self, job: JobRecord) -> None:
        """Note what the overview could not know of yet."""
        if job.state != JobState.QUEUED:
            return
        if job.expires_at is not None:
            self.expiry = job.expires_at if self.expiry is None else min(self.expiry, job.expires_at)
        if job.suspect_until is not None:
            # No later turn may come.
            self.has_suspects = True
        if job.waits == WAITS_ITS_TURN:
            key = turns.key_of(job)
            self.lined_up[key] = min(job.run_at, self.lined_up.get(key, job.run_at))
