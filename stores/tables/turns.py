"""The line of a name's groups: in which order they start jobs.

A group with queued jobs has one row for each of their priorities, with its place in the line: the instant from which it
may start a job. That may be too early, and never too late: when the group's head turns out not to be due, the group
gets the head's instant. A group that has started a job goes behind all that are due. A group without jobs loses its row
at its next turn, or when its last job ends unclaimed. Rows do not say that a group is full, so no ending has to wake
anybody: a claim passes over full groups.

Jobs without a group form one more group without a limit. It has a row, with the key '', only while the name has others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...messages.jobs import WAITS_ITS_TURN, Instant, JobRecord
from ...messages.names import NameLimits
from .database import Database
from .job_rows import WHOLE
from .names import rate_room, take_starts

if TYPE_CHECKING:
    from .open_turn import OpenTurn

PRIORITIES_MAX = 32
"""A claim looks at so many priorities of waiting jobs in turn. With more priorities, it goes by time."""

# These words about the state are those of an index by schedules, whose jobs are few. `= 'running'` would also fit the
# index of all running jobs, and PostgreSQL would read that whole.
ALONE = """(one_at_a_time = 0 or not exists (
      select 1 from lamplighter_jobs r
      where r.schedule = lamplighter_jobs.schedule and r.state in ('queued', 'running') and r.state <> 'queued'))"""
"""No other job of its schedule runs, where that matters to the schedule."""

CLAIMABLE = f"""
    and (expires_at is null or expires_at > :now)
    and (suspect_until is null or suspect_until <= :now)
    and rev > 0
    and {ALONE}
"""


SKIP_LOCKED = "/*pg for update skip locked */"
"""Other turns pass over the rows, which this one moves. They are read once more, should they have changed."""


def priorities(connection: Database, highest: str, name: str) -> Iterator[int]:
    """The priorities of some rows of a name, highest first: one index seek each.

    Args:
        highest: SQL for the highest of the rows of `:name`; each next seek adds a condition.
    """
    found = connection.execute(highest, {"name": name}).fetchone()[0]
    while found is not None:
        yield found
        found = connection.execute(f"{highest} and priority < :than", {"name": name, "than": found}).fetchone()[0]


NO_GROUP = ""
"""The key of jobs without a group. No group may be called so."""

SLACK_SECONDS = 0.001
"""A job that is due so little later is due: its group stands behind the others, and no lane idles for that."""

STEP_SECONDS = 1e-6
"""The distance of two places at one instant. Today's instants are no finer than a fourth of this."""

LINE_READ = 64
"""Groups of a line that are read at a time, at most. Some that are read have no job left."""

Key = tuple[str, int, str]
"""The key of a row: name, priority, group."""

LINE_UP = f"""
  insert into lamplighter_turns as line (name, priority, group_key, next)
  select :name, :priority, :key, :next where true /*pg and not exists (
    select 1 from lamplighter_turns where name = :name and priority = :priority and group_key = :key
      and next <= max(:next, :now + {SLACK_SECONDS}) for key share) */
  on conflict (name, priority, group_key) do update set next = excluded.next
  where line.next > excluded.next and line.next > :now + {SLACK_SECONDS}
"""
"""A group in the line keeps its place, or gets an earlier one if its jobs are due earlier now. Nobody else takes it out
of the line, or moves it to a later instant, until the turn has ended; a claim may pass it to the back.
"""

HIGHEST = "select max(priority) from lamplighter_turns where name = :name"

DUE_PRIORITIES = """select distinct priority from lamplighter_turns
                    where name = :name and priority < :below and next <= :soon order by priority desc limit 1000"""

GROUP = "hashtextextended(concat(current_schema(), ' group ', cast(:name as text), ' ', group_key), 0)"
"""On PostgreSQL."""


def _running_count(group: str) -> str:
    """SQL for the number of running jobs of a group, up to the limit."""
    return f"""(select count(*) from (
      select 1 from lamplighter_jobs indexed by lamplighter_jobs_running
      where state = 'running' and name = :name and group_key = {group} limit +:per_group) as few)"""


OTHERS_LINE = f"""
  select next, group_key from lamplighter_turns line indexed by lamplighter_turns_next
  where name = :name and priority = :priority and (next, group_key) > (:next, :key) and next <= :soon
    and group_key <> '' and {_running_count("line.group_key")} < max(:per_group, 1)
  order by next, group_key limit +:most
"""
"""Groups below the limit, in line order."""

