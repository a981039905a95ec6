"""A turn on PostgreSQL, where it differs from one on SQLite: others have turns at the same time."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from itertools import chain
from math import inf
from operator import itemgetter
from typing import Any, NamedTuple

from ...errors import UsageError
from ...messages.boots import BootRecord
from ...messages.jobs import Instant, JobRecord, JobState, NewJob, stored_name
from ...messages.names import NO_LIMITS
from ...rules.codec import json_of
from ..ports import Born
from ..tables import due, turns
from ..tables.boots import TableMembers
from ..tables.job_rows import COLUMNS, PLAIN, KeptOut, listed, plain_values, shared_values, stored_values
from ..tables.jobs import TableJobs
from ..tables.open_turn import CLAIMS, OVERVIEW, SCHEDULES, Seen, TurnOverview
from ..tables.schedules import TableSchedules
from ..tables.schema import CREATION, JOBS
from ..tables.turn import CLAIMED, TableTurn, claimed_values, moves_of_births, turn_of_births
from ..tables.turns import CLAIMABLE
from ..transitions import is_to_wait
from ..troubles import TRIES_MAX, TurnConflict
from ..turn_ports import HELD_UP_SECONDS, Want, held_up_seconds
from .connection import PostgresDatabase, plain_value
from .schema import TABLE

SNAPSHOT = "cast(pg_current_snapshot() as text)"
"""Which transactions have been committed, as the whole server numbers those that write."""

HOLD_BOOT = f"""
  select {SNAPSHOT}, (select 1 from lamplighter_boots where boot = ? for no key update)
"""
"""Two turns of one boot cannot overlap: not even with one of a lost session, whose commit the server may yet be at. A
burial waits for the turn, and a turn that comes after it finds no row.
"""

HOLD_DEAD = "select turn from lamplighter_boots where boot = ? for update"

GATE = """
  select pg_advisory_xact_lock(hashtextextended(concat(current_schema(), ' ', cast(? as text), ' ', name), 0))
  from json_array_elements_text(cast(? as json)) as name
"""

LIMITED = 'select name from lamplighter_pauses where "limit" is not null'

HEADS = f"""
  select job.* from json_array_elements_text(cast(:groups as json)) as each(key)
  cross join lateral ({turns.HEADS.replace(":key", "each.key")}) as job
"""
"""`turns.HEADS` for several groups in one trip."""

HOLD_GROUP = f"select pg_try_advisory_xact_lock({turns.GROUP}) from (select cast(:group as text) as group_key) as one"

HOLD_PLACES = """
  select line.name, line.priority, line.group_key from json_array_elements(cast(? as json)) as each(key)
  cross join lateral (
    select name, priority, group_key from lamplighter_turns
    where name = key->>0 and priority = cast(key->>1 as bigint) and group_key = key->>2 for update skip locked
  ) as line
"""
"""A claim has others than those that it may leave, and does not wait for them: it would be waited for itself."""

RIPEN = """
  insert into lamplighter_parents_to_check (parent)
  select distinct parent from lamplighter_links where parent in (
    select cast(value as bigint) from json_array_elements_text(cast(? as json)) as each(value))
  order by parent on conflict (parent) do update set child = 0, place = 0
"""

HOLD_ALL = f"""
  set local idle_in_transaction_session_timeout = 0; set local lock_timeout = '5s';
  lock table {", ".join(found[1] for found in map(TABLE.match, CREATION) if found)} in exclusive mode
"""

NUMBERED_TO = "select case when is_called then last_value else last_value - 1 end from lamplighter_job_no"

NUMBER_AFTER = """
  select setval('lamplighter_job_no', ? + 1, false),
    setval('lamplighter_schedule_change_no', coalesce(max(no), 0) + 1, false)
  from lamplighter_schedule_changes
"""

REMOVE_STEPS = """
  delete from lamplighter_steps where job in (
    select cast(value as bigint) from json_array_elements_text(cast(? as json)) as each(value))
"""

TOGETHER_MAX = 1_000
"""So many jobs share a statement, which takes them as one text of JSON."""

TYPES = {
    name: {"integer": "bigint", "real": "double precision"}.get(kind, kind)
    for name, kind in re.findall(r"^ +(\w+) +(integer|real|text)\b", JOBS, re.MULTILINE)
}
"""By the columns of jobs."""

FENCE = ("no", "seen", "was", "held_by")
"""The number of a job, and the claim, the state and the boot that the caller saw, in a set of changes, which may give
each job others.

