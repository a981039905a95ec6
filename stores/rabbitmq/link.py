"""The few things that the store does with a RabbitMQ, as a port: to a real server, or to a test kit's model of one.

A link connects, and connects again for ever. Each connection is a session with a number of its own; what belongs to an
old one (an acknowledgement, say) is dropped without a word, because the server has forgotten it too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from ...errors import LamplighterError
from ...messages.jobs import Seconds

Arguments = Mapping[str, Any]

PULSE_SECONDS = 5.0
"""How often a link has its session looked after."""


NOT_FOUND, LOCKED, PRECONDITION_FAILED = 404, 405, 406
"""AMQP's reply codes: what is asked for is not there, is somebody else's, or is there and another one."""

BROWSED_MAX = 60_000
"""So many messages of a queue are seen, the first: AMQP counts those that are kept aside with 16 bits."""


class LinkLost(LamplighterError):
    """The connection was lost before the server had answered: what was asked for may have been done or not."""


class Refused(LamplighterError):
    """The server said no, and will say it again until a person has changed something.

    Attributes:
        code: AMQP's reply code, such as 403.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An exchange that must be there."""

    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSpec:
    """A durable queue that must be there, and what leads to it: (exchange, routing key) pairs."""

    name: str
    arguments: Arguments = field(default_factory=dict)
    bindings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """An exchange that leads to another."""

    source: str
    target: str
    key: str


Wanted = Exchange | QueueSpec | Binding


class Message(NamedTuple):
    """A message to publish. All of it is persistent.

    Attributes:
        mandatory: whether it must reach a queue; one that does not is told as returned.
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
    """A message that the server has delivered.

    Attributes:
        session, tag: together they say which delivery it is.
        consumer: the tag of the consumer that it came by.
        redeliveries: how often it had been delivered before, as far as the server counts that.
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
    """The fate of the messages of one `send`, by their index: the rest is confirmed."""

    returned: Sequence[int] = ()
    refused: Sequence[int] = ()


class LinkListener(Protocol):
    """The calls of a link when something has come. Any thread may call; the calls must be short."""

    def connected(self, session: int) -> None:
        """A new session has begun."""

    def lost(self, session: int, reason: str, *, refused: bool) -> None:
        """The session has ended, or (0) none could be begun; with `refused`, somebody must change something."""

    def arrived(self, arrival: Arrival) -> None:
        """A message was delivered."""

    def cancelled(self, session: int, consumer: str) -> None:
        """The server has ended a consumer: its queue is gone, say."""

    def blocked(self, reason: str | None) -> None:
        """The server takes no messages until further notice (an alarm); None: it does again."""

    def pulse(self, unconfirmed: int | None, unanswered: int | None) -> None:
        """The session has lasted for `PULSE_SECONDS` more.

        Args:
            unconfirmed: which of the messages that are not confirmed was sent first.
            unanswered: which of the other questions is not answered.
        """


class Link(Protocol):
    """A connection to a RabbitMQ. Each call returns at once; what it asks for is done in the order of the calls.

    Attributes:
        bytes_max: the largest message that the server takes, once it has refused one; it ends the session for it.
        server_version: the server's, as it has said it when the session began; None if it has not.
    """

    bytes_max: int | None

    @property
    def server_version(self) -> str | None: ...

    def start(self, listener: LinkListener) -> None:
        """Connect, and again whenever the connection is lost, until `stop`."""

    def stop(self) -> None:
        """Close, and connect no more."""

    def give_up(self, session: int, reason: str) -> None:
        """End a session as if its connection had been lost. The next may be with another node."""

    def after(self, seconds: Seconds, call: Callable[[], None]) -> None:
        """Make a short call once so many seconds have passed, if the session lasts as long."""

    def wait(self, event: Any, seconds: Seconds) -> None:
        """Wait for an event that something which comes will set, and take that in meanwhile. For so many seconds, or
        less."""

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
            apart: they are not worked off in their order, so that others, who are, should not wait among them.
        """

    def cancel(self, session: int, consumer: str) -> None:
        """Have no more delivered to this consumer. Delivered messages stay its own until they are acknowledged."""

    def delete(self, session: int, queue: str) -> None:
        """Delete a queue, whatever is in it; before the link ends, if it is stopped right after."""

    def look(self, queue: str) -> Future[tuple[int, int] | None]:
        """How many messages are ready in a queue, and how many consumers it has. The future raises `Refused` with
        `NOT_FOUND` when there is no such queue."""

    def browse(self, queue: str, see: Callable[[Arrival], object]) -> Future[Browsed]:
        """Have every message that is ready in a queue be seen, in order, by `see`: a short call, by any thread.

        All of them are kept aside until the answer's `done` is called, which says by their tags which are acknowledged;
        the others go back, behind what has come meanwhile. Over all links one at a time browses a queue. The future
        raises `Refused`, with the code LOCKED while somebody else browses it, or `LinkLost`.
        """


class Browsed(NamedTuple):
    """Messages that were seen and are kept aside until `done`, whose future is done once the others are back."""

    done: Callable[[Sequence[int]], Future[None]]
