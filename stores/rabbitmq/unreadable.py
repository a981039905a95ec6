"""Messages that this runtime cannot read: they go where they block no queue and are not lost.

A message of a newer version is given back for a runtime that can read it: down the ladder of delays, because it would
come at once again. A message that nobody can read, or nobody has read for a day, goes to the queue of unreadable
messages, with the reason and where it was in its headers. `lamplighter unreadable` shows them there, and returns them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import job_message as wire
from . import topology
from .link import Arrival, Message

TRIES = "lamplighter-tries"
"""Header: how often a message of a newer version was given back."""

TRIES_MAX = 1_440
WAIT_SECONDS_MAX = 60.0
"""Between two tries. All of them take a day: whoever upgrades hosts one by one is done by then."""

QUEUE, REASON, SINCE = "lamplighter-queue", "lamplighter-reason", "lamplighter-since"
"""Headers of an unreadable message: where it was, why it cannot be read, and since when it is here (Unix seconds)."""


@dataclass(frozen=True, slots=True, eq=False)
class UnreadableMessage:
    """A message that was delivered and is nothing that this runtime can read.

    Attributes:
        queue: where it was.
        name: the job name in whose window it has a place; None for one that came by another way.
    """

    arrival: Arrival
    queue: str
    name: str | None
    error: wire.UnreadableJob

    @property
    def fields(self) -> dict[str, Any]:
        """The description of it in an event: never its content."""
        label = self.arrival.message_id or wire.id_of(self.arrival.body)
        return {"queue": self.queue, "message_id": label, "reason": str(self.error)}


def is_for_others(unreadable_message: UnreadableMessage) -> bool:
    """Whether somebody else may be able to read it."""
    return (
        isinstance(unreadable_message.error, wire.FutureFormat)
        and unreadable_message.name is not None
        and _tries(unreadable_message.arrival) < TRIES_MAX
    )


def given_back(unreadable_message: UnreadableMessage) -> Message:
    """The message on a way on which it comes again after a while, to whoever takes it then."""
    arrival, tries = unreadable_message.arrival, _tries(unreadable_message.arrival)
    exchange, key, _ = topology.route(unreadable_message.queue, min(WAIT_SECONDS_MAX, 2.0 ** min(tries, 10)))
    headers = arrival.headers or {}
    kept = {name: headers[name] for name in (wire.REST, wire.EXPIRES) if isinstance(headers.get(name), int)}
    return _again(arrival, exchange, key, {**kept, TRIES: tries + 1})


def put_aside(unreadable_message: UnreadableMessage, now: float) -> Message:
    """The message on its way to the queue of unreadable ones."""
    said = {QUEUE: unreadable_message.queue, REASON: str(unreadable_message.error), SINCE: int(now)}
    return _again(unreadable_message.arrival, "", topology.UNREADABLE, said)


def returned(arrival: Arrival) -> Message | None:
    """An unreadable message on its way back to where it was; None if that is not known."""
    queue = (arrival.headers or {}).get(QUEUE)
    return _again(arrival, "", queue, None) if isinstance(queue, str) else None


def _again(arrival: Arrival, exchange: str, key: str, headers: Mapping[str, Any] | None) -> Message:
    return Message(
        exchange,
        key,
        arrival.body,
        priority=arrival.priority,
        reply_to=arrival.reply_to,
        message_id=arrival.message_id,
        headers=headers,
    )


def _tries(arrival: Arrival) -> int:
    tries = (arrival.headers or {}).get(TRIES, 0)
    return tries if type(tries) is int and tries >= 0 else 0
