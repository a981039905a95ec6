"""A link whose server-side names begin with another prefix, so that applications can share a virtual host.

All other code, and the content of messages, says `lamplighter.`; names are translated here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from ...messages.jobs import Seconds
from .link import Arrival, Binding, Browsed, Exchange, Link, LinkListener, Message, QueueSpec, Sent, Wanted
from .topology import PREFIX

OURS = f"{PREFIX}."
EXCHANGE = "x-dead-letter-exchange"


class PrefixedLink:
    def __init__(self, link: Link, prefix: str) -> None:
        self._link = link
        self._theirs = f"{prefix}."

    @property
    def bytes_max(self) -> int | None:
        return self._link.bytes_max

    @bytes_max.setter
    def bytes_max(self, most: int | None) -> None:
        self._link.bytes_max = most

    @property
    def server_version(self) -> str | None:
        return self._link.server_version

    def _name(self, ours: str) -> str:
        """The name on the server. Routing keys and patterns have the prefix after the digits of the ladder."""
        before, found, name = ours.partition(OURS)
        return f"{before}{self._theirs}{name}" if found else ours

    def _wanted(self, wanted: Wanted) -> Wanted:
        match wanted:
            case Exchange():
                return replace(wanted, name=self._name(wanted.name))
            case Binding():
                return replace(wanted, source=self._name(wanted.source), target=self._name(wanted.target))
            case QueueSpec(arguments=arguments):
                named = {EXCHANGE: self._name(arguments[EXCHANGE])} if EXCHANGE in arguments else {}
                return replace(
                    wanted,
                    name=self._name(wanted.name),
                    arguments={**arguments, **named},
                    bindings=tuple((self._name(source), self._name(key)) for source, key in wanted.bindings),
                )

    def start(self, listener: LinkListener) -> None:
        self._link.start(listener)

    def stop(self) -> None:
        self._link.stop()

    def give_up(self, session: int, reason: str) -> None:
        self._link.give_up(session, reason)

    def after(self, seconds: Seconds, call: Callable[[], None]) -> None:
        self._link.after(seconds, call)

    def wait(self, event: Any, seconds: Seconds) -> None:
        self._link.wait(event, seconds)

    def setup(self, wanted: Sequence[Wanted]) -> Future[None]:
        return self._link.setup([self._wanted(one) for one in wanted])

    def send(self, messages: Sequence[Message]) -> Future[Sent]:
        return self._link.send(
            [one._replace(exchange=self._name(one.exchange), key=self._name(one.key)) for one in messages]
        )

    def acknowledge(self, session: int, acks: Sequence[int], requeue: Sequence[int] = ()) -> None:
        self._link.acknowledge(session, acks, requeue)

    def consume(self, session: int, queue: str, consumer: str, *, prefetch: int, apart: bool = False) -> None:
        self._link.consume(session, self._name(queue), consumer, prefetch=prefetch, apart=apart)

    def cancel(self, session: int, consumer: str) -> None:
        self._link.cancel(session, consumer)

    def delete(self, session: int, queue: str) -> None:
        self._link.delete(session, self._name(queue))

    def look(self, queue: str) -> Future[tuple[int, int] | None]:
        return self._link.look(self._name(queue))

    def browse(self, queue: str, see: Callable[[Arrival], object]) -> Future[Browsed]:
        return self._link.browse(self._name(queue), see)
