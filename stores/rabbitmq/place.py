"""A RabbitMQ as the place of a store: runtimes on it meet, and are asked, over the server."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Literal, Unpack

from ...environment.clock import SystemClock
from ...environment.environment import new_id as random_id
from ...environment.failpoints import Failpoints
from ...environment.threads import spawn
from ...errors import LamplighterError, MissingExtra, StoreUnavailable
from ...messages.controls import ANSWER_SECONDS, HUNG_SECONDS_MAX, VIEW_ASKED
from ...messages.jobs import Instant, Seconds
from ..control_client import ControlClient, JobHolders
from ..controls import Controls, ServerControls
from ..hints import Hints, ServerHints
from ..places import Condition, StoreOptions, StorePlace
from ..ports import Readable, Store
from ..presence import Presence, SolePresence
from . import topology
from .address import Address, parse_address
from .admin_connection import AdminConnection, Depth, ServerReadable
from .control_client import RabbitControlClient
from .leading import HEARTBEAT_SECONDS
from .link import Link, QueueSpec, StoreEnvironment


class ServerCondition(Condition):
    """The `Condition` of a server."""

    parts = frozenset(("queues",))

    def __init__(self, visit: Callable[[], AdminConnection]) -> None:
        self._visit = visit
        self._open = ExitStack()

    @cached_property
    def visitor(self) -> AdminConnection:
        return self._open.enter_context(self._visit())

    @cached_property
    def unreached(self) -> str | None:
        """Why the server refuses the connection; None if it does not."""
        try:
            _ = self.visitor
        except MissingExtra:
            raise
        except LamplighterError as error:
            return str(error)
        return None

    @property
    def alarm(self) -> str | None:
        try:
            self.visitor.ask(VIEW_ASKED, 0.0)
        except StoreUnavailable:
            if self.visitor.alarm is None:
                raise
        return self.visitor.alarm

    def depth(self, queue: Literal["LEDGER", "DEAD", "UNREADABLE"]) -> Depth | None:
        """The messages and consumers of one of its own queues; None where no runtime has been."""
        return self._depths[getattr(topology, queue)]

    @property
    def delayed(self) -> Sequence[Depth | None]:
        """How many messages wait on each rung of the delay ladder."""
        return [self._depths[queue] for queue in topology.ladder()]

    @property
    def queues(self) -> tuple[int, int]:
        """How many of the queues of every store exist, and how many there should be."""
        return sum(1 for depth in self._depths.values() if depth is not None), len(self._depths)

    @cached_property
    def _depths(self) -> Mapping[str, Depth | None]:
        return self.visitor.depths([topology.DEAD, topology.UNREADABLE, topology.LEDGER, *topology.ladder()])

    def of_names(self, names: Sequence[str]) -> Mapping[str, Depth | None]:
        """The same of the queues of job names."""
        queues = {name: topology.queue_of(name) for name in names}
        found = self.visitor.depths(list(queues.values()))
        return {name: found[queue] for name, queue in queues.items()}

    @cached_property
    def differences(self) -> Mapping[str, str]:
        """The queues that differ from their declaration, and how, in the server's words."""
        wanted = [one for one in topology.foundation() if isinstance(one, QueueSpec)]
        return self.visitor.differences(wanted)

    def close(self) -> None:
        self._open.close()


class RabbitPlace(StorePlace):
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
        # Imported only here: a short visit to the server needs no store.
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
    creation = None

    def readable(self) -> Readable:
        return ServerReadable(self, self.visit)

    def condition(self) -> Condition:
        return ServerCondition(self.visit)


def _link_to(address: Address) -> Link:
    from .pika.link import PikaLink

    name = f"lamplighter {socket.gethostname()} {os.getpid()}"
    return PikaLink(address, spawn=spawn, event=threading.Event, chance=random.SystemRandom(), name=name)
