"""The connection to a real RabbitMQ.

One thread has the connection and its event loop, and shares them with threads that take turns: a thread makes its call
itself if nothing can interrupt it, and hands it over otherwise. There are four channels: one publishes, delivers and
acknowledges jobs; another delivers messages that are not acknowledged in order, so that jobs can mostly be acknowledged
together. Losing one of these two ends the session. The other two are for questions, because the server closes a channel
that asked for something it refuses: one declares queues, the other browses, where the next question waits until it is
known what becomes of the messages.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from random import Random
from typing import Any

from ....environment.replies import may_stand_in
from ....errors import missing_extra
from ....messages.jobs import Seconds
from ..address import Address
from ..link import (
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
    Sent,
    Wanted,
    settle,
)
from ..topology import Names

try:
    from pika.channel import Channel

    from .channel import AskingChannel, arrival_of, bytes_max_of, why
    from .connection import Connection, Loop, ack, parameters
    from .publishing import Published, Sending
except ImportError as error:
    raise missing_extra("pika", "jobs in RabbitMQ", "rabbitmq") from error

BACKOFF_SECONDS_MIN, BACKOFF_SECONDS_MAX = 0.2, 3.0
CLOSE_SECONDS_MAX = 5.0


class PikaLink:
    """A `Link` to a real server.

    Args:
        chance: spreads reconnections.
        name: shown by the server's own tools.
    """

    def __init__(
        self,
        address: Address,
        *,
        spawn: Callable[[Callable[[], None], str], Any],
        event: Callable[[], Any],
        chance: Random,
        name: str,
    ) -> None:
        self.bytes_max: int | None = None
        self._address = address
        self._names = Names(address.prefix)
        self._spawn = spawn
        self._stopping = event()
        self._chance = chance
        self._name = name
        self._thread: Any = None
        self._hear: Hear = lambda event: None
        self._connection: Connection | None = None
        self._work: Channel | None = None
        self._apart: Channel | None = None
        self._delivered: dict[int, dict[int, None]] = {}
        self._asking, self._aside = AskingChannel(address, self._do), AskingChannel(address, self._do)
        self._session = 0
        self._published = Published()
        # Held to use, begin or end the connection.
        self._lock = threading.RLock()
        # Calls in order, and futures of calls that have not begun: a loop that ends begins nothing more.
        self._calls: deque[Callable[[], None]] = deque()
        self._handed: dict[Future[Any], None] = {}
        self._failure: tuple[str, bool] = ("", False)
        self._channel_failure: tuple[str, bool] | None = None

    @property
    def server_version(self) -> str | None:
        connection = self._connection
        said: Any = None if connection is None else (connection.server_properties or {}).get("version")
        return said.decode(errors="replace") if isinstance(said, bytes) else said

    # Any thread calls the public methods. Private ones run on the link's own thread, or with its lock held.

    def start(self, hear: Hear) -> None:
        self._hear = hear
        self._thread = self._spawn(self._live, "rabbitmq")

    def stop(self) -> None:
        self._stopping.set()
        self._soon(self._close)
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS_MAX)

    def give_up(self, session: int, reason: str) -> None:
        def call(connection: Connection) -> None:
            if connection is self._connection and connection.session == session:
                connection.drop(reason)

        self._soon(call)

    def after(self, seconds: Seconds, call: Callable[[], None]) -> None:
        self._soon(lambda connection: connection.ioloop.call_later(seconds, call))

    def _soon(self, call: Callable[[Connection], Any]) -> None:
        """Make a call on the link's thread, if it is connected. Unlike `_do`, this wakes a loop that is waiting, and
        needs no open channel: after one was closed, the server may not answer that the others may be closed, too.
        """
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.ioloop.add_callback_threadsafe(lambda: call(connection))

    def _close(self, connection: Connection) -> None:
        if connection.is_open:
            connection.close()
        elif not connection.is_closing:
            connection.ioloop.stop()

    def _live(self) -> None:
        wait = BACKOFF_SECONDS_MIN
        hosts = list(self._address.hosts)
        self._chance.shuffle(hosts)
        while not self._stopping.is_set():
            host, port = hosts[0]
            hosts.append(hosts.pop(0))
            before = self._session
            self._run_once(host, port)
            if self._session != before:
                wait = BACKOFF_SECONDS_MIN
            self._end_session()
            # Jitter spreads the reconnections of a fleet that lost the same server at once.
            self._stopping.wait(wait * self._chance.uniform(0.5, 1.0))
            wait = min(BACKOFF_SECONDS_MAX, wait * 2.0)

    def _run_once(self, host: str, port: int) -> None:
        self._failure, self._channel_failure = ("the connection was closed", False), None
        try:
            connection = Connection(
                parameters(self._address, host, port, self._name),
                on_open_callback=self._opened,
                on_open_error_callback=self._not_opened,
                on_close_callback=self._closed,
                custom_ioloop=Loop(self._lock),
            )
            self._connection = connection
            if self._stopping.is_set():
                # `stop` has seen no connection that it could close.
                self._soon(self._close)
            connection.ioloop.start()
        except Exception as error:
            # An error in the client ends this connection, and the next one begins.
            self._failure = (f"{type(error).__name__}: {error}"[:300], False)
        finally:
            over = self._connection
            with self._lock:
                if over is not None:
                    with contextlib.suppress(Exception):
                        over.sever()
                    with contextlib.suppress(Exception):
                        over.ioloop.close()

    def _opened(self, connection: Any) -> None:
        connection.add_on_connection_blocked_callback(lambda _, frame: self._hear(Blocked(str(frame.method.reason))))
        connection.add_on_connection_unblocked_callback(lambda _, frame: self._hear(Blocked(None)))
        connection.channel(on_open_callback=self._work_opened)

    def _work_opened(self, channel: Channel) -> None:
        self._work = channel
        channel.add_on_close_callback(self._work_closed)
        channel.add_on_return_callback(self._published.returned)
        channel.add_on_cancel_callback(self._cancelled)
        channel.confirm_delivery(self._published.told, callback=self._open_apart)

    def _open_apart(self, _: Any) -> None:
        connection = self._connection
        if connection is not None and connection.is_open:
            connection.channel(on_open_callback=self._apart_opened)

    def _apart_opened(self, channel: Channel) -> None:
        self._apart = channel
        channel.add_on_close_callback(self._work_closed)
        channel.add_on_cancel_callback(self._cancelled)
        connection = self._connection
        self._asking.open(connection, lambda: self._aside.open(connection, self._begin_session))

    def _begin_session(self) -> None:
        connection, work, apart = self._connection, self._work, self._apart
        assert connection is not None and work is not None and apart is not None
        self._session += 1
        self._published.begin(connection, work.channel_number)
        connection.begin_session(self._session, work.channel_number, self._published.confirmed)
        self._delivered = {work.channel_number: {}, apart.channel_number: {}}
        self._hear(Blocked(None))
        self._hear(Connected(self._session))
        self._await_pulse()

    def _await_pulse(self) -> None:
        connection = self._connection
        assert connection is not None

        def pulse() -> None:
            self._hear(Pulse(self._published.first, self._asking.waits_for))
            self._await_pulse()

        connection.ioloop.call_later(PULSE_SECONDS, pulse)

    def _not_opened(self, connection: Any, error: Any) -> None:
        self._failure = why(error, self._address)
        connection.ioloop.stop()

    def _closed(self, connection: Any, error: BaseException) -> None:
        if self._channel_failure is None:
            self._failure = why(error, self._address)
        connection.ioloop.stop()

    def _work_closed(self, channel: Channel, error: BaseException) -> None:
        connection = self._connection
        if channel in (self._work, self._apart) and connection is not None and connection.is_open:
            # Losing either channel of jobs loses everything on both, so the session is over.
            self._failure = self._channel_failure = why(error, self._address)
            most = bytes_max_of(error)
            if most is not None:
                # The next session does not try that message again.
                self.bytes_max = most
                self._failure = self._channel_failure = (self._failure[0], False)
            connection.close(200, "a channel was closed")

    def _end_session(self) -> None:
        reason, refused = self._failure
        lost = LinkLost(reason)
        with self._lock:
            self._connection = self._work = self._apart = None
            self._calls.clear()
            self._published.end(lost)
            for channel in (self._asking, self._aside):
                channel.end(lost)
            for future in list(self._handed):
                self._drop(future, lost)
        if not self._stopping.is_set():
            self._hear(Lost(self._session, reason, refused))

    def _do(self, call: Callable[[], None], future: Future[Any] | None = None) -> None:
        connection, lost = self._connection, LinkLost("the connection was lost")

        def safely() -> None:
            if connection is not self._connection or self._work is None or not self._work.is_open:
                failure = self._channel_failure
                self._drop(future, lost if failure is None else LinkLost(failure[0]))
                return
            if future is not None:
                self._handed.pop(future, None)
            call()

        if connection is None or not connection.session:
            # A session that has not begun does not count publishes yet.
            self._drop(future, LinkLost("there is no connection"))
            return
        if future is not None:
            self._handed[future] = None
        self._calls.append(safely)
        try:
            if may_stand_in():
                self._make_calls()
            else:
                connection.ioloop.add_callback_threadsafe(self._make_calls)
        except Exception:
            # The call has failed, or the loop was closed at this very moment.
            self._drop(future, lost)
        if self._connection is not connection:
            # The session ended meanwhile, perhaps before this future was in its list.
            self._drop(future, lost)

    def _make_calls(self) -> None:
        """Make the requested calls in order, and send their frames together."""
        with self._lock:
            connection = self._connection
            if connection is not None:
                try:
                    connection.together(self._make_each)
                except BaseException as error:
                    self._fail(connection, error)
                    raise

    def _make_each(self) -> None:
        while self._calls:
            self._calls.popleft()()

    def _fail(self, connection: Connection, error: BaseException) -> None:
        """End this connection, on the link's thread. Nothing is sent before: its messages may be miscounted here."""
        if connection is self._connection:
            self._work = None
            reason = f"{type(error).__name__}: {error}"[:300]
            connection.ioloop.add_callback_threadsafe(lambda: connection.drop(reason))

    def wait(self, event: Any, seconds: Seconds) -> None:
        connection, has_read = self._connection, False
        if connection is not None and connection.session and may_stand_in():
            try:
                has_read = connection.read_until(event, seconds)
            except BaseException as error:
                with self._lock:
                    self._fail(connection, error)
                raise
        if not has_read:
            event.wait(seconds)

    def _drop(self, future: Future[Any] | None, lost: LinkLost) -> None:
        if future is not None:
            self._handed.pop(future, None)
            settle(future, None, lost)

    def send(self, messages: Sequence[Message]) -> Future[Sent]:
        sending = Sending(self._names.messages(messages))
        if not messages:
            settle(sending.future, Sent(), None)
        else:
            self._do(lambda: self._published.send(sending), sending.future)
        return sending.future

    def acknowledge(self, session: int, acks: Sequence[int], requeue: Sequence[int] = ()) -> None:
        def call() -> None:
            if session == self._session:
                self._acknowledge(acks)
                self._give_back(requeue)

        if acks or requeue:
            self._do(call)

    def _acknowledge(self, tags: Sequence[int]) -> None:
        """Acknowledge in few frames: one for all up to the first delivery that is not to be acknowledged."""
        connection = self._connection
        assert connection is not None
        for channel, delivered in self._delivered.items():
            wanted, upto = delivered.keys() & tags, 0
            for tag in delivered:
                if tag not in wanted:
                    break
                upto = tag
            if upto:
                connection.write(ack(channel, abs(upto), True))
            for tag in wanted:
                del delivered[tag]
                if abs(tag) > abs(upto):
                    connection.write(ack(channel, abs(tag), False))

    def _give_back(self, tags: Sequence[int]) -> None:
        work, apart = self._work, self._apart
        assert work is not None and apart is not None
        for tag in tags:
            channel = work if tag > 0 else apart
            self._delivered[channel.channel_number].pop(tag, None)
            channel.basic_nack(abs(tag), requeue=True)

    def consume(self, session: int, queue: str, consumer: str, *, prefetch: int, apart: bool = False) -> None:
        def call() -> None:
            channel = self._apart if apart else self._work
            if session == self._session and channel is not None:
                channel.basic_qos(prefetch_count=prefetch)
                channel.basic_consume(self._names.of(queue), self._deliver, consumer_tag=consumer)

        self._do(call)

    def delete(self, session: int, queue: str) -> None:
        def call() -> None:
            if session == self._session and self._work is not None:
                self._work.queue_delete(self._names.of(queue))

        self._do(call)

    def cancel(self, session: int, consumer: str) -> None:
        def call() -> None:
            if session == self._session and self._work is not None:
                self._work.basic_cancel(consumer, callback=lambda _: None)

        self._do(call)

    def _deliver(self, channel: Channel, method: Any, properties: Any, body: bytes) -> None:
        # The tags of the second channel, which also count from 1, are negative.
        tag = -method.delivery_tag if channel is self._apart else method.delivery_tag
        self._delivered[channel.channel_number][tag] = None
        self._hear(arrival_of(method, properties, body, session=self._session, tag=tag))

    def _cancelled(self, frame: Any) -> None:
        self._hear(Cancelled(self._session, str(frame.method.consumer_tag)))

    def setup(self, wanted: Sequence[Wanted]) -> Future[None]:
        return self._asking.setup([self._names.wanted(one) for one in wanted])

    def look(self, queue: str) -> Future[tuple[int, int] | None]:
        return self._asking.look(self._names.of(queue))

    def browse(self, queue: str, see: Callable[[Arrival], object]) -> Future[Browsed]:
        return self._aside.browse(self._names.of(queue), see)
