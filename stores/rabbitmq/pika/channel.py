"""A channel for questions (declare, look, fetch), one after the other.

The server closes a channel that asked for something it refuses, so questions do not share the channel of jobs.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from pika import exceptions
from pika.channel import Channel
from pika.exchange_type import ExchangeType

from ....messages.jobs import Seconds
from ..address import Address
from ..link import BROWSED_MAX, Arrival, Binding, Browsed, Exchange, LinkLost, QueueSpec, Refused, Wanted, settle

REFUSALS = {403: "access refused", 406: "precondition failed", 530: "not allowed"}
"""Reply codes that do not heal by themselves."""

CODES = {**REFUSALS, 404: "not found", 405: "locked by another"}
"""A missing queue or exchange is made when the next session begins."""


def why(error: Any, address: Address) -> tuple[str, bool]:
    """An error in words, without secrets, and whether only a person can heal it."""
    cause = error
    # pika wraps the cause in "the connection workflow failed", "the socket failed", ...
    for _ in range(10):
        inner = getattr(cause, "exceptions", None) or getattr(cause, "exception", None) or getattr(cause, "args", None)
        inner = inner[-1] if isinstance(inner, list | tuple) else inner
        if not isinstance(inner, BaseException):
            break
        cause = inner
    # pika reports a reached limit as a missing right, and keeps the server's text.
    limit = re.search(r'NOT_ALLOWED - ([^"]*\blimit\b[^"]*)', str(cause))
    if limit is not None:
        return f"not allowed (530): {limit.group(1)}"[:300], True
    if isinstance(cause, exceptions.ProbableAuthenticationError | exceptions.AuthenticationError):
        return "it refuses the user or the password", True
    if isinstance(cause, exceptions.ProbableAccessDeniedError):
        return f"the user may not use the virtual host {address.vhost!r}, or there is no such one", True
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not trusted: {cause.verify_message}", True
    if isinstance(cause, ssl.SSLError):
        return f"TLS failed: {cause.reason or cause}", True
    if isinstance(cause, exceptions.ConnectionClosedByBroker | exceptions.ChannelClosedByBroker):
        code, text = cause.reply_code, cause.reply_text
        if code == 403 and "ACCESS_REFUSED - Login was refused" in text:
            return "it refuses the user or the password", True
        if code == 530 or (isinstance(cause, exceptions.ConnectionClosedByBroker) and code == 403 and "vhost" in text):
            return f"the user may not use the virtual host {address.vhost!r}, or there is no such one", True
        return f"{CODES.get(code, 'closed')} ({code}): {text}"[:300], code in REFUSALS
    if isinstance(cause, socket.gaierror):
        return f"its host name is not known: {cause.strerror}", False
    if isinstance(cause, OSError) and cause.strerror:
        return f"it cannot be reached: {cause.strerror}", False
    if isinstance(cause, exceptions.IncompatibleProtocolError):
        return "the connection ended before any AMQP was spoken: is that a RabbitMQ's port, with or without TLS?", False
    if isinstance(cause, exceptions.ConnectionOpenAborted):
        return "it did not answer in time while the connection was opened", False
    return (str(cause) or type(cause).__name__)[:300], False


def bytes_max_of(error: Any) -> int | None:
    """The server's max_message_size, if a channel was closed for it."""
    said = re.search(r"larger than (?:configured )?max size (\d+)", str(getattr(error, "reply_text", "")))
    return None if said is None else int(said.group(1))


def arrival_of(method: Any, properties: Any, body: bytes, *, session: int, tag: int) -> Arrival:
    """A delivery. Its publisher may have put anything into its properties."""
    headers = properties.headers or {}
    count = headers.get("x-delivery-count")
    return Arrival(
        session=session,
        tag=tag,
        consumer=method.consumer_tag,
        body=body,
        redeliveries=count if type(count) is int and count >= 0 else int(method.redelivered),
        reply_to=_text(properties.reply_to),
        headers=headers,
        priority=properties.priority or 0,
        message_id=_text(properties.message_id),
    )


def _text(value: Any) -> str | None:
    """Values that are not text come as bytes."""
    return value if isinstance(value, str) else None


QUIET_SECONDS = 1.0
"""After so much silence the missing messages have expired or were taken by other tools."""

