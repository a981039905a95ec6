"""How connections to a SQLite file are opened and get its write lock, and whether their file is still at its path."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import quote

from ...errors import StoreCorrupt, StoreGone, StoreUnavailable
from ..locks import identity
from ..open_transactions import OwnConnection
from ..troubles import StoreBusy
from . import posix_lock_guard

BUSY = ("locked", "busy")
"""Errors that say that another connection has the lock."""

CLEAN_FAILURES = (*BUSY, "full", "i/o", "readonly", "unable to open", "interrupted")
"""Errors after which SQLite has done nothing, and may succeed later."""

HOST_FAILURES = (*BUSY, "full", "i/o")
"""The same on the application's connection: rights and interrupts are the application's own doing."""


@dataclass(eq=False)
class Translation:
    """Context manager that raises SQLite's errors as those that `Store` names. Any number of threads may share it.

    Args:
        address: for error texts.
        failures: texts of errors that heal by themselves.
    """

    address: str
    failures: Sequence[str] = CLEAN_FAILURES

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, sqlite3.Error):
            return
        text = str(error).lower()
        if "not a database" in text or "malformed" in text:
            raise StoreCorrupt(
                f"expected {self.address} to be a sound SQLite database, got: {error}; "
                "put back a backup, or give the runtime another file"
            ) from error
        if "no such " in text or "no column named" in text:
            raise StoreGone(
                f"the store {self.address} has lost tables of Lamplighter: put back a backup; {error}"
            ) from error
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY_SNAPSHOT:
            # Only the application's transactions begin by reading.
            raise StoreBusy(
                f"expected the transaction of connection= to have the write lock of {self.address}, got: one that has "
                "read, and another has written since; waiting cannot help: roll back, and begin with BEGIN IMMEDIATE"
            ) from error
        if isinstance(error, sqlite3.OperationalError) and any(sign in text for sign in self.failures):
            kind = StoreBusy if any(sign in text for sign in BUSY) else StoreUnavailable
            raise kind(f"the store {self.address} cannot be used now: {error}") from error


STATEMENTS_MAX = 512
"""A connection's cache of prepared statements: each size of a multi-row insert is a statement of its own."""

WAL_TRIES_MAX, WAL_RETRY_SECONDS = 500, 0.01
"""The busy timeout does not always apply to the switch to WAL, which all workers on a new file want at once."""

Connect = Callable[[str], sqlite3.Connection]
"""Opens a connection in autocommit mode for any thread; a look-alike of sqlite3's will do."""


def connect_to(address: str) -> sqlite3.Connection:
    in_memory = address == ":memory:"
    return sqlite3.connect(
        address if in_memory else f"file:{quote(os.path.abspath(address))}?mode=rw",
        uri=not in_memory,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS_MAX,
        factory=OwnConnection,
    )


def into_wal(connection: sqlite3.Connection) -> str:
    # Without this each try would also wait for the busy timeout, where SQLite honours it.
    connection.execute("pragma busy_timeout = 0")
    for tries_left in range(WAL_TRIES_MAX, 0, -1):
        try:
            return str(connection.execute("pragma journal_mode = wal").fetchone()[0])
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or tries_left == 1:
                raise
            threading.Event().wait(WAL_RETRY_SECONDS)
    raise AssertionError("unreachable: the last try returns or raises")


