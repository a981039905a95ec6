"""The operations of a turn on RabbitMQ at its end, and the undo and redo of its changes to memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from .deliveries import Delivery
from .ledger_records import Record
from .link import Message
from .unreadable import UnreadableMessage


@dataclass(slots=True)
class MemoryChange:
    """A change that a turn has made to this runtime's own memory.

    Attributes:
        undo: takes it back, when the turn fails.
        redo: does it again, when a turn whose outcome was unknown turns out to hold. A claim is not done again.
    """

    undo: Callable[[], object]
    redo: Callable[[], object] | None = None


@dataclass(slots=True)
class CommitPlan:
    """The operations of a turn at its end.

    Attributes:
        begins: records that are written before anything is published: what can then be told of a turn that stands half.
        names: job names whose queues must be there.
        messages: published first, in one pipeline.
        notices: published once the messages are confirmed: whoever hears of them finds what they tell of.
        records: for the state that all share, written once the messages are confirmed.
        acknowledged: deliveries that are, last of all.
        changes: to this runtime's memory, in order.
        done: calls to make once all of it holds.
    """

    begins: list[Record] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    messages: list[Message] = field(default_factory=list)
    notices: list[Message] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    acknowledged: list[Delivery | UnreadableMessage] = field(default_factory=list)
    changes: list[MemoryChange] = field(default_factory=list)
    done: list[Callable[[], object]] = field(default_factory=list)


@dataclass(slots=True)
class PendingCommit:
    """A turn that was not confirmed in time. Nothing else is published until the server has said what became of it."""

    ops: CommitPlan
    stage: Iterator[Future[Any]]
    waits_for: Future[Any]


def undo(changes: Sequence[MemoryChange]) -> None:
    """Take back what a turn has done to memory."""
    for change in reversed(changes):
        change.undo()


def redo(changes: Sequence[MemoryChange]) -> None:
    """Make again the changes of a turn that was given up and turned out to hold."""
    for change in changes:
        if change.redo is not None:
            change.redo()
