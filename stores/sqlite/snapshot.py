"""A SQLite store as of one instant."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence

from ...messages.boots import BootRecord
from ..ports import DeadJobs, JobReader, JobTable, QueueReader, ScheduleReader, TallyReader
from .boots import read_boots
from .rows import JobRows, ScheduleRows
from .tallies import TallyRows


class SqliteSnapshot:
    """The `StoreSnapshot` of a connection in one transaction."""

    dead: DeadJobs | None = None
    queues: QueueReader | None = None

    def __init__(self, connection: sqlite3.Connection) -> None:
        rows = JobRows(lambda: contextlib.nullcontext(connection))
        self._connection = connection
        self.jobs: JobReader = rows
        self.table: JobTable | None = rows
        self.schedules: ScheduleReader = ScheduleRows(lambda: contextlib.nullcontext(connection))
        self.tallies: TallyReader | None = TallyRows(lambda: contextlib.nullcontext(connection))

    def boots(self) -> Sequence[BootRecord]:
        return read_boots(self._connection)


@contextlib.contextmanager
def snapshot_of(connection: sqlite3.Connection) -> Iterator[SqliteSnapshot]:
    """The snapshot that a connection sees from its first read on, for as long as the block lasts."""
    connection.execute("begin")
    try:
        yield SqliteSnapshot(connection)
    finally:
        connection.execute("rollback")
