"""Queues and exchanges of the store, and the route of a delayed job.

    lamplighter.job.NAME       the jobs of a name                     quorum queue
    lamplighter.delay.0 ... N  the ladder: each rung holds a message for UNIT * 2**n seconds     quorum queues
    lamplighter.dead           jobs that have failed for good         quorum queue
    lamplighter.unreadable     messages that no runtime can read     quorum queue
    lamplighter.ledger         schedules, slots, pauses     quorum queue with a single active consumer: the leader
    lamplighter.leader         the leader, by its own latest record     quorum queue of one message
    lamplighter.news.BOOT      ledger records, broadcast by the leader     classic queue, expires
    lamplighter.asks.ID        answers of runtimes to an admin connection     classic queue, expires
    lamplighter.results.BOOT   how the jobs that a runtime queued have ended     classic queue, expires

Arguments of a queue never depend on options of a handler or runtime: two that differ could not share the queue.

The ladder is the usual one of topic exchanges: the routing key has a digit for each rung, the highest first, and then
the target. The exchange of a rung routes a 1 into the rung's queue, and a 0 to the exchange of the rung below; expired
messages of the queue are dead-lettered to the exchange of the rung below. No consumer takes part.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from ...errors import StoreError
from ...messages.jobs import Seconds
from .link import Arguments, Binding, Exchange, Message, QueueSpec, Wanted

PREFIX = "lamplighter"
"""All code, and the content of messages, says `lamplighter.`: a link translates into the `Names` on its server."""

RUNGS = 24
UNIT_MS = 50
DELAY_SECONDS_MAX = ((1 << RUNGS) - 1) * UNIT_MS / 1000
"""The longest walk down the ladder, over nine days; longer waits walk again."""

KEY_BYTES_MAX = 255 - 2 * RUNGS
"""AMQP's routing keys have at most 255 bytes, and the digits of the ladder come first."""

DEAD = f"{PREFIX}.dead"
UNREADABLE = f"{PREFIX}.unreadable"
LEDGER = f"{PREFIX}.ledger"
LEADER = f"{PREFIX}.leader"
NEWS = f"{PREFIX}.news"
ASKS = f"{PREFIX}.asks"
OUT = f"{PREFIX}.out"

QUORUM: Arguments = {
    "x-queue-type": "quorum",
    # RabbitMQ 4 drops a message at the 20th redelivery by default.
    "x-delivery-limit": -1,
    # RabbitMQ ends a consumer that keeps a message for half an hour. A handler may take longer.
    "x-consumer-timeout": 400 * 86400 * 1000,
}

DEAD_LETTERS = "x-dead-letter-exchange"

LEDGER_QUEUE = QueueSpec(name=LEDGER, arguments={**QUORUM, "x-single-active-consumer": True})

NEWS_SECONDS = 60.0
"""The queue of a session's news outlives it so long."""

ASKS_SECONDS = 60.0
"""The queue of answers outlives an admin connection so long."""

RESULTS_SECONDS = 1800.0
"""Results wait so long for a runtime that has lost its connection."""

RESULTS_BYTES_MAX = 64_000_000


def job_queue(name: str) -> QueueSpec:
    queue = queue_of(name)
    return QueueSpec(name=queue, arguments=QUORUM, bindings=((OUT, f"#.{queue}"),))


@lru_cache(maxsize=1024)
def queue_of(name: str) -> str:
    """The queue of a job name: the name itself where AMQP and the ladder can carry it, else a hash."""
    readable = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_:") else "_" for letter in name)
    if readable == name and len(name) <= KEY_BYTES_MAX - 40:
        return f"{PREFIX}.job.{name}"
    digest = hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
    return f"{PREFIX}.job.{readable[:80]}~{digest}"


def results_queue(boot: str) -> QueueSpec:
    arguments = {"x-expires": int(RESULTS_SECONDS * 1000), "x-max-length-bytes": RESULTS_BYTES_MAX}
    return QueueSpec(name=f"{PREFIX}.results.{boot}", arguments=arguments)


def news_queue(session: str) -> QueueSpec:
    return QueueSpec(
        name=f"{NEWS}.{session}",
        arguments={"x-expires": int(NEWS_SECONDS * 1000)},
        bindings=((NEWS, "#"), (ASKS, "#")),
    )


