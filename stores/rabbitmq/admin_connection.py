"""A short connection to a RabbitMQ without a runtime."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import replace
from types import TracebackType
from typing import Any, NamedTuple, Self

from ...errors import StoreError, StoreUnavailable
from ...messages.jobs import Seconds
from . import job_message as wire
from . import ledger_records as records
from . import topology
from . import unreadable as unreadable_messages
from .ledger import Follower, message, sum_of
from .ledger_records import Record, UnreadableRecord
from .ledger_sums import leader_in
from .link import LOCKED, NOT_FOUND, Arrival, Browsed, Link, LinkLost, QueueSpec, Refused, Sent, Wanted
from .questions import question
from .shared_state import SharedState

ANSWER_SECONDS_MAX = 20.0

LEADER_SECONDS_MAX = 5.0

LOCKED_SECONDS, LOCKED_TRIES_MAX = 0.05, 200

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


class AdminConnection:
    """A connection for as long as the block lasts.

    Args:
        address: without a password.
        event: makes a thread's event.

    Attributes:
        alarm: why the server blocks publishers, once it has said so to this connection.
    """

    def __init__(self, address: str, link: Link, event: Callable[[], Any], new_id: Callable[[], str]) -> None:
        self.address = address
        self._link = link
        self._known = event()
        self._event = event
        self._new_id = new_id
        self._session = 0
        self._heard: list[bytes] = []
        self._has_heard = event()
        self._is_enough: Callable[[Sequence[bytes]], bool] = lambda lines: False
        self._failure: tuple[str, bool] | None = None
        self.alarm: str | None = None
        self._is_told = event()
        self._follower: Follower | None = None

    def __enter__(self) -> Self:
        self._link.start(self)
        self._known.wait(ANSWER_SECONDS_MAX)
        if self._failure is not None or not self._known.is_set():
            self._link.stop()
            reason, is_refused = self._failure or ("it does not answer", False)
            kind = StoreError if is_refused else StoreUnavailable
            raise kind(f"expected {self.address} to let this visitor in, got: {reason}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.stop()

    def unreadable(self, limit: int) -> tuple[Sequence[UnreadableView], int]:
        found: list[Arrival] = []
        browsed, count = self._browse(found, limit)
        self._answer(browsed.done(()))
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
            sent: Sent = self._answer(self._link.send([message for _, message in ways]))
            astray = {*sent.returned, *sent.refused}
            done = [tag for index, (tag, _) in enumerate(ways) if index not in astray]
        finally:
            self._answer(browsed.done(done))
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
        self._heard, self._is_enough, self._is_told = [], is_enough, self._event()
        with self._hearing([topology.asks_exchange()]) as queue:
            self._answer(self._unless_blocked(self._link.send([question(line, queue)])))
            self._has_heard.wait(seconds)
        return list(self._heard)

    @property
    def server_version(self) -> str | None:
        return self._link.server_version

    def depths(self, queues: Sequence[str]) -> dict[str, Depth | None]:
        """Ready messages and consumers of each queue; None for a missing queue.

        Raises:
            StoreUnavailable: the server refuses, or does not answer.
        """
        asked = {queue: self._link.look(queue) for queue in queues}
        return {queue: self._depth(future) for queue, future in asked.items()}

    def _depth(self, future: Any) -> Depth | None:
        try:
            return Depth(*self._result(future))
        except Refused as error:
            if error.code == NOT_FOUND:
                return None
            raise self._refused(error) from error

    def differences(self, queues: Sequence[QueueSpec]) -> dict[str, str]:
        """How existing queues differ from what runtimes declare, or why that cannot be asked. Changes nothing."""
        there = {name for name, depth in self.depths([queue.name for queue in queues]).items() if depth is not None}
        asked = {queue.name: self._link.setup([replace(queue, bindings=())]) for queue in queues if queue.name in there}
        found: dict[str, str] = {}
        for name, future in asked.items():
            try:
                self._result(future)
            except Refused as error:
                found[name] = str(error)
        return found

    @contextlib.contextmanager
    def _hearing(self, besides: Sequence[Wanted]) -> Iterator[str]:
        """An own queue that receives answers, while the block lasts."""
        queue = topology.answers_queue(self._new_id())
        self._has_heard = self._event()
        self._answer(self._link.setup([*besides, queue]))
        self._link.consume(self._session, queue.name, queue.name, prefetch=ANSWERS_PREFETCH)
        try:
            yield queue.name
        finally:
            self._link.delete(self._session, queue.name)

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
        shared, label = SharedState(), self._new_id()

        def told(record: Record) -> None:
            if record.get("by") == label:
                self._has_heard.set()

        self._follower = Follower(shared, told, lambda reason, _: None)
        with self._hearing([]) as queue:
            self._answer(self._link.send([message({"is": "hello", "by": label, "to": queue})]))
            is_told = self._has_heard.wait(LEADER_SECONDS_MAX)
        self._follower = None
        if not is_told:
            found: list[bytes] = []
            self._answer(self.browse(topology.LEADER, lambda arrival: found.append(arrival.body)).done(()))
            raise StoreUnavailable(
                f"expected {leader_in(found)} to answer on {self.address} within {LEADER_SECONDS_MAX:g} s, got none: "
                "it may hang, or be stopped by a signal; another runtime, if there is one, leads within 15 s"
            )
        return shared

    def _read(self) -> SharedState:
        found: list[Record] = []

        def see(arrival: Arrival) -> None:
            with contextlib.suppress(UnreadableRecord):
                found.append(records.parse(arrival.body))

        self._answer(self.browse(topology.LEDGER, see).done(()))
        return sum_of(found)

    def browse(self, queue: str, see: Callable[[Arrival], object]) -> Browsed:
        asked, tries = self._link.browse(queue, see), 1
        while tries < LOCKED_TRIES_MAX and _is_locked(asked):
            self._event().wait(LOCKED_SECONDS)
            asked, tries = self._link.browse(queue, see), tries + 1
        browsed: Browsed = self._answer(asked)
        return browsed

    def _browse(self, found: list[Arrival], limit: int) -> tuple[Browsed, int]:
        count = 0

        def see(arrival: Arrival) -> None:
            nonlocal count
            count += 1
            if len(found) < limit:
                found.append(arrival)

        return self.browse(topology.UNREADABLE, see), count

    def _unless_blocked(self, future: Any) -> Any:
        """Wait for the server's answer; a server in alarm sends no more.

        Raises:
            StoreUnavailable: the server is in alarm.
        """
        future.add_done_callback(lambda _: self._is_told.set())
        if self.alarm is None:
            self._is_told.wait(ANSWER_SECONDS_MAX)
        if self.alarm is not None and not future.done():
            raise StoreUnavailable(f"{self.address} takes no messages: {self.alarm}")
        return future

    def _answer(self, future: Any) -> Any:
        try:
            return self._result(future)
        except Refused as error:
            if error.code == NOT_FOUND:
                raise topology.never_used(self.address, error) from error
            raise self._refused(error) from error

    def _result(self, future: Any) -> Any:
        try:
            return future.result(ANSWER_SECONDS_MAX)
        except (LinkLost, FutureTimeout) as error:
            raise StoreUnavailable(f"{self.address} did not answer: {error}") from error

    def _refused(self, error: Refused) -> StoreUnavailable:
        return StoreUnavailable(f"{self.address} refuses: {error}")

    def connected(self, session: int) -> None:
        self._session = session
        self._known.set()

    def lost(self, session: int, reason: str, *, refused: bool) -> None:
        self._failure = reason, refused
        self._known.set()

    def arrived(self, arrival: Arrival) -> None:
        self._link.acknowledge(arrival.session, (arrival.tag,))
        if self._follower is not None:
            with contextlib.suppress(UnreadableRecord):
                self._follower.hear(records.parse(arrival.body))
            return
        self._heard.append(arrival.body)
        if self._is_enough(self._heard):
            self._has_heard.set()

    def cancelled(self, session: int, consumer: str) -> None:
        """The answers are complete."""

    def blocked(self, reason: str | None) -> None:
        """Ignored unless only questions are asked: other callers wait as long as they may."""
        self.alarm = reason
        if reason is not None:
            self._is_told.set()

    def pulse(self, unconfirmed: int | None, unanswered: int | None) -> None:
        """The connection is too short-lived for a watchdog."""


def _is_locked(asked: Future[Browsed]) -> bool:
    with contextlib.suppress(FutureTimeout):
        error = asked.exception(ANSWER_SECONDS_MAX)
        return isinstance(error, Refused) and error.code == LOCKED
    return False


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
