"""Reads of a store outside of turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import fields
from typing import Any, Concatenate, ParamSpec, TypeVar

from ...messages.boots import BootRecord
from ...messages.jobs import Instant
from ...messages.queries import LOOKED_MAX, Found, GraphRows, JobQuery
from ...messages.schedules import ScheduleRecord, SlotEntry
from ..ports import DeadJobs, JobReader, JobTable, QueueReader, ScheduleReader, Slots, TallyReader
from . import attempts, due, links
from . import census as counted
from . import steps as kept
from .boots import read_boots
from .database import Database, at_one_instant
from .job_rows import jobs_by_id
from .names import read_pauses
from .schedule_changes import SCHEDULE, schedule_as_changed, schedules_as_changed
from .tallies import TallyRows

READ_AHEAD = 5_000

SLOT_COLUMNS = tuple(field.name for field in fields(SlotEntry))
SLOT = ", ".join(SLOT_COLUMNS)

Reading = Callable[[], AbstractContextManager[Database]]


Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")


class Rows:
    """Answers each question by a connection that is lent for it."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading


def _asks(
    read: Callable[Concatenate[Database, Asked], Answer], *, at_once: bool = False
) -> Callable[Concatenate[Rows, Asked], Answer]:
    """A method that reads.

    Args:
        at_once: the reader has several statements, which see the store at one instant.
    """

    def ask(self: Rows, /, *args: Asked.args, **kwargs: Asked.kwargs) -> Answer:
        with self._reading() as reader, at_one_instant(reader) if at_once else nullcontext():
            return read(reader, *args, **kwargs)

    return ask


class JobRows(Rows):
    known = _asks(jobs_by_id)
    outlook = _asks(due.outlook)
    counts = _asks(counted.by_state)
    pauses = _asks(read_pauses)
    census = _asks(counted.census, at_once=True)
    capped_counts = _asks(counted.counts, at_once=True)
    names = _asks(counted.names, at_once=True)
    due_names = _asks(counted.due_names, at_once=True)
    children = _asks(counted.children)
    before = _asks(counted.before)
    parents = _asks(links.parents)
    gone_parents = _asks(links.gone_parents)
    linked = _asks(links.children)
    awaited = _asks(links.awaited, at_once=True)
    logged = _asks(attempts.logged)
    attempts = _asks(attempts.read)
    step = _asks(kept.one)
    steps = _asks(kept.read)
    steps_seen = _asks(kept.seen, at_once=True)

    def graph(self, job_id: str, most: int) -> GraphRows:
        from .graphs import graph

        with self._reading() as reader, at_one_instant(reader):
            return graph(reader, job_id, most)

    def find(self, query: JobQuery, *, limit: int, after: str | None = None, looked_max: int = LOOKED_MAX) -> Found:
        # Imported where it is called: most processes that run jobs search for none.
        from ...rules.queries import place_at
        from . import finding

        with self._reading() as reader:
            return finding.find(reader, query, limit=limit, after=place_at(after), looked_max=looked_max)

    def sweep(self, query: JobQuery) -> Iterator[Sequence[str]]:
        from . import finding

        for one in finding.parts(query):
            with self._reading() as reader:
                after, last = None, finding.newest(reader, one, LOOKED_MAX)
            while last is not None:
                with self._reading() as reader:
                    look = finding.following(reader, one, after, last, limit=READ_AHEAD, looked_max=LOOKED_MAX)
                if look.places:
                    yield [place.id for place in look.places]
                after = look.places[-1] if len(look.places) == READ_AHEAD else look.edge
                if after is None:
                    break


class ScheduleRows(Rows):
    all = _asks(schedules_as_changed, at_once=True)
    some = _asks(schedules_as_changed, at_once=True)
    one = _asks(schedule_as_changed, at_once=True)

    def changed(self, since: int, limit: int) -> Sequence[ScheduleRecord]:
        query = f"select {SCHEDULE} from lamplighter_schedules s where change_no > ? order by change_no limit ?"
        with self._reading() as reader:
            return list(map(ScheduleRecord._make, reader.execute(query, (since, limit))))

    def slots(self, schedule_id: str, start: Instant, end: Instant) -> Slots:
        query = f"""select {SLOT} from lamplighter_slots
                   where schedule_id = ? and last >= ? and slot < ? order by slot"""
        with self._reading() as reader:
            return Slots(list(map(slot_entry, reader.execute(query, (schedule_id, start, end)))), since=0.0)


def slot_entry(row: tuple[Any, ...]) -> SlotEntry:
    return SlotEntry(**dict(zip(SLOT_COLUMNS, row, strict=True)))


class TableSnapshot:
    dead: DeadJobs | None = None
    queues: QueueReader | None = None

    def __init__(self, connection: Database) -> None:
        rows = JobRows(lambda: nullcontext(connection))
        self._connection = connection
        self.jobs: JobReader = rows
        self.table: JobTable | None = rows
        self.schedules: ScheduleReader = ScheduleRows(lambda: nullcontext(connection))
        self.tallies: TallyReader | None = TallyRows(lambda: nullcontext(connection))

    def boots(self) -> Sequence[BootRecord]:
        return read_boots(self._connection)


@contextmanager
def snapshot_of(connection: Database) -> Iterator[TableSnapshot]:
    connection.execute("begin")
    try:
        yield TableSnapshot(connection)
    finally:
        connection.execute("rollback")
