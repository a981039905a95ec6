"""A queue of jobs is declared while the server deletes it, on the model: it is gone between two steps of the server."""

from __future__ import annotations

import pytest
from lamplighter import StoreUnavailable
from lamplighter.stores.rabbitmq import topology
from lamplighter.stores.rabbitmq.link import NOT_FOUND, QueueSpec, Refused, Wanted
from lamplighter.stores.rabbitmq.store import DECLARE_TRIES_MAX, RabbitStore

from support.conformance.kit import FAILED, NOW, RETRY, new, take

from .model_world import STEP_SECONDS, World

QUEUE = topology.queue_of("work")


def dies_while_declared(world: World, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The server finds no queue so many times where it has just found one."""
    declare, left = world.server.declare, [times]

    def find_none(wanted: Wanted) -> None:
        if isinstance(wanted, QueueSpec) and wanted.name == QUEUE and left[0]:
            left[0] -= 1
            raise Refused(f"no queue {QUEUE}", NOT_FOUND)
        declare(wanted)

    monkeypatch.setattr(world.server, "declare", find_none)


def ready(world: World) -> RabbitStore:
    store = world.store()
    while not world.turn(store):
        pass
    return store


def queue(store: RabbitStore, name: str) -> None:
    with store.turn("b", NOW) as turn:
        turn.jobs.insert([new(name, name=name)])


def test_a_queue_that_is_deleted_while_it_is_declared_is_declared_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The name stopped for up to ten seconds, `queue` raised a StoreError, and health was red (two runtimes on 4.0)."""
    world = World()
    store = ready(world)
    dies_while_declared(world, monkeypatch, times=2)

    queue(store, "work")

    assert len(world.server.queues[QUEUE].ready) == 1
    assert store.health_issues() == []


def test_a_queue_that_was_deleted_meanwhile_is_declared_by_the_turn_that_needs_it() -> None:
    world = World()
    store = ready(world)
    queue(store, "work")
    for gone in (QUEUE, topology.UNREADABLE):
        world.server.delete(gone)

    with store.turn("b", NOW) as turn:
        turn.jobs.insert([new("another", name="work")])

    assert [stored.message.message_id for stored in world.server.queues[QUEUE].ready] == ["another"]
    assert topology.UNREADABLE in world.server.queues
    assert store.health_issues() == []


def test_what_a_queue_does_not_take_is_not_stored() -> None:
    world = World()
    store = ready(world)
    queue(store, "work")
    queue(store, "other")
    world.server.away.add(QUEUE)

    with pytest.raises(StoreUnavailable, match="it took 2 of 3 messages"), store.turn("b", NOW) as turn:
        turn.jobs.insert([new("a", name="other"), new("b", name="work"), new("c", name="other")])


def test_jobs_that_were_taken_beside_a_refused_one_are_not_published_again() -> None:
    """Whoever queued them is told only of a later turn, which published them a second time, for any runtime to run."""
    world = World()
    store = ready(world)
    queue(store, "work")
    queue(store, "other")
    world.server.away.add(QUEUE)
    one, refused, another = new("a", name="other"), new("b", name="work"), new("c", name="other", run_at=NOW + 1)
    with pytest.raises(StoreUnavailable, match="it took 2 of 3 messages"), store.turn("b", NOW) as turn:
        turn.jobs.insert([one, refused, another])
    world.server.away.clear()
    store.state.ailing.look()

    with store.turn("b", NOW) as turn:
        turn.jobs.insert([one, refused, another])
        assert [(step.event, step.job.id) for step in turn.transitions] == [("job.queued", id) for id in "abc"]

    stored = [found.message.message_id for queue in world.server.queues.values() for found in queue.ready]
    assert {id: stored.count(id) for id in "abc"} == {"a": 1, "b": 1, "c": 1}
    assert len(store.state.memory.taken) == 0


@pytest.mark.parametrize("beside", ["nothing", "another"])
def test_a_retry_that_a_full_queue_refuses_goes_around_it_if_no_new_job_is_refused(beside: str) -> None:
    """The turn failed, and published the ends that the server had taken once more."""
    world = World()
    store = ready(world)
    queue(store, "work")
    queue(store, "other")
    while not (held := take(store)):
        world.wait(STEP_SECONDS)
    world.server.away.add(QUEUE)

    def settle() -> None:
        with store.turn("b", NOW) as turn:
            turn.jobs.settle(held[0], FAILED, RETRY)
            turn.jobs.insert([new("a", name="other"), *([new("b")] if beside == "another" else [])])

    if beside == "another":
        with pytest.raises(StoreUnavailable, match="it took 1 of 3 messages"):
            settle()
        return
    settle()

    stored = {name: [one.message.message_id for one in found.ready] for name, found in world.server.queues.items()}
    assert (stored[topology.queue_of("other")], stored[QUEUE]) == (["other", "a"], [])
    assert [stored[rung] for rung in topology.ladder() if stored[rung]] == [["work"]]
    assert len(store.state.deliveries.held) == 0
    assert [ailment.reason.partition(":")[0] for ailment in store.health_issues()] == [
        "the queue of work takes no more"
    ]


def test_a_job_with_the_id_of_one_that_was_taken_and_with_other_data_is_published() -> None:
    world = World()
    store = ready(world)
    queue(store, "work")
    queue(store, "other")
    world.server.away.add(QUEUE)
    with pytest.raises(StoreUnavailable), store.turn("b", NOW) as turn:
        turn.jobs.insert([new("a", name="other"), new("b", name="work")])

    with store.turn("b", NOW) as turn:
        turn.jobs.insert([new("a", name="other", data="1")])

    stored = [found.message.message_id for found in world.server.queues[topology.queue_of("other")].ready]
    assert stored.count("a") == 2


def test_a_queue_that_is_never_found_stops_its_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    store = ready(world)
    dies_while_declared(world, monkeypatch, times=DECLARE_TRIES_MAX)

    with pytest.raises(StoreUnavailable):
        queue(store, "work")
    queue(store, "other")

    assert [ailment.reason for ailment in store.health_issues()] == [f"work has stopped: no queue {QUEUE}"]
