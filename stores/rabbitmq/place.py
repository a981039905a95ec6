"""A RabbitMQ as the place of a store: runtimes on it meet, and are asked, over the server."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, Unpack

from ...environment.clock import SystemClock
from ...environment.environment import new_id as random_id
from ...environment.failpoints import Failpoints
from ...environment.threads import spawn
from ...messages.controls import ANSWER_SECONDS, HUNG_SECONDS_MAX
from ...messages.jobs import Instant, Seconds
from ..control_client import ControlClient, JobHolders
from ..controls import Controls, ServerControls
from ..hints import Hints, ServerHints
from ..places import Condition, StoreOptions
from ..ports import Readable, Store
from ..presence import Presence, SolePresence
from .address import Address, parse_address
from .admin_connection import AdminConnection, ServerReadable
from .condition import ServerCondition
from .control_client import RabbitControlClient
from .environment import StoreEnvironment
from .leading import HEARTBEAT_SECONDS
from .link import Link


class RabbitPlace:
    """A `StorePlace`.

    Args:
        address: a URL.

    Raises:
        UsageError: as `parse_address` does.
    """

    is_shared = redelivers = True
    has_table = one_writer = False
    tables = lives = None

    def __init__(self, address: str) -> None:
        self.address = address
        self._parsed = parse_address(address)
        self.shown = str(self._parsed)

    def store(self, *, failpoints: Failpoints, new_id: Callable[[], str], **options: Unpack[StoreOptions]) -> Store:
        # Imported only here: whoever visits the server needs none.
        from .store import RabbitStore

        only_existing = options.get("only_existing", False)
        own = StoreEnvironment(clock=SystemClock(), event=threading.Event, future=Future, new_id=new_id)
        ledger_address = replace(self._parsed, heartbeat=HEARTBEAT_SECONDS)
        return RabbitStore(
            self,
            _link_to(self._parsed),
            lambda: _link_to(ledger_address),
            environment=own,
            results=self._parsed.results and not only_existing,
            wait=self._parsed.wait,
            failpoints=failpoints,
            only_existing=only_existing,
        )

    def meet(self, store: Store, boot: str) -> tuple[Presence, Hints, Controls]:
        return SolePresence(), ServerHints(store.notifier), ServerControls(store.notifier)

    def visit(self) -> AdminConnection:
        return AdminConnection(self.shown, _link_to(self._parsed), threading.Event, random_id)

    def client(
        self, timeout: Seconds = ANSWER_SECONDS, *, hung_seconds_max: Seconds = HUNG_SECONDS_MAX, is_plain: bool = False
    ) -> ControlClient:
        return RabbitControlClient(self.visit, timeout, hung_seconds_max=hung_seconds_max)

    def holders(self, now: Callable[[], Instant], visit: Callable[[str], Any] | None) -> JobHolders:
        return RabbitControlClient(self.visit if visit is None else partial(visit, self.address), now=now)

    unreadable = visit

    def readable(self) -> Readable:
        return ServerReadable(self, self.visit)

    def condition(self) -> Condition:
        return ServerCondition(self.visit)

    def is_database(self, vendor: str, settings: Mapping[str, Any]) -> bool:
        return False

    def network_filesystem(self) -> str | None:
        return None


def _link_to(address: Address) -> Link:
    from .pika.link import PikaLink

    name = f"lamplighter {socket.gethostname()} {os.getpid()}"
    return PikaLink(address, spawn=spawn, event=threading.Event, chance=random.SystemRandom(), name=name)
