"""Who leads on a RabbitMQ, and who leads next when the one that does hangs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

import pytest
from lamplighter import StoreUnavailable
from lamplighter.messages.boots import BootRecord
from lamplighter.stores.rabbitmq import leading, topology
from lamplighter.stores.rabbitmq.leading import LEASE_SECONDS, UNSEEN_PULSES_MAX
from lamplighter.stores.rabbitmq.link import PULSE_SECONDS, Arrival, Cancelled, Connected, Lost, Message, Sent, Wanted
from lamplighter.stores.rabbitmq.session import LEADER_SECONDS_MAX
from lamplighter.stores.rabbitmq.store import RabbitStore

from support.conformance.kit import NOW
from support.rabbitmq.model_link import ModelLink

from .model_world import World
from .test_ledger import paused, started, world

__all__ = ["world"]

FOUND_SECONDS = (UNSEEN_PULSES_MAX + 2) * PULSE_SECONDS


def ledger_link(store: RabbitStore) -> ModelLink:
    """The connection by which a store leads, or waits for the ledger."""
    candidacy = store._leading._candidacy
    assert candidacy is not None
    assert isinstance(candidacy.link, ModelLink)
    return candidacy.link


def taken_for_dead(world: World, store: RabbitStore) -> None:
    """The server ends the connection of a leader that hangs, which does not learn of that."""
    link, ledger = ledger_link(store), world.server.queues[topology.LEDGER]
    link.hush()
    ledger.consumers[:] = [consumer for consumer in ledger.consumers if consumer.link is not link]
    for tag, (queue, stored, _) in list(link._unacked.items()):
        if queue is ledger:
            del link._unacked[tag]
            world.server.give_back(queue, stored)


def a_boot(store: RabbitStore, kind: str = "worker") -> None:
    boot = BootRecord(boot="b", pid=4711, host="tower", started_at=NOW, hint=None, names=(), kind=kind)  # type: ignore[arg-type]
    with store.turn("b", NOW) as turn:
        turn.boots.register(boot)


def test_a_leader_that_stood_still_no_longer_leads_when_it_goes_on(world: World) -> None:
    leader, other = started(world), started(world)
    world.attended.remove(leader)
    taken_for_dead(world, leader)
    world.let_pass(LEASE_SECONDS)

    assert [store.leads for store in (leader, other)] == [False, True]


@pytest.mark.parametrize(("seconds", "leads"), [(LEASE_SECONDS - 2, True), (LEASE_SECONDS + 1, False)])
def test_a_lease_counts_from_when_a_leader_wrote_what_it_reads_back(
    world: World, monkeypatch: pytest.MonkeyPatch, seconds: float, leads: bool
) -> None:
    # A record that comes back late shows who had the ledger when it was written.
    leader = started(world)
    send = leader._link.send

    def send_slowly(messages: Sequence[Message]) -> Future[Sent]:
        world.server.later(seconds, lambda: send(messages))
        return Future()

    monkeypatch.setattr(leader._link, "send", send_slowly)
    world.let_pass(LEASE_SECONDS)
    led = []
    for _ in range(int(4 * LEASE_SECONDS)):
        world.let_pass(1.0)
        led.append(leader.leads)

    assert any(led) is leads


@pytest.mark.parametrize("what", ["connected", "lost", "arrived", "cancelled", "yield"])
def test_what_a_former_connection_to_the_ledger_still_says_is_not_heard(world: World, what: str) -> None:
    # The number of a session is that of its connection alone: the first of both is 1.
    leader = started(world)
    former, jobs = leader._leading._candidacy, leader._link
    assert former is not None and isinstance(jobs, ModelLink)
    jobs.lose("the network was cut")
    while leader._leading._candidacy in (None, former) or not leader.leads:
        world.let_pass(1.0)
        world.turn(leader)
    link = ledger_link(leader)
    written = json.dumps({"is": "pause", "name": "mail", "paused": 1, "by": "nobody"}).encode()
    late = {
        "connected": lambda: former.hear(Connected(link.session)),
        "lost": lambda: former.hear(Lost(link.session, "the network was cut")),
        "arrived": lambda: former.hear(Arrival(link.session, 4711, topology.LEDGER, written)),
        "cancelled": lambda: former.hear(Cancelled(link.session, topology.LEDGER)),
        "yield": lambda: leader._later(partial(leader._leading._yield, former)),
    }
    late[what]()
    led_on, session = leader.leads, leader._leading.ledger.session
    leader.jobs.outlook((), world.elapsed)

    assert (led_on, leader.leads, leader._leading.ledger.session) == (True, True, session)
    assert paused(leader) == ()
    assert ledger_link(leader) is link


def test_a_leader_that_reads_back_what_it_writes_leads_on(world: World) -> None:
    leader, other = started(world), started(world)

    led = []
    for _ in range(int(10 * LEASE_SECONDS)):
        world.let_pass(1.0)
        led.append((leader.leads, other.leads))

    assert set(led) == {(True, False)}


def test_a_leader_whose_broker_hangs_is_replaced_and_nobody_loses_a_session(world: World) -> None:
    leader = started(world)
    with leader.turn("b", NOW) as turn:
        turn.jobs.pause("work", paused=True)
    world.attended.remove(leader)
    other = started(world)
    world.let_pass(FOUND_SECONDS)

    assert (other.leads, paused(other)) == (True, ("work",))
    assert world.given_up == []


def test_a_start_goes_on_without_a_leader_that_hangs(world: World) -> None:
    leader = started(world)
    world.attended.remove(leader)

    other = world.store()

    # In one turn: a start does not give up before the server has found out.
    assert world.turn(other)
    assert world.elapsed <= FOUND_SECONDS
    assert other.leads


def test_an_error_names_the_leader_that_does_not_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leading, "UNSEEN_PULSES_MAX", 1_000_000)
    leader = started(world)
    a_boot(leader)
    world.attended.remove(leader)

    other = world.store()
    with (
        pytest.raises(
            StoreUnavailable,
            match=r"the runtime that leads \(boot b on host tower, process 4711, which was last heard of at 1970-",
        ),
        other.turn("c", NOW),
    ):
        pass

    assert world.elapsed >= LEADER_SECONDS_MAX


def test_a_first_leader_that_was_taken_for_dead_hears_the_next_one(world: World) -> None:
    # It had followed nobody: it passed over the next leader's sum while it led, and then all that came after it.
    leader, other = started(world), started(world)
    taken_for_dead(world, leader)
    world.let_pass(2)
    ledger_link(leader).lose("cut")
    with other.turn("b", NOW) as turn:
        turn.jobs.pause("work", paused=True)
    while not world.turn(leader):
        pass

    assert (other.leads, leader.leads, paused(leader)) == (True, False, ("work",))


@pytest.mark.parametrize("what", ["deleted", "moved"])
def test_a_leader_whose_consumer_the_server_has_ended_leads_no_more(world: World, what: str) -> None:
    leader, other = started(world), started(world)
    link, ledger = ledger_link(leader), world.server.queues[topology.LEDGER]
    (consumer,) = [one for one in ledger.consumers if one.link is link]
    # To end a connection takes a while, in which another may have the ledger.
    give_up, given_up = link.give_up, list[tuple[int, str]]()
    link.give_up = lambda *why: given_up.append(why)  # type: ignore[method-assign, assignment]
    if what == "deleted":
        world.server.delete(topology.LEDGER)
    else:
        ledger.consumers.remove(consumer)
        link.tell_cancelled(consumer)
    leader.jobs.outlook((), NOW)
    led_on = leader.leads
    give_up(*given_up[0])
    for store in (leader, other):
        while not world.turn(store):
            pass
    world.let_pass(LEASE_SECONDS)

    assert not led_on
    assert sum(store.leads for store in (leader, other)) == 1
    assert len({consumer.link for consumer in world.server.queues[topology.LEDGER].consumers}) == 2


def test_a_ledger_that_is_found_while_it_is_deleted_is_made_again_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, declare, found = started(world), world.server.declare, [topology.LEDGER_QUEUE]

    def declare_or_find(wanted: Wanted) -> None:
        if wanted in found:
            found.remove(topology.LEDGER_QUEUE)
        else:
            declare(wanted)

    monkeypatch.setattr(world.server, "declare", declare_or_find)
    world.server.delete(topology.LEDGER)

    assert world.turn(leader)


def test_a_producer_that_does_not_lead_has_no_second_connection(world: World) -> None:
    leader, producer = started(world), started(world)
    a_boot(leader)
    a_boot(producer, "producer")
    world.let_pass(2 * PULSE_SECONDS)

    assert producer._leading._candidacy is None
    assert [consumer.link for consumer in world.server.queues[topology.LEDGER].consumers] == [ledger_link(leader)]
