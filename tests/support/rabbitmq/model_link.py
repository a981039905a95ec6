"""A link to the model of a RabbitMQ: what a process has of it, with two directions that can be cut at any instant."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from itertools import count
from typing import Any

from lamplighter.messages.jobs import Seconds
from lamplighter.stores.rabbitmq.link import (
    LOCKED,
    NOT_FOUND,
    PULSE_SECONDS,
    Arrival,
    Blocked,
    Browsed,
    Cancelled,
    Connected,
    Hear,
    LinkLost,
    Lost,
    Message,
    Pulse,
    QueueSpec,
    Refused,
    Sent,
    Wanted,
    settle,
)
from lamplighter.stores.rabbitmq.place import RabbitPlace

from .model import AWAY_SECONDS, ModelConsumer, ModelMessage, ModelQueue, ModelServer

MODEL = RabbitPlace("amqp://model")


class ModelLink:
    """A `Link` to a model.

    Args:
        future: makes what a caller waits at.
        is_alive: whether the process that has it still lives.
    """

    def __init__(
        self,
        server: ModelServer,
        *,
        future: Callable[[], Future[Any]] = Future,
        is_alive: Callable[[], bool] = lambda: True,
        retry_seconds: Seconds = 0.5,
    ) -> None:
        self.bytes_max: int | None = None
        self.server_version: str | None = None
        self._server = server
        self._future = future
        self._is_alive = is_alive
        self._retry = retry_seconds
        self._hear: Hear = lambda event: None
        self._is_going = False
        self._sessions = 0
        self.session = self._hushed = 0
        self._tags = count(1)
        self._unacked: dict[int, tuple[ModelQueue, ModelMessage, ModelConsumer]] = {}
        self._aside: dict[int, tuple[ModelQueue, dict[int, ModelMessage]]] = {}
        self._pending: dict[int, Future[Any]] = {}
        self._held_up: deque[Callable[[], object]] = deque()
        self._asked_later: list[Callable[[], object]] | None = None
        self._out: deque[Callable[[], object]] = deque()
        self._in: deque[Callable[[], object]] = deque()

    def start(self, hear: Hear) -> None:
        self._hear, self._is_going = hear, True
        self._server.links.append(self)
        self._server.soon(self._connect)

    def stop(self) -> None:
        self._is_going = False
        if self in self._server.links:
            self._server.links.remove(self)
        # What it has asked for is done before it ends.
        while self._out and self.session and self._is_alive():
            self._out.popleft()()
        # Its consumers end first, so that others are given what is ready before what comes back.
        self._end_consumers()
        self._end("the link was stopped")

    def _connect(self) -> None:
        if not self._is_going or self.session or not self._is_alive():
            return
        if not self._server.is_up:
            self._hear(Lost(0, "connection refused"))
            self._server.later(self._retry, self._connect)
            return
        self._sessions += 1
        self.session = self._sessions
        self._hear(Connected(self.session))
        self.tell_alarm()
        self._await_pulse()

    def _await_pulse(self) -> None:
        def pulse() -> None:
            self._hear(Pulse(next(iter(self._pending), None), None))
            self._await_pulse()

        self.after(PULSE_SECONDS, pulse)

    def give_up(self, session: int, reason: str) -> None:
        self._server.soon(lambda: self.lose(reason) if session == self.session else None)

    def after(self, seconds: Seconds, call: Callable[[], None]) -> None:
        session = self.session
        self._server.later(seconds, lambda: call() if session == self.session and self._is_alive() else None)

    def wait(self, event: Any, seconds: Seconds) -> None:
        event.wait(seconds)

    def hush(self) -> None:
        self._hushed = self.session

    def lose(self, reason: str) -> None:
        self._end(reason)
        if self._is_going and self._is_alive():
            self._hear(Lost(self._sessions, reason))
            self._server.later(self._retry, self._connect)

    def _end(self, reason: str) -> None:
        self.session = self._hushed = 0
        self._out.clear()
        self._in.clear()
        self._held_up.clear()
        self._asked_later = None
        for queue in self._server.queues.values():
            queue.consumers[:] = [one for one in queue.consumers if one.link is not self]
        for queue, stored, _ in self._unacked.values():
            self._server.put_back(queue, stored)
        self._unacked.clear()
        for key in list(self._aside):
            self._give_back_aside(key)
        pending, self._pending = self._pending, {}
        for future in pending.values() if self._is_alive() else ():
            settle(future, None, LinkLost(reason))
        for queue in self._server.queues.values():
            self._server.soon(lambda queue=queue: self._server.pump(queue))  # type: ignore[misc]

    def _end_consumers(self) -> None:
        for queue in self._server.queues.values():
            if any(one.link is self for one in queue.consumers):
                queue.consumers[:] = [one for one in queue.consumers if one.link is not self]
                self._server.pump(queue)

    # What goes to the server keeps its order, and so does what comes back.

    def _to_server(self, call: Callable[[], object]) -> None:
        if not self.session:
            # It would be done in the next session, and everything that is asked there one question late.
            return
        self._out.append(call)
        session = self.session

        def arrive() -> None:
            if session == self.session and self._out:
                self._out.popleft()()

        self._server.soon(arrive)

    def _to_client(self, call: Callable[[], object]) -> None:
        if self._hushed:
            return
        self._in.append(call)
        session = self.session

        def arrive() -> None:
            if session == self.session and session and self._in and self._is_alive():
                self._in.popleft()()

        self._server.soon(arrive)

    def _pend(self) -> tuple[int, Future[Any]]:
        future, key = self._future(), next(self._tags)
        if not self.session:
            settle(future, None, LinkLost("there is no connection"))
        else:
            self._pending[key] = future
        return key, future

    def _tell(self, key: int, value: Any, error: BaseException | None = None) -> None:
        future = self._pending.pop(key, None)
        if future is not None:
            settle(future, value, error)

    def setup(self, wanted: Sequence[Wanted]) -> Future[None]:
        key, future = self._pend()

        def do() -> None:
            if any(one.name in self._server.away for one in wanted if isinstance(one, QueueSpec)):
                self._search_for_its_node(key)
                return
            error: Refused | None = None
            try:
                for one in wanted:
                    self._server.declare(one)
            except Refused as refused:
                error = refused
            self._to_client(lambda: self._tell(key, None, error))

        self._to_server(lambda: self._ask(do))
        return future

    def _ask(self, do: Callable[[], object]) -> None:
        """One thing is asked after the other."""
        if self._asked_later is None:
            do()
        else:
            self._asked_later.append(do)

    def _search_for_its_node(self, key: int) -> None:
        self._asked_later = []

        def over() -> None:
            self._to_client(lambda: self._tell(key, None, Refused("its node is away", NOT_FOUND)))
            later, self._asked_later = self._asked_later or [], None
            for do in later:
                self._ask(do)

        self.after(AWAY_SECONDS, over)

    def send(self, messages: Sequence[Message]) -> Future[Sent]:
        key, future = self._pend()
        returned: list[int] = []
        refused: list[int] = []
        left = [len(messages)]

        def confirm() -> None:
            left[0] -= 1
            if left[0] <= 0:
                self._tell(key, Sent(tuple(sorted(returned)), tuple(sorted(refused))))

        def do(index: int, message: Message) -> None:
            if self._server.alarm is not None or self._held_up:
                self._held_up.append(lambda: take(index, message))
                return
            take(index, message)

        def take(index: int, message: Message) -> None:
            if len(message.body) > self._server.bytes_max:
                self.bytes_max = self._server.bytes_max
                self.lose("precondition failed (406): the message is too large")
                return
            if message.exchange == "" and message.key in self._server.away:
                refused.append(index)
            elif not self._server.publish(message) and message.mandatory:
                returned.append(index)
            # Each queue confirms when it has stored it, so confirms come in any order.
            session = self.session
            self._server.soon(lambda: self._to_client(confirm) if session == self.session else None)

        if not messages:
            self._tell(key, Sent())
        for index, message in enumerate(messages):
            self._to_server(lambda index=index, message=message: do(index, message))  # type: ignore[misc]
        return future

    def go_on(self) -> None:
        while self._held_up:
            self._held_up.popleft()()

    def acknowledge(self, session: int, acks: Sequence[int], requeue: Sequence[int] = ()) -> None:
        def do() -> None:
            for tag in acks:
                settled = self._settled(tag)
                if settled is not None:
                    self._server.last_acks[settled[1].message.message_id or ""] = self
            for tag in requeue:
                found = self._settled(tag)
                if found is not None:
                    self._server.give_back(found[0], found[1])

        if session == self.session and (acks or requeue):
            self._to_server(do)

    @property
    def is_dead(self) -> bool:
        return not self._is_alive()

    def unacked_of(self, queue: ModelQueue) -> int:
        return sum(one is queue for one, _, _ in self._unacked.values())

    def browses(self, queue: ModelQueue) -> bool:
        return any(aside is queue for aside, _ in self._aside.values())

    def _settled(self, tag: int) -> tuple[ModelQueue, ModelMessage, ModelConsumer] | None:
        found = self._unacked.pop(tag, None)
        if found is not None:
            found[2].unacked -= 1
            self._server.soon(lambda: self._server.pump(found[0]))
        return found

    def consume(self, session: int, queue: str, consumer: str, *, prefetch: int, apart: bool = False) -> None:
        def do() -> None:
            found = self._server.queues.get(queue)
            if found is None:
                self.lose(f"not found ({NOT_FOUND}): {queue}")
                return
            found.consumers.append(ModelConsumer(self, session, consumer, prefetch))
            self._server.pump(found)

        if session == self.session:
            self._to_server(do)

    def cancel(self, session: int, consumer: str) -> None:
        def do() -> None:
            for queue in self._server.queues.values():
                queue.consumers[:] = [one for one in queue.consumers if (one.link, one.tag) != (self, consumer)]

        if session == self.session:
            self._to_server(do)

    def delete(self, session: int, queue: str) -> None:
        if session == self.session:
            self._to_server(lambda: self._server.delete(queue) if queue in self._server.queues else None)

    def look(self, queue: str) -> Future[tuple[int, int] | None]:
        key, future = self._pend()

        def do() -> None:
            found = self._server.queues.get(queue)
            seen = None if found is None else (len(found.ready), len(found.consumers))
            error = Refused(f"no queue {queue}", NOT_FOUND) if found is None else None
            self._to_client(lambda: self._tell(key, seen, error))

        self._to_server(lambda: self._ask(do))
        return future

    def browse(self, queue: str, see: Callable[[Arrival], object]) -> Future[Browsed]:
        key, future = self._pend()

        def do() -> None:
            found = self._server.queues.get(queue)
            if found is None:
                self._to_client(lambda: self._tell(key, None, Refused(f"no queue {queue}", NOT_FOUND)))
                return
            if any(link.browses(found) for link in self._server.links):
                self._to_client(lambda: self._tell(key, None, Refused(f"{queue} is locked", LOCKED)))
                return
            taken = {next(self._tags): stored for stored in found.ready}
            found.ready.clear()
            self._aside[key] = found, taken
            self._to_client(lambda: self._show(key, taken, see))

        self._to_server(do)
        return future

    def _show(self, key: int, taken: Mapping[int, ModelMessage], see: Callable[[Arrival], object]) -> None:
        for tag, stored in taken.items():
            see(arrival_of(stored, session=self.session, tag=tag, consumer=""))

        def done(tags: Sequence[int]) -> Future[None]:
            """First the server ends the delivery and says so; only then is anything acknowledged or given back."""
            asked, back = self._pend()

            def give_back() -> None:
                self._give_back_aside(key, tags)
                self._to_client(lambda: self._tell(asked, None))

            self._to_server(lambda: self._to_client(lambda: self._to_server(give_back)))
            return back

        self._tell(key, Browsed(done))

    def _give_back_aside(self, key: int, wanted: Collection[int] = ()) -> None:
        """Give back what was taken aside, but for what is wanted; a session's end has given back all of it."""
        queue, taken = self._aside.pop(key, (None, {}))
        if queue is not None:
            queue.ready += [stored for tag, stored in taken.items() if tag not in wanted]
            self._server.soon(lambda: self._server.pump(queue))

    def deliver(self, queue: ModelQueue, consumer: ModelConsumer, stored: ModelMessage) -> None:
        tag = next(self._tags)
        consumer.unacked += 1
        self._unacked[tag] = queue, stored, consumer
        arrival = arrival_of(stored, session=self.session, tag=tag, consumer=consumer.tag)
        self._to_client(lambda: self._hear(arrival))

    def tell_cancelled(self, consumer: ModelConsumer) -> None:
        cancelled = Cancelled(self.session, consumer.tag)
        self._to_client(lambda: self._hear(cancelled))

    def tell_alarm(self) -> None:
        if self.session:
            blocked = Blocked(self._server.alarm)
            self._to_client(lambda: self._hear(blocked))


def arrival_of(stored: ModelMessage, *, session: int, tag: int, consumer: str) -> Arrival:
    """What is delivered of a message."""
    message = stored.message
    return Arrival(
        session=session,
        tag=tag,
        consumer=consumer,
        body=message.body,
        redeliveries=stored.redeliveries,
        reply_to=message.reply_to,
        headers=message.headers or {},
        priority=message.priority,
        message_id=message.message_id,
    )