LINE = f"""
  select next, group_key, 1 = 1 /*pg and (:per_group = 0 or pg_try_advisory_xact_lock({GROUP})) */
  from ({OTHERS_LINE} /*pg for no key update skip locked */) as line
"""
"""Those whose places no other turn has, and whether the turn has the group itself, which has a place in each priority.
On PostgreSQL it has them until it has ended, and only a later statement may count what runs of them.
"""

BEHIND = f"""
  {STEP_SECONDS} + max(:now, coalesce((
    select max(next) from lamplighter_turns indexed by lamplighter_turns_next
    where name = :name and priority = :priority and next <= :soon), :now))
"""

OF_KEY = "where name = :name and priority = :priority and group_key = :key"

TO_THE_BACK = f"update lamplighter_turns set next = {BEHIND} {OF_KEY}"

OTHERS_TO_THE_BACK = f"""
  insert into lamplighter_turns (name, priority, group_key, next) select :name, :priority, :key, {BEHIND}
  where exists (select 1 from lamplighter_turns where name = :name and priority = :priority and group_key > '')
  on conflict (name, priority, group_key) do update set next = excluded.next
"""

HEADS = f"""
  select {_running_count(":key")}, {WHOLE} from lamplighter_jobs indexed by lamplighter_jobs_grouped
  where state = 'queued' and waits = {WAITS_ITS_TURN} and name = :name and priority = :priority and group_key = :key
    and run_at <= :now {CLAIMABLE} order by run_at, no limit +:each {SKIP_LOCKED}
"""
"""The first jobs of a group, each with the number of its group's running ones."""

FIRST = f"""
  (select min(run_at) from lamplighter_jobs indexed by lamplighter_jobs_grouped
   where state = 'queued' and waits = {WAITS_ITS_TURN} and name = :name and priority = :priority and group_key = :key)
"""

RUNNING = """select count(*) from lamplighter_jobs indexed by lamplighter_jobs_running
             where state = 'running' and name = ? and group_key = ?"""

LEAVE = (
    f"delete from lamplighter_turns {OF_KEY} and {FIRST} is null",
    f"update lamplighter_turns set next = {SLACK_SECONDS} + {FIRST} {OF_KEY} and {FIRST} > :now",
    """delete from lamplighter_turns where name = :name and priority = :priority and group_key = '' and not exists (
         select 1 from lamplighter_turns where name = :name and priority = :priority and group_key > '')""",
)
"""For a group that cannot start a job."""

NEXT = """select next from lamplighter_turns indexed by lamplighter_turns_next
          where name = :name and priority = :priority and next > :after and group_key <> '' order by next limit 1"""

NEXT_BELOW = """select min(next) from lamplighter_turns
                where name = :name and priority < :below and next > :after and group_key <> ''"""


def line_up(connection: Database, due: Mapping[Key, Instant], now: Instant) -> None:
    """Put groups into the line, each with the instant at which its first new job is due."""
    # In an order, so that two turns do not wait for each other.
    places = ((key, at if at <= now else _place_at(at)) for key, at in sorted(due.items()))
    connection.executemany(LINE_UP, [{**_about(key, now), "next": at} for key, at in places])


def leave(turn: OpenTurn, keys: Collection[Key]) -> None:
    """Groups may have no due job. Take those without any job out of the line: maybe no claim comes any more. Move those
    of which none is due to the instant when one will be.
    """
    about = [_about(key, turn.now) for key in turn.hold_places(sorted(keys))]
    for query in LEAVE:
        turn.connection.executemany(query, about)


def _about(key: Key, now: Instant) -> dict[str, Any]:
    return {"name": key[0], "priority": key[1], "key": key[2], "now": now}


def key_of(job: JobRecord) -> Key:
    return job.name, job.priority, job.group_key or NO_GROUP


def _place_at(instant: Instant) -> Instant:
    """The place of a group whose turn comes at an instant, less the slack."""
    return instant + SLACK_SECONDS


def pull_in(connection: Database, now: Instant) -> None:
    """The clock was set back: move places to now at the latest, or all would stand still until that time."""
    connection.execute("update lamplighter_turns set next = ? where next > ?", (now, now))


def is_due(connection: Database, name: str, now: Instant) -> bool:
    at = first(connection, name)
    return at is not None and at <= now


def first(connection: Database, name: str, after: Instant = float("-inf")) -> Instant | None:
    """When the next group of a name may have its turn, after an instant; None if none has queued jobs."""
    found: list[Instant] = []
    below, about = None, {"name": name, "after": after + SLACK_SECONDS}
    for tried, priority in enumerate(priorities(connection, HIGHEST, name)):
        if tried == PRIORITIES_MAX:
            # There are more priorities than deserve a seek each.
            rest = connection.execute(NEXT_BELOW, {**about, "below": below}).fetchone()
            found += [at for at in rest if at is not None]
            break
        row = connection.execute(NEXT, {**about, "priority": priority}).fetchone()
        found += () if row is None else row
        below = priority
    # Rounded up, so that a look at that instant finds it.
    return min(found) - SLACK_SECONDS + STEP_SECONDS if found else None


