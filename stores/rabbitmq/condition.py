"""The condition of a server: each part is read once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Literal

from ...errors import LamplighterError, StoreUnavailable
from ...messages.controls import VIEW_ASKED
from ...messages.jobs import Seconds
from . import topology
from .admin_connection import AdminConnection, Depth
from .link import QueueSpec


class ServerCondition:
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
            self._enter()
        except LamplighterError as error:
            return str(error)
        return None

    def _enter(self) -> AdminConnection:
        return self.visitor

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

    def sizes(self) -> None:
        return None

    def lock_holder(self, wait: Callable[[Seconds], object] | None = None) -> None:
        return None

    def check_there(self) -> None:
        """A server is asked by the checks."""

    def check_tables(self, connection: object) -> None:
        return None

    def close(self) -> None:
        self._open.close()
