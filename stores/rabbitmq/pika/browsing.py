"""Browsing a queue: all its messages are delivered, seen, and given back, except those that are acknowledged.

AMQP has no reading without taking. So one connection browses at a time: it holds an exclusive queue until everything is
back. If it dies, the server releases both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from pika.channel import Channel

from ....messages.jobs import Seconds
from ..link import BROWSED_MAX, Arrival, Browsed, settle
from .errors import arrival_of

QUIET_SECONDS = 1.0
"""After so much silence the missing messages have expired or were taken by other tools."""

BACK_SECONDS_MAX, BACK_STEP_SECONDS = 2.0, 0.01
"""How long, and how often, to check that returned messages are in the queue again."""


class Browsing:
    """One look through a queue, under the link's lock.

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