State and boot are the same for all. As parameters, they would seem to PostgreSQL to fit hardly a row, and it would look
for that row in the whole table, or in the index of all running jobs.
"""

TYPES |= {"seen": "bigint", "was": "text", "held_by": "text"}


def records(fields: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows of jobs as `json_to_recordset` takes them.

    Raises:
        UsageError: a text has a NUL.
    """
    names = list(map(stored_name, fields))
    # Flags are numbers in the tables.
    plain = ([int(value) if value is True or value is False else value for value in row] for row in rows)
    text = json_of([dict(zip(names, row, strict=True)) for row in plain]).decode()
    if "\\u0000" in text:
        # PostgreSQL keeps the escape in the JSON of a job's data, and refuses one in any other text.
        for value in chain.from_iterable(rows):
            plain_value(value)
    return text


def _recordset(fields: Sequence[str], value: str = "?") -> str:
    columns = ", ".join(f"{name} {TYPES[name]}" for name in map(stored_name, fields))
    return f"json_to_recordset(cast({value} as json)) as each({columns})"


INSERT = f"""
  insert into lamplighter_jobs (state, {listed(COLUMNS)}) select 'queued', {listed(COLUMNS)} from {_recordset(COLUMNS)}
  on conflict do nothing returning id, no
"""


def _birth(state: str, move_no: int, columns: Sequence[str], unless: str = "", next_due: str = "null") -> str:
    return f"""
      with kept as (
        update lamplighter_boots set turn = :turn, unlogged = :kept
        where boot = :boot and turn = :turn - 1 {unless} returning turn)
      insert into lamplighter_jobs (state, rev, {listed(columns)})
      select '{state}', {move_no}, {listed(columns)} from kept, {_recordset(columns, ":jobs")}
      returning id, no, {SNAPSHOT}, ({next_due})
    """


BIRTHS = _birth("queued", 1, PLAIN)
"""A whole turn that stores jobs without options, unless its boot has taken another turn or was buried."""

FIRST = f"""
  and not exists (select 1 from lamplighter_pauses) and not exists ({due.FIRST_READY})
  and coalesce(({due.FIRST_WAITING}) > :now, true) and ({turns.HIGHEST}) is null
"""

BIRTH_AND_CLAIM = _birth("running", 2, CLAIMED[1:], FIRST, due.FIRST_WAITING)
"""The same for one job that is claimed, unless another job of the name may come before it."""


@cache
def _update_together(columns: tuple[str, ...], own: tuple[str, ...]) -> str:
    """The statement of `update_together`.

    Args:
        own: columns with a value for each job.
    """
    settings = [f"{stored_name(column)} = ?" for column in columns if column not in own]
    settings += [f"{stored_name(column)} = each.{stored_name(column)}" for column in own]
    return f"""update lamplighter_jobs as job set {", ".join(settings)} from {_recordset((*FENCE, *own))}
               where job.no = each.no and job.claim_no = each.seen and coalesce(job.state, '') = each.was
                 and coalesce(job.boot, '') = each.held_by
               returning job.no"""


def born_alone(
    connection: PostgresDatabase, boot: str, was: TurnOverview, jobs: Sequence[NewJob], now: Instant, want: Want | None
) -> tuple[Born, str] | None:
    """Take a turn that does nothing but store jobs without options, in one statement outside of a transaction.
    Returns also which transactions had been committed as it began. None, with nothing stored, where an ordinary turn
    must decide, see `insert_births`.

    Raises:
        CommitUnknown: the server has not said whether it stored them.
    """
    moves = moves_of_births(jobs, 0, now, want)
    did, kept = turn_of_births(boot, was, moves, now)
    values: dict[str, Any] = {"turn": did.turn, "kept": kept, "boot": boot}
    try:
        if want is None:
            query, values["jobs"] = BIRTHS, records(PLAIN, list(map(plain_values, jobs)))
        else:
            query, claimed = BIRTH_AND_CLAIM, claimed_values(moves[-1].job)[1:]
            values |= {"name": want.name, "now": now, "jobs": records(CLAIMED[1:], [claimed])}
        with connection.committing():
            rows = connection.execute(query, values).fetchall()
    except (connection.IntegrityError, UsageError):
        return None
    if not rows:
        return None
    numbers = {job_id: no for job_id, no, *_ in rows}
    stored = [move._replace(job=move.job._replace(row_id=numbers[move.job.id])) for move in moves]
    *_, snapshot, next_due = rows[0]
    return Born(stored, did, inf if next_due is None else next_due), snapshot


