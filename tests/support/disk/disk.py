"""A disk in memory that can lose its power, fill up and fail.

Killing a process never loses what the operating system has accepted, so no such test can show whether a store syncs
when it must. This disk can: it keeps apart what was synced, which is certain, from what was only written, of which a
power cut leaves what it likes, sector by sector (https://sqlite.org/atomiccommit.html#_hardware_assumptions).

    disk = Disk(random.Random(7))
    store = SqliteStore("jobs.db", connect=disk.connect)
    ...
    after = SqliteStore("jobs.db", connect=disk.cut().connect)

It stands below SQLite as a VFS, by apsw, which has a SQLite of its own. A VFS of Python's has no shared memory, and
WAL without it needs an exclusive lock: there is one connection at a time.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import apsw
from lamplighter.stores.sqlite.connections import STATEMENTS_MAX

from .sectors import Folder, StoredFile

CHECKPOINT_PAGES = 1000
"""SQLite's own: after a commit, a write-ahead log of this length is copied into the database."""

Act = Literal["write", "sync", "truncate", "create", "delete"]
Fault = Literal["io", "full"]

_numbers = itertools.count(1)


class Disk:
    """What a machine keeps its files on.

    Args:
        chance: decides what survives a power cut.
        files: what lies on it already, safely.
        capacity: how many bytes of files it takes; more is "database or disk is full".
        checkpoint_pages: as `pragma wal_autocheckpoint`, which is not to be used on such a connection.

    Attributes:
        before: called with the act and the path before anything changes or is synced. It may take an image, and may
            raise: then the act does not happen, and the error comes out of the statement that wanted it.
        acts: how often each act was asked for.
    """

    def __init__(
        self,
        chance: random.Random,
        files: Mapping[str, bytes] | None = None,
        *,
        capacity: int | None = None,
        checkpoint_pages: int = CHECKPOINT_PAGES,
    ) -> None:
        self.capacity = capacity
        self.checkpoint_pages = checkpoint_pages
        self.before: Callable[[Act, str], None] = lambda act, path: None
        self.acts: dict[Act, int] = {"write": 0, "sync": 0, "truncate": 0, "create": 0, "delete": 0}
        self._chance = chance
        self._folder = Folder(
            {path: StoredFile(bytearray(data), bytearray(data)) for path, data in (files or {}).items()}
        )
        self._faults: list[_PlannedFault] = []
        self._powered = True
        # A cut comes between two acts, whichever threads they are of.
        self._lock = threading.RLock()

    @property
    def files(self) -> dict[str, bytes]:
        """What a process would read now."""
        with self._lock:
            return {path: bytes(file.seen) for path, file in self._folder.seen.items()}

    def connect(self, address: str) -> sqlite3.Connection:
        """Open a database, making it if there is none. What is given is no real one, but behaves as the store needs.

        While a first connection is open, another one is told at its first statement that the database is locked.
        """
        vfs = _Vfs(self, f"lamplighter-{next(_numbers)}")
        with _translated:
            inner = apsw.Connection(address, vfs=vfs.vfs_name, statementcachesize=STATEMENTS_MAX)
            # SQLite would do this itself, and not let a failure spoil the commit; but apsw raises at the end of a
            # statement whatever was raised in the course of it.
            inner.set_wal_hook(self._checkpoint)
            inner.execute("pragma locking_mode = exclusive")
        return cast(sqlite3.Connection, _Connection(inner))

    def image(self) -> dict[str, bytes]:
        """What could be on the disk if the power were cut now; it goes on as if it had not been."""
        with self._lock:
            return {path: file.survivor(self._chance) for path, file in self._folder.survivor(self._chance).items()}

    def cut(self) -> Disk:
        """Cut the power. The disk that the machine finds when it comes up again; this one refuses whoever is left."""
        with self._lock:
            self._powered = False
            left = self.image()
        return Disk(self._chance, left, capacity=self.capacity, checkpoint_pages=self.checkpoint_pages)

    def kill(self) -> Disk:
        """Kill the process: no write is lost, though a power cut may yet lose it. This disk refuses, as after `cut`."""
        after = Disk(self._chance, capacity=self.capacity, checkpoint_pages=self.checkpoint_pages)
        with self._lock:
            self._powered = False
            after._folder = self._folder
            for file in self._folder.seen.values():
                file.locks = {}
        return after

    def fail_next(self, act: Act, fault: Fault = "io", *, path: str | None = None, skip: int = 0) -> None:
        """Let one act fail, with SQLite's own error: the next one of this kind, on this path, after `skip` others."""
        self._faults.append(_PlannedFault(act, fault, path, skip))

    def do(self, act: Act, path: str, change: Callable[[], None], *, growth: int = 0) -> None:
        """Let something happen, or raise why it cannot."""
        with self._lock:
            self._let(act, path, growth)
            change()

    def be_powered(self) -> None:
        """Refuse whoever is left of a life that has ended."""
        if not self._powered:
            raise _error("io")

    def _let(self, act: Act, path: str, growth: int) -> None:
        self.be_powered()
        self.acts[act] += 1
        self.before(act, path)
        for planned in [planned for planned in self._faults if planned.act == act and planned.path in (None, path)]:
            if planned.skip:
                planned.skip -= 1
                continue
            self._faults.remove(planned)
            raise _error(planned.fault)
        if growth > 0 and self.capacity is not None:
            used = sum(len(file.seen) for file in self._folder.seen.values())
            if used + growth > self.capacity:
                raise _error("full")

    def _checkpoint(self, connection: apsw.Connection, database: str, pages: int) -> int:
        if pages >= self.checkpoint_pages:
            with contextlib.suppress(apsw.Error):
                connection.wal_checkpoint(database)
        return apsw.SQLITE_OK


