"""The short turn of RabbitMQ publishes what an ordinary turn would, or leaves it to one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial

import pytest
from lamplighter import Runtime, StoreUnavailable
from lamplighter.messages.clock_steps import KnownClock, Reading
from lamplighter.messages.jobs import NewJob
from lamplighter.stores.ports import Born
from lamplighter.stores.rabbitmq.link import Blocked, LinkLost
from lamplighter.stores.rabbitmq.state import PendingCommit
from lamplighter.stores.rabbitmq.topology import job_queue
from lamplighter.testing import Simulation

from support.conformance.kit import NOW, a_boot, new, put, take
from support.rabbitmq.model import ModelServer
from support.rabbitmq.model_link import MODEL, ModelLink
from support.rabbitmq.simulated import SimulatedRabbitMQ

from .test_conformance import PatientStore, its_environment

READING = Reading(NOW + 5, "this start", 1.0)


@pytest.fixture
def server() -> ModelServer:
    return ModelServer()


@pytest.fixture
def store(server: ModelServer) -> Iterator[PatientStore]:
    """A store whose boot is known, and on which the queue of `work` has been declared."""
    store = PatientStore(MODEL, ModelLink(server), partial(ModelLink, server), environment=its_environment())
    store.open()
    with store.turn("b", NOW) as turn:
        turn.boots.register(a_boot("b"))
        turn.keep_time(READING._replace(now=NOW), may_have_gone_back=False)
    put(store, new("first"))
    store._drain()
    yield store
    store.close()


def bear(store: PatientStore, *jobs: NewJob, reading: Reading | None = READING) -> Born | None:
    return store.bear("b", store.version, jobs or (new("a"),), lambda: reading)


def ready(server: ModelServer) -> int:
    return len(server.queues[job_queue("work").name].ready)


def test_jobs_are_published_and_delivered_as_those_of_an_ordinary_turn(store, server) -> None:
    born = bear(store, new("a"), new("b", priority=9))

    with store.turn("b", NOW + 5) as turn:
        ((ordinary, _),) = turn.jobs.insert([new("c")])

    assert born is not None
    assert [(step.event, step.before) for step in born.moves] == [("job.queued", None)] * 2
    assert born.moves[0].job._replace(id="c", root_id="c") == ordinary
    assert {job.id for job in take(store, begun=9)} == {"first", "a", "b", "c"}


@pytest.mark.parametrize("delay", [0.0, 60.0])
def test_a_job_that_its_runtime_queues_again_by_its_id_is_published_once(store, delay) -> None:
    job = new("a", run_at=NOW + delay, due_in=delay)
    with store.turn("b", NOW) as turn:
        ((first, is_fresh),) = turn.jobs.insert([job])
    with store.turn("b", NOW) as turn:
        (again,) = turn.jobs.insert([job])
        moves = turn.transitions

    assert (is_fresh, again, moves) == (True, (first, False), [])


def test_each_turn_has_the_next_number_and_is_kept_until_the_next(store) -> None:
    numbers = [bear(store, new(job_id)).did.turn for job_id in "ab"]

    boot = store.state.own_boots["b"]
    with store.turn("b", NOW + 5) as turn:
        turn.jobs.insert([new("c")])

    assert (boot.turn, [kept.turn for kept in boot.unlogged]) == (numbers[1], [numbers[1]])
    assert numbers[1] == numbers[0] + 1
    assert turn.did.turn == numbers[1] + 1


def a_pending_commit(store: PatientStore) -> None:
    with store.turn("b", NOW) as turn:
        pass
    store.state.pending_commit = PendingCommit(turn.ops, iter(()), Future())


CASES: dict[str, Callable[[PatientStore], object]] = {
    "blocked": lambda store: store._take_in(Blocked("memory")),
    "heard": lambda store: store._later(lambda: None),
    "news": lambda store: store._news.append(("scheduler.leads", {})),
    "pending": a_pending_commit,
    "no-session": lambda store: store._end_session("it was lost", False),
    "unprepared": lambda store: setattr(store, "_prepared", 0),
    "boot": lambda store: store.state.own_boots.clear(),
    "stopped": lambda store: store.state.ailing.stopped.update(work="it is gone"),
    "full": lambda store: setattr(store.state.ailing, "full", frozenset({"work"})),
    "undeclared": lambda store: store._declared.clear(),
    "unknown-name": lambda store: store.state.shared.names.clear(),
    "stepped": lambda store: setattr(store.state, "clock", KnownClock("this start", READING.offset - 5.0)),
    "restarted": lambda store: setattr(store.state, "clock", KnownClock("another start", READING.offset)),
    "known": lambda store: store.state.memory.queued.put(new_record(store)),
    "size": lambda store: setattr(store._link, "bytes_max", 1_000),
}


def new_record(store: PatientStore):
    return store.state.memory.queued.get("first")._replace(id="a")


@pytest.mark.parametrize("spoil", CASES.values(), ids=CASES)
def test_everything_else_is_left_to_an_ordinary_turn(store, server, spoil) -> None:
    spoil(store)
    before = ready(server)

    assert bear(store) is None
    assert ready(server) == before


def test_an_older_version_and_a_clock_in_doubt_are_left_to_an_ordinary_turn(store, server) -> None:
    before = ready(server)

    assert store.bear("b", store.version - 1, [new("a")], lambda: READING) is None
    assert bear(store, reading=None) is None
    assert ready(server) == before


def test_a_job_for_which_a_lane_is_free_is_started_by_its_delivery_alone() -> None:
    started = []

    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", lambda job: started.append(job.data), concurrency=50)

    with Simulation(register, server=SimulatedRabbitMQ) as simulation:
        for number in range(20):
            simulation.run(seconds=3)
            simulation.runtime.jobs.queue("work", number)
        simulation.run(seconds=10)

    assert started == [*range(20)]


def test_two_calls_with_one_id_in_one_turn_are_left_to_an_ordinary_turn(store, server) -> None:
    before = ready(server)

    assert bear(store, new("a"), new("a")) is None
    assert ready(server) == before


def test_a_job_whose_birth_was_not_confirmed_is_the_same_job_when_asked_for_again(store, server) -> None:
    link = store._link
    send = link.send

    def send_and_lose(messages):
        send(messages)
        link.lose("the connection was cut")
        lost: Future = Future()
        lost.set_exception(LinkLost("the connection was cut"))
        return lost

    link.send = send_and_lose
    with pytest.raises(StoreUnavailable):
        bear(store)
    link.send = send
    server.let_pass(1.0)
    before = store.state.own_boots["b"].turn

    with store.turn("b", NOW + 9) as turn:
        ((job, _),) = turn.jobs.insert([new("a", queued_at=NOW + 9, run_at=NOW + 9)])

    assert job.queued_at == NOW
    assert turn.did.turn == before + 1
