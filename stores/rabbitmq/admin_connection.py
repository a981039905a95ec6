"""A short connection to a RabbitMQ without a runtime, and what readers see through it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Self

from ...errors import StoreError, StoreUnavailable
from ...messages.boots import BootRecord
from ...messages.jobs import Instant, JobRecord, JobState, Seconds
from ...messages.names import PauseRecord
from ..places import StorePlace
from ..ports import DeadJobs, DueCheck, JobReader, JobTable, QueueReader, ScheduleReader, TallyReader
from . import job_message as wire
from . import ledger_records as records
from . import topology
from . import unreadable as unreadable_messages
from .dead_jobs import Dead
from .ledger import Follower, message, sum_of
from .ledger_records import Record, UnreadableRecord
from .ledger_sums import LedgerSchedules
from .link import Arrival, Blocked, Browsed, Connected, Link, LinkEvent, Lost, QueueSpec, Refused, Wanted
from .questions import ServerClient, question
from .shared_state import SharedState

CONNECT_SECONDS_MAX = 20.0

LEADER_SECONDS_MAX = 5.0

ANSWERS_PREFETCH = 1_000


class UnreadableView(NamedTuple):
    """A message that no runtime could read.

    Attributes:
        queue: where the message was; None if unknown.
        since: Unix seconds.
    """

    queue: str | None
    message_id: str | None
    reason: str
    since: float | None
    bytes: int


class Depth(NamedTuple):
    """Ready messages and consumers of a queue."""

    ready: int
    consumers: int


def _nothing(body: bytes) -> bool:
    return False


class AdminConnection(ServerClient):
    """A connection for as long as the block lasts.

    Attributes:
        alarm: why the server blocks publishers, once it has said so to this connection.
    """

    answer_seconds_max = CONNECT_SECONDS_MAX

    def __init__(self, address: str, link: Link, event: Callable[[], Any], new_id: Callable[[], str]) -> None:
        super().__init__(address, link, event)
        self._known = event()
        self._new_id = new_id
        self._session = 0
        self._has_heard = event()
        self._take: Callable[[bytes], bool] = _nothing
        self._failure: tuple[str, bool] | None = None
        self.alarm: str | None = None
        self._is_told = event()

    def __enter__(self) -> Self:
        self._link.start(self._hear)
        self._known.wait(CONNECT_SECONDS_MAX)
        if self._failure is not None or not self._known.is_set():
            self._link.stop()
            reason, is_refused = self._failure or ("it does not answer", False)
            kind = StoreError if is_refused else StoreUnavailable
            raise kind(f"expected {self.address} to let this visitor in, got: {reason}")
        return self

    def __exit__(self, *_: object) -> None:
        self._link.stop()

    def unreadable(self, limit: int) -> tuple[Sequence[UnreadableView], int]:
        found: list[Arrival] = []
        browsed, count = self._browse(found, limit)
        self.answer(browsed.done(()))
        return [_described(arrival) for arrival in found], count

    def return_unreadable(self, limit: int) -> tuple[int, int]:
        """Return the first of them to their queues: how many were returned, and how many could not be."""
        found: list[Arrival] = []
        browsed, _ = self._browse(found, limit)
        done: list[int] = []
        try:
            ways = [
                (arrival.tag, message)
                for arrival in found
                if (message := unreadable_messages.returned(arrival)) is not None
            ]
            done = [ways[index][0] for index in self.publish([message for _, message in ways])]
        finally:
            self.answer(browsed.done(done))
        return len(done), len(found) - len(done)

    def ask(
        self, line: bytes, seconds: Seconds, *, is_enough: Callable[[Sequence[bytes]], bool] = lambda lines: False
    ) -> Sequence[bytes]:
        """Ask the runtimes; their answers within so many seconds.

        Args:
            is_enough: end the wait with these answers. Any thread calls it.

        Raises:
            StoreUnavailable: the server refuses, does not answer, or is in alarm.
        """
        heard: list[bytes] = []

        def take(body: bytes) -> bool:
            heard.append(body)
            return is_enough(heard)

        self._is_told = self._event()
        with self._hearing(take, topology.asks_exchange()) as queue:
            self.answer(self._unless_blocked(self._link.send([question(line, queue)])))
            self._has_heard.wait(seconds)
        return list(heard)

    @property
    def server_version(self) -> str | None:
        return self._link.server_version

    def depths(self, queues: Sequence[str]) -> dict[str, Depth | None]:
        """Ready messages and consumers of each queue; None for a missing queue.

        Raises:
            StoreUnavailable: the server refuses, or does not answer.
        """
        asked = {queue: self._link.look(queue) for queue in queues}
        seen = {queue: self.answer(future) for queue, future in asked.items()}
        return {queue: None if found is None else Depth(*found) for queue, found in seen.items()}

    def differences(self, queues: Sequence[QueueSpec]) -> dict[str, str]:
        """How existing queues differ from what runtimes declare, or why that cannot be asked. Changes nothing."""
        there = {name for name, depth in self.depths([queue.name for queue in queues]).items() if depth is not None}
        asked = {queue.name: self._link.setup([replace(queue, bindings=())]) for queue in queues if queue.name in there}
        found: dict[str, str] = {}
        for name, future in asked.items():
            try:
                self.answer(future)
            except StoreUnavailable as error:
                if not isinstance(error.__cause__, Refused):
                    raise
                found[name] = str(error.__cause__)
        return found

    @contextlib.contextmanager
    def _hearing(self, take: Callable[[bytes], bool], *besides: Wanted) -> Iterator[str]:
        """An own queue for answers, while the block lasts. `take` says whether it has enough of them, on any thread."""
        queue = topology.answers_queue(self._new_id())
        self._take, self._has_heard = take, self._event()
        self.answer(self._link.setup([*besides, queue]))
        self._link.consume(self._session, queue.name, queue.name, prefetch=ANSWERS_PREFETCH)
        try:
            yield queue.name
        finally:
            self._link.delete(self._session, queue.name)
            # Else what `take` holds, a whole ledger, would wait for the garbage collector.
            self._take = _nothing

    def ledger(self) -> SharedState:
        """The shared state, sent by the leader; without a leader, read from the ledger.

        Raises:
            StoreError: no runtime was ever on this server.
            StoreUnavailable: the leader does not answer.
        """
        depth = self.depths([topology.LEDGER])[topology.LEDGER]
        if depth is None:
            raise topology.never_used(self.address, "no ledger")
        return self._told() if depth.consumers else self._read()

    def _told(self) -> SharedState:
        shared, label, told = SharedState(), self._new_id(), list[Record]()
        follower = Follower(shared, told.append, lambda reason, _: None)

        def take(body: bytes) -> bool:
            with contextlib.suppress(UnreadableRecord):
                follower.hear(records.parse(body))
            return any(record.get("by") == label for record in told)

        with self._hearing(take) as queue:
            self.answer(self._link.send([message({"is": "hello", "by": label, "to": queue})]))
            is_told = self._has_heard.wait(LEADER_SECONDS_MAX)
        if not is_told:
            raise StoreUnavailable(
                f"expected {self.leader()} to answer on {self.address} within {LEADER_SECONDS_MAX:g} s, got none: "
                "it may hang, or be stopped by a signal; another runtime, if there is one, leads within 15 s"
            )
        return shared

    def _read(self) -> SharedState:
        found: list[Record] = []

        def see(arrival: Arrival) -> None:
            with contextlib.suppress(UnreadableRecord):
                found.append(records.parse(arrival.body))

        self.answer(self.browse(topology.LEDGER, see).done(()))
        return sum_of(found)

    def _browse(self, found: list[Arrival], limit: int) -> tuple[Browsed, int]:
        count = 0

        def see(arrival: Arrival) -> None:
            nonlocal count
            count += 1
            if len(found) < limit:
                found.append(arrival)

        return self.browse(topology.UNREADABLE, see), count

    def _missing(self, error: Refused) -> Exception:
        return topology.never_used(self.address, error)

    def _unless_blocked(self, future: Any) -> Any:
        """Wait for the server's answer; a server in alarm sends no more.

        Raises:
            StoreUnavailable: the server is in alarm.
        """
        future.add_done_callback(lambda _: self._is_told.set())
        if self.alarm is None:
            self._is_told.wait(self.answer_seconds_max)
        if self.alarm is not None and not future.done():
            raise StoreUnavailable(f"{self.address} takes no messages: {self.alarm}")
        return future

    def _hear(self, event: LinkEvent) -> None:
        match event:
            case Connected(session):
                self._session = session
                self._known.set()
            case Lost():
                self._failure = event.reason, event.refused
                self._known.set()
            case Arrival():
                self._link.acknowledge(event.session, (event.tag,))
                if self._take(event.body):
                    self._has_heard.set()
            case Blocked(reason):
                # Ignored unless only questions are asked: other callers wait as long as they may.
                self.alarm = reason
                if reason is not None:
                    self._is_told.set()


def _described(arrival: Arrival) -> UnreadableView:
    headers = arrival.headers or {}
    queue, reason, since = (
        headers.get(name) for name in (unreadable_messages.QUEUE, unreadable_messages.REASON, unreadable_messages.SINCE)
    )
    return UnreadableView(
        queue=queue if isinstance(queue, str) else None,
        message_id=arrival.message_id or wire.id_of(arrival.body),
        reason=reason if isinstance(reason, str) else "nobody has said why",
        since=since if isinstance(since, int) else None,
        bytes=len(arrival.body),
    )


class ServerView:
    """The `StoreSnapshot` of an admin connection, and its `JobReader` and `QueueReader`: each question is answered
    afresh, but the ledger is read once. It finds no job by id.
    """

    table: JobTable | None = None
    tallies: TallyReader | None = None

    def __init__(self, visit: AdminConnection) -> None:
        self._visit = visit
        self._shared = visit.ledger()
        # A reader does not move unreadable messages.
        self._dead = Dead(visit, lambda job_id: False)
        self.jobs: JobReader = self
        self.queues: QueueReader | None = self
        self.dead: DeadJobs | None = self._dead
        self.schedules: ScheduleReader = LedgerSchedules(self._shared, lambda: None)

    def boots(self) -> Sequence[BootRecord]:
        return self._shared.boot_records()

    def declared(self) -> Mapping[str, Collection[str]]:
        shared = self._shared
        return {row["boot"]: shared.runtimes.get(runtime, {}).keys() for runtime, row in shared.boots.items()}

    def close(self) -> None:
        self._dead.await_return()
        # It is its own reader: the circle, and the ledger with it, would wait for the garbage collector.
        del self.jobs, self.queues

    def names(self) -> Sequence[str]:
        return sorted({*self._with_queues(), *(one.name for one in self._shared.schedules.values())})

    def ready(self, names: Collection[str]) -> dict[str, int]:
        # A name that was only paused, or whose schedule has never fired, has no queue.
        queues = {name: topology.queue_of(name) for name in self._with_queues().intersection(names)}
        depths = self._visit.depths(list(queues.values()))
        return {name: _ready(depths.get(queues.get(name, ""))) for name in names}

    def _with_queues(self) -> set[str]:
        return self._shared.names.union(*self._shared.handled.values())

    def known(self, job_ids: Collection[str]) -> dict[str, JobRecord]:
        return {}

    def outlook(self, names: Collection[str], now: Instant) -> DueCheck:
        return DueCheck(False)

    def counts(self, name: str | None, seconds_max: Seconds | None = None) -> dict[str, int]:
        """Waiting and dead jobs. Only runtimes know running jobs, and jobs that ended well are known to none."""
        ready = self.ready(self.names() if name is None else (name,))
        # Delayed jobs of all names lie together.
        depths = self._visit.depths([*topology.ladder(), topology.DEAD]) if name is None else {}
        dead = _ready(depths.pop(topology.DEAD)) if name is None else self._dead.count(name)
        delayed = sum(map(_ready, depths.values()))
        return {JobState.QUEUED.value: sum(ready.values()) + delayed, JobState.DEAD.value: dead}

    def pauses(self) -> Sequence[PauseRecord]:
        return sorted(self._shared.pauses.values())


def _ready(depth: Depth | None) -> int:
    return 0 if depth is None else depth.ready


class ServerReadable:
    """The `Readable` of a RabbitMQ: each look is a visit."""

    table: JobTable | None = None

    def __init__(self, place: StorePlace, visit: Callable[[], AdminConnection]) -> None:
        self.place = place
        self.address = place.shown
        self._visit = visit

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[ServerView]:
        with self._visit() as visit:
            view = ServerView(visit)
            try:
                yield view
            finally:
                view.close()

    def close(self) -> None:
        """No connection outlives its look."""