@dataclass(slots=True)
class _PlannedFault:
    act: Act
    fault: Fault
    path: str | None
    skip: int


class _Vfs(apsw.VFS):
    """Names and files, as Linux and SQLite's own layer upon it treat them; time and sleep are the system's."""

    def __init__(self, disk: Disk, name: str) -> None:
        super().__init__(name, base="")
        self.vfs_name = name
        self._disk = disk
        self._folder = disk._folder

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> Any:
        self._disk.be_powered()
        flags[1] = flags[0]
        if name is None:
            return _Handle(self._disk, self._folder, "", StoredFile(), new_journal=False)
        path = name if isinstance(name, str) else name.filename()
        file = self._folder.seen.get(path)
        if file is None:
            if not flags[0] & apsw.SQLITE_OPEN_CREATE:
                raise apsw.CantOpenError("unable to open database file")
            file = StoredFile()
            self._disk.do("create", path, partial(self._folder.change, path, file))
        journal = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
        new_journal = bool(flags[0] & apsw.SQLITE_OPEN_CREATE and flags[0] & journal)
        return _Handle(self._disk, self._folder, path, file, new_journal=new_journal)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        if filename not in self._folder.seen:
            raise apsw.exception_for(apsw.SQLITE_IOERR_DELETE_NOENT)

        def delete() -> None:
            self._folder.change(filename, None)
            if syncdir:
                self._folder.sync()

        self._disk.do("delete", filename, delete)

    def xAccess(self, pathname: str, flags: int) -> bool:
        # As on Linux: a file without content does not count as existing.
        return bool(self._folder.seen.get(pathname, StoredFile()).seen)

    def xFullPathname(self, name: str) -> str:
        return name


