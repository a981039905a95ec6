"""Reading a store from outside of any runtime: the file is opened read-only, and nothing in it is changed."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

from ...errors import StoreCorrupt, StoreError, StoreUnavailable
from ..locks import check_is_file, identity
from ..open_transactions import OwnConnection
from ..ports import JobTable, StoreSnapshot
from ..tables.lives import TableLives
from ..tables.readers import Readers
from ..tables.rows import JobRows, snapshot_of
from ..tables.schema import VERSION, check_version
from .connections import CLEAN_FAILURES, Translation
from .place import FilePlace
from .schema import OLDEST

BUSY_SECONDS_MAX = 10.0

LOOK_SECONDS_MAX = 2.0
"""How long a reader waits for a file that another process just closes or opens."""


class ReadOnlyView(TableLives):
    """The `StoredLives` of a file, or of an open connection."""

    def __init__(self, store: str | Path | sqlite3.Connection) -> None:
        if isinstance(store, sqlite3.Connection):
            super().__init__(store)
            return
        connection = _open(str(store))
        super().__init__(connection, connection.close)
        # One transaction: everything that is read belongs to one instant.
        connection.execute("begin")


class ReadOnlyStore:
    """A store's file for repeated looks, from any thread; opened at the first look.

    Args:
        address: the path of a file that is a store already.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.place = FilePlace(self.address)
        self._translated = Translation(self.address)
        connect = partial(_open, address, check_same_thread=False, busy_seconds_max=LOOK_SECONDS_MAX)
        self._readers = Readers(connect, is_usable=self._is_usable)
        # The version that it asks for is that of one connection.
        self._watcher = Readers(connect, most=1, is_usable=self._is_usable)
        self.table: JobTable | None = JobRows(self._reading)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[StoreSnapshot]:
        with self._reading() as reader, snapshot_of(reader) as seen:
            yield seen

    @contextlib.contextmanager
    def watch(self) -> Iterator[Callable[[], object]]:
        """A function whose value changes with every commit of anybody, and with the file at the path; valid in the
        block. It raises nothing: who looks at a store that cannot be read is told why.
        """
        with contextlib.closing(self._watcher):
            yield self._state

    def _state(self) -> object:
        with contextlib.suppress(StoreError, StoreUnavailable), self._translated, self._watcher.lend() as reader:
            return reader.files, reader.execute("pragma data_version").fetchone()[0]
        return None

    def version(self) -> str:
        """A text that changes with every commit, comparable between processes and times, unlike `watch`."""
        return ".".join(_stamp(f"{self.address}{ending}") for ending in ("", "-wal"))

    def close(self) -> None:
        self._readers.close()
        self._watcher.close()

    def _is_usable(self, reader: OwnConnection) -> bool:
        """Whether a connection's files are still at their paths: it would read deleted ones for ever."""
        if reader.files == _files(self.address):
            return True
        # Connections of one process to one file share its index of the log: none may stay open on that of a log which
        # is gone, or the next one would get it.
        self.close()
        return False

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._translated, self._readers.lend() as reader:
            yield reader


def _files(address: str) -> tuple[tuple[int, int] | None, ...]:
    """Which files are at the paths of the database, of its log and of the index of that."""
    return tuple(identity(f"{address}{ending}") for ending in ("", "-wal", "-shm"))


def _stamp(path: str) -> str:
    """A file's size and times: a commit changes one of them."""
    try:
        found = os.stat(path)
    except OSError:
        return "none"
    # A reader creates an empty log.
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}" if found.st_size else "none"


def _open(address: str, *, check_same_thread: bool = True, busy_seconds_max: float = BUSY_SECONDS_MAX) -> OwnConnection:
    connection, version = opened(address, check_same_thread=check_same_thread, busy_seconds_max=busy_seconds_max)
    check_version(version, VERSION, OLDEST, of=f" in {address!r}")
    if version < VERSION:
        raise StoreError(
            f"expected a store of schema version {VERSION}, got: {address!r}, which has {version}; "
            "a start of a runtime makes an older one newer"
        )
    return connection


def opened(
    address: str, *, check_same_thread: bool = True, busy_seconds_max: float = BUSY_SECONDS_MAX
) -> tuple[OwnConnection, int]:
    """A connection for reading, and the version of the schema.

    Raises:
        StoreError: it is no store.
        StoreCorrupt: it is damaged.
        StoreUnavailable: it cannot be read now.
    """
    check_is_file(address)
    path = Path(address)
    # Before the opening: files that replace these meanwhile are then opened again at the next look, rather than never.
    files = _files(address)
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode=ro",
            uri=True,
            timeout=busy_seconds_max,
            isolation_level=None,
            check_same_thread=check_same_thread,
            factory=OwnConnection,
        )
        connection.files = files
        version = connection.execute("select schema_version from lamplighter_store").fetchone()[0]
    except sqlite3.Error as error:
        if any(sign in str(error).lower() for sign in CLEAN_FAILURES):
            raise StoreUnavailable(f"the store {address} cannot be read now: {error}") from error
        kind = StoreCorrupt if "malformed" in str(error).lower() else StoreError
        raise kind(f"expected a store of Lamplighter, got: {address!r} ({error})") from error
    return connection, int(version)
