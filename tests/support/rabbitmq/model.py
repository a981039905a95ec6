"""A model of the little of RabbitMQ that the store uses, under a test's control: no server, no socket, no real time.

It has exchanges of type topic, quorum queues with redelivery counts, time to live and dead-lettering, single active
consumers, confirms, and links that can be cut at any instant. `tests/whole/stores/rabbitmq/test_model.py` runs the same
scripted scenarios against the model and against a real server, so that the model stays true.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from lamplighter.messages.jobs import Seconds
from lamplighter.stores.rabbitmq.link import (
    NOT_FOUND,
    PRECONDITION_FAILED,
    Binding,
    Exchange,
    Message,
    QueueSpec,
    Refused,
    Wanted,
)

AWAY_SECONDS = 60.0
"""How long a server looks for a queue whose node is away (RabbitMQ 4.0.5)."""

After = Callable[[Seconds, Callable[[], object]], object]


@dataclass(slots=True, eq=False)
class ModelMessage:
    """A message in a queue.

    Attributes:
        number: its place among all that was ever published; what is given back takes that place again.
    """

    message: Message
    number: int = 0
    redeliveries: int = 0


class ModelClient(Protocol):
    """What the model knows of a link to it."""

    def lose(self, reason: str) -> None:
        """The connection is cut."""

    def hush(self) -> None:
        """Let nothing more reach the client of what the server says, until this session ends."""

    def go_on(self) -> None:
        """The alarm is over."""

    def deliver(self, queue: ModelQueue, consumer: ModelConsumer, stored: ModelMessage) -> None:
        """A message is on its way to the client."""

    def tell_cancelled(self, consumer: ModelConsumer) -> None:
        """A queue is gone."""

    def tell_alarm(self) -> None:
        """The server takes nothing in, or does again."""

    def unacked_of(self, queue: ModelQueue) -> int:
        """How many of a queue's messages are with it."""

    def browses(self, queue: ModelQueue) -> bool:
        """Whether it keeps a queue's messages aside."""

    @property
    def is_dead(self) -> bool:
        """Whether the process that had it was killed."""


@dataclass(slots=True, eq=False)
class ModelConsumer:
    """Somebody to whom a queue delivers."""

    link: ModelClient
    session: int
    tag: str
    prefetch: int
    unacked: int = 0


@dataclass(slots=True, eq=False)
class ModelQueue:
    """A queue."""

    spec: QueueSpec
    ready: deque[ModelMessage] = field(default_factory=deque)
    consumers: list[ModelConsumer] = field(default_factory=list)

    @property
    def active(self) -> Sequence[ModelConsumer]:
        """Those who are delivered to."""
        return self.consumers[:1] if self.spec.arguments.get("x-single-active-consumer") else self.consumers


class ModelServer:
    """A RabbitMQ in memory, under the control of a test.

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
        self.links: list[ModelClient] = []
        self.last_acks: dict[str, ModelClient] = {}
        self.away: set[str] = set()
        """Names of queues whose node is away: what is published to them is refused, and they are looked for in vain."""
        self.bytes_max = 16 * 1024 * 1024
        self.is_up = True
        self.alarm: str | None = None

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

    def cut(self, link: ModelClient, reason: str = "the connection was cut") -> None:
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
            self._put(queue, ModelMessage(message, next(self._order)))
        return bool(found)

    def _route(self, exchange: str, key: str) -> set[str]:
        names: set[str] = set()
        for pattern, kind, target in self.exchanges.get(exchange, ()):
            if _matches(pattern.split("."), key.split(".")):
                names |= {target} if kind == "queue" else self._route(target, key)
        return names

    def _put(self, queue: ModelQueue, stored: ModelMessage) -> None:
        queue.ready.append(stored)
        while len(queue.ready) > queue.spec.arguments.get("x-max-length", math.inf):
            queue.ready.popleft()
        ttl = queue.spec.arguments.get("x-message-ttl")
        if ttl is not None:
            self.later(ttl / 1000, lambda: self._expire(queue, stored))
        self.soon(lambda: self.pump(queue))

    def _expire(self, queue: ModelQueue, stored: ModelMessage) -> None:
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
            consumer.link.deliver(queue, consumer, stored)

    def unacked_of(self, queue: ModelQueue) -> int:
        """How many of a queue's messages are with somebody."""
        return sum(link.unacked_of(queue) for link in self.links)

    def give_back(self, queue: ModelQueue, stored: ModelMessage) -> None:
        """A delivery comes back, and goes on to somebody else."""
        self.put_back(queue, stored)
        self.soon(lambda: self.pump(queue))

    def put_back(self, queue: ModelQueue, stored: ModelMessage) -> None:
        """A delivery comes back to its place."""
        if self.queues.get(queue.spec.name) is not queue:
            return
        stored.redeliveries += 1
        behind = next((at for at, one in enumerate(queue.ready) if one.number > stored.number), len(queue.ready))
        queue.ready.insert(behind, stored)


def _matches(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """Whether a topic's pattern matches: `*` is one word, `#` any number."""
    if not pattern:
        return not words
    first, rest = pattern[0], pattern[1:]
    if first == "#":
        return any(_matches(rest, words[index:]) for index in range(len(words) + 1))
    return bool(words) and first in ("*", words[0]) and _matches(rest, words[1:])
