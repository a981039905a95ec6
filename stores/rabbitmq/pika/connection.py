"""One connection to one node: how it is set up, and how it is ended without the server's consent."""

from __future__ import annotations

from typing import Any

import pika
from pika import exceptions
from pika.adapters.select_connection import SelectConnection

from ..address import Address

CONNECT_SECONDS_MAX = 10.0


class Connection(SelectConnection):
    """One connection to one node. It is ended by means that pika keeps to itself.

    Attributes:
        session: the one that is on it; 0 until that has begun.
    """

    session = 0

    def drop(self, reason: str) -> None:
        """End it now: a server that answers nothing else would not answer a polite close either."""
        connection: Any = self
        connection._terminate_stream(exceptions.StreamLostError(reason))

    def sever(self) -> None:
        """Close its socket, if that is still open: the server would go on delivering into it."""
        connection: Any = self
        if connection._transport is not None:
            connection._transport._close_and_finalize()


def parameters(address: Address, host: str, port: int, name: str) -> pika.ConnectionParameters:
    """What a connection to a node begins with.

    Args:
        name: how the server's own tools call it.
    """
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
