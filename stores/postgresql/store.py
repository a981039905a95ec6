"""The store in a schema of PostgreSQL: one session for turns, a few for readers, one for what others say."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from ...environment.clock import SystemClock
from ...environment.failpoints import Failpoints
from ...errors import StoreGone, StoreUnavailable, UsageError, shown
from ...messages.clock_steps import Reading
from ...messages.jobs import Instant, NewJob
from ..ports import Born, JobReader, ScheduleReader, StoreParts, StoreSnapshot, StoreSurroundings
from ..tables.boots import surroundings
from ..tables.open_turn import Seen
from ..tables.rows import JobRows, ScheduleRows, snapshot_of
from ..tables.schema import check_same, read_store_id, stored_id
from ..tables.tallies import TallyRows
from ..tables.turn import overview_of
from ..troubles import HealthIssue
from ..turn_ports import Want
from . import schema
from .connection import DURABILITY, PostgresDatabase, connect
from .failures import LOST_TABLES
from .host_connection import PostgresHost
from .place import PostgresPlace
from .presence import STORE
from .readers import connect_reader, readers
from .turn import SNAPSHOT, Committed, PostgresJobs, PostgresTurn, born_alone

LOOK = f"select {SNAPSHOT}, cast(extract(epoch from clock_timestamp()) as double precision)"


SHOW = f"select pg_try_advisory_lock_shared({STORE}, hashtext(?))"

HIDE = f"select pg_advisory_unlock_shared({STORE}, hashtext(?))"


class PostgresStore(StoreParts):
    """The `Store` in a PostgreSQL.

    Args:
        url: where it is, as `parse_address` takes it.
        failpoints: where a test makes it fail.
        new_id: makes the id of a new store; PostgreSQL does by default.
        only_existing: create and migrate nothing.
    """

    waits_seconds_max = 2.0

    def __init__(
        self,
        url: str,
        *,
        durability: str = "full",
        failpoints: Failpoints | None = None,
        new_id: Callable[[], str] | None = None,
        only_existing: bool = False,
    ) -> None:
        if not isinstance(durability, str) or durability not in DURABILITY:
            raise UsageError(f"expected durability to be 'full' or 'os', got: {shown(durability)}")
        self.place = PostgresPlace(url)
        self._where = self.place.parsed
        self.address = self._where.shown
        self.store_id: str | None = None
        self._durability = durability
        self._failpoints = failpoints or Failpoints()
        self._new_id = new_id
        self._only_existing = only_existing
        self._lock = threading.RLock()
        self._is_open = False
        self._writer: PostgresDatabase | None = None
        self._readers = readers(self._connect_reader)
        self._seen: Seen | None = None
        self._shown: tuple[PostgresDatabase, str] | None = None
        self._unanswered: str | None = None
        self._version = 0
        self._committed: Committed | None = None
        self._monotonic = SystemClock().monotonic
        self._ahead, self._measured = SystemClock().now() - self._monotonic(), deque[tuple[float, float]](maxlen=8)
        self.wall = self._server_time
        self._reader = JobRows(self._reading)
        self.jobs: JobReader = self._reader
        self.table = self._reader
        self.schedules: ScheduleReader = ScheduleRows(self._reading)
        self.tallies = TallyRows(self._reading)
        self.host = PostgresHost(self._where, self._known_id)
        self.births = self

    def _known_id(self) -> str | None:
        if self.store_id is not None:
            return self.store_id
        # It was never open: a web process queues jobs in transactions before it starts a runtime.
        with contextlib.closing(connect_reader(self._where)) as reader:
            return read_store_id(reader)

    def _server_time(self) -> Instant:
        return self._monotonic() + self._ahead

    def open(self) -> None:
        with self._lock:
            writer = self._connect()
            try:
                if self._only_existing:
                    schema.check_existing(writer)
                    self.store_id = read_store_id(writer)
                else:
                    self.store_id = schema.migrate(writer, self._new_id)
            except BaseException:
                writer.close()
                raise
            self._writer, self._is_open = writer, True
            self.changed()

    def close(self) -> None:
        with self._lock:
            writer, self._writer, self._is_open = self._writer, None, False
            if writer is not None:
                writer.close()
        self._readers.close()
        self.place.close()

    @contextlib.contextmanager
    def turn(self, boot: str, now: Instant) -> Iterator[PostgresTurn]:
        with self._lock:
            writer, turn, seen = self._open_writer(), None, self._seen
            try:
                self._fail_at("store.turn.begin")
                self._show(writer, boot)
                turn = PostgresTurn(writer, boot, now, seen=seen)
                self._version += turn.begun_at != self._committed
                turn.version, self._committed = self._version, None
                turn.takes_number = boot == self._unanswered and turn.number is not None
                turn.jobs = turn.queued = PostgresJobs(turn)
                if turn.lost is not None:
                    check_same(stored_id(writer), self.store_id, self.address)
                yield turn
                turn.seal()
                self._fail_at("store.turn.commit")
                writer.commit()
                self._committed = turn.ended_at
                if turn.did is not None:
                    self._unanswered = None
                self._fail_at("store.turn.committed")
                if turn.is_member:
                    self._seen = turn.see()
                elif seen is not None and seen.boot == boot:
                    self._seen = None
            except BaseException:
                writer.rollback()
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
        """As in the port. The statement itself sees what others have committed since."""
        with self._lock:
            writer, seen = self._writer, self._seen
            was = overview_of(seen, boot, want)
            if writer is None or writer.is_closed or (writer, boot) != self._shown or seen is None or was is None:
                return None
            self._fail_at("store.turn.begin")
            self._fail_at("direct.begin")
            reading = begun()
            if reading is None or not seen.holds_at(reading):
                return None
            self._fail_at("store.turn.commit")
            self._fail_at("direct.commit")
            try:
                stored = born_alone(writer, boot, was, jobs, reading.now, want)
            finally:
                # The server may get to a lost session's statement late. It stores nothing once its number is taken.
                self._unanswered = boot if writer.is_closed else None
            if stored is None:
                return None
            born, snapshot = stored
            if (begun_at := Committed.of(snapshot)) == self._committed:
                self._committed = begun_at._replace(following=begun_at.following + 1)
            self._seen = seen._replace(overview=was._replace(number=born.did.turn))
            self._fail_at("store.turn.committed")
            return born

    def changed(self) -> bool:
        """As in the port. Transactions on other tables of the server count too."""
        with self._lock:
            writer, asked = self._open_writer(), self._monotonic()
            ((snapshot, time),) = writer.execute(LOOK).fetchall()
            answered = self._monotonic()
            if not time - answered <= self._ahead <= time - asked:
                # The machine has slept, or a clock was set: what was measured before that is wrong now.
                self._measured.clear()
            self._measured.append((answered - asked, time - (asked + answered) / 2))
            # The quickest answer tells the time best.
            self._ahead = min(self._measured)[1]
            committed = Committed.of(snapshot)
            is_changed, self._committed = committed != self._committed, committed
            self._version += is_changed
        return is_changed

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[StoreSnapshot]:
        with self._reading() as reader, snapshot_of(reader) as seen:
            yield seen

    def surroundings(self, boot: str) -> StoreSurroundings:
        seen = self._seen
        with self._reading() as reader:
            return surroundings(reader, boot, seen)

    def due_names(self, now: Instant, limit: int) -> Sequence[str]:
        return self._reader.due_names(now, limit)

    def health_issues(self) -> Sequence[HealthIssue]:
        return ()

    def _connect(self) -> PostgresDatabase:
        return connect(self._where, durability=self._durability)

    def _open_writer(self) -> PostgresDatabase:
        if not self._is_open:
            raise StoreUnavailable(f"the store {self.address} is closed")
        if self._writer is None or self._writer.is_closed:
            self._writer = None
            writer = self._connect()
            try:
                self._check_tables(writer)
                self._check_same(writer)
            except BaseException:
                writer.close()
                raise
            self._writer = writer
            # Others may have written in between.
            self._committed = None
        return self._writer

    def _show(self, writer: PostgresDatabase, boot: str) -> None:
        """Show that a boot lives by this session too: its watcher's may be lost for a while."""
        if (writer, boot) != self._shown:
            if self._shown is not None and self._shown[0] is writer:
                writer.execute(HIDE, (self._shown[1],))
            writer.execute(SHOW, (boot,))
            self._shown = writer, boot

    def _check_tables(self, connection: PostgresDatabase) -> None:
        try:
            schema.check_existing(connection)
        except UsageError as error:
            raise StoreGone(f"the store {self.address} {LOST_TABLES}; {error}") from error

    def _check_same(self, connection: PostgresDatabase) -> None:
        check_same(read_store_id(connection), self.store_id, self.address)

    def _connect_reader(self) -> PostgresDatabase:
        reader = connect_reader(self._where)
        try:
            self._check_same(reader)
        except BaseException:
            reader.close()
            raise
        return reader

    @contextlib.contextmanager
    def _reading(self) -> Iterator[PostgresDatabase]:
        self._fail_at("store.read")
        if not self._is_open:
            raise StoreUnavailable(f"the store {self.address} is closed")
        with self._readers.lend() as reader:
            yield reader

    def _fail_at(self, point: str) -> None:
        if self._failpoints.is_live:
            self._failpoints.at(point)