class _Handle:
    """An open file, by the names that apsw calls."""

    def __init__(self, disk: Disk, folder: Folder, path: str, file: StoredFile, *, new_journal: bool) -> None:
        self._disk = disk
        self._folder = folder
        self._path = path
        self._file = file
        self._new_journal = new_journal

    def xRead(self, amount: int, offset: int) -> bytes:
        self._disk.be_powered()
        return bytes(self._file.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        growth = offset + len(data) - len(self._file.seen)
        self._disk.do("write", self._path, partial(self._file.change, offset, bytes(data)), growth=growth)

    def xTruncate(self, size: int) -> None:
        self._disk.do("truncate", self._path, partial(self._file.change, size, None))

    def xSync(self, flags: int) -> None:
        self._disk.do("sync", self._path, self._sync)

    def _sync(self) -> None:
        self._file.sync()
        # SQLite's layer on Linux syncs the folder with the first sync of a journal or log, and only then.
        if self._new_journal:
            self._folder.sync()
            self._new_journal = False

    def xFileSize(self) -> int:
        return len(self._file.seen)

    def xLock(self, level: int) -> None:
        self._disk.be_powered()
        others = [held for handle, held in self._file.locks.items() if handle is not self]
        highest = max(others, default=apsw.SQLITE_LOCK_NONE)
        refused_from = {
            apsw.SQLITE_LOCK_SHARED: apsw.SQLITE_LOCK_PENDING,
            apsw.SQLITE_LOCK_RESERVED: apsw.SQLITE_LOCK_RESERVED,
        }
        if highest >= refused_from.get(level, apsw.SQLITE_LOCK_SHARED):
            raise apsw.BusyError("database is locked")
        self._file.locks[self] = max(level, self._file.locks.get(self, apsw.SQLITE_LOCK_NONE))

    def xUnlock(self, level: int) -> None:
        # The next life has taken the locks of this one away.
        if self in self._file.locks:
            self._file.locks[self] = level

    def xCheckReservedLock(self) -> bool:
        return any(held >= apsw.SQLITE_LOCK_RESERVED for held in self._file.locks.values())

    def xClose(self) -> None:
        self._file.locks.pop(self, None)

    def xFileControl(self, op: int, pointer: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return 4096

    def xDeviceCharacteristics(self) -> int:
        # As on Linux: a write never harms the bytes beside it.
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE


class _Connection:
    """Looks like a `sqlite3.Connection` in autocommit mode, as far as the store can see."""

    def __init__(self, inner: apsw.Connection) -> None:
        self._inner = inner

    @property
    def in_transaction(self) -> bool:
        return self._inner.in_transaction

    IntegrityError = sqlite3.IntegrityError

    @property
    def total_changes(self) -> int:
        return self._inner.total_changes()

    def execute(self, statement: str, values: Any = ()) -> _Cursor:
        with _translated:
            return _Cursor(self._inner, self._inner.execute(statement, values))

    def executemany(self, statement: str, rows: Iterable[Any]) -> _Cursor:
        with _translated:
            return _Cursor(self._inner, self._inner.executemany(statement, rows))

    def __del__(self) -> None:
        # Whoever let go of it does not listen any more.
        with contextlib.suppress(Exception):
            self._inner.close()

    def close(self) -> None:
        # The last checkpoint may fail; that is no failure to close.
        with contextlib.suppress(apsw.Error):
            self._inner.close()


class _Cursor:
    """Looks like a `sqlite3.Cursor`."""

    def __init__(self, connection: apsw.Connection, inner: apsw.Cursor) -> None:
        self._inner = inner
        self.rowcount = connection.changes()
        self.lastrowid = connection.last_insert_rowid()

    def fetchone(self) -> Any:
        return next(self, None)

    def fetchall(self) -> list[Any]:
        return list(self)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with _translated:
            return next(self._inner)


def _error(fault: Fault) -> apsw.Error:
    return apsw.FullError("database or disk is full") if fault == "full" else apsw.IOError("disk I/O error")


class _Translated:
    """Raises what Python's own sqlite3 would: the classes are chosen as its `_pysqlite_seterror` does."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case apsw.ConstraintError() | apsw.MismatchError():
                raise sqlite3.IntegrityError(str(error)) from error
            case apsw.CorruptError() | apsw.NotADBError() | apsw.FormatError():
                raise sqlite3.DatabaseError(str(error)) from error
            case apsw.Error():
                raise sqlite3.OperationalError(str(error)) from error


_translated = _Translated()
"""One for all: it remembers nothing."""
