"""The state that the parts of a turn share: the transaction, facts about the store, and changes so far."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from operator import attrgetter
from typing import Any, NamedTuple

from ...messages.clock_steps import KnownClock, Reading
from ...messages.jobs import WAITS_ITS_TURN, Instant, JobRecord, JobState
from ...rules.ledger_moves import TurnRecord
from ..troubles import BootLost
from ..turn_ports import Want
from . import links, turns
from .database import Database
from .due import NEXT_EXPIRY
from .job_rows import update_together

OVERVIEW = f"""
  select boots, max(last_no, (select coalesce(max(no), 0) from lamplighter_jobs)), change_no,
    exists (select 1 from lamplighter_pauses),
    exists (select 1 from lamplighter_jobs where rev <= 0),
    exists (select 1 from lamplighter_schedule_changes),
    exists (select 1 from lamplighter_jobs where state = 'queued' and suspect_until is not null),
    exists (select 1 from lamplighter_links indexed by lamplighter_links_open where met is null),
    exists (select 1 from lamplighter_parents_to_check),
    exists (select 1 from lamplighter_steps),
    ({NEXT_EXPIRY}),
    coalesce(b.boot_no, 0), b.turn, clock_count, clock_offset, clock_stepped
  from lamplighter_store left join lamplighter_boots b on b.boot = ?
"""

HOW_FAR = """
  select (select turn from lamplighter_boots where boot = ?), boots,
    max(last_no, (select coalesce(max(no), 0) from lamplighter_jobs)), change_no
  from lamplighter_store
