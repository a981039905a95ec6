"""A store with a prefix of its own: each call reaches the link whole, with the names of the server in its names."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from lamplighter.stores.rabbitmq.link import Binding, Exchange, Link, Message, QueueSpec
from lamplighter.stores.rabbitmq.prefixed import EXCHANGE, PrefixedLink

OURS, THEIRS = "lamplighter.job.work", "shop.job.work"
MESSAGE = Message(
    exchange="lamplighter.delay.3",
    key=f"1.0.1.{OURS}",
    body=b"lamplighter.job.work stays as it is in here",
    priority=5,
    reply_to="lamplighter.results.b",
    message_id="j1",
    headers={"lamplighter-rest": 7},
    mandatory=False,
    lives=2.5,
)
WANTED = [
    Exchange(name="lamplighter.out", type="topic"),
    QueueSpec(
        name=OURS, arguments={EXCHANGE: "lamplighter.out", "x-max": 1}, bindings=(("lamplighter.out", f"#.{OURS}"),)
    ),
    Binding(source="lamplighter.delay.1", target="lamplighter.delay.0", key="*.0.#"),
]
THEIRS_WANTED = [
    Exchange(name="shop.out", type="topic"),
    QueueSpec(name=THEIRS, arguments={EXCHANGE: "shop.out", "x-max": 1}, bindings=(("shop.out", f"#.{THEIRS}"),)),
    Binding(source="shop.delay.1", target="shop.delay.0", key="*.0.#"),
]


class Heard:
    """Notes each call of a link."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: self.calls.append((name, given, named)) or f"answer of {name}"


def call(*_: object) -> None:
    pass


EVENT = threading.Event()

CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any], tuple[Any, ...]]] = {
    "start": ((call,), {}, (call,)),
    "stop": ((), {}, ()),
    "give_up": ((3, "silent"), {}, (3, "silent")),
    "after": ((1.5, call), {}, (1.5, call)),
    "wait": ((EVENT, 2.5), {}, (EVENT, 2.5)),
    "setup": ((WANTED,), {}, (THEIRS_WANTED,)),
    "send": (([MESSAGE],), {}, ([MESSAGE._replace(exchange="shop.delay.3", key=f"1.0.1.{THEIRS}")],)),
    "acknowledge": ((3, (1, 2), (4,)), {}, (3, (1, 2), (4,))),
    "consume": ((3, OURS, "tag"), {"prefetch": 5, "apart": True}, (3, THEIRS, "tag")),
    "cancel": ((3, "tag"), {}, (3, "tag")),
    "delete": ((3, OURS), {}, (3, THEIRS)),
    "look": ((OURS,), {}, (THEIRS,)),
    "browse": ((OURS, call), {}, (THEIRS, call)),
}
ANSWERED = {"setup", "send", "look", "browse"}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_passed_on_with_all_that_it_says(name: str) -> None:
    given, named, theirs = CALLS[name]
    link = Heard()

    answer = getattr(PrefixedLink(link, "shop"), name)(*given, **named)  # type: ignore[arg-type]

    assert link.calls == [(name, theirs, named)]
    assert answer == (f"answer of {name}" if name in ANSWERED else None)


def test_every_call_of_a_link_is_in_the_table() -> None:
    assert {name for name, value in vars(Link).items() if callable(value) and not name.startswith("_")} == set(CALLS)