def running(connection: Database, name: str, group: str) -> int:
    return int(connection.execute(RUNNING, (name, group)).fetchone()[0])


@dataclass(eq=False)
class FairQueue:
    """Gives the jobs of a name in the order in which they may start: by priority; within one priority groups take
    turns.

    Args:
        most: how many jobs are wanted.
        highest: the highest priority in the line.
        others: the first due jobs without a group, in order; perhaps with a suspect that has one.
        write: has the jobs run that were taken so far.
        gate: keeps other turns from the claims of the name; whether they were not kept before.

    Attributes:
        _served: the groups that have started a job, in order, with their priorities: they go to the back.
        _left: groups that have no job to start, with their priorities.
        _heads: the next jobs of groups of a priority, as far as they were read.
        _read_out: groups of which no more can be read.
        _passed: groups of a priority whose places other turns have.
    """

    turn: OpenTurn
    name: str
    limits: NameLimits
    most: int
    highest: int
    others: Sequence[JobRecord]
    write: Callable[[], None]
    gate: Callable[[], bool]
    _running: dict[str, int] = field(default_factory=dict)
    _served: dict[tuple[int, str], None] = field(default_factory=dict)
    _left: set[tuple[int, str]] = field(default_factory=set)
    _heads: dict[str, deque[JobRecord]] = field(init=False)
    _read_out: set[str] = field(init=False)
    _passed: Sequence[str] = ()
    _given: tuple[int, str] | None = None

    def take(self, job: JobRecord) -> dict[str, Any]:
        """The job that was given last starts. Returns the fields of its claim about its group."""
        self.most -= 1
        if self._given is not None:
            # Move the group behind those served since its last turn.
            self._served.pop(self._given, None)
            if self._given[1] not in self._passed:
                self._served[self._given] = None
            self._given = None
        if job.one_at_a_time:
            # Others of its schedule may be among those that were read.
            self._forget_heads()
        group = job.group_key
        if group is None:
            return {}
        if self.limits.rate_per_group is not None:
            take_starts(self.turn.connection, self.limits.rate_per_group, self.name, self.turn.now, 1, group)
        if self.limits.per_group is None:
            return {"group": group}
        self._running[group] += 1
        return {"group": group, "of_group": self._running[group], "limit": self.limits.per_group}

    def jobs(self) -> Iterator[JobRecord]:
        """Jobs that may start. If one is not taken, no other of its group is given."""
        for priority in self._priorities():
            others = [job for job in self.others if job.priority == priority]
            self._given = None
            for suspect in others:
                if (group := suspect.group_key) is None:
                    continue
                is_free = self.limits.per_group is None or self.turn.hold_group(self.name, group)
                if is_free and self._has_room(priority, group):
                    yield suspect
            self._forget_heads()
            yield from self._at(priority, deque(job for job in others if job.group_key is None))

    def close(self) -> None:
        about: dict[str, Any] = {"name": self.name, "now": self.turn.now, "soon": self.turn.now + SLACK_SECONDS}
        for priority, group in self._served:
            query = OTHERS_TO_THE_BACK if group == NO_GROUP else TO_THE_BACK
            self.turn.later(query, {**about, "priority": priority, "key": group})
        if self._left:
            leave(self.turn, [(self.name, *key) for key in self._left])

    def _at(self, priority: int, others: deque[JobRecord]) -> Iterator[JobRecord]:
        first_round, again = self._groups(priority, bool(others)), deque[str]()
        while True:
            group = next(first_round, None)
            if group is None:
                if not again:
                    return
                group = again.popleft()
                self._read(priority, [group, *again])
            job = self._next_of(priority, group, others)
            if job is None:
                continue
            self._given = (priority, group)
            yield job
            if self._given is None:
                again.append(group)

    def _next_of(self, priority: int, group: str, others: deque[JobRecord]) -> JobRecord | None:
        if group == NO_GROUP:
            return others.popleft() if others else None
        if not self._heads[group]:
            self._left.add((priority, group))
            return None
        return self._heads[group].popleft() if self._has_room(priority, group) else None

    def _read(self, priority: int, groups: Sequence[str]) -> None:
        """Read the next jobs of a group, unless they are at hand, and those of groups after it."""
        if self._heads.get(groups[0]) or groups[0] in self._read_out:
            return
        some = [group for group in groups if not self._heads.get(group) and group not in self._read_out][: self.most]
        self.write()
        each, limit = -(-self.most // len(some)), self.limits.per_group or 0
        about = {"name": self.name, "priority": priority, "now": self.turn.now, "per_group": limit, "each": each}
        heads: dict[str, deque[JobRecord]] = {group: deque() for group in some}
        is_one_at_a_time = 0
        for running, *row in self.turn.heads(about, some):
            job = JobRecord._make(row)
            group = job.group_key or NO_GROUP
            self._running[group] = running
            heads[group].append(job)
            is_one_at_a_time |= job.one_at_a_time
        if is_one_at_a_time and self.gate():
            self._read(priority, groups)
            return
        self._heads |= heads
        self._read_out |= {group for group in some if len(heads[group]) < each}

    def _forget_heads(self) -> None:
        self._heads, self._read_out = {}, {NO_GROUP}

    def _has_room(self, priority: int, group: str) -> bool:
        limits = self.limits
        if limits.per_group is not None and self._running_of(group) >= limits.per_group:
            return False
        if limits.rate_per_group is None:
            return True
        room = rate_room(self.turn.connection, limits.rate_per_group, self.name, self.turn.now, group)
        if not room.free:
            about = {**_about((self.name, priority, group), self.turn.now), "next": _place_at(room.opens)}
            self.turn.connection.execute(f"update lamplighter_turns set next = :next {OF_KEY}", about)
            self._served.pop((priority, group), None)
        return room.free > 0

    def _running_of(self, group: str) -> int:
        if group not in self._running:
            self._running[group] = running(self.turn.connection, self.name, group)
        return self._running[group]

    def _priorities(self) -> Iterator[int]:
        """The priorities of jobs that may start, highest first."""
        about: dict[str, Any] = {"name": self.name, "soon": self.turn.now + SLACK_SECONDS}
        others = sorted({job.priority for job in self.others}, reverse=True)
        lined_up: int | None = self.highest
        for _ in range(PRIORITIES_MAX):
            found = max([one for one in (lined_up, *others[:1]) if one is not None], default=None)
            if found is None:
                return
            yield found
            about["below"] = found
            below = {"name": self.name, "below": found}
            lined_up = self.turn.connection.execute(f"{HIGHEST} and priority < :below", below).fetchone()[0]
            others = [one for one in others if one < found]
        due = {row[0] for row in self.turn.connection.execute(DUE_PRIORITIES, about).fetchall()}
        yield from sorted({*due, *others}, reverse=True)

    def _groups(self, priority: int, has_others: bool) -> Iterator[str]:
        """The groups of a priority that may have a turn, in line order; after them those whose places others have."""
        execute = self.turn.connection.execute
        about: dict[str, Any] = {"name": self.name, "priority": priority, "soon": self.turn.now + SLACK_SECONDS}
        place = self._place_of_others(about) if has_others else None
        about |= {"next": float("-inf"), "key": "", "most": min(self.most, LINE_READ)}
        about["per_group"] = self.limits.per_group or 0
        ours, self._passed, is_more = set[str](), (), True
        while is_more:
            rows = execute(LINE, about).fetchall()
            groups = [group for _, group, is_ours in rows if is_ours]
            ours.update(groups)
            for at, _, is_ours in rows:
                if place is not None and place <= at:
                    yield NO_GROUP
                    place = None
                if is_ours:
                    self._read(priority, groups)
                    yield groups.pop(0)
            is_more = len(rows) == about["most"]
            if is_more:
                (about["next"], about["key"], _), about["most"] = rows[-1], min(2 * about["most"], LINE_READ)
        if place is not None:
            yield NO_GROUP
        if self.turn.held_up is None:
            return
        about |= {"next": float("-inf"), "key": "", "most": len(ours) + LINE_READ}
        passed = [group for _, group in execute(OTHERS_LINE, about) if group not in ours]
        if self.limits.per_group is not None or self.limits.rate_per_group is not None:
            self.turn.held_up.update([self.name] if passed else ())
            return
        self._passed = tuple(passed)
        while passed:
            self._read(priority, passed)
            yield passed.pop(0)

    def _place_of_others(self, about: Mapping[str, Any]) -> Instant:
        """The place of jobs without a group. Before they were first served, they stand in front."""
        row = self.turn.connection.execute(
            "select next from lamplighter_turns where name = :name and priority = :priority and group_key = ''", about
        ).fetchone()
        return float("-inf") if row is None else row[0]
