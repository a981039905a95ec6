"""Messages that this runtime cannot read: moved where they block no queue and are not lost.

A newer version's message is given back for other runtimes, through the ladder of delays, because it would otherwise
come again at once. Other unreadable messages, and those unread for a day, go to the queue of unreadable messages, with
reason and origin in headers. `lamplighter unreadable` shows and returns them.
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
"""The longest pause between tries, which last a day in all: rolling upgrades are done by then."""

QUEUE, REASON, SINCE = "lamplighter-queue", "lamplighter-reason", "lamplighter-since"
"""Headers of an unreadable message: its queue, why it is unreadable, and since when it is here (Unix seconds)."""


@dataclass(frozen=True, slots=True, eq=False)
class UnreadableMessage:
    """A delivered message that this runtime cannot read.

    Attributes:
        name: the job name in whose window it counts; None outside of job queues.
    """

    arrival: Arrival
    queue: str
    name: str | None
    error: wire.UnreadableJob

    @property
    def fields(self) -> dict[str, Any]:
        """Its description in an event, without its content."""
        label = self.arrival.message_id or wire.id_of(self.arrival.body)
        return {"queue": self.queue, "message_id": label, "reason": str(self.error)}


def is_for_others(unreadable_message: UnreadableMessage) -> bool:
    """Whether another runtime may be able to read it."""
    return (
        isinstance(unreadable_message.error, wire.FutureFormat)
        and unreadable_message.name is not None
        and _tries(unreadable_message.arrival) < TRIES_MAX
    )


def given_back(unreadable_message: UnreadableMessage) -> Message:
    arrival, tries = unreadable_message.arrival, _tries(unreadable_message.arrival)
    exchange, key, _ = topology.route(unreadable_message.queue, min(WAIT_SECONDS_MAX, 2.0 ** min(tries, 10)))
    headers = arrival.headers or {}
    kept = {name: headers[name] for name in (wire.REST, wire.EXPIRES) if isinstance(headers.get(name), int)}
    return _again(arrival, exchange, key, {**kept, TRIES: tries + 1})


def put_aside(unreadable_message: UnreadableMessage, now: float) -> Message:
    said = {QUEUE: unreadable_message.queue, REASON: str(unreadable_message.error), SINCE: int(now)}
    return _again(unreadable_message.arrival, "", topology.UNREADABLE, said)


def returned(arrival: Arrival) -> Message | None:
    """An unreadable message on its way back; None if its queue is unknown."""
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
