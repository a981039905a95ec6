"""A message that is passed on unread keeps all that it carries, wherever it goes."""

from __future__ import annotations

import pytest
from lamplighter.stores.rabbitmq import job_message as wire
from lamplighter.stores.rabbitmq import topology
from lamplighter.stores.rabbitmq.link import Arrival, Message
from lamplighter.stores.rabbitmq.unreadable import (
    QUEUE,
    TRIES,
    UnreadableMessage,
    given_back,
    is_for_others,
    put_aside,
    returned,
)

QUEUE_OF_JOBS = topology.queue_of("work")
HEADERS = {wire.REST: 7_000, wire.EXPIRES: 1_800_000_000_000}
ARRIVAL = Arrival(1, 2, "consumer", b"a newer version's", 0, "results", HEADERS, priority=5, message_id="j1")


def unread(arrival: Arrival = ARRIVAL) -> UnreadableMessage:
    return UnreadableMessage(arrival, QUEUE_OF_JOBS, "work", wire.FutureFormat("format 2"))


def carried(message: Message | None) -> tuple[object, ...]:
    assert message is not None
    return message.body, message.priority, message.reply_to, message.message_id


@pytest.mark.parametrize("how", ["given back", "put aside", "returned"])
def test_its_content_its_priority_and_who_waits_for_its_end_go_along(how: str) -> None:
    match how:
        case "given back":
            message = given_back(unread())
        case "put aside":
            message = put_aside(unread(), 1.0)
        case _:
            message = returned(ARRIVAL._replace(headers={QUEUE: QUEUE_OF_JOBS}))

    assert carried(message) == carried(Message("", "", ARRIVAL.body, 5, "results", "j1"))


def test_one_that_waits_for_a_newer_runtime_still_expires_and_waits_its_rest() -> None:
    seen, tries = unread(), []
    for _ in range(3):
        message = given_back(seen)
        assert message.headers is not None
        tries.append(message.headers[TRIES])
        assert {name: message.headers.get(name) for name in HEADERS} == HEADERS
        seen = unread(ARRIVAL._replace(headers=message.headers))

    assert tries == [1, 2, 3]
    assert is_for_others(seen)
