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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...messages.jobs import WAITS_ITS_TURN, Instant, JobRecord
from ...messages.names import NameLimits
from .database import Database
from .job_rows import WHOLE
from .names import rate_room, take_starts

PRIORITIES_MAX = 32
"""A claim looks at so many priorities of waiting jobs in turn. With more priorities, it goes by time."""

CLAIMABLE = """
    and (expires_at is null or expires_at > :now)
    and (suspect_until is null or suspect_until <= :now)
    and rev > 0
    and (one_at_a_time = 0 or not exists (
      select 1 from lamplighter_jobs r where r.schedule = lamplighter_jobs.schedule and r.state = 'running'))
"""


CLAIMED = "/*pg for update skip locked */"
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
"""Groups of a line that are read at a time, after the first few."""

AHEAD_READ = 2
"""Groups read first beyond the number of wanted jobs: those in front may be full."""

Key = tuple[str, int, str]
"""The key of a row: name, priority, group."""

LINE_UP = f"""
  insert into lamplighter_turns as line (name, priority, group_key, next) values (?, ?, ?, ?)
  on conflict (name, priority, group_key) do update set next = excluded.next
  where line.next > excluded.next and line.next > ? + {SLACK_SECONDS}
"""
"""A group in the line keeps its place, or gets an earlier one if its jobs are due earlier now."""

HIGHEST = "select max(priority) from lamplighter_turns where name = :name"

DUE_PRIORITIES = """select distinct priority from lamplighter_turns
                    where name = :name and priority < :below and next <= :soon order by priority desc limit 1000"""

LINE = """
  select next, group_key, (
    select count(*) from (
      select 1 from lamplighter_jobs indexed by lamplighter_jobs_running
      where state = 'running' and name = :name and group_key = line.group_key limit +:per_group) as few)
  from lamplighter_turns line indexed by lamplighter_turns_next
  where name = :name and priority = :priority and (next, group_key) > (:next, :key) and next <= :soon
    and group_key <> '' order by next, group_key limit +:most
"""
"""Groups in line order, with the number of running jobs of each, up to the limit."""

BEHIND = f"""
  {STEP_SECONDS} + max(:now, coalesce((
    select max(next) from lamplighter_turns indexed by lamplighter_turns_next
    where name = :name and priority = :priority and next <= :soon), :now))
"""

TO_THE_BACK = f"""
  update lamplighter_turns set next = {BEHIND} where name = :name and priority = :priority and group_key = :key
"""

OTHERS_TO_THE_BACK = f"""
  insert into lamplighter_turns (name, priority, group_key, next) select :name, :priority, :key, {BEHIND}
  where exists (select 1 from lamplighter_turns where name = :name and priority = :priority and group_key > '')
  on conflict (name, priority, group_key) do update set next = excluded.next
"""

HEAD = f"""
  select {WHOLE} from lamplighter_jobs indexed by lamplighter_jobs_grouped
  where state = 'queued' and waits = {WAITS_ITS_TURN} and name = :name and priority = :priority and group_key = :key
    and run_at <= :now {CLAIMABLE} order by run_at, no limit 1 {CLAIMED}
"""

FIRST = f"""
  select run_at from lamplighter_jobs indexed by lamplighter_jobs_grouped
  where state = 'queued' and waits = {WAITS_ITS_TURN} and name = ? and priority = ? and group_key = ?
  order by run_at limit 1
"""

RUNNING = """select count(*) from lamplighter_jobs indexed by lamplighter_jobs_running
             where state = 'running' and name = ? and group_key = ?"""

ANOTHER = "select 1 from lamplighter_turns where name = ? and priority = ? and group_key > ? limit 1"

DELETE = "delete from lamplighter_turns where name = ? and priority = ? and group_key = ?"

NEXT = """select next from lamplighter_turns indexed by lamplighter_turns_next
          where name = :name and priority = :priority and next > :after and group_key <> '' order by next limit 1"""

NEXT_BELOW = """select min(next) from lamplighter_turns
                where name = :name and priority < :below and next > :after and group_key <> ''"""


def line_up(connection: Database, due: Mapping[Key, Instant], now: Instant) -> None:
    """Put groups into the line, each with the instant at which its first new job is due."""
    connection.executemany(LINE_UP, [(*key, at if at <= now else _place_at(at), now) for key, at in due.items()])


def leave(connection: Database, keys: Iterable[Key]) -> None:
    """Jobs of groups have ended unclaimed. A group without jobs loses its row now: maybe no claim comes any more."""
    for key in keys:
        if connection.execute(FIRST, key).fetchone() is None:
            _remove(connection, key)


def key_of(job: JobRecord) -> Key:
    return job.name, job.priority, job.group_key or NO_GROUP


