"""The troubles of a runtime on a RabbitMQ that the next try does not heal, for `health()`.

Refusals stay until a person has changed something: of the server as a whole, or of the queue of one job name, which
stops that name alone. Whether they have been is looked for by asking again. A queue that takes no more is tried again,
too: nobody could tell that it has room. And unreadable messages are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from ...errors import StoreError
from ..troubles import HealthIssue
from . import topology
from .link import Link, Message

FULL = "it refuses messages, as one does that a policy limits (max-length with reject-publish)"

Tell = Callable[[str, Any], object]


class HealthIssues:
    """The problems of this runtime on a RabbitMQ. The thread that takes turns does everything, but for `health_issues`.

    Args:
        tell: called by any thread with what the server has answered; it comes back to `hear`.

    Attributes:
        refusal: why the server refuses this runtime.
        stopped: by job name, why its queue cannot be used.
        full: job names whose queues have refused a message since the last look.
        unreadable: how many messages cannot be read, as far as is known.
    """

    def __init__(self, address: str, link: Link, tell: Tell) -> None:
        self._address = address
        self._link = link
        self._tell = tell
        self.refusal: str | None = None
        self.stopped: dict[str, str] = {}
        self.full: set[str] = set()
        self.unreadable = 0

    def health_issues(self) -> Sequence[HealthIssue]:
        """The troubles as `Store.health_issues` returns them. Any thread may ask."""
        found = [] if self.refusal is None else [HealthIssue("red", f"the store refuses this runtime: {self.refusal}")]
        found += [HealthIssue("red", f"{name} has stopped: {reason}") for name, reason in sorted(self.stopped.items())]
        found += [HealthIssue("yellow", f"the queue of {name} takes no more: {FULL}") for name in sorted(self.full)]
        if self.unreadable:
            number = f"{self.unreadable} message{'s' * (self.unreadable > 1)}"
            says = f"{number} in {topology.UNREADABLE} cannot be read: see lamplighter unreadable"
            found.append(HealthIssue("yellow", says))
        return found

    def check(self, name: str) -> None:
        """Refuse a job name whose queue cannot be used."""
        reason = self.stopped.get(name)
        if reason is not None:
            raise StoreError(f"expected the queue of {name} on {self._address} to be usable, got: {reason}")
        if name in self.full:
            raise StoreError(f"expected the queue of {name} on {self._address} to take another job, got: {FULL}")

    def refused(self, messages: Sequence[Message], names: Collection[str]) -> None:
        """Note that the server has refused these messages: the queues of these names are full."""
        queues = {message.key for message in messages if not message.exchange}
        self.full = self.full | {name for name in names if topology.queue_of(name) in queues}

    def look(self) -> None:
        """Ask again: of unreadable messages, and of the queues that could not be used."""
        self.count_unreadable()
        self.full = set()
        for name in self.stopped:
            asked = self._link.setup([topology.job_queue(name)])
            asked.add_done_callback(partial(self._usable, name))

    def count_unreadable(self) -> None:
        """Ask the server how many unreadable messages there are."""
        self._link.look(topology.UNREADABLE).add_done_callback(self._counted)

    def _counted(self, answer: Future[tuple[int, int] | None]) -> None:
        if answer.exception() is None and (seen := answer.result()) is not None:
            self._tell("ailing", ("unreadable", seen[0]))

    def _usable(self, name: str, answer: Future[None]) -> None:
        if answer.exception() is None:
            self._tell("ailing", ("usable", name))

    def hear(self, what: str, value: Any) -> None:
        """Take in an answer that `tell` has passed on."""
        if what == "unreadable":
            self.unreadable = value
        else:
            self.stopped.pop(value, None)