class Committed(NamedTuple):
    """Which transactions of the server have been committed, for comparisons.

    Attributes:
        following: one above the highest number of those that have ended.
        open_ones: the numbers below of those that have not.
    """

    following: int
    open_ones: str

    @classmethod
    def of(cls, snapshot: str) -> Committed:
        _, following, open_ones = snapshot.split(":")
        return cls(int(following), open_ones)


class PostgresTurn(TableTurn):
    """A `Turn` on PostgreSQL.

    Gates are advisory locks of the transaction. A statement sees what was committed before it began, so whatever is
    counted or concluded is read by a statement after the one that took the lock.

    Attributes:
        begun_at: which transactions had been committed as this one began.
        boots_read: how many turns each boot had counted when this turn read its row.
    """

    connection: PostgresDatabase
    together_max = TOGETHER_MAX

    def __init__(self, connection: PostgresDatabase, boot: str, now: Instant, *, seen: Seen | None = None) -> None:
        self._gates: set[tuple[str, str]] = set()
        self.held_up = set()
        self._ended: list[int] = []
        self.boots_read: dict[str, int] = {}
        self._has_ripe = False
        held, overview = connection.begin((HOLD_BOOT, (boot,)), (OVERVIEW, (boot,)))
        snapshot, self._is_held = held.fetchone()
        self.begun_at = Committed.of(snapshot)
        self._overview = overview.fetchone()
        self._wrote = connection.total_changes
        self._savepoints = 0
        super().__init__(connection, boot, now, seen=seen)

    @property
    def ended_at(self) -> Committed:
        """Which transactions have been committed after this turn, if no other was in between."""
        writes = self._is_held is not None or self.connection.total_changes > self._wrote
        return self.begun_at._replace(following=self.begun_at.following + writes + self._savepoints)

    @property
    def has_ripe(self) -> bool:
        self._ripen_ended()
        return self._has_ripe

    @has_ripe.setter
    def has_ripe(self, is_any: bool) -> None:
        self._has_ripe = is_any

    @property
    def boots(self) -> PostgresMembers:
        return PostgresMembers(self)

    @property
    def schedules(self) -> TableSchedules:
        self.hold_schedules()
        return super().schedules

    def hold_schedules(self) -> None:
        if self.gate(SCHEDULES):
            ((self.change_no,),) = self.connection.execute("select change_no from lamplighter_store").fetchall()
            self.changes_before = self.change_no

    def overview(self) -> Any:
        return self._overview

    def later(self, query: str, parameters: Sequence[Any] | Mapping[str, Any]) -> None:
        self.connection.later(query, parameters)

    def lock(self, query: str, parameters: Sequence[Any]) -> None:
        self.connection.execute(query, parameters)

    def gate(self, kind: str, names: Collection[str] = ("",)) -> bool:
        wanted = [name for name in sorted(names) if (kind, name) not in self._gates]
        if wanted:
            self.connection.execute(GATE, (kind, json.dumps(wanted)))
            self._gates.update((kind, name) for name in wanted)
        return bool(wanted)

    def gate_claims(self, wants: Sequence[Want]) -> None:
        # The limits of groups hold by the places in the line.
        limited = {want.name for want in wants if want.limits._replace(per_group=None) != NO_LIMITS}
        if self.has_pauses:
            limited |= {name for (name,) in self.connection.execute(LIMITED)}.intersection(want.name for want in wants)
        self.gate(CLAIMS, limited)

    def heads(self, about: Mapping[str, Any], groups: Sequence[str]) -> list[Any]:
        return self.connection.execute(HEADS, {**about, "groups": json.dumps(groups)}).fetchall()

    def hold_group(self, name: str, group: str) -> bool:
        return bool(self.connection.execute(HOLD_GROUP, {"name": name, "group": group}).fetchone()[0])

    def hold_places(self, keys: Sequence[turns.Key]) -> Sequence[turns.Key]:
        return self.connection.execute(HOLD_PLACES, (json.dumps(keys),)).fetchall()

    def see(self) -> Seen:
        # A sequence counts the jobs, and never goes back: the overview tells no last number of a job. Nothing tells
        # that nobody has committed since, so each turn reads an overview.
        seen = super().see()
        return seen._replace(version=None, overview=seen.overview._replace(last_no=0))

    def savepoint(self) -> AbstractContextManager[None]:
        self._savepoints += 1
        return self.connection.savepoint()

    def update_together(
        self, jobs: Sequence[JobRecord], columns: tuple[str, ...], values: Sequence[tuple[Any, ...]]
    ) -> Collection[int]:
        bound, own = shared_values(columns, values)
        # Rows are locked in the order in which they come, so all turns lock them in the same one.
        seen = [(job.row_id, job.claim_no, str(job.state), job.boot or "") for job in jobs]
        rows = [(*fence, *values) for fence, *values in zip(seen, *own.values(), strict=True)]
        rows.sort(key=itemgetter(0))
        query = _update_together(columns, tuple(own))
        return [no for (no,) in self.connection.execute(query, (*bound, records((*FENCE, *own), rows)))]

    def ripen(self, parent_no: int) -> None:
        self._ended.append(parent_no)

    def hold_all(self) -> None:
        self.connection.script(HOLD_ALL)

    def fill(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        self.connection.copy(table, rows)

    def numbered_to(self) -> int:
        return int(self.connection.execute(NUMBERED_TO).fetchone()[0])

    def number_after(self, last_no: int) -> None:
        self.connection.execute(NUMBER_AFTER, (last_no,))

    def seal(self) -> None:
        if not self.has_steps:
            # There were none as the turn began; a step or signal may have been kept before it locked the job.
            done = [moved.job.row_id for moved in self.transitions if moved.job.state == JobState.DONE]
            if done:
                self.later(REMOVE_STEPS, (json.dumps(done),))
        # Before the turn's own moves are told, because the next turn must find what these have made ripe.
        self._ripen_ended()
        super().seal()

    def _ripen_ended(self) -> None:
        if self._ended:
            ended, self._ended = json.dumps(self._ended), []
            self._has_ripe = self.connection.execute(RIPEN, (ended,)).rowcount > 0 or self._has_ripe


class PostgresMembers(TableMembers):
    _turn: PostgresTurn

    def all(self) -> list[BootRecord]:
        boots = super().all()
        self._turn.boots_read = {boot.boot: boot.turn for boot in boots}
        return boots

    def forget(self, boots: Collection[str]) -> Collection[str]:
        for boot in boots:
            row = self._connection.execute(HOLD_DEAD, (boot,)).fetchone()
            if row is not None and row[0] != self._turn.boots_read.get(boot, row[0]):
                # The caller logs what the boot has not logged, as the caller has read it.
                raise TurnConflict(f"boot {boot} has taken a turn while another took it for dead")
        return super().forget(boots)


HELD_UP = " union all ".join(
    f"""(select run_at from lamplighter_jobs
         where state = 'queued' and waits = {waits} and name = :name and one_at_a_time = 0 and must_begin = 0
           and run_at <= :now {CLAIMABLE} limit 1)"""
    for waits in (0, 1)
)
"""Jobs that a claim with places left has not taken: others hold their rows."""


class PostgresJobs(TableJobs):
    inserted_max = TOGETHER_MAX
    tries_max = TRIES_MAX

    _turn: PostgresTurn

    def _held_up(self, want: Want) -> Instant | None:
        name, now = want.name, self._turn.now
        if name in (self._turn.held_up or ()):
            return now + HELD_UP_SECONDS
        if want.limits != NO_LIMITS:
            return None
        pause = self._pause_of(name)
        if pause.is_paused(now) or pause.limit is not None:
            return None
        since = [run_at for (run_at,) in self._connection.execute(HELD_UP, {"name": name, "now": now})]
        return now + held_up_seconds(now - max(since)) if since else None

    def _count_host_moves_of(self, job: JobRecord, *, waits: bool = True) -> JobRecord:
        # Its host may have sent a signal since the turn has begun.
        self._turn.has_steps = True
        return super()._count_host_moves_of(job, waits=waits)

    def _insert_together(self, jobs: Sequence[NewJob]) -> list[tuple[JobRecord, bool]]:
        try:
            return self._find_or_insert(jobs)
        except KeptOut as error:
            raise TurnConflict("jobs have twins that come and go") from error

    def _inserted(self, jobs: Sequence[NewJob]) -> list[int | None]:
        rows = [(*stored_values(job), is_to_wait(job)) for job in jobs]
        numbers = dict(self._connection.execute(INSERT, (records(COLUMNS, rows),)).fetchall())
        return [numbers.pop(job.id, None) for job in jobs]