def _remove(connection: Database, key: Key) -> None:
    connection.execute(DELETE, key)
    others = (*key[:2], NO_GROUP)
    if connection.execute(ANOTHER, others).fetchone() is None:
        connection.execute(DELETE, others)


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

    Attributes:
        _served: the groups that have started a job, in order, with their priorities: they go to the back.
    """

    connection: Database
    name: str
    limits: NameLimits
    now: Instant
    most: int
    highest: int
    others: Sequence[JobRecord]
    _running: dict[str, int] = field(default_factory=dict)
    _served: dict[tuple[int, str], None] = field(default_factory=dict)
    _given: tuple[int, str] | None = None

    def take(self, job: JobRecord) -> dict[str, Any]:
        """The job that was given last starts. Returns the fields of its claim about its group."""
        if self._given is not None:
            # Move the group behind those served since its last turn.
            self._served.pop(self._given, None)
            self._served[self._given] = None
            self._given = None
        group = job.group_key
        if group is None:
            return {}
        if self.limits.rate_per_group is not None:
            take_starts(self.connection, self.limits.rate_per_group, self.name, self.now, 1, group)
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
                if suspect.group_key is not None and self._has_room(priority, suspect.group_key):
                    yield suspect
            yield from self._at(priority, deque(job for job in others if job.group_key is None))

    def close(self) -> None:
        about: dict[str, Any] = {"name": self.name, "now": self.now, "soon": self.now + SLACK_SECONDS}
        for priority, group in self._served:
            query = OTHERS_TO_THE_BACK if group == NO_GROUP else TO_THE_BACK
            self.connection.execute(query, {**about, "priority": priority, "key": group})

    def _at(self, priority: int, others: deque[JobRecord]) -> Iterator[JobRecord]:
        first_round, again = self._groups(priority, bool(others)), deque[str]()
        while True:
            group = next(first_round, None)
            if group is None:
                if not again:
                    return
                group = again.popleft()
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
        if not self._has_room(priority, group):
            return None
        about = {"name": self.name, "priority": priority, "key": group, "now": self.now}
        row = self.connection.execute(HEAD, about).fetchone()
        if row is None:
            self._leave(priority, group)
            return None
        return JobRecord._make(row)

    def _leave(self, priority: int, group: str) -> None:
        """A group cannot start a job. If none is due, move it to the instant when one will be."""
        key = (self.name, priority, group)
        found = self.connection.execute(FIRST, key).fetchone()
        if found is None:
            _remove(self.connection, key)
        elif found[0] > self.now:
            self._place(key, _place_at(found[0]))
        else:
            return
        self._served.pop((priority, group), None)

    def _has_room(self, priority: int, group: str) -> bool:
        limits = self.limits
        if limits.per_group is not None and self._running_of(group) >= limits.per_group:
            return False
        if limits.rate_per_group is None:
            return True
        room = rate_room(self.connection, limits.rate_per_group, self.name, self.now, group)
        if not room.free:
            self._place((self.name, priority, group), _place_at(room.opens))
            self._served.pop((priority, group), None)
        return room.free > 0

    def _running_of(self, group: str) -> int:
        if group not in self._running:
            self._running[group] = running(self.connection, self.name, group)
        return self._running[group]

    def _place(self, key: Key, at: Instant) -> None:
        values = (at, *key)
        self.connection.execute(
            "update lamplighter_turns set next = ? where name = ? and priority = ? and group_key = ?", values
        )

    def _priorities(self) -> Iterator[int]:
        """The priorities of jobs that may start, highest first."""
        about: dict[str, Any] = {"name": self.name, "soon": self.now + SLACK_SECONDS}
        others = sorted({job.priority for job in self.others}, reverse=True)
        lined_up: int | None = self.highest
        for _ in range(PRIORITIES_MAX):
            found = max([one for one in (lined_up, *others[:1]) if one is not None], default=None)
            if found is None:
                return
            yield found
            about["below"] = found
            below = {"name": self.name, "below": found}
            lined_up = self.connection.execute(f"{HIGHEST} and priority < :below", below).fetchone()[0]
            others = [one for one in others if one < found]
        due = {row[0] for row in self.connection.execute(DUE_PRIORITIES, about).fetchall()}
        yield from sorted({*due, *others}, reverse=True)

    def _groups(self, priority: int, has_others: bool) -> Iterator[str]:
        """The groups of a priority that may have a turn, in line order."""
        about: dict[str, Any] = {"name": self.name, "priority": priority, "soon": self.now + SLACK_SECONDS}
        place = self._place_of_others(about) if has_others else None
        about |= {"next": float("-inf"), "key": "", "most": min(self.most + AHEAD_READ, LINE_READ)}
        about["per_group"] = self.limits.per_group or 0
        rows = self.connection.execute(LINE, about).fetchall()
        while rows:
            for at, group, jobs in rows:
                if place is not None and place <= at:
                    yield NO_GROUP
                    place = None
                # The count already includes the jobs that this claim has started.
                self._running.setdefault(group, jobs)
                yield group
            is_more = len(rows) == about["most"]
            (about["next"], about["key"], _), about["most"] = rows[-1], LINE_READ
            rows = self.connection.execute(LINE, about).fetchall() if is_more else []
        if place is not None:
            yield NO_GROUP

    def _place_of_others(self, about: Mapping[str, Any]) -> Instant:
        """The place of jobs without a group. Before they were first served, they stand in front."""
        row = self.connection.execute(
            "select next from lamplighter_turns where name = :name and priority = :priority and group_key = ''", about
        ).fetchone()
        return float("-inf") if row is None else row[0]
