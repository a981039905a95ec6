"""What the store does with a RabbitMQ, as a port: to a real server, or to a test kit's model of one.

A link connects, and connects again for ever. Each connection is a session with a number of its own; calls for an old
session (an acknowledgement, say) are dropped silently, because the server has forgotten it too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from ...environment.clock import Clock
from ...errors import LamplighterError
from ...messages.jobs import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreEnvironment:
    """The parts of the environment that a store on RabbitMQ takes, so that a test can own it."""

    clock: Clock
    event: Callable[[], Any]
    future: Callable[[], Future[Any]]
    new_id: Callable[[], str]


Arguments = Mapping[str, Any]

PULSE_SECONDS = 5.0
"""Interval of `Pulse`."""


NOT_FOUND, LOCKED, PRECONDITION_FAILED = 404, 405, 406
"""AMQP's reply codes: missing, locked by another connection, or existing with other arguments."""

BROWSED_MAX = 60_000
"""Only so many messages of a queue are browsed: AMQP counts unacknowledged ones with 16 bits."""


class LinkLost(LamplighterError):
    """The connection was lost before the server answered: the request may have been carried out or not."""


class Refused(LamplighterError):
    """The server refused, and will refuse again until a person has changed something.

    Attributes:
        code: AMQP's reply code, such as 403.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSpec:
    """A durable queue and its bindings: (exchange, routing key) pairs."""

    name: str
    arguments: Arguments = field(default_factory=dict)
    bindings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    source: str
    target: str
    key: str


Wanted = Exchange | QueueSpec | Binding


class Message(NamedTuple):
    """A persistent message to publish.

    Attributes:
        mandatory: return the message if it reaches no queue.
        lives: seconds after which the server drops it from its queue, or None.
    """

    exchange: str
    key: str
    body: bytes
    priority: int = 0
    reply_to: str | None = None
    message_id: str | None = None
    headers: Mapping[str, Any] | None = None
    mandatory: bool = True
    lives: float | None = None


class Arrival(NamedTuple):
    """A delivered message.

    Attributes:
        session, tag: together they identify the delivery.
        consumer: the tag of the consumer that it came by.
        redeliveries: earlier deliveries, as far as the server counts them.
    """

    session: int
    tag: int
    consumer: str
    body: bytes
    redeliveries: int = 0
    reply_to: str | None = None
    headers: Mapping[str, Any] | None = None
    priority: int = 0
    message_id: str | None = None


class Sent(NamedTuple):
    """The fate of the messages of one `send`, by their index: the others are confirmed."""

    returned: Sequence[int] = ()
    refused: Sequence[int] = ()


class Connected(NamedTuple):
    """A new session has begun."""

    session: int


class Lost(NamedTuple):
    """The session has ended, or (0) none could begin.

    Attributes:
        refused: a person must change something.
    """

    session: int
    reason: str
    refused: bool = False


class Cancelled(NamedTuple):
    """The server has ended a consumer, because its queue is gone, say."""

    session: int
    consumer: str


class Blocked(NamedTuple):
    """The server takes no messages until further notice (an alarm); None: it does again."""

    reason: str | None


class Pulse(NamedTuple):
    """The session has lasted for `PULSE_SECONDS` more.

    Attributes:
        unconfirmed: the oldest unconfirmed message.
        unanswered: the oldest other question without an answer.
    """

    unconfirmed: int | None
    unanswered: int | None


LinkEvent = Connected | Lost | Arrival | Cancelled | Blocked | Pulse

Hear = Callable[[LinkEvent], object]
"""Takes the events of a link, on any thread. A call must be short."""


class Link(Protocol):
    """A connection to a RabbitMQ. Each call returns at once; requests are carried out in the order of the calls.

    Attributes:
        bytes_max: the server's largest message, once it has refused one; it ends the session for it.
        server_version: as the server said when the session began; None if it did not.
    """

    bytes_max: int | None

    @property
    def server_version(self) -> str | None: ...

    def start(self, hear: Hear) -> None:
        """Connect, and again whenever the connection is lost, until `stop`."""

    def stop(self) -> None:
        """Close, and connect no more."""

    def give_up(self, session: int, reason: str) -> None:
        """End a session as if its connection had been lost. The next may be with another node."""

    def after(self, seconds: Seconds, call: Callable[[], None]) -> None:
        """Make a short call after so many seconds, if the session lasts as long."""

    def wait(self, event: Any, seconds: Seconds) -> None:
        """Wait, for so many seconds or less, for an event that an arrival will set, and take arrivals in meanwhile."""

    def setup(self, wanted: Sequence[Wanted]) -> Future[None]:
        """Declare these. The future raises `Refused` or `LinkLost`."""

    def send(self, messages: Sequence[Message]) -> Future[Sent]:
        """Publish all in one pipeline. The future has an answer once each is confirmed, returned or refused.

        Raises (the future): `LinkLost`.
        """

    def acknowledge(self, session: int, acks: Sequence[int], requeue: Sequence[int] = ()) -> None:
        """Acknowledge deliveries, and give others back to their queue."""

    def consume(self, session: int, queue: str, consumer: str, *, prefetch: int, apart: bool = False) -> None:
        """Have messages delivered, at most `prefetch` of this consumer's unacknowledged at a time.

        Args:
            apart: they are not acknowledged in order, so they need a channel apart from those that are.
        """

    def cancel(self, session: int, consumer: str) -> None:
        """Have no more delivered to this consumer. Delivered messages stay its own until they are acknowledged."""

    def delete(self, session: int, queue: str) -> None:
        """Delete a queue with its content; before the link ends, if `stop` follows."""

    def look(self, queue: str) -> Future[tuple[int, int] | None]:
        """Ready messages and consumers of a queue. The future raises `Refused` (`NOT_FOUND`) without a queue."""

    def browse(self, queue: str, see: Callable[[Arrival], object]) -> Future[Browsed]:
        """Have `see`, a short call by any thread, see every ready message of a queue, in order.

        All of them are kept aside until the answer's `done` is called with the tags to acknowledge; the others go back,
        behind newer messages. Over all links one at a time browses a queue. The future raises `Refused`, with the code
        LOCKED while another browses it, or `LinkLost`.
        """


class Browsed(NamedTuple):
    """Messages that are kept aside until `done`, whose future is done once the others are back."""

    done: Callable[[Sequence[int]], Future[None]]


def settle(future: Future[Any] | None, value: Any, error: BaseException | None) -> None:
    """Answer whoever waits at a future, unless it has given up in this very moment."""
    try:
        if future is not None and error is None:
            future.set_result(value)
        elif future is not None:
            future.set_exception(error)
    except InvalidStateError:
        pass