def hearing(session: str) -> Sequence[Wanted]:
    """The objects that a runtime needs to hear the leader."""
    return Exchange(name=NEWS, type="topic"), asks_exchange(), news_queue(session)


def asks_exchange() -> Exchange:
    return Exchange(name=ASKS, type="topic")


def answers_queue(visit: str) -> QueueSpec:
    arguments = {"x-expires": int(ASKS_SECONDS * 1000), "x-max-length-bytes": RESULTS_BYTES_MAX}
    return QueueSpec(name=f"{ASKS}.{visit}", arguments=arguments)


def never_used(address: str, got: object) -> StoreError:
    return StoreError(f"expected a RabbitMQ that runtimes have used at {address}, got: {got}")


def foundation() -> Sequence[Wanted]:
    wanted: list[Wanted] = [
        Exchange(name=OUT, type="topic"),
        QueueSpec(name=DEAD, arguments=QUORUM),
        Exchange(name=NEWS, type="topic"),
        asks_exchange(),
        LEDGER_QUEUE,
        QueueSpec(name=LEADER, arguments={**QUORUM, "x-max-length": 1}),
        *(Exchange(name=_rung(rung), type="topic") for rung in range(RUNGS)),
    ]
    for rung in range(RUNGS):
        below = OUT if rung == 0 else _rung(rung - 1)
        before = "*." * (RUNGS - 1 - rung)
        arguments = {
            "x-queue-type": "quorum",
            "x-delivery-limit": -1,
            "x-message-ttl": UNIT_MS << rung,
            DEAD_LETTERS: below,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        wanted.append(QueueSpec(name=_rung(rung), arguments=arguments, bindings=((_rung(rung), f"{before}1.#"),)))
        wanted.append(Binding(source=_rung(rung), target=below, key=f"{before}0.#"))
    # Without this, a foreign message in a rung would stay there for ever, and many would block it.
    astray = tuple((OUT if rung == 0 else _rung(rung - 1), _rung(rung)) for rung in range(RUNGS))
    return [*wanted, QueueSpec(name=UNREADABLE, arguments=QUORUM, bindings=astray)]


def route(queue: str, delay: Seconds) -> tuple[str, str, Seconds]:
    """Exchange and routing key for a delay; and what remains to wait.

    At once: through the default exchange, straight into the queue.
    """
    units = math.ceil(min(delay, DELAY_SECONDS_MAX) * 1000 / UNIT_MS) if delay > 0 else 0
    if units == 0:
        return "", queue, 0.0
    digits = format(units, f"0{RUNGS}b")
    return _rung(units.bit_length() - 1), ".".join([*digits, queue]), max(0.0, delay - DELAY_SECONDS_MAX)


def ladder() -> Sequence[str]:
    """The queues of delayed jobs, of whatever name."""
    return [_rung(rung) for rung in range(RUNGS)]


def _rung(number: int) -> str:
    return f"{PREFIX}.delay.{number}"


class Names:
    """The names on a server where they begin with another prefix, so that applications can share a virtual host."""

    def __init__(self, prefix: str) -> None:
        self._prefix = f"{prefix}."
        self._is_ours = prefix == PREFIX

    def of(self, ours: str) -> str:
        """The name on the server. Routing keys and patterns have the prefix after the digits of the ladder."""
        return ours if self._is_ours else ours.replace(f"{PREFIX}.", self._prefix, 1)

    def messages(self, messages: Sequence[Message]) -> Sequence[Message]:
        if self._is_ours:
            return messages
        return [one._replace(exchange=self.of(one.exchange), key=self.of(one.key)) for one in messages]

    def wanted(self, one: Wanted) -> Wanted:
        match one:
            case Exchange():
                return replace(one, name=self.of(one.name))
            case Binding():
                return replace(one, source=self.of(one.source), target=self.of(one.target))
        arguments = {key: self.of(at) if key == DEAD_LETTERS else at for key, at in one.arguments.items()}
        bindings = tuple((self.of(source), self.of(key)) for source, key in one.bindings)
        return replace(one, name=self.of(one.name), arguments=arguments, bindings=bindings)
