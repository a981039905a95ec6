"""A model of the little of RabbitMQ that the store uses, under a test's control: no server, no socket, no real time.

It has exchanges of type topic, quorum queues with redelivery counts, time to live and dead-lettering, single active
consumers, streams, confirms, and links that can be cut at any instant. `tests/rabbit/test_model.py` runs the same
scripted scenarios against the model and against a real server, so that the model stays true.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from ..messages.jobs import Seconds
from ..rabbit.link import (
    Arguments,
    Arrival,
    Binding,
    Ears,
    Exchange,
    Fetched,
    LinkLost,
    Message,
    QueueSpec,
    Refused,
    Sent,
    Wanted,
)
from ..replies import answer

NOT_FOUND, PRECONDITION_FAILED = 404, 406

After = Callable[[Seconds, Callable[[], object]], object]


@dataclass(slots=True, eq=False)
class Stored:
    """A message in a queue."""

    message: Message
    redeliveries: int = 0


@dataclass(slots=True, eq=False)
class ModelConsumer:
    """Somebody to whom a queue delivers."""

    link: ModelLink
    session: int
    tag: str
    prefetch: int
    unacked: int = 0
    offset: int = 0


@dataclass(slots=True, eq=False)
class ModelQueue:
    """A queue, or a stream: then nothing is ever taken out of `ready`."""

    spec: QueueSpec
    ready: deque[Stored] = field(default_factory=deque)
    consumers: list[ModelConsumer] = field(default_factory=list)

    @property
    def is_stream(self) -> bool:
        """Whether everybody reads all of it."""
        return self.spec.arguments.get("x-queue-type") == "stream"

    @property
    def active(self) -> Sequence[ModelConsumer]:
        """Those who are delivered to."""
        return self.consumers[:1] if self.spec.arguments.get("x-single-active-consumer") else self.consumers


class ModelServer:
    """See the module.

    Args:
        after: has a call made once some seconds have passed. Without it everything happens at once, and what has to
            wait for its time waits until `let_pass`.
        chance: how long things take, when there is an `after`.
    """

    def __init__(self, after: After | None = None, chance: random.Random | None = None) -> None:
        self._after = after
        self._chance = chance or random.Random(0)
        self._calls: deque[Callable[[], object]] = deque()
        self._is_running = False
        self._elapsed = 0.0
        self._timed: list[tuple[Seconds, int, Callable[[], object]]] = []
        self._order = count()
        self.exchanges: dict[str, list[tuple[str, str, str]]] = {}
        self.queues: dict[str, ModelQueue] = {}
        self.links: list[ModelLink] = []
        self.last_acks: dict[str, ModelLink] = {}
        self.away: set[str] = set()
        """Names of queues whose node is away: what is published to them is refused."""
        self.is_up = True
        self.alarm: str | None = None

    # --- time -----------------------------------------------------------------------------------------------

    def soon(self, call: Callable[[], object], seconds_max: Seconds = 0.002) -> None:
        """Have a call made after what such a thing takes."""
        if self._after is not None:
            self._after(self._chance.uniform(0.0, seconds_max), call)
            return
        self._calls.append(call)
        if self._is_running:
            return
        self._is_running = True
        try:
            while self._calls:
                self._calls.popleft()()
        finally:
            self._is_running = False

    def later(self, seconds: Seconds, call: Callable[[], object]) -> None:
        """Have a call made once some seconds have passed."""
        if self._after is not None:
            self._after(seconds, call)
            return
        self._timed.append((self._elapsed + seconds, next(self._order), call))

    def let_pass(self, seconds: Seconds) -> None:
        """Without an `after`: let time pass."""
        until = self._elapsed + seconds
        while self._timed and min(self._timed)[0] <= until:
            first = min(self._timed)
            self._timed.remove(first)
            self._elapsed = max(self._elapsed, first[0])
            self.soon(first[2])
        self._elapsed = until

    # --- faults ---------------------------------------------------------------------------------------------

    def cut(self, link: ModelLink, reason: str = "the connection was cut") -> None:
        """End a link's session. What was on its way is lost, and what it had is given to others."""
        link.lose(reason)

    def restart(self, seconds: Seconds) -> None:
        """Go down, and come back after so many seconds. What was confirmed is there again."""
        self.is_up = False
        for link in list(self.links):
            link.lose("the server went down")
        for queue in [queue for queue in self.queues.values() if queue.spec.arguments.get("x-queue-type") is None]:
            queue.consumers.clear()

        def come_back() -> None:
            self.is_up = True

        self.later(seconds, come_back)

    def set_alarm(self, reason: str | None) -> None:
        """Take no messages in until further notice, or again."""
        self.alarm = reason
        for link in self.links:
            link.tell_alarm()
            if reason is None:
                link.go_on()

    def delete(self, name: str) -> None:
        """Somebody deletes a queue."""
        queue = self.queues.pop(name)
        for bindings in self.exchanges.values():
            bindings[:] = [one for one in bindings if one[1:] != ("queue", name)]
        for consumer in queue.consumers:
            consumer.link.tell_cancelled(consumer)

    # --- what links ask for ---------------------------------------------------------------------------------

    def declare(self, wanted: Wanted) -> None:
        """Have something be there.

        Raises:
            Refused: it is there, and another one.
        """
        match wanted:
            case Exchange(name=name):
                self.exchanges.setdefault(name, [])
            case Binding(source=source, target=target, key=key):
                self._bind(source, (key, "exchange", target))
            case QueueSpec(name=name, arguments=arguments, bindings=bindings):
                known = self.queues.setdefault(name, ModelQueue(wanted))
                if dict(known.spec.arguments) != dict(arguments):
                    raise Refused(f"inequivalent arguments of queue {name}", PRECONDITION_FAILED)
                for exchange, key in bindings:
                    self._bind(exchange, (key, "queue", name))

    def _bind(self, exchange: str, binding: tuple[str, str, str]) -> None:
        if exchange not in self.exchanges:
            raise Refused(f"no exchange {exchange}", NOT_FOUND)
        if binding not in self.exchanges[exchange]:
            self.exchanges[exchange].append(binding)

    def publish(self, message: Message) -> bool:
        """Put a message into every queue that it is routed to. False when that is none."""
        targets = [message.key] if message.exchange == "" else sorted(self._route(message.exchange, message.key))
        found = [self.queues[name] for name in targets if name in self.queues]
        for queue in found:
            self._put(queue, Stored(message))
        return bool(found)

    def _route(self, exchange: str, key: str) -> set[str]:
        names: set[str] = set()
        for pattern, kind, target in self.exchanges.get(exchange, ()):
            if _matches(pattern.split("."), key.split(".")):
                names |= {target} if kind == "queue" else self._route(target, key)
        return names

    def _put(self, queue: ModelQueue, stored: Stored) -> None:
        queue.ready.append(stored)
        ttl = queue.spec.arguments.get("x-message-ttl")
        if ttl is not None:
            self.later(ttl / 1000, lambda: self._expire(queue, stored))
        self.soon(lambda: self.pump(queue))

    def _expire(self, queue: ModelQueue, stored: Stored) -> None:
        if stored not in queue.ready:
            return
        exchange = queue.spec.arguments["x-dead-letter-exchange"]
        if not self.is_up or not self.publish(stored.message._replace(exchange=exchange)):
            # At least once: it stays until its target takes it.
            self.later(0.1, lambda: self._expire(queue, stored))
            return
        queue.ready.remove(stored)

    def pump(self, queue: ModelQueue) -> None:
        """Deliver what can be delivered."""
        if not self.is_up:
            return
        if queue.is_stream:
            for consumer in queue.consumers:
                while consumer.offset < len(queue.ready) and consumer.unacked < consumer.prefetch:
                    consumer.link.deliver(queue, consumer, queue.ready[consumer.offset], offset=consumer.offset)
                    consumer.offset += 1
            return
        while queue.ready:
            free = [one for one in queue.active if one.unacked < one.prefetch]
            if not free:
                return
            stored = next((one for one in queue.ready if one.message.priority), queue.ready[0])
            queue.ready.remove(stored)
            consumer = free[0]
            if consumer in queue.consumers and len(queue.active) > 1:
                # Each in turn.
                queue.consumers.remove(consumer)
                queue.consumers.append(consumer)
            consumer.link.deliver(queue, consumer, stored, offset=None)

    def unacked_of(self, queue: ModelQueue) -> int:
        """How many of a queue's messages are with somebody."""
        return sum(link.unacked_of(queue) for link in self.links)

    def give_back(self, queue: ModelQueue, stored: Stored) -> None:
        """A delivery comes back."""
        if queue.is_stream or self.queues.get(queue.spec.name) is not queue:
            return
        stored.redeliveries += 1
        queue.ready.append(stored)
        self.soon(lambda: self.pump(queue))


