"""A connection to a node: its setup, its use by other threads, its forced end. Only this file uses private parts of
pika.

pika's connection is for one thread at a time. The loop's thread has the loop's lock while it calls, but not while it
waits for input. So any thread that has the lock may publish, and one that waits for an answer may read it itself,
without handing anything to another thread and back.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from struct import Struct
from typing import Any

import pika
from pika import exceptions
from pika.adapters.select_connection import IOLoop, SelectConnection

from ....messages.jobs import Seconds
from ..address import Address

CONNECT_SECONDS_MAX = 10.0

READ_BYTES_MAX = 16_384

READ_SECONDS_MAX, LOOK_SECONDS = 0.1, 0.01
"""How long a thread other than the loop's reads: its event may be set without input."""

ACK = Struct(">BHIHHQBB")
"""The frame of a `basic.ack`: type, channel, size, class, method, number, whether it is of all up to that, end."""


def ack(channel: int, number: int, multiple: bool) -> bytes:
    return ACK.pack(1, channel, 13, 60, 80, number, multiple, 0xCE)


class Loop(IOLoop):
    """pika's loop, with a lock that its thread holds during calls. Any holder may change what it waits for.

    Attributes:
        left: the file that another thread reads.
    """

    left: Any = None

    def __init__(self, lock: AbstractContextManager[Any]) -> None:
        self.lock = lock
        self._thread = threading.get_ident()
        self._wanted: dict[Any, int] = {}
        super().__init__()

    def add_handler(self, fd: Any, handler: Callable[[Any, int], None], events: int) -> None:
        def locked(fd: Any, events: int) -> None:
            with self.lock:
                # Another thread may have begun to read, or ended the connection, during the wait for the lock.
                events &= self._awaited(fd)
                if events:
                    handler(fd, events)

        self._wanted[fd] = events
        super().add_handler(fd, locked, events)

    def update_handler(self, fd: Any, events: int) -> None:
        self._wanted[fd] = events
        super().update_handler(fd, self._awaited(fd))

    def remove_handler(self, fd: Any) -> None:
        del self._wanted[fd]
        self.left = None if fd == self.left else self.left
        if threading.get_ident() == self._thread:
            super().remove_handler(fd)
        else:
            # The loop may be about to call the handler.
            self.add_callback_threadsafe(partial(super().remove_handler, fd))

    def _awaited(self, fd: Any) -> int:
        wanted = self._wanted.get(fd, 0)
        return wanted & ~IOLoop.READ if fd == self.left else wanted

    def leave(self, fd: Any) -> bool:
        """Leave a file to another thread. False if one reads it already, or it is closed."""
        if self.left is not None or fd not in self._wanted:
            return False
        self.left = fd
        super().update_handler(fd, self._awaited(fd))
        return True

    def take_back(self) -> None:
        if self.left is not None:
            fd, self.left = self.left, None
            super().update_handler(fd, self._awaited(fd))

    def process_timeouts(self) -> None:
        with self.lock:
            super().process_timeouts()

    def close(self) -> None:
        self.left = None
        self._wanted.clear()
        super().close()


class Connection(SelectConnection):
    session = 0
    ioloop: Loop
    params: Any
    _transport: Any
    _frame_buffer: bytes
    _body_max_length: int
    _said: list[bytes] | None = None
    _confirm_begins = b"never"
    _confirmed: Callable[[int, bool], None]

    def together(self, call: Callable[[], None]) -> None:
        """Make a call with the lock held. Its frames are sent at once and in one piece; none, if it raises an error."""
        if self._said is not None:
            call()
            return
        said: list[bytes] = []
        self._said = said
        try:
            call()
        finally:
            self._said = None
        if said:
            self._send(b"".join(said))

    def write(self, data: bytes) -> None:
        if self._said is None:
            self._transport.write(data)
        else:
            self._said.append(data)

    _adapter_emit_data = write

    @property
    def body_max(self) -> int:
        """The bytes of a body that fit into one frame."""
        return self._body_max_length

    def begin_session(self, session: int, channel: int, confirmed: Callable[[int, bool], None]) -> None:
        self.session = session
        self._confirm_begins, self._confirmed = ack(channel, 0, False)[:11], confirmed
        if self.params.ssl_options is None:
            # pika would read until there is nothing to read. The poll tells the same at less cost.
            self._transport._MAX_CONSUME_BYTES, self._transport._MAX_RECV_BYTES = 1, READ_BYTES_MAX

    def _on_data_available(self, data_in: bytes) -> None:
        """Read confirms here, because pika makes objects of each; leave everything else to pika."""
        at = 0
        while not self._frame_buffer and data_in.startswith(self._confirm_begins, at) and len(data_in) >= at + ACK.size:
            *_, number, multiple, _ = ACK.unpack_from(data_in, at)
            at += ACK.size
            # The heartbeat's checker looks at this.
            self.bytes_received += ACK.size
            self._confirmed(number, multiple)
        if at < len(data_in):
            super()._on_data_available(data_in[at:])  # type: ignore[misc]

    def _send(self, data: bytes) -> None:
        """Send what goes without blocking; leave the rest, and errors of the connection, to the loop."""
        transport = self._transport
        if transport is None:
            return
        if transport.get_write_buffer_size() == 0:
            try:
                sent = transport._sock.send(data)
            except OSError:
                sent = 0
            data = data[sent:]
        if data:
            transport.write(data)

    def read_until(self, event: Any, seconds: Seconds) -> bool:
        """Read in place of the loop's thread until the event or a pause. False if another thread reads."""
        loop, transport = self.ioloop, self._transport
        with loop.lock:
            fd = -1 if transport is None or transport._sock is None else transport._sock.fileno()
            if not loop.leave(fd):
                return False
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        try:
            # The awaited frame may come by the ledger's connection, too, so check the event often.
            looks = most = max(1, round(min(seconds, READ_SECONDS_MAX) / LOOK_SECONDS))
            while loop.left == fd and not event.is_set() and looks:
                looks -= 1
                if poll.poll(LOOK_SECONDS * 1000.0):
                    looks = most
                    with loop.lock:
                        if loop.left == fd:
                            self.together(transport._on_socket_readable)
        finally:
            with loop.lock:
                loop.take_back()
        return True

    def drop(self, reason: str) -> None:
        """End the connection now: a silent server would not answer a polite close either."""
        if not self.is_closed:
            connection: Any = self
            connection._terminate_stream(exceptions.StreamLostError(reason))

    def sever(self) -> None:
        """Close the socket, if still open: the server would go on delivering into it."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport._close_and_finalize()


def parameters(address: Address, host: str, port: int, name: str) -> pika.ConnectionParameters:
    """Parameters of a connection to a node; the server's own tools show `name`."""
    return pika.ConnectionParameters(
        host=host,
        port=port,
        virtual_host=address.vhost,
        credentials=pika.PlainCredentials(address.user, address.password),
        heartbeat=address.heartbeat,
        socket_timeout=CONNECT_SECONDS_MAX,
        stack_timeout=CONNECT_SECONDS_MAX,
        connection_attempts=1,
        blocked_connection_timeout=None,
        ssl_options=None if address.tls is None else pika.SSLOptions(address.tls, host),  # type: ignore[arg-type]
        client_properties={"connection_name": name},
        tcp_options={"TCP_KEEPIDLE": 30},
    )