class Files:
    """The database file and the files beside it, as our connections have them open.

    On Unix a file can be removed or replaced while it is open: SQLite would go on committing to a file that nobody
    finds again.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._folder = os.path.dirname(address)
        self._unchanged: tuple[tuple[int, int], int] | None = None
        """The folder since all files were found, if its next change is sure to be seen."""
        self._own: tuple[int, int] | None = None
        self._beside: dict[str, tuple[int, int] | None] = {}
        self._held: list[posix_lock_guard.PosixLockGuard] = []
        self.trouble: str | None = None

    def opened(self) -> None:
        """The writing connection was opened, or opened again. Only then may the files be new ones.

        Raises:
            StoreGone: it was opened again on another file.
        """
        self._own = self._own or identity(self._address)
        self._beside = {path: identity(path) for path in (f"{self._address}-wal", f"{self._address}-shm")}
        self.check(anew=True)
        holds = (
            posix_lock_guard.take(self._address, posix_lock_guard.SHARED),
            posix_lock_guard.take(f"{self._address}-shm", posix_lock_guard.DEAD_MAN),
        )
        self._held = [held for held in holds if held is not None]

    def closing(self) -> None:
        """The connections are about to close, and SQLite may copy the log into the file and delete it.

        It must not if others have begun another log or file: it would copy older content over theirs, and delete their
        log. So the guard's lock stays then, until the process ends.
        """
        holds, self._held = self._held, []
        if not self._is_anothers():
            for held in holds:
                posix_lock_guard.release(held)

    def _is_anothers(self) -> bool:
        own = {self._address: self._own, **self._beside}
        there = {path: identity(path) for path in own}
        return any(there[path] is not None and there[path] != known for path, known in own.items())

    def check(self, *, beside: bool = True, anew: bool = False) -> None:
        """Check that the files are still at their paths. One look at the folder tells that, unless something has come
        or gone there.

        Args:
            beside: check the files beside the database too.
            anew: look at each file. A file that something was mounted over is noticed only so.

        Raises:
            StoreGone: one is not. The error says what to do.
        """
        if not anew and self._unchanged is not None and _seen(self._folder) == self._unchanged:
            return
        # In this order: what was written before the folder was looked at.
        log, folder, trouble = _seen(f"{self._address}-wal"), _seen(self._folder), None
        # Only the whole look can find that its own fault is gone.
        beside = beside or self.trouble is not None
        there = identity(self._address)
        if there is None:
            trouble = (
                f"the file {self._address} was deleted, moved or mounted over while this runtime has it open, and what "
                "is stored now would be lost; put that very file back, or stop the runtime and start it anew"
            )
        elif there != self._own:
            trouble = (
                f"another file was put at {self._address} while this runtime has the old one open, and what is stored "
                "now would be lost; stop every process that works on the store, remove what lies beside it as -wal and "
                "-shm, which belongs to the old file, and start them anew"
            )
        for path, known in self._beside.items() if beside and trouble is None else ():
            if known is not None and identity(path) != known:
                trouble = (
                    f"the file {path}, in which SQLite keeps what is not in the database yet, was deleted or replaced "
                    "while this runtime has it open; stop every process that works on the store, then start them anew"
                )
        self.trouble = trouble
        if trouble is not None:
            self._unchanged = None
            raise StoreGone(trouble)
        if beside:
            # Times are coarse: the folder's next change may have the time of its last one. If SQLite has written to its
            # log since, by the same clock, it cannot.
            self._unchanged = folder if folder is not None and log is not None and log[1] > folder[1] else None


def _seen(path: str) -> tuple[tuple[int, int], int] | None:
    """The file or folder at a path, and when it was changed; nobody can set that time. None when nothing is there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino), found.st_ctime_ns


ROUND_MS = 18
"""Waits of 1, 2, 5 and 10 ms, then from the beginning again. SQLite announces no release of the write lock: a waiting
connection sleeps and asks again, each time after a longer sleep, up to 100 ms
(https://sqlite.org/src/file/src/main.c, sqliteDefaultBusyCallback). So a long waiter asks seldom, and a process that
wants the lock again right after its release nearly always gets it. With short rounds all ask equally often, and so get
it equally often. Hosts' writers have SQLite's whole back-off, so they need gaps in which they ask."""


def be_patient(writer: sqlite3.Connection, busy_ms: int) -> None:
    writer.execute(f"pragma busy_timeout = {min(busy_ms, ROUND_MS)}")


def begin_writing(writer: sqlite3.Connection, busy_ms: int) -> None:
    """Begin a transaction that writes.

    Args:
        busy_ms: how long to wait for the lock; 0: ask once.

    Raises:
        sqlite3.OperationalError: no lock in time, or the file cannot be used.
    """
    for left_ms in range(max(busy_ms, 1), 0, -ROUND_MS):
        try:
            writer.execute("begin immediate")
            return
        except sqlite3.OperationalError as error:
            if left_ms <= ROUND_MS or "locked" not in str(error):
                raise
