"""What stands on a server: under which names, and how long a job waits on the ladder of delays."""

from __future__ import annotations

import pytest
from lamplighter.stores.rabbitmq import topology
from lamplighter.stores.rabbitmq.link import Message, QueueSpec, Wanted
from lamplighter.stores.rabbitmq.topology import DELAY_SECONDS_MAX, RUNGS, UNIT_MS, Names

from support.rabbitmq.model import ModelServer

WORK = topology.job_queue("work")
EVERYTHING: tuple[Wanted, ...] = (
    *topology.foundation(),
    *topology.hearing("session"),
    WORK,
    topology.results_queue("runtime"),
    topology.answers_queue("visit"),
)
MESSAGES = (
    Message("", WORK.name, b"lamplighter.job.work", message_id="lamplighter.1"),
    Message(*topology.route(WORK.name, 60.0)[:2], b""),
    Message(topology.ASKS, "all", b""),
)


@pytest.mark.parametrize("prefix", ["lamplighter", "shop"])
def test_under_another_prefix_all_names_begin_with_it_and_nothing_else_changes(prefix: str) -> None:
    names = Names(prefix)

    there = [names.wanted(one) for one in EVERYTHING]
    sent = names.messages(MESSAGES)

    assert [repr(one) for one in there] == [repr(one).replace("lamplighter.", f"{prefix}.") for one in EVERYTHING]
    assert [(one.exchange, one.key) for one in sent] == [
        (one.exchange.replace("lamplighter.", f"{prefix}."), one.key.replace("lamplighter.", f"{prefix}."))
        for one in MESSAGES
    ]
    assert [one._replace(exchange="", key="") for one in sent] == [
        one._replace(exchange="", key="") for one in MESSAGES
    ]


@pytest.mark.parametrize("seconds", [0.05, 0.06, 1.0, 3600.0, DELAY_SECONDS_MAX])
def test_a_job_waits_so_long_on_the_ladder_and_less_than_a_unit_more(seconds: float) -> None:
    server = ModelServer()
    for wanted in EVERYTHING:
        server.declare(wanted)
    exchange, key, rest = topology.route(WORK.name, seconds)

    server.publish(Message(exchange, key, b"job"))
    server.let_pass(seconds - 0.001)
    before = len(server.queues[WORK.name].ready)
    server.let_pass(UNIT_MS / 1000)

    assert (rest, before, [one.message.body for one in server.queues[WORK.name].ready]) == (0.0, 0, [b"job"])


def test_what_waits_longer_than_the_ladder_is_long_walks_again() -> None:
    exchange, key, rest = topology.route(WORK.name, DELAY_SECONDS_MAX + 7.5)

    assert (exchange, key) == (f"lamplighter.delay.{RUNGS - 1}", ".".join([*"1" * RUNGS, WORK.name]))
    assert rest == pytest.approx(7.5)
    assert topology.route(WORK.name, 0.0) == topology.route(WORK.name, -1.0) == ("", WORK.name, 0.0)


def test_a_message_astray_on_the_ladder_becomes_unreadable_instead_of_staying() -> None:
    server = ModelServer()
    for wanted in topology.foundation():
        server.declare(wanted)

    for number, rung in enumerate(topology.ladder()):
        server.publish(Message("", rung, b"astray"))
        server.let_pass((UNIT_MS << number) / 1000)

        left = {name: len(queue.ready) for name, queue in server.queues.items() if queue.ready}
        assert left == {topology.UNREADABLE: number + 1}


@pytest.mark.parametrize("name", ["work", "a:b_c-1", "two words", "größe", "dots.in.it", "x" * 200, "x" * 300])
def test_each_job_name_has_a_queue_of_its_own_that_the_ladder_can_reach(name: str) -> None:
    queue = topology.queue_of(name)

    assert len(queue.encode()) <= topology.KEY_BYTES_MAX
    assert "." not in queue.removeprefix("lamplighter.job.")
    assert queue != topology.queue_of(f"{name}.") != topology.queue_of(f"{name} ")
    assert (queue == f"lamplighter.job.{name}") == (name in ("work", "a:b_c-1"))
    assert topology.job_queue(name) == QueueSpec(
        name=queue, arguments=topology.QUORUM, bindings=((topology.OUT, f"#.{queue}"),)
    )
