"""Confirms of a server are matched with the messages that were sent: by number, one by one or many at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pika
import pytest
from lamplighter.stores.rabbitmq.link import LinkLost, Message, Sent
from lamplighter.stores.rabbitmq.pika.publishing import Published, Sending


class Channel:
    """A channel of pika that keeps what is published on it, and cannot write a key of more than 255 bytes."""

    def __init__(self) -> None:
        self.properties: list[Any] = []

    def basic_publish(self, exchange: str, key: str, body: bytes, properties: Any, mandatory: bool) -> None:
        if len(key) > 255:
            raise pika.exceptions.ShortStringTooLong(key)
        self.properties.append(properties)


def sent(published: Published, channel: Channel, *keys: str) -> Sending:
    sending = Sending([Message("", key, b"{}") for key in keys])
    published.send(channel, sending)
    return sending


def confirm(published: Published, number: int, *, multiple: bool = False, refused: bool = False) -> None:
    kind = pika.spec.Basic.Nack if refused else pika.spec.Basic.Ack
    published.confirmed(SimpleNamespace(method=kind(delivery_tag=number, multiple=multiple)))


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.mark.parametrize("refused", [False, True])
def test_a_confirm_of_many_is_of_all_up_to_its_number_and_of_no_more(channel: Channel, refused: bool) -> None:
    published = Published()
    first, second, third = (sent(published, channel, *keys) for keys in ("ab", "c", "de"))

    confirm(published, 3, multiple=True, refused=refused)

    assert [one.future.done() for one in (first, second, third)] == [True, True, False]
    assert first.future.result(0) == Sent((), (0, 1) if refused else ())
    assert published.first == 4


def test_a_message_that_cannot_be_written_takes_no_number_from_those_behind_it(channel: Channel) -> None:
    published = Published()
    mixed, later = sent(published, channel, "a", "x" * 256, "b"), sent(published, channel, "c")

    confirm(published, 1)
    confirm(published, 2)
    done_before = later.future.done()
    confirm(published, 3, refused=True)

    assert (mixed.future.result(0), done_before, later.future.result(0)) == (Sent((), (1,)), False, Sent((), (0,)))
    assert published.first is None


def test_a_message_that_came_back_is_told_with_its_confirm(channel: Channel) -> None:
    published = Published()
    sending = sent(published, channel, "a", "b")

    published.returned(channel, None, channel.properties[1], b"{}")
    told_before = sending.future.done()
    confirm(published, 2, multiple=True)

    assert (told_before, sending.future.result(0)) == (False, Sent((1,), ()))


def test_in_a_new_session_numbers_begin_anew_and_who_waits_is_told(channel: Channel) -> None:
    published = Published()
    lost = sent(published, channel, "a", "b")
    published.end(LinkLost("the network was cut"))
    published.begin()
    again = sent(published, channel, "a")

    confirm(published, 1)

    assert again.future.result(0) == Sent()
    with pytest.raises(LinkLost, match="the network was cut"):
        lost.future.result(0)
