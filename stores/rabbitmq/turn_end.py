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
    """A change of this runtime's memory by a turn.

    Attributes:
        undo: when the turn fails.
        redo: when a given-up turn turns out to hold. A claim is not redone.
    """

    undo: Callable[[], object]
    redo: Callable[[], object] | None = None


@dataclass(slots=True)
class CommitPlan:
    """The operations of a turn at its end.

    Attributes:
        begins: written before anything is published, so that a half-done turn can be logged.
        names: job names whose queues must exist.
        messages: published first, in one pipeline.
        notices: published once the messages are confirmed, so that receivers find what they announce.
        records: for the shared state, written once the messages are confirmed.
        acknowledged: deliveries, last of all.
        changes: to this runtime's memory, in order.
        done: called once all of it holds.
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
    """A turn that was not confirmed in time. Nothing else is published until its outcome is known."""

    ops: CommitPlan
    stage: Iterator[Future[Any]]
    waits_for: Future[Any]


def undo(changes: Sequence[MemoryChange]) -> None:
    for change in reversed(changes):
        change.undo()


def redo(changes: Sequence[MemoryChange]) -> None:
    """Redo the changes of a given-up turn that turned out to hold."""
    for change in changes:
        if change.redo is not None:
            change.redo()
