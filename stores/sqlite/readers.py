"""Reading connections: each lent to one reader at a time, and only a few open."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence

from ...errors import StoreUnavailable
from ...messages.boots import BootRecord
from ..ports import DeadJobs, JobReader, JobTable, QueueReader, ScheduleReader, TallyReader
from .boots import read_boots
from .rows import JobRows, ScheduleRows
from .tallies import TallyRows


class SqliteSnapshot:
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
    connection.execute("begin")
    try:
        yield SqliteSnapshot(connection)
    finally:
        connection.execute("rollback")


READERS_MAX = 16
"""Each has two files open. More would be no faster: they share one interpreter."""

IDLE_MAX = 8

READ_SECONDS_MAX = 10.0


class Readers:
    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._idle: list[sqlite3.Connection] = []
        self._lent = 0
        self._closings = 0
        self._frozen = False
        self._lock = threading.RLock()
        self._may_read = threading.Condition(self._lock)
        self._all_back = threading.Condition(self._lock)

    @contextlib.contextmanager
    def lend(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection for the block.

        Raises:
            StoreUnavailable: none became free in time.
        """
        with self._lock:
            if not self._may_read.wait_for(self._may_lend, READ_SECONDS_MAX):
                says = f"no connection to read by was free within {READ_SECONDS_MAX:g} s: {self._lent} threads read"
                raise StoreUnavailable(says)
            self._lent += 1
            closings = self._closings
            reader = self._idle.pop() if self._idle else None
        sound = False
        try:
            reader = reader or self._connect()
            yield reader
            sound = True
        finally:
            self._take_back(reader, keep=sound, closings=closings)

    def _take_back(self, reader: sqlite3.Connection | None, *, keep: bool, closings: int) -> None:
        with self._lock:
            # A connection that was lent before the readers were closed must be closed now.
            keep = keep and closings == self._closings and len(self._idle) < IDLE_MAX
            if reader is not None and keep:
                self._idle.append(reader)
                self._is_back()
                return
        # The connection counts as lent until it is closed. Otherwise a fork would not wait, and the child would inherit
        # it.
        try:
            if reader is not None:
                reader.close()
        finally:
            with self._lock:
                self._is_back()

    def _is_back(self) -> None:
        self._lent -= 1
        self._may_read.notify()
        if self._lent == 0:
            self._all_back.notify_all()

    def freeze(self, seconds_max: float) -> bool:
        """Lend none from now on; wait until all are back. Returns whether they are."""
        with self._lock:
            self._frozen = True
            return self._all_back.wait_for(lambda: self._lent == 0, seconds_max)

    def thaw(self) -> None:
        with self._lock:
            self._frozen = False
            self._may_read.notify_all()

    def close(self) -> None:
        """Close idle connections now, and the others when they are returned."""
        with self._lock:
            self._closings += 1
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()

    def _may_lend(self) -> bool:
        return not self._frozen and self._lent < READERS_MAX
