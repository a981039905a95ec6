"""The stores that a simulation may have in the place of a file on a sound disk: a disk that loses its power, or a
server.

Lamplighter's own tests have one of each (tests/support); a simulation knows only what it asks of them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from ...environment.environment import Environment
from ...environment.failpoints import Failpoints
from ...history.audit.audit import Report
from ...messages.jobs import Instant
from ...stores.hints import Hints
from ...stores.ports import Store
from ...stores.sqlite.store import SqliteStore
from ...stores.stored_lives import StoredLives
from .virtual_scheduler import Process


def make_folder() -> Path:
    """A new folder; in memory where there is such a place, for a simulation decides itself what is lost."""
    memory = "/dev/shm"
    is_there = os.path.isdir(memory) and os.access(memory, os.W_OK)
    return Path(tempfile.mkdtemp(prefix="lamplighter-", dir=memory if is_there else None))


@functools.cache
def new_store() -> bytes:
    """The file of a store that has been opened once. To copy it is much cheaper than to make its tables again."""
    folder = make_folder()
    try:
        path = folder / "new.db"
        store = SqliteStore(str(path))
        store.open()
        store.close()
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            # Each simulation gives its store an id by its own chance.
            connection.execute("update lamplighter_store set store_id = null")
            connection.execute("pragma wal_checkpoint(truncate)")
        return path.read_bytes()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class StoredFile:
    """A file that is made anew.

    Attributes:
        look: reads it. Open for as long as this is: the last connection that is closed would copy the whole of the
            write-ahead log into the file, which the death of a process does not.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._replaced: list[sqlite3.Connection] = []
        path.write_bytes(new_store())
        self.look = self._open()

    def copy(self) -> bytes:
        """The content of a backup: all that is committed."""
        return self.look.serialize()

    def replace(self, copy: bytes) -> None:
        """Put a copy in the place of the file, as whoever restores a backup does; what lay beside it is removed."""
        older = self._path.with_suffix(".older")
        older.write_bytes(copy)
        for beside in ("-wal", "-shm"):
            Path(f"{self._path}{beside}").unlink(missing_ok=True)
        os.replace(older, self._path)
        # Kept open: the last one to close the old file would remove by its name what lies beside the new one.
        self._replaced.append(self.look)
        self.look = self._open()

    def write(self, copy: bytes) -> bool:
        """Put a copy into the file, as SQLite's backup API does; False while somebody writes to the file."""
        older = self._path.with_suffix(".older")
        older.write_bytes(copy)
        with (
            contextlib.closing(sqlite3.connect(older)) as source,
            contextlib.closing(sqlite3.connect(self._path, timeout=0.0)) as file,
        ):
            try:
                # A backup that meets a lock would wait for it in real time.
                file.execute("begin immediate").execute("rollback")
            except sqlite3.OperationalError:
                return False
            source.backup(file)
        return True

    def close(self) -> None:
        for connection in (self.look, *self._replaced):
            connection.close()

    def _open(self) -> sqlite3.Connection:
        look = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, isolation_level=None)
        look.execute("select boots from lamplighter_store").fetchone()
        return look


class Disk(Protocol):
    """A disk in memory, below SQLite."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """The files on it, by name, as a process sees them."""

    def connect(self, address: str) -> sqlite3.Connection:
        """A connection to a database on it."""

    def kill(self) -> Self:
        """The disk after the process has died: whatever was written is there."""

    def cut(self) -> Self:
        """The disk after its power was cut: what was not synced may be gone."""


class Server(Protocol):
    """A server, in a simulation's own time: a model of one, or one that answers at once.

    Attributes:
        strikes: which of its troubles may strike at which failpoint.
    """

    address: str
    strikes: Mapping[str, tuple[str, ...]]

    def store(self, environment: Environment, process: Process, failpoints: Failpoints) -> Store:
        """A process's store on it."""

    def befall(self, stores: Sequence[Store], kind: str) -> None:
        """Have one of its troubles come to a process's stores, in a moment."""


@runtime_checkable
class TableServer(Server, Protocol):
    """One that keeps the jobs in tables. The simulation tells its boots of one another, and judges, as on a file."""

    def lives(self) -> StoredLives:
        """All that it keeps."""

    def forget(self, boot: str) -> None:
        """Take the row of a boot away, unless it is in use."""


@runtime_checkable
class MessageServer(Server, Protocol):
    """One that keeps the jobs as messages."""

    def hints(self, store: Store) -> Hints:
        """How those who have their stores on it are told of one another."""

    def visit(self, environment: Environment, process: Process) -> Any:
        """A short visit by somebody who is no runtime."""

    def open_jobs(self) -> list[str]:
        """The messages that wait in it, or are delivered."""

    def verdict(
        self, lines: Iterable[bytes], accepted: Mapping[str, Instant]
    ) -> tuple[Report, Sequence[str], Counter[str]]:
        """Judge a log: what it sums up to, what is wrong, and how often each event was logged.

        `accepted` are the jobs that applications were told are stored, and when they were.
        """
