"""An address becomes a store, and the boots on it find one another.

A test has its own store and its own neighbours by its `Environment`.
"""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from ..environment.clock import SystemClock
from ..environment.environment import Environment
from ..environment.environment import new_id as random_id
from ..environment.failpoints import Failpoints
from ..environment.threads import spawn
from ..rules.limits import WAL_BYTES_MAX
from .controls import Controls, NoControls, ServerControls, SocketControls
from .hints import Hints, ServerHints, SocketHints
from .ports import SERVER_SCHEMES, Store
from .presence import FilePresence, Presence, SolePresence, folder_of
from .sqlite.store import SqliteStore

if TYPE_CHECKING:
    from .rabbitmq.address import Address
    from .rabbitmq.admin_connection import AdminConnection
    from .rabbitmq.link import Link
    from .rabbitmq.viewing import ServerReadable

Durability = Literal["full", "os"]
"""The failure that a commit survives: a power cut, or a killed process."""


def open_store(
    environment: Environment,
    address: str,
    *,
    durability: str,
    busy_seconds_max: float,
    wal_bytes_max: int = WAL_BYTES_MAX,
    only_existing: bool = False,
) -> Store:
    """The store at an address: the environment's, if it has its own way there.

    Args:
        only_existing: whether whoever opens it is no runtime, which makes what is not there: neither a file nor its
            tables, nor newer ones of older.
    """
    how = store_at if environment.store is None else environment.store
    return how(
        address,
        durability=durability,
        busy_seconds_max=busy_seconds_max,
        wal_bytes_max=wal_bytes_max,
        failpoints=environment.failpoints,
        new_id=environment.new_id,
        only_existing=only_existing,
    )


def store_at(
    address: str,
    *,
    durability: str,
    busy_seconds_max: float,
    wal_bytes_max: int = WAL_BYTES_MAX,
    failpoints: Failpoints,
    new_id: Callable[[], str],
    only_existing: bool = False,
) -> Store:
    """The store that an address names."""
    if address.partition("://")[0] in SERVER_SCHEMES:
        return _open_rabbit(address, failpoints, new_id, only_existing=only_existing)
    return SqliteStore(
        address,
        durability=durability,
        busy_seconds_max=busy_seconds_max,
        wal_bytes_max=wal_bytes_max,
        failpoints=failpoints,
        new_id=new_id,
        only_existing=only_existing,
    )


def neighbours(environment: Environment, store: Store, boot: str) -> tuple[Presence, Hints]:
    """Presence and hints between the boots on a store: the environment's, if it has its own."""
    how = neighbours_on if environment.neighbours is None else environment.neighbours
    return how(store, boot)


def neighbours_on(store: Store, boot: str) -> tuple[Presence, Hints]:
    """How the boots on a store know of one another: as the store allows it."""
    if store.path is None:
        return SolePresence(), ServerHints(store.notifier)
    folder = folder_of(store.path)
    return FilePresence(folder), SocketHints(folder, boot)


def controls(environment: Environment, store: Store, boot: str) -> Controls:
    """How a boot on a store is asked from outside: the environment's way, if it has its own."""
    how = controls_on if environment.controls is None else environment.controls
    return how(store, boot)


def controls_on(store: Store, boot: str) -> Controls:
    """How a boot on a store is asked from outside: as the store allows it."""
    if store.path is None:
        return NoControls() if store.notifier is None else ServerControls(store.notifier)
    return SocketControls(folder_of(store.path), boot, SystemClock().monotonic)


def visit_to(environment: Environment) -> Callable[[str], AdminConnection]:
    """How a short visit to a RabbitMQ is made: the environment's way, if it has its own."""
    return visit if environment.visit is None else environment.visit


def visit(url: str) -> AdminConnection:
    """A short visit to a RabbitMQ."""
    from .rabbitmq.address import parse_address
    from .rabbitmq.admin_connection import AdminConnection

    address = parse_address(url)
    return AdminConnection(str(address), _link_to(address), threading.Event, random_id)


def server(url: str) -> ServerReadable:
    """A RabbitMQ for whoever only looks, without a runtime."""
    from .rabbitmq.viewing import ServerReadable

    return ServerReadable(lambda: visit(url))


def _open_rabbit(url: str, failpoints: Failpoints, new_id: Callable[[], str], *, only_existing: bool) -> Store:
    # This is imported only here: an application on SQLite does not have pika, and starts faster without the rest.
    from .rabbitmq.address import parse_address
    from .rabbitmq.environment import StoreEnvironment
    from .rabbitmq.leading import HEARTBEAT_SECONDS
    from .rabbitmq.store import RabbitStore

    address = parse_address(url)
    ledger_address = replace(address, heartbeat=HEARTBEAT_SECONDS)
    own = StoreEnvironment(clock=SystemClock(), event=threading.Event, future=Future, new_id=new_id)
    return RabbitStore(
        str(address),
        _link_to(address),
        lambda: _link_to(ledger_address),
        environment=own,
        results=address.results and not only_existing,
        wait=address.wait,
        failpoints=failpoints,
        only_existing=only_existing,
    )


def _link_to(address: Address) -> Link:
    from .rabbitmq.pika.link import PikaLink
    from .rabbitmq.prefixed import PrefixedLink
    from .rabbitmq.topology import PREFIX

    name = f"lamplighter {socket.gethostname()} {os.getpid()}"
    link = PikaLink(address, spawn=spawn, event=threading.Event, chance=random.SystemRandom(), name=name)
    return link if address.prefix == PREFIX else PrefixedLink(link, address.prefix)