"""

KEEP_TURN = "update lamplighter_boots set turn = ?, unlogged = ? where boot = ?"
"""Count a turn of a boot, and keep it until it is logged."""

OVERVIEW_SECONDS_MAX = 1.0
"""How long an overview stays valid while nobody else commits. A new one finds that something is gone."""


class TurnOverview(NamedTuple):
    """The facts about its store that every turn needs.

    Attributes:
        last_boot_no, last_no, change_no: the last number of a boot, of a job, and of a change of a schedule.
        has_pauses, has_host_moves, has_host_changes, has_suspects, has_open_links, has_ripe, has_steps: false only if
          there is none.
        expiry: no queued job expires, and no claim is overdue, before.
        boot_no: of the turn's boot; 0 until that is registered.
        number: how many turns of its boot have changed something; None until that is registered.
        clock: what the last turn knew of wall time.
    """

    last_boot_no: int
    last_no: int
    change_no: int
    has_pauses: bool
    has_host_moves: bool
    has_host_changes: bool
    has_suspects: bool
    has_open_links: bool
    has_ripe: bool
    has_steps: bool
    expiry: Instant | None
    boot_no: int
    number: int | None
    clock: KnownClock


_left_by = attrgetter(*TurnOverview._fields)


CLAIMS, SCHEDULES, FREEING, TALLYING, PAUSES = "claims", "schedules", "freeing", "tallying", "pauses"
"""Gates: the claims of a name whose jobs depend on one another, but by their groups alone; the schedules of the store;
the jobs that wait for others, and what is removed; the sums of what became of jobs; the pauses and limits of names.
"""


class Seen(NamedTuple):
    """A boot's view of its store after its last turn.

    Attributes:
        version: of the store; None if unknown: the turn has failed, or another came between.
        at: when the overview was read.
    """

    boot: str
    version: int | None
    at: Instant
    overview: TurnOverview

    def is_fresh(self, now: Instant) -> bool:
        expiry = self.overview.expiry
        return 0.0 <= now - self.at < OVERVIEW_SECONDS_MAX and (expiry is None or expiry > now)

    def holds_at(self, reading: Reading) -> bool:
        """Whether a turn that begins now, before anybody else has committed, would see the same."""
        return self.is_fresh(reading.now) and not self.overview.clock.has_stepped(reading)

    def compare(self, turn: int | None, boots: int, last_no: int, change_no: int) -> BootLost | None:
        """Why this is not the store that the boot knows; None if it is.

        Args:
            turn: turns counted in its row; None without a row.
        """
        was = self.overview
        is_behind = boots < was.last_boot_no or last_no < was.last_no or change_no < was.change_no
        if is_behind or (turn is not None and turn < (was.number or 0)):
            says = "the store has gone back to an earlier state: an older copy was put in its place"
            return BootLost(says, turn_was=was.number or 0)
        return (
            BootLost("the store does not know this runtime instance any more: another process took it for dead")
            if turn is None
            else None
        )


class OpenTurn(TurnRecord):
    """A turn while it is open. The fields of its `TurnOverview` are attributes of its own.

    Attributes:
        is_member: its boot is registered.
        lined_up: groups of newly queued jobs, and when their first is due.
        left_lines: groups that queued jobs may have left.
        born_linked: jobs with parents, born or counted in this turn, by `row_id`.
        has_ties: hosts' jobs follow others; None where nobody has looked.
        counted: jobs counted together with their followers or the followed, by `row_id`.
        held_up: names of whose groups other turns kept a claim from some; None where turns never overlap.
        together_max: so many jobs share a statement: in SQLite more are not faster.
    """

    last_boot_no: int
    last_no: int
    change_no: int
    expiry: Instant | None
    number: int | None

    held_up: set[str] | None = None
    together_max = 25

    def __init__(
        self, connection: Database, boot: str, now: Instant, *, version: int = 0, seen: Seen | None = None
    ) -> None:
        super().__init__(boot, now)
        self.leads = True
        self.connection = connection
        self.version = version
        seen = seen if seen is not None and seen.boot == boot else None
        self.is_member, self.seen_at, self.lost = seen is not None, now, None
        if seen is not None and seen.version == self.version and seen.is_fresh(now):
            # Nobody else has committed since.
            self.seen_at, overview = seen.at, seen.overview
        else:
            *row, count, offset, stepped = self.overview()
            overview = TurnOverview._make((*row, KnownClock(count, offset, stepped)))
            if seen is not None:
                self.lost = seen.compare(overview.number, *overview[:3])
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
            self.expiry,
            self.boot_no,
            self.number,
            self.clock,
        ) = overview
        self.changes_before = self.change_no
        self.born_linked: list[int] = []
        self.lined_up: dict[turns.Key, Instant] = {}
        self.left_lines: set[turns.Key] = set()
        self.has_ties: bool | None = None
        self.counted: dict[int, JobRecord] = {}

    @property
    def writes(self) -> int:
        return self.connection.total_changes

    def see(self) -> Seen:
        return Seen(self.boot, self.version, self.seen_at, TurnOverview._make(_left_by(self)))

    def overview(self) -> Any:
        """The row of `OVERVIEW`."""
        return self.connection.execute(OVERVIEW, (self.boot,)).fetchone()

    def later(self, query: str, parameters: Sequence[Any] | Mapping[str, Any]) -> None:
        """Run a statement, the outcome of which nobody asks for, now or with the next one."""
        self.connection.execute(query, parameters)

    def lock(self, query: str, parameters: Sequence[Any]) -> None:
        """Run a statement that is there for the locks of its rows alone. On SQLite turns never overlap."""

    def gate(self, kind: str, names: Collection[str] = ("",)) -> bool:
        """Keep other turns from what a gate is for, until this turn has ended; whether that was not so before. A
        statement that comes after it sees all that they have done. On SQLite turns never overlap.

        Args:
            kind: one of the constants above.
            names: the names of jobs that it is about, if it is.
        """
        return False

    def gate_claims(self, wants: Sequence[Want]) -> None:
        """The same for the claims of names whose jobs depend on one another."""

    def heads(self, about: Mapping[str, Any], groups: Sequence[str]) -> list[Any]:
        """The rows of `turns.HEADS` of some groups."""
        execute = self.connection.execute
        return [row for group in groups for row in execute(turns.HEADS, {**about, "key": group}).fetchall()]

    def hold_group(self, name: str, group: str) -> bool:
        """Keep other turns from claims of a group with a limit, until this turn has ended; False if another does."""
        return True

    def hold_places(self, keys: Sequence[turns.Key]) -> Sequence[turns.Key]:
        """Keep other turns from places in lines, but for those of which others keep this turn: those that it keeps."""
        return keys

    def hold_schedules(self) -> None:
        """Keep other turns from the schedules; `change_no` is the last one from then on."""

    def savepoint(self) -> AbstractContextManager[None]:
        """Let the turn go on after an error of the database in the block, of whose statements then none holds."""
        return nullcontext()

    def forgetting(self) -> AbstractContextManager[None]:
        """Have the database overwrite what is deleted in the block, if it can."""
        return nullcontext()

    def update_together(
        self, jobs: Sequence[JobRecord], columns: tuple[str, ...], values: Sequence[tuple[Any, ...]]
    ) -> Collection[int]:
        """Change some jobs of one state and boot in one statement, if they are as the caller saw them: the `row_id`s of
        those that were; none where each is to be tried for itself.
        """
        return [job.row_id for job in jobs] if update_together(self.connection, jobs, columns, values) else ()

    def ripen(self, parent_no: int) -> None:
        """Have the children of a job looked at, as it has ended, or was queued again."""
        self.has_ripe = links.ripen(self.connection, parent_no) or self.has_ripe

    def next_change(self) -> int:
        self.change_no += 1
        return self.change_no

    def heed_expiry(self, at: Instant | None) -> None:
        if at is not None:
            self.expiry = at if self.expiry is None else min(self.expiry, at)

    def heed_linked(self, row_id: int) -> None:
        self.born_linked.append(row_id)
        self.has_ripe = True

    def heed(self, job: JobRecord) -> None:
        if job.state != JobState.QUEUED:
            return
        if job.expires_at is not None:
            self.heed_expiry(job.expires_at)
        if job.suspect_until is not None:
            # No later turn may come.
            self.has_suspects = True
        if job.waits == WAITS_ITS_TURN:
            key = turns.key_of(job)
            self.lined_up[key] = min(job.run_at, self.lined_up.get(key, job.run_at))


class TurnPart:
    """A part of a turn on tables, such as its jobs."""

    def __init__(self, turn: OpenTurn) -> None:
        self._turn, self._connection = turn, turn.connection
