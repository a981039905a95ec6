"""Published messages that are not confirmed yet. The server counts messages, and confirms by number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Any

import pika
from pika import exceptions

from ..link import LinkLost, Message, Sent, settle


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

    def begin(self) -> None:
        self._number = 0

    def end(self, lost: LinkLost) -> None:
        sendings = {id(sending): sending for sending, _ in self._unconfirmed.values()}
        self._unconfirmed.clear()
        for sending in sendings.values():
            settle(sending.future, None, lost)

    def send(self, work: Any, sending: Sending) -> None:
        for index, message in enumerate(sending.messages):
            self._number += 1
            self._unconfirmed[self._number] = sending, index
            properties = pika.BasicProperties(
                content_type="application/json",
                delivery_mode=2,
                priority=message.priority or None,
                reply_to=message.reply_to,
                message_id=message.message_id,
                headers=None if message.headers is None else dict(message.headers),
                correlation_id=str(self._number) if message.mandatory else None,
                expiration=None if message.lives is None else str(int(message.lives * 1000)),
            )
            try:
                work.basic_publish(message.exchange, message.key, message.body, properties, message.mandatory)
            except (exceptions.UnsupportedAMQPFieldException, exceptions.ShortStringTooLong):
                # Not expressible in AMQP, now or later; nothing of it was sent.
                self._number -= 1
                del self._unconfirmed[self._number + 1]
                sending.confirmed(index, refused=True)

    def confirmed(self, frame: Any) -> None:
        """A message, or all up to one, is confirmed or refused."""
        method = frame.method
        refused = isinstance(method, pika.spec.Basic.Nack)
        tags: Iterable[int] = (method.delivery_tag,)
        if method.multiple:
            # In order, because they were added in order.
            tags = []
            for number in self._unconfirmed:
                if number > method.delivery_tag:
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