class ModelLink:
    """See `rabbit.link.Link`: a link to a model.

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
        self._server = server
        self._future = future
        self._is_alive = is_alive
        self._retry = retry_seconds
        self._ears: Ears | None = None
        self._is_going = False
        self._sessions = 0
        self.session = 0
        self._tags = count(1)
        self._unacked: dict[int, tuple[ModelQueue, Stored, ModelConsumer]] = {}
        self._pending: dict[int, Future[Any]] = {}
        self._held_up: deque[Callable[[], object]] = deque()
        self._out: deque[Callable[[], object]] = deque()
        self._in: deque[Callable[[], object]] = deque()

    # --- sessions -------------------------------------------------------------------------------------------

    def start(self, ears: Ears) -> None:
        self._ears, self._is_going = ears, True
        self._server.links.append(self)
        self._server.soon(self._connect)

    def stop(self) -> None:
        self._is_going = False
        if self in self._server.links:
            self._server.links.remove(self)
        self._end("the link was stopped")

    def _connect(self) -> None:
        if not self._is_going or self.session or not self._is_alive():
            return
        if not self._server.is_up:
            assert self._ears is not None
            self._ears.lost(0, "connection refused", refused=False)
            self._server.later(self._retry, self._connect)
            return
        self._sessions += 1
        self.session = self._sessions
        assert self._ears is not None
        self._ears.connected(self.session)
        self.tell_alarm()

    def lose(self, reason: str) -> None:
        """The connection is cut."""
        self._end(reason)
        if self._is_going and self._is_alive():
            assert self._ears is not None
            self._ears.lost(self._sessions, reason, refused=False)
            self._server.later(self._retry, self._connect)

    def _end(self, reason: str) -> None:
        self.session = 0
        self._out.clear()
        self._in.clear()
        self._held_up.clear()
        for queue in self._server.queues.values():
            queue.consumers[:] = [one for one in queue.consumers if one.link is not self]
        for queue, stored, _ in self._unacked.values():
            self._server.give_back(queue, stored)
        self._unacked.clear()
        pending, self._pending = self._pending, {}
        for future in pending.values() if self._is_alive() else ():
            answer(future, None, LinkLost(reason))
        for queue in self._server.queues.values():
            self._server.soon(lambda queue=queue: self._server.pump(queue))  # type: ignore[misc]

    # --- the two directions: each in order ------------------------------------------------------------------

    def _to_server(self, call: Callable[[], object]) -> None:
        self._out.append(call)
        session = self.session

        def arrive() -> None:
            if session == self.session and session and self._out:
                self._out.popleft()()

        self._server.soon(arrive)

    def _to_client(self, call: Callable[[], object]) -> None:
        self._in.append(call)
        session = self.session

        def arrive() -> None:
            if session == self.session and session and self._in and self._is_alive():
                self._in.popleft()()

        self._server.soon(arrive)

    def _pend(self) -> tuple[int, Future[Any]]:
        future, key = self._future(), next(self._tags)
        if not self.session:
            answer(future, None, LinkLost("there is no connection"))
        else:
            self._pending[key] = future
        return key, future

    def _tell(self, key: int, value: Any, error: BaseException | None = None) -> None:
        future = self._pending.pop(key, None)
        if future is not None:
            answer(future, value, error)

    # --- calls ----------------------------------------------------------------------------------------------

    def setup(self, wanted: Sequence[Wanted]) -> Future[None]:
        key, future = self._pend()

        def do() -> None:
            error: Refused | None = None
            try:
                for one in wanted:
                    self._server.declare(one)
            except Refused as refused:
                error = refused
            self._to_client(lambda: self._tell(key, None, error))

        self._to_server(do)
        return future

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
        """The alarm is over."""
        while self._held_up:
            self._held_up.popleft()()

    def settle(self, session: int, acks: Sequence[int], requeue: Sequence[int] = ()) -> None:
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
        """Whether the process that had it was killed."""
        return not self._is_alive()

    def unacked_of(self, queue: ModelQueue) -> int:
        """How many of a queue's messages are with it."""
        return sum(one is queue for one, _, _ in self._unacked.values())

    def _settled(self, tag: int) -> tuple[ModelQueue, Stored, ModelConsumer] | None:
        found = self._unacked.pop(tag, None)
        if found is not None:
            found[2].unacked -= 1
            self._server.soon(lambda: self._server.pump(found[0]))
        return found

    def consume(
        self, session: int, queue: str, consumer: str, *, prefetch: int, arguments: Arguments | None = None
    ) -> None:
        def do() -> None:
            found = self._server.queues.get(queue)
            if found is None:
                self.lose(f"not found ({NOT_FOUND}): {queue}")
                return
            offset = (arguments or {}).get("x-stream-offset", "first")
            first = 0 if offset == "first" else int(offset)
            found.consumers.append(ModelConsumer(self, session, consumer, prefetch, offset=first))
            self._server.pump(found)

        if session == self.session:
            self._to_server(do)

    def cancel(self, session: int, consumer: str) -> None:
        def do() -> None:
            for queue in self._server.queues.values():
                queue.consumers[:] = [one for one in queue.consumers if (one.link, one.tag) != (self, consumer)]

        if session == self.session:
            self._to_server(do)

    def look(self, queue: str) -> Future[tuple[int, int] | None]:
        key, future = self._pend()

        def do() -> None:
            found = self._server.queues.get(queue)
            seen = None if found is None else (len(found.ready), len(found.consumers))
            error = Refused(f"no queue {queue}", NOT_FOUND) if found is None else None
            self._to_client(lambda: self._tell(key, seen, error))

        self._to_server(do)
        return future

    def fetch(self, queue: str, most: int) -> Future[Fetched]:
        key, future = self._pend()

        def do() -> None:
            found = self._server.queues.get(queue)
            if found is None:
                self._to_client(lambda: self._tell(key, None, Refused(f"no queue {queue}", NOT_FOUND)))
                return
            taken = [found.ready.popleft() for _ in range(min(most, len(found.ready)))]

            def done(indexes: Sequence[int]) -> None:
                for index, stored in enumerate(taken):
                    if index not in indexes:
                        self._server.give_back(found, stored)

            self._to_client(lambda: self._tell(key, Fetched([one.message.body for one in taken], done)))

        self._to_server(do)
        return future

    # --- what the server tells ------------------------------------------------------------------------------

    def deliver(self, queue: ModelQueue, consumer: ModelConsumer, stored: Stored, *, offset: int | None) -> None:
        """A message is on its way to the client."""
        tag, message = next(self._tags), stored.message
        consumer.unacked += 1
        self._unacked[tag] = queue, stored, consumer
        headers: Mapping[str, Any] = message.headers or {}
        arrival = Arrival(
            session=self.session, tag=tag, consumer=consumer.tag, body=message.body, redeliveries=stored.redeliveries,
            reply_to=message.reply_to, headers=headers, offset=offset,
        )  # fmt: skip
        assert self._ears is not None
        ears = self._ears
        self._to_client(lambda: ears.arrived(arrival))

    def tell_cancelled(self, consumer: ModelConsumer) -> None:
        """A queue is gone."""
        assert self._ears is not None
        ears, session = self._ears, self.session
        self._to_client(lambda: ears.cancelled(session, consumer.tag))

    def tell_alarm(self) -> None:
        """The server takes nothing in, or does again."""
        if self._ears is not None and self.session:
            ears, alarm = self._ears, self._server.alarm
            self._to_client(lambda: ears.blocked(alarm))


def _matches(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """Whether a topic's pattern matches: `*` is one word, `#` any number."""
    if not pattern:
        return not words
    first, rest = pattern[0], pattern[1:]
    if first == "#":
        return any(_matches(rest, words[index:]) for index in range(len(words) + 1))
    return bool(words) and first in ("*", words[0]) and _matches(rest, words[1:])
