"""Opens the store at an address, and what connects the boots on it. An `Environment` can replace each part."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from ..environment.clock import SystemClock
from ..environment.environment import Environment
from ..environment.environment import new_id as random_id
from ..environment.failpoints import Failpoints
from ..environment.threads import spawn
from .controls import Controls, ServerControls, SocketControls
from .hints import Hints, ServerHints, SocketHints
from .ports import SERVER_SCHEMES, Store
from .presence import FilePresence, Presence, SolePresence, folder_of
from .sqlite.store import SqliteStore

if TYPE_CHECKING:
    from .rabbitmq.address import Address
    from .rabbitmq.admin_connection import AdminConnection, ServerReadable
    from .rabbitmq.link import Link

Durability = Literal["full", "os"]
"""What a commit survives: a power cut, or a killed process."""


class StoreOptions(TypedDict, total=False):
    """Options of a store; one on a server has none of the file's.

    Attributes:
        only_existing: create and migrate nothing, because the caller is no runtime.
    """

    durability: str
    busy_seconds_max: float
    wal_bytes_max: int
    only_existing: bool


def open_store(environment: Environment, address: str, **options: Unpack[StoreOptions]) -> Store:
    how = store_at if environment.store is None else environment.store
    return how(address, failpoints=environment.failpoints, new_id=environment.new_id, **options)


def store_at(
    address: str, *, failpoints: Failpoints, new_id: Callable[[], str], **options: Unpack[StoreOptions]
) -> Store:
    if address.partition("://")[0] in SERVER_SCHEMES:
        return _open_rabbit(address, failpoints, new_id, only_existing=options.get("only_existing", False))
    return SqliteStore(address, failpoints=failpoints, new_id=new_id, **options)


def neighbours(environment: Environment, store: Store, boot: str) -> tuple[Presence, Hints]:
    how = neighbours_on if environment.neighbours is None else environment.neighbours
    return how(store, boot)


def neighbours_on(store: Store, boot: str) -> tuple[Presence, Hints]:
    if store.path is None:
        return SolePresence(), ServerHints(store.notifier)
    folder = folder_of(store.path)
    return FilePresence(folder), SocketHints(folder, boot)


def controls(environment: Environment, store: Store, boot: str) -> Controls:
    how = controls_on if environment.controls is None else environment.controls
    return how(store, boot)


def controls_on(store: Store, boot: str) -> Controls:
    if store.path is None:
        return ServerControls(store.notifier)
    return SocketControls(folder_of(store.path), boot, SystemClock().monotonic)


def visit_to(environment: Environment) -> Callable[[str], AdminConnection]:
    """How an admin connection to a RabbitMQ is made."""
    return visit if environment.visit is None else environment.visit


def visit(url: str) -> AdminConnection:
    from .rabbitmq.address import parse_address
    from .rabbitmq.admin_connection import AdminConnection

    address = parse_address(url)
    return AdminConnection(str(address), _link_to(address), threading.Event, random_id)


def server(url: str) -> ServerReadable:
    """A RabbitMQ for readers without a runtime."""
    from .rabbitmq.admin_connection import ServerReadable

    return ServerReadable(lambda: visit(url))


def _open_rabbit(url: str, failpoints: Failpoints, new_id: Callable[[], str], *, only_existing: bool) -> Store:
    # Imported only here: an application on SQLite has no pika, and starts faster without the rest.
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

    name = f"lamplighter {socket.gethostname()} {os.getpid()}"
    return PikaLink(address, spawn=spawn, event=threading.Event, chance=random.SystemRandom(), name=name)
