"""The view of a store on a RabbitMQ for somebody who is no runtime: each part is asked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING

from ..admin.rabbit_control_client import RabbitControlClient
from ..admin.wait_context import SeenBoot
from ..errors import LamplighterError, StoreUnavailable
from ..messages.controls import VIEW_ASKED
from ..messages.jobs import Seconds
from ..stores.opening import visit
from ..stores.rabbitmq import topology
from ..stores.rabbitmq.address import parse_address
from ..stores.rabbitmq.link import QueueSpec

if TYPE_CHECKING:
    from ..stores.rabbitmq.admin_connection import AdminConnection, Depth


class RabbitmqSnapshot:
    """Looks at one server. Close it.

    Args:
        url: the server's address.
        timeout: how long the runtimes may take to answer.

    Attributes:
        address: the same without a password.

    Raises:
        UsageError: it is no address.
    """

    def __init__(self, url: str, timeout: Seconds) -> None:
        self.address = str(parse_address(url))
        self._url = url
        self._timeout = timeout
        self._open = ExitStack()

    @cached_property
    def visitor(self) -> AdminConnection:
        """A connection to it.

        Raises:
            StoreUnavailable, StoreError: it does not let anybody in.
        """
        return self._open.enter_context(visit(self._url))

    @cached_property
    def unreached(self) -> str | None:
        """Why it lets nobody in; None if it does."""
        try:
            self._enter()
        except LamplighterError as error:
            return str(error)
        return None

    def _enter(self) -> AdminConnection:
        return self.visitor

    def boots(self) -> Sequence[SeenBoot]:
        """The runtimes that answer."""
        return RabbitControlClient(self._url, self._timeout).all()

    @property
    def alarm(self) -> str | None:
        """Why the server takes no messages; None if it has taken one."""
        try:
            self.visitor.ask(VIEW_ASKED, 0.0)
        except StoreUnavailable:
            if self.visitor.alarm is None:
                raise
        return self.visitor.alarm

    @property
    def ledger(self) -> Depth | None:
        """How much is in the ledger, and who reads it; None where no runtime has been, as of the others."""
        return self._depths[topology.LEDGER]

    @property
    def dead(self) -> Depth | None:
        """How many jobs are dead."""
        return self._depths[topology.DEAD]

    @property
    def unreadable(self) -> Depth | None:
        """How many messages nobody can read."""
        return self._depths[topology.UNREADABLE]

    @property
    def delayed(self) -> Sequence[Depth | None]:
        """How many messages wait on each rung of the ladder."""
        return [self._depths[queue] for queue in topology.ladder()]

    @property
    def queues(self) -> tuple[int, int]:
        """How many of the queues that every store has are there, and how many these are."""
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
        """The queues that are not as runtimes declare them, and how they differ, in the server's words."""
        wanted = [one for one in topology.foundation() if isinstance(one, QueueSpec)]
        return self.visitor.differences(wanted)

    def close(self) -> None:
        """Let go of the server."""
        self._open.close()
