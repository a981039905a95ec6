"""A channel for questions (declare, look, fetch), one after the other.

The server closes a channel that asked for something it refuses, so questions do not share the channel of jobs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from pika import exceptions
from pika.channel import Channel
from pika.exchange_type import ExchangeType

from ..address import Address
from ..link import Arrival, Binding, Browsed, Exchange, LinkLost, QueueSpec, Refused, Wanted, settle
from .browsing import Browsing
from .errors import why

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
