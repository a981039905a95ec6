"""Published messages that are not confirmed yet. The server counts messages, and confirms by number.

Messages are encoded here, all but a table of headers, because pika makes objects of each frame and of each field.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from functools import lru_cache
from struct import Struct
from typing import Any

import pika
from pika import exceptions

from ..link import LinkLost, Message, Sent, settle

FRAME, END = Struct(">BHI"), b"\xce"
"""The begin of a frame (type, channel, size), and its end."""

HEADER = Struct(">BHIHHQH")
"""The begin of a header frame: FRAME, class, weight, size of the body, flags of the properties."""


def short(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > 255:
        raise exceptions.ShortStringTooLong(encoded)
    return bytes((len(encoded),)) + encoded


JSON = short("application/json")


@lru_cache(maxsize=256)
def publish_frame(channel: int, exchange: str, key: str, mandatory: bool) -> bytes:
    arguments = b"\0\x3c\0\x28\0\0" + short(exchange) + short(key) + bytes((mandatory,))
    return FRAME.pack(1, channel, len(arguments)) + arguments + END


def encoded(message: Message, number: int, channel: int, body_max: int) -> bytes:
    """The frames of a message.

    Raises:
        ShortStringTooLong, UnsupportedAMQPFieldException: AMQP cannot express it.
    """
    # The content type, and the delivery mode of a persistent message. The bits stand in the order of the fields.
    flags, fields = 0x9000, [JSON]
    if message.headers is not None:
        flags |= 0x2000
        fields += pika.BasicProperties(headers=dict(message.headers)).encode()[1:]
    fields.append(b"\2")
    if message.priority:
        flags |= 0x0800
        fields.append(bytes((message.priority,)))
    if message.mandatory:
        flags |= 0x0400
        fields.append(short(str(number)))
    if message.reply_to is not None:
        flags |= 0x0200
        fields.append(short(message.reply_to))
    if message.lives is not None:
        flags |= 0x0100
        fields.append(short(str(int(message.lives * 1000))))
    if message.message_id is not None:
        flags |= 0x0080
        fields.append(short(message.message_id))
    properties, body = b"".join(fields), message.body
    said = [
        publish_frame(channel, message.exchange, message.key, message.mandatory),
        HEADER.pack(2, channel, 14 + len(properties), 60, 0, len(body), flags),
        properties,
        END,
    ]
    for start in range(0, len(body), body_max):
        part = body[start : start + body_max]
        said += FRAME.pack(3, channel, len(part)), part, END
    return b"".join(said)


class Sending:
    __slots__ = ("future", "left", "messages", "refused", "returned")

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.future: Future[Sent] = Future()
        self.left = len(messages)
        self.returned: list[int] = []
        self.refused: list[int] = []

    def confirmed(self, index: int, *, refused: bool) -> None:
        """Note the fate of a message. The last one completes the future."""
        if refused:
            self.refused.append(index)
        self.left -= 1
        if self.left == 0:
            settle(self.future, Sent(tuple(self.returned), tuple(self.refused)), None)


class Published:
    def __init__(self) -> None:
        self._number = 0
        self._unconfirmed: dict[int, tuple[Sending, int]] = {}

    @property
    def first(self) -> int | None:
        return next(iter(self._unconfirmed), None)

    def begin(self, connection: Any, channel: int) -> None:
        self._number, self._connection, self._channel = 0, connection, channel

    def end(self, lost: LinkLost) -> None:
        sendings = {id(sending): sending for sending, _ in self._unconfirmed.values()}
        self._unconfirmed.clear()
        for sending in sendings.values():
            settle(sending.future, None, lost)

    def send(self, sending: Sending) -> None:
        connection, channel = self._connection, self._channel
        for index, message in enumerate(sending.messages):
            try:
                frames = encoded(message, self._number + 1, channel, connection.body_max)
            except (exceptions.UnsupportedAMQPFieldException, exceptions.ShortStringTooLong):
                # Not expressible in AMQP, now or later; it takes no number.
                sending.confirmed(index, refused=True)
                continue
            self._number += 1
            self._unconfirmed[self._number] = sending, index
            connection.write(frames)

    def told(self, frame: Any) -> None:
        method = frame.method
        self.confirmed(method.delivery_tag, method.multiple, isinstance(method, pika.spec.Basic.Nack))

    def confirmed(self, tag: int, multiple: bool, refused: bool = False) -> None:
        """A message, or all up to one, is confirmed or refused."""
        tags: Iterable[int] = (tag,)
        if multiple:
            # In order, because they were added in order.
            tags = []
            for number in self._unconfirmed:
                if number > tag:
                    break
                tags.append(number)
        for number in tags:
            found = self._unconfirmed.pop(number, None)
            if found is not None:
                found[0].confirmed(found[1], refused=refused)

    def returned(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        """The server found no queue for a message. It confirms it, too."""
        found = self._unconfirmed.get(int(properties.correlation_id or 0))
        if found is not None:
            found[0].returned.append(found[1])
