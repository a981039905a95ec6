"""The SQLite store: one file, one writing connection, readers that never block it.

WAL with `synchronous=FULL`: durable turns survive a power cut, at one fsync a turn
(https://sqlite.org/pragma.html#pragma_synchronous). `durability="os"` gives NORMAL: a power cut may take the last
turns, a killed process never does.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...environment.failpoints import Failpoints
from ...errors import LamplighterError, StoreError, StoreGone, StoreUnavailable, UsageError, shown
from ...messages.clock_steps import Reading
from ...messages.jobs import Instant, NewJob
from ...rules.limits import WAL_BYTES_MAX
from ..ports import Born, HostTurn, JobReader, ScheduleReader, StoreParts, StoreSnapshot, StoreSurroundings
from ..tables.boots import surroundings
from ..tables.jobs import TableJobs
from ..tables.open_turn import Seen
from ..tables.readers import Readers
from ..tables.rows import JobRows, ScheduleRows, TableSnapshot, snapshot_of
from ..tables.schema import VERSION, check_same, check_whole, read_store_id, stored_id
from ..tables.tallies import TallyRows
from ..tables.turn import TableTurn, insert_births, overview_of, seal_births
from ..troubles import CommitUnknown, HealthIssue
from ..turn_ports import Want
from . import schema
from .connections import (
    HOST_FAILURES,
    Connect,
    Files,
    Translation,
    be_patient,
    begin_writing,
    connect_to,
    into_wal,
)
from .host_engines import engines
from .place import FilePlace, MemoryPlace

DURABILITY = {"full": "full", "os": "normal"}

PATH_BYTES_MAX = 512
"""SQLite opens no file with a longer path (`MAX_PATHNAME` in its os_unix.c)."""

FREEZE_SECONDS_MAX = 10.0

_stores: weakref.WeakSet[SqliteStore] = weakref.WeakSet()
"""All that this process may have open. A fork closes their connections for a moment: a child must inherit none."""

_stores_lock = threading.RLock()
"""Held during a fork, so that no other store is opened meanwhile."""

_frozen: list[SqliteStore] = []
"""Those that the fork which holds the lock has closed."""

_unfrozen: dict[SqliteStore, int] = {}
"""By pid, stores not closed before a fork. A child leaves them alone: closing their connections would hurt the parent.
"""


class SqliteTurn(TableTurn):
    @contextlib.contextmanager
    def forgetting(self) -> Iterator[None]:
        # Forgetting may have been promised to a person: SQLite must overwrite the data with zeros, which is not every
        # build's default.
        ((was,),) = self.connection.execute("pragma secure_delete").fetchall()
        self.connection.execute("pragma secure_delete = on")
        yield
        self.connection.execute(f"pragma secure_delete = {was}")


class SqliteStore(StoreParts):
    """The `Store` in a SQLite file. `:memory:` lives as long as the store object, and is read under the writer's lock.

    Args:
        connect: opens an address that is no file of the operating system, as on a test's simulated disk. Such a store
          has one connection, as `:memory:` has, and no peers.
        failpoints: where a test makes it fail.
        wal_bytes_max: a longer log is a health issue.
        new_id: makes the id of a new store; SQLite does by default.
        only_existing: create and migrate nothing.
    """

    def __init__(
        self,
        path: str,
        *,
        durability: str = "full",
        busy_seconds_max: float = 1.0,
        wal_bytes_max: int = WAL_BYTES_MAX,
        connect: Connect | None = None,
        failpoints: Failpoints | None = None,
        new_id: Callable[[], str] | None = None,
        only_existing: bool = False,
    ) -> None:
        if not isinstance(durability, str) or durability not in DURABILITY:
            raise UsageError(f"expected durability to be 'full' or 'os', got: {shown(durability)}")
        in_memory = path == ":memory:" or connect is not None
        # Make the path absolute and follow links: the file must stay the same when the process changes its folder.
        self.address = path if in_memory else os.path.realpath(path)
        self.path: str | None = None if in_memory else self.address
        self.place = MemoryPlace(self.address) if in_memory else FilePlace(self.address)
        self.store_id: str | None = None
        self._connect_to = connect or connect_to
        self._failpoints = failpoints or Failpoints()
        self._new_id = new_id
        self._only_existing = only_existing
        self._durability = durability
        self.waits_seconds_max = busy_seconds_max
        self._wal_bytes_max = wal_bytes_max
        self._busy_ms = int(busy_seconds_max * 1000)
        self._writer: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._translated = Translation(self.address)
        self._files = None if in_memory else Files(self.address)
        self._readers = Readers(self._connect_reader)
        self._reopen = False
        self._data_version = 0
        self._openings = 0
        self._seen: Seen | None = None
        self._reader = JobRows(self._reading)
        self.jobs: JobReader = self._reader
        self.table = self._reader
        self.schedules: ScheduleReader = ScheduleRows(self._reading)
        self.tallies = TallyRows(self._reading)
        self.host = self
        self.births = self

    def open(self) -> None:
        if self.path is not None:
            self._check_inherited()
            self._make_file()
            with _stores_lock:
                _stores.add(self)
        # A fork waits for the lock, or a child would inherit a connection that nobody knows of yet.
        with self._lock, self._translated:
            writer = self._writer = self._connect_writer()
            try:
                self.store_id = (
                    read_store_id(writer)
                    if self._only_existing
                    else schema.migrate(writer, self._busy_ms, self._new_id)
                )
            except BaseException:
                self.close()
                raise
            self.changed()

    def _connect_writer(self) -> sqlite3.Connection:
        writer = self._connect()
        self._openings += 1
        try:
            if self._only_existing:
                # Check before changing anything: it may be another application's file.
                check_whole(schema.read_version(writer), VERSION, schema.OLDEST, self.address)
            mode = into_wal(writer)
            # Some file systems cannot do WAL; SQLite then answers with the mode it kept.
            if mode != "wal" and self.path is not None:
                raise UsageError(f"expected {self.address} to be able to use WAL, got journal mode: {mode}")
            writer.execute(f"pragma synchronous = {DURABILITY[self._durability]}")
            writer.execute("pragma journal_size_limit = 16777216")
            be_patient(writer, self._busy_ms)
            if self._files is not None:
                # A read creates the files beside it.
                schema.read_version(writer)
                self._files.opened()
        except BaseException:
            writer.close()
            raise
        return writer

    def freeze(self) -> bool:
        """Before a fork: wait for the open turn and reads, then close every connection; False if they take too long.

        SQLite keeps its locks in the process's memory, which a child inherits without the locks. The child's new
        connections would rely on locks that it lacks, or wait for ever for one of the parent's
        (https://sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_).
        """
        if not self._lock.acquire(timeout=FREEZE_SECONDS_MAX):
            _unfrozen[self] = os.getpid()
            return False
        if not self._readers.freeze(FREEZE_SECONDS_MAX):
            _unfrozen[self] = os.getpid()
            self._thawed()
            return False
        _unfrozen.pop(self, None)
        was_open = self._reopen or self._writer is not None
        self.close()
        self._reopen = was_open
        return True

    def thaw(self) -> None:
        """After the fork, in the parent: go on. The next turn meets a failure to open again, like any other."""
        try:
            with contextlib.suppress(sqlite3.Error, LamplighterError):
                self._reopened()
        finally:
            self._thawed()

    def _reopened(self) -> sqlite3.Connection | None:
        """The writer, opened again if a fork has closed it; None when the store is closed."""
        if self._reopen and self._writer is None:
            with self._lock, self._translated:
                if self._reopen and self._writer is None:
                    self._writer = self._connect_writer()
                    # Others may have written in between, so the next look must report a change.
                    self._data_version = -1
                    self._reopen = False
        return self._writer

    def stay_closed(self) -> None:
        """After the fork, in the child: it is the parent's, and who uses it here is told that it is closed."""
        self._reopen = False
        self._thawed()

    def _thawed(self) -> None:
        self._readers.thaw()
        self._lock.release()

    def close(self) -> None:
        with self._lock:
            writer, self._writer, self._reopen = self._writer, None, False
            if writer is not None:
                if self._files is not None:
                    self._files.closing()
                writer.close()
        self._readers.close()

    def _check_inherited(self) -> None:
        if any(store.address == self.address and pid != os.getpid() for store, pid in list(_unfrozen.items())):
            raise StoreError(
                f"expected {self.address} to be idle within {FREEZE_SECONDS_MAX:g} s at the fork of this process, but "
                "its parent was reading or writing all the while, and what SQLite remembers of that here would damage "
                "the file; fork again, or start the runtime in a new program"
            )

    def _make_file(self) -> None:
        path = Path(self.address)
        if not path.parent.is_dir():
            raise UsageError(f"expected the folder of the store to exist, got: {path}; make {path.parent} first")
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "a device, a pipe or a socket"
            raise UsageError(f"expected a regular file for the store, got {kind}: {path}")
        if self._only_existing and not path.exists():
            raise UsageError(f"expected the file of a store that runtimes use, got: {path}, which is not there")
        names, room = os.pathconf(path.parent, "PC_NAME_MAX"), len("-journal")
        if len(os.fsencode(path.name)) > names - room or len(os.fsencode(path)) > PATH_BYTES_MAX - room:
            raise UsageError(
                f"expected a path of at most {PATH_BYTES_MAX - room} bytes, and a name of at most {names - room}, for "
                f"the store, because the files that SQLite keeps beside it have longer ones, got: {shown(self.address)}"
            )
        try:
            # Only a file that is created here gets this mode: the application's own database keeps its own.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            if not os.access(path, os.R_OK | os.W_OK):
                raise UsageError(f"expected a store that may be read and written, got: {path}") from None
        except OSError as error:
            raise UsageError(f"expected a folder in which the store may be created, got: {path} ({error})") from None

    def _connect(self) -> sqlite3.Connection:
        connection = self._connect_to(self.address)
        connection.execute(f"pragma busy_timeout = {self._busy_ms}")
        return connection

    @contextlib.contextmanager
    def turn(self, boot: str, now: Instant) -> Iterator[SqliteTurn]:
        with self._lock:
            writer, turn, is_sealed = self._writer or self._reopened(), None, False
            if writer is None:
                raise StoreUnavailable(f"the store {self.address} is closed")
            try:
                if self._failpoints.is_live:
                    self._failpoints.at("store.turn.begin")
                if self._files is not None:
                    self._files.check()
                seen = self._seen
                # Whatever becomes of this turn, the last view does not hold after it.
                self._seen = None if seen is None else seen._replace(version=None)
                begin_writing(writer, self._busy_ms)
                # SQLite's number is per connection; a new connection may begin with the same.
                version = self._openings << 32 | writer.execute("pragma data_version").fetchone()[0]
                begun = SqliteTurn(writer, boot, now, version=version, seen=seen)
                begun.jobs = begun.queued = TableJobs(begun)
                turn = begun
                if turn.lost is not None:
                    check_same(stored_id(writer), self.store_id, self.address)
                yield turn
                turn.seal()
                is_sealed = True
                if self._failpoints.is_live:
                    self._failpoints.at("store.turn.commit")
                self._commit(writer)
                if turn.is_member:
                    self._seen = turn.see()
                elif seen is not None and seen.boot == boot:
                    self._seen = None
            except BaseException as error:
                with self._translated:
                    self._undo(writer, error, is_sealed=is_sealed)
                    raise
            finally:
                if turn is not None:
                    # They refer to each other: their data would wait for the garbage collector.
                    del turn.jobs, turn.queued

    def bear(
        self,
        boot: str,
        version: int,
        jobs: Sequence[NewJob],
        begun: Callable[[], Reading | None],
        want: Want | None = None,
    ) -> Born | None:
        with self._lock:
            writer, seen, is_sealed = self._writer, self._seen, False
            was = overview_of(seen, boot, want)
            if writer is None or seen is None or was is None or seen.version != version:
                return None
            # Whatever becomes of this turn, the last view does not hold after it.
            self._seen = Seen(boot, None, seen.at, was)
            try:
                if self._failpoints.is_live:
                    self._failpoints.at("store.turn.begin")
                    self._failpoints.at("direct.begin")
                begin_writing(writer, self._busy_ms)
                reading = begun()
                known = self._openings << 32 | writer.execute("pragma data_version").fetchone()[0]
                born = None
                if reading is not None and known == version and seen.holds_at(reading):
                    born = insert_births(writer, jobs, was.last_no + 1, reading.now, want)
                if reading is None or born is None:
                    writer.execute("rollback")
                    return None
                moves, next_due = born
                did = seal_births(writer, boot, was, moves, reading.now)
                is_sealed = True
                if self._failpoints.is_live:
                    self._failpoints.at("store.turn.commit")
                    self._failpoints.at("direct.commit")
                self._commit(writer)
                overview = was._replace(last_no=was.last_no + len(jobs), number=did.turn)
                self._seen = Seen(boot, version, seen.at, overview)
                return Born(moves, did, next_due)
            except BaseException as error:
                with self._translated:
                    self._undo(writer, error, is_sealed=is_sealed)
                    raise

    def _undo(self, writer: sqlite3.Connection, error: BaseException, *, is_sealed: bool) -> None:
        """End the transaction of a turn that has failed.

        Raises:
            CommitUnknown: the turn was sealed, and it may be stored.
        """
        # A failed commit may have rolled back by itself. Otherwise the open transaction must not outlive the turn.
        if writer.in_transaction:
            writer.execute("rollback")
        elif is_sealed and isinstance(error, Exception) and not isinstance(error, LamplighterError | sqlite3.Error):
            # Not the store's fault: out of memory, or an exception raised into this thread.
            raise CommitUnknown(f"the store {self.address} may have stored a write batch: {error!r}") from error

    def _commit(self, writer: sqlite3.Connection) -> None:
        """Commit.

        Raises:
            CommitUnknown: it failed without a transaction to roll back. After the next crash, recovery may find pages
              that were written before a failed sync (https://sqlite.org/wal.html#recovery). Or its log is not at the
              file's path.
        """
        try:
            writer.execute("commit")
            if self._failpoints.is_live:
                self._failpoints.at("store.turn.committed")
            if self._files is not None:
                self._files.check()
        except StoreGone as gone:
            raise CommitUnknown(f"what was stored last may be lost: {gone}") from gone
        except sqlite3.Error as error:
            if writer.in_transaction or "i/o" not in str(error).lower():
                raise
            raise CommitUnknown(
                f"the store {self.address} did not say whether a write batch was stored: {error}"
            ) from error

    def changed(self) -> bool:
        with self._lock, self._translated:
            writer = self._reopened()
            if writer is None:
                return False
            if self._files is not None:
                self._files.check(anew=True)
            version = writer.execute("pragma data_version").fetchone()[0]
        changed, self._data_version = version != self._data_version, version
        return bool(changed)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if self._failpoints.is_live:
            with self._translated:
                self._failpoints.at("store.read")
        if self.path is None:
            with self._lock, self._translated:
                if self._writer is None:
                    raise StoreUnavailable(f"the store {self.address} is closed")
                yield self._writer
            return
        with self._translated, self._readers.lend() as reader:
            # Do not open here: the fork that closed it holds the lock until it has tried to.
            if self._writer is None:
                raise StoreUnavailable(f"the store {self.address} is closed")
            yield reader

    def _connect_reader(self) -> sqlite3.Connection:
        if self._files is not None:
            # If the log was removed, a new connection would begin another, and ours could not be stored any more.
            self._files.check(beside=self._writer is not None, anew=True)
        reader = self._connect()
        reader.execute("pragma query_only = 1")
        return reader

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[StoreSnapshot]:
        with self._reading() as reader:
            if self.path is None:
                # The lock keeps writers out meanwhile.
                yield TableSnapshot(reader)
                return
            with snapshot_of(reader) as seen:
                yield seen

    def surroundings(self, boot: str) -> StoreSurroundings:
        seen = self._seen
        with self._reading() as reader:
            return surroundings(reader, boot, seen)

    def due_names(self, now: Instant, limit: int) -> Sequence[str]:
        return self._reader.due_names(now, limit)

    def health_issues(self) -> Sequence[HealthIssue]:
        if self._files is None:
            return ()
        if self._files.trouble is not None:
            return (HealthIssue("red", self._files.trouble),)
        try:
            size = os.stat(f"{self.address}-wal").st_size
        except OSError:
            size = 0
        if size <= self._wal_bytes_max:
            return ()
        says = (
            f"SQLite's log {self.address}-wal has {size:,} bytes, more than wal_bytes_max={self._wal_bytes_max:,}: "
            "somebody who reads on and on keeps it from being copied into the database; `lamplighter doctor` says who"
        )
        return (HealthIssue("yellow", says),)

    def join(self, connection: Any, now: Instant, work: Callable[[HostTurn], Any]) -> Any:
        # Imported where it is needed: most applications give no connection of theirs.
        from .host_connection import run_on

        return run_on(connection, partial(self._join, now, work), partial(engines.note, address=self.address))

    def _join(self, now: Instant, work: Callable[[HostTurn], Any], connection: Any, raw: sqlite3.Connection) -> Any:
        from .host_connection import SqliteHostTurn, cursor_of

        with Translation(self.address, HOST_FAILURES), cursor_of(connection, raw, self.address) as cursor:
            return work(SqliteHostTurn(cursor, now))

    def written_here(self, *, blocks: bool = True) -> bool:
        return bool(engines.begun) and engines.written_here(self.address, blocks=blocks)


def _before_fork() -> None:
    _stores_lock.acquire()
    for store in list(_stores):
        if store.freeze():
            _frozen.append(store)


def _after_fork_in_parent() -> None:
    while _frozen:
        _frozen.pop().thaw()
    _stores_lock.release()


def _after_fork_in_child() -> None:
    # The next fork must not wait for the parent's stores, whose locks may be held by threads that are not here.
    _stores.clear()
    while _frozen:
        _frozen.pop().stay_closed()
    _stores_lock.release()


# After the imports, whose modules have hooks too: the last to be registered comes first before a fork, and a turn may
# wait for a lock of theirs.
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