BACK_SECONDS_MAX, BACK_STEP_SECONDS = 2.0, 0.01
"""How long, and how often, to check that returned messages are in the queue again."""


class Browsing:
    """One look through a queue, under the link's lock: all its messages are delivered, seen, and given back, except
    those that are acknowledged.

    AMQP has no reading without taking. So one connection browses at a time: it holds an exclusive queue until
    everything is back. If the connection dies, the server releases both.

    Args:
        is_on: whether session and channel last.
        do: runs a call under the link's lock.
        over: the next question may be asked.
    """

    def __init__(
        self,
        channel: Channel,
        queue: str,
        see: Callable[[Arrival], object],
        future: Future[Browsed],
        *,
        is_on: Callable[[Channel], bool],
        do: Callable[[Callable[[], None]], None],
        over: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._queue = queue
        self._lock = f"{queue}.browsed"
        self._see = see
        self._future = future
        self._back: Future[None] = Future()
        self._is_on = is_on
        self._do = do
        self._over = over
        self._expected = self._come = 0
        self._consumer = ""

    def begin(self) -> None:
        """Get the exclusive queue. A refusal closes the channel, which reports it."""

        def there(_: int) -> None:
            self._channel.queue_declare(self._lock, exclusive=True, callback=lambda _: self._count(self._counted))

        # Count first: a missing queue closes the channel, and the exclusive queue would remain.
        self._count(there)

    def _count(self, then: Callable[[int], None]) -> None:
        self._channel.queue_declare(
            self._queue, passive=True, callback=lambda frame: then(frame.method.message_count or 0)
        )

    def _counted(self, ready: int) -> None:
        self._expected = min(ready, BROWSED_MAX)
        if self._expected == 0:
            self._seen()
            return
        self._channel.basic_qos(prefetch_count=self._expected)
        self._consumer = self._channel.basic_consume(self._queue, self._arrived)
        self._wait()

    def _arrived(self, channel: Channel, method: Any, properties: Any, body: bytes) -> None:
        self._come += 1
        self._see(arrival_of(method, properties, body, session=0, tag=method.delivery_tag))
        if self._come == self._expected:
            self._seen()

    def _wait(self) -> None:
        before = self._come

        def look() -> None:
            if self._future.done() or not self._is_on(self._channel):
                return
            if self._come == before:
                self._seen()
            else:
                self._wait()

        self._after(QUIET_SECONDS, look)

    def _after(self, seconds: Seconds, call: Callable[[], None]) -> None:
        connection: Any = self._channel.connection
        connection.ioloop.call_later(seconds, call)

    def _seen(self) -> None:
        if not self._future.done():
            settle(self._future, Browsed(self._done), None)

    def _done(self, wanted: Sequence[int]) -> Future[None]:
        self._do(lambda: self._give_back(wanted))
        return self._back

    def _is_over(self) -> bool:
        """Whether the session has ended, which gives everything back."""
        over = not self._is_on(self._channel)
        if over:
            settle(self._back, None, None)
        return over

    def _give_back(self, wanted: Sequence[int]) -> None:
        if self._is_over():
            return
        if not self._consumer:
            self._unlock()
            return

        def ended(_: Any) -> None:
            if self._is_over():
                return
            for tag in wanted:
                self._channel.basic_ack(tag)
            if len(wanted) < self._come:
                # Everything that is left, in order.
                self._channel.basic_nack(0, multiple=True, requeue=True)
            self._await_back(self._come - len(wanted), BACK_SECONDS_MAX)

        # Cancel first: returned messages must not come again.
        self._channel.basic_cancel(self._consumer, callback=ended)

    def _await_back(self, expected: int, left: Seconds) -> None:
        """Let nobody else begin before everything is back."""

        def counted(ready: int) -> None:
            if self._is_over():
                return
            if ready >= expected or left <= 0.0:
                self._unlock()
                return
            self._after(BACK_STEP_SECONDS, lambda: self._await_back(expected, left - BACK_STEP_SECONDS))

        if not self._is_over():
            self._count(counted)

    def _unlock(self) -> None:
        def unlocked(_: Any) -> None:
            settle(self._back, None, None)
            self._over()

        self._channel.queue_delete(self._lock, callback=unlocked)


Do = Callable[..., None]
"""Runs a call under the link's lock; or fails a future when there is no connection."""


class AskingChannel:
    def __init__(self, address: Address, do: Do) -> None:
        self._address = address
        self._do = do
        self._connection: Any = None
        self._channel: Channel | None = None
        self._asked: deque[tuple[Callable[[Channel, Callable[[], None]], None], Future[Any]]] = deque()
        self._asking: Future[Any] | None = None
        self._questions = 0

    @property
    def waits_for(self) -> int | None:
        return None if self._asking is None else self._questions

    def open(self, connection: Any, then: Callable[[], None]) -> None:
        self._connection = connection
        if not connection.is_open:
            # The channel is closing.
            return

        def opened(channel: Channel) -> None:
            self._channel = channel
            channel.add_on_close_callback(self._closed)
            then()

        connection.channel(on_open_callback=opened)

    def end(self, lost: LinkLost) -> None:
        self._connection = self._channel = None
        if self._asking is not None:
            settle(self._asking, None, lost)
        self._asking = None
        while self._asked:
            settle(self._asked.popleft()[1], None, lost)

    def setup(self, wanted: Sequence[Wanted]) -> Future[None]:
        steps = deque(wanted)

        def step(channel: Channel, done: Callable[[], None]) -> None:
            if not steps:
                done()
                return
            self._questions += 1
            _declare(channel, steps.popleft(), lambda: step(channel, done))

        future: Future[None] = Future()
        self._ask(step, future)
        return future

    def look(self, queue: str) -> Future[tuple[int, int] | None]:
        future: Future[tuple[int, int] | None] = Future()

        def step(channel: Channel, done: Callable[[], None]) -> None:
            def seen(frame: Any) -> None:
                settle(future, (frame.method.message_count, frame.method.consumer_count), None)
                done()

            self._questions += 1
            channel.queue_declare(queue, passive=True, callback=seen)

        self._ask(step, future)
        return future

    def browse(self, queue: str, see: Callable[[Arrival], object]) -> Future[Browsed]:
        future: Future[Browsed] = Future()

        def step(channel: Channel, done: Callable[[], None]) -> None:
            Browsing(channel, queue, see, future, is_on=self._is_on, do=self._do, over=done).begin()

        self._ask(step, future)
        return future

    def _is_on(self, channel: Channel) -> bool:
        return channel is self._channel and channel.is_open

    def _ask(self, step: Callable[[Channel, Callable[[], None]], None], future: Future[Any]) -> None:
        def call() -> None:
            self._asked.append((step, future))
            self._ask_next()

        self._do(call, future)

    def _ask_next(self) -> None:
        channel = self._channel
        if self._asking is not None or not self._asked or channel is None or not channel.is_open:
            return
        step, self._asking = self._asked.popleft()

        def done() -> None:
            asked, self._asking = self._asking, None
            if asked is not None:
                settle(asked, None, None)
            self._ask_next()

        step(channel, done)

    def _closed(self, channel: Channel, error: BaseException) -> None:
        connection = self._connection
        if channel is not self._channel or connection is None or not connection.is_open:
            return
        self._channel = None
        asked, self._asking = self._asking, None
        if asked is not None and isinstance(error, exceptions.ChannelClosedByBroker):
            text, _ = why(error, self._address)
            settle(asked, None, Refused(text, error.reply_code))
        elif asked is not None:
            settle(asked, None, LinkLost(str(error)))
        self.open(connection, self._ask_next)


def _declare(channel: Channel, wanted: Wanted, then: Callable[[], None]) -> None:
    match wanted:
        case Exchange(name=name, type=kind):
            channel.exchange_declare(name, ExchangeType(kind), durable=True, callback=lambda _: then())
        case Binding(source=source, target=target, key=key):
            channel.exchange_bind(target, source, key, callback=lambda _: then())
        case QueueSpec(name=name, arguments=arguments, bindings=bindings):
            left = deque(bindings)

            def bind(_: Any) -> None:
                if not left:
                    then()
                    return
                exchange, key = left.popleft()
                channel.queue_bind(name, exchange, key, callback=bind)

            channel.queue_declare(name, durable=True, arguments=dict(arguments), callback=bind)
