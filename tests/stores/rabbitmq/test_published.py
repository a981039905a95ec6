"""Confirms of a server are matched with the messages that were sent: by number, one by one or many at once. And a
message is on the wire what pika would make of it.
"""

from __future__ import annotations

from types import SimpleNamespace

import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lamplighter.stores.rabbitmq.link import LinkLost, Message, Sent
from lamplighter.stores.rabbitmq.pika.publishing import Published, Sending, encoded
from pika import frame

BODY_MAX = 100


class Connection:
    """Keeps what is written, as frames."""

    body_max = BODY_MAX

    def __init__(self) -> None:
        self.said: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.said.append(data)

    @property
    def properties(self) -> list[pika.BasicProperties]:
        return [one.properties for data in self.said for one in frames(data) if isinstance(one, frame.Header)]


def frames(data: bytes) -> list[frame.Frame]:
    found = []
    while data:
        size, one = frame.decode_frame(data)
        found.append(one)
        data = data[size:]
    return found


def sent(published: Published, *keys: str) -> Sending:
    sending = Sending([Message("", key, b"{}") for key in keys])
    published.send(sending)
    return sending


def confirm(published: Published, number: int, *, multiple: bool = False, refused: bool = False) -> None:
    kind = pika.spec.Basic.Nack if refused else pika.spec.Basic.Ack
    published.told(SimpleNamespace(method=kind(delivery_tag=number, multiple=multiple)))


@pytest.fixture
def connection() -> Connection:
    return Connection()


@pytest.fixture
def published(connection: Connection) -> Published:
    published = Published()
    published.begin(connection, 1)
    return published


@pytest.mark.parametrize("refused", [False, True])
def test_a_confirm_of_many_is_of_all_up_to_its_number_and_of_no_more(published: Published, refused: bool) -> None:
    first, second, third = (sent(published, *keys) for keys in ("ab", "c", "de"))

    confirm(published, 3, multiple=True, refused=refused)

    assert [one.future.done() for one in (first, second, third)] == [True, True, False]
    assert first.future.result(0) == Sent((), (0, 1) if refused else ())
    assert published.first == 4


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 1)])
def test_a_confirm_of_one_is_of_that_one_in_whatever_order_they_come(
    published: Published, order: tuple[int, ...]
) -> None:
    first, second = sent(published, "a", "b"), sent(published, "c")

    told = []
    for number in order:
        confirm(published, number, refused=number == 2)
        told.append((first.future.done(), second.future.done(), published.first))

    assert (first.future.result(0), second.future.result(0)) == (Sent((), (1,)), Sent())
    heard = [set(order[: place + 1]) for place in range(3)]
    assert told == [({1, 2} <= some, 3 in some, min({1, 2, 3} - some, default=None)) for some in heard]


def test_a_message_that_cannot_be_written_takes_no_number_from_those_behind_it(published: Published) -> None:
    mixed, later = sent(published, "a", "x" * 256, "b"), sent(published, "c")

    confirm(published, 1)
    confirm(published, 2)
    done_before = later.future.done()
    confirm(published, 3, refused=True)

    assert (mixed.future.result(0), done_before, later.future.result(0)) == (Sent((), (1,)), False, Sent((), (0,)))
    assert published.first is None


def test_a_message_that_came_back_is_told_with_its_confirm(connection: Connection, published: Published) -> None:
    sending = sent(published, "a", "b")

    published.returned(None, None, connection.properties[1], b"{}")
    told_before = sending.future.done()
    confirm(published, 2, multiple=True)

    assert (told_before, sending.future.result(0)) == (False, Sent((1,), ()))


def test_in_a_new_session_numbers_begin_anew_and_who_waits_is_told(
    connection: Connection, published: Published
) -> None:
    lost = sent(published, "a", "b")
    published.end(LinkLost("the network was cut"))
    published.begin(connection, 1)
    again = sent(published, "a")

    confirm(published, 1)

    assert again.future.result(0) == Sent()
    with pytest.raises(LinkLost, match="the network was cut"):
        lost.future.result(0)


SHORT = st.text(max_size=60)
MESSAGES = st.builds(
    Message,
    exchange=SHORT,
    key=SHORT,
    body=st.binary(max_size=3 * BODY_MAX),
    priority=st.sampled_from([0, 5]),
    reply_to=st.none() | SHORT,
    message_id=st.none() | SHORT,
    headers=st.none() | st.dictionaries(SHORT, SHORT | st.integers(-(1 << 31), 1 << 40), max_size=3),
    mandatory=st.booleans(),
    lives=st.none() | st.floats(0.0, 1e7),
)


@given(MESSAGES, st.integers(1, 1 << 40), st.integers(1, 2047))
def test_a_message_is_written_as_pika_would_write_it(message: Message, number: int, channel: int) -> None:
    publish = pika.spec.Basic.Publish(exchange=message.exchange, routing_key=message.key, mandatory=message.mandatory)
    properties = pika.BasicProperties(
        content_type="application/json",
        delivery_mode=2,
        priority=message.priority or None,
        reply_to=message.reply_to,
        message_id=message.message_id,
        headers=None if message.headers is None else dict(message.headers),
        correlation_id=str(number) if message.mandatory else None,
        expiration=None if message.lives is None else str(int(message.lives * 1000)),
    )
    parts = [message.body[start : start + BODY_MAX] for start in range(0, len(message.body), BODY_MAX)]

    assert encoded(message, number, channel, BODY_MAX) == b"".join(
        one.marshal()
        for one in (
            frame.Method(channel, publish),
            frame.Header(channel, len(message.body), properties),
            *(frame.Body(channel, part) for part in parts),
        )
    )


@pytest.mark.parametrize(
    "message",
    [
        Message("x" * 256, "", b""),
        Message("", "x" * 256, b""),
        Message("", "", b"", reply_to="ä" * 128),
        Message("", "", b"", message_id="x" * 256),
        Message("", "", b"", headers={"x" * 256: 1}),
        Message("", "", b"", headers={"x": object()}),
    ],
    ids=["exchange", "key", "reply_to", "message_id", "a header's name", "a header's value"],
)
def test_a_message_that_amqp_cannot_express_is_refused_alone(
    connection: Connection, published: Published, message: Message
) -> None:
    sending = Sending([message, Message("", "a", b"{}")])
    published.send(sending)
    confirm(published, 1)

    assert sending.future.result(0) == Sent((), (0,))
    assert len(connection.said) == 1
