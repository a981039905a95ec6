"""When a session is given up, and when it is not: on the model, in time that passes while somebody waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import count

import pytest
from lamplighter import StoreUnavailable
from lamplighter.messages.queries import JobQuery
from lamplighter.stores.rabbitmq import topology
from lamplighter.stores.rabbitmq.deliveries import LAG_SECONDS, Deliveries
from lamplighter.stores.rabbitmq.health_issues import ALARM_SECONDS, SILENCE_SECONDS_MAX
from lamplighter.stores.rabbitmq.job_message import ended
from lamplighter.stores.rabbitmq.link import (
    NOT_FOUND,
    PULSE_SECONDS,
    Arrival,
    Blocked,
    Browsed,
    Message,
    Pulse,
    QueueSpec,
    Refused,
    Wanted,
)
from lamplighter.stores.troubles import HealthIssue

from support.rabbitmq import model_link

from .model_world import World
from .test_job_runs import CLAIMED


@pytest.fixture
def world() -> World:
    return World()


Pulses = Callable[[int], tuple[int | None, int | None]]


@pytest.mark.parametrize(
    ("pulses", "is_silent"),
    [
        (lambda number: (7, None), True),
        (lambda number: (None, 7), True),
        (lambda number: (number, None), False),
        (lambda number: (None, number), False),
        (lambda number: (None, None), False),
    ],
    ids=["nothing is confirmed", "nothing is declared", "slow confirms", "slow declares", "all is answered"],
)
def test_a_session_is_given_up_if_the_same_question_stays_open(world: World, pulses: Pulses, is_silent: bool) -> None:
    store = world.store()
    assert world.turn(store)

    for number in range(int(SILENCE_SECONDS_MAX / PULSE_SECONDS) + 2):
        world.elapsed += PULSE_SECONDS
        store.hear(Pulse(*pulses(number)))
        store.jobs.outlook((), world.elapsed)

    assert bool(world.given_up) == is_silent


def test_a_new_session_has_as_long_to_answer_as_the_one_before(world: World) -> None:
    store = world.store()
    assert world.turn(store)

    for _ in range(2):
        for _ in range(int(0.8 * SILENCE_SECONDS_MAX / PULSE_SECONDS)):
            world.elapsed += PULSE_SECONDS
            store.hear(Pulse(7, None))
            store.jobs.outlook((), world.elapsed)
        world.server.cut(store._link)  # type: ignore[arg-type]
        world.server.let_pass(1.0)
        assert world.turn(store)

    assert world.given_up == []


def test_a_server_that_has_said_that_it_takes_nothing_in_is_not_given_up(world: World) -> None:
    store = world.store()
    assert world.turn(store)
    store.hear(Blocked("low on memory"))

    for _ in range(10):
        world.elapsed += PULSE_SECONDS
        store.hear(Pulse(7, 7))
        store.jobs.outlook((), world.elapsed)

    assert world.given_up == []


def test_a_runtime_that_is_not_told_that_an_alarm_is_over_finds_out(world: World) -> None:
    """When the node that had the alarm died, a server told nothing to those that it had blocked (on GitHub:
    rabbitmq-server#362). Every runtime waited for ever, the leader of the schedules too.
    """
    store = world.store()
    assert world.turn(store)
    world.attended.append(store)
    world.server.set_alarm("low on memory")
    store._link.hush()
    world.server.set_alarm(None)

    world.let_pass(ALARM_SECONDS - PULSE_SECONDS)
    waits = world.turn(store)
    world.let_pass(3 * PULSE_SECONDS)

    assert not waits
    assert world.turn(store)
    assert len(world.given_up) == 1


@pytest.mark.parametrize("wait", [0.0, 60.0])
def test_a_start_waits_for_a_server_that_is_booting_if_it_is_to(world: World, wait: float) -> None:
    world.server.restart(20.0)

    store = world.store(wait=wait)

    assert (bool(store._session), world.elapsed >= 20.0) == (wait > 0.0, wait > 0.0)


def test_a_start_that_waits_does_so_for_so_long_and_no_longer(world: World) -> None:
    world.server.restart(100.0)

    store = world.store(wait=60.0)

    assert (store._session, world.elapsed) == (0, 60.0)


def test_the_queue_for_results_ends_with_a_runtime_that_stops(world: World) -> None:
    store, other = world.store(), world.store()
    world.attended.append(store)
    assert world.turn(store)
    assert world.turn(other)

    other.close()

    assert [name for name in world.server.queues if ".results." in name] == [store.state.results_name]


@pytest.mark.parametrize("seconds", [1.0, 60.0])
def test_results_have_another_node_while_theirs_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(model_link, "AWAY_SECONDS", seconds)
    store = world.store()
    world.attended.append(store)
    assert world.turn(store)
    first = store.state.results_name
    world.server.away.add(str(first))

    world.server.cut(store._link)  # type: ignore[arg-type]
    world.let_pass(10.0)
    while not world.turn(store) and world.elapsed < 120.0:
        pass

    second = store.state.results_name
    assert second != first
    assert [one.link for one in world.server.queues[str(second)].consumers] == [store._link]
    reasons = [] if seconds < 10.0 else [f"it does not find the node of the queue {first}"]
    assert [reason for _, reason in world.given_up] == reasons
    # One session before the cut, and no other is lost for want of the new queue.
    assert store._session == 2 + len(reasons)


def test_a_start_says_what_was_put_aside_before_it(world: World) -> None:
    for wanted in topology.foundation():
        world.server.declare(wanted)
    world.server.publish(Message("", topology.UNREADABLE, b"garbage"))

    store = world.store()
    assert world.turn(store)
    store.jobs.outlook((), world.elapsed)

    reason = f"1 message in {topology.UNREADABLE} cannot be read: see lamplighter unreadable"
    assert store.health_issues() == [HealthIssue("yellow", reason)]


@pytest.mark.parametrize("code", [403, NOT_FOUND])
def test_a_refusal_is_said_until_the_server_lets_the_runtime_in(
    world: World, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """What is not found may be there the next time, and asks nobody to do something."""
    store = world.store()
    monkeypatch.setattr(world.server, "declare", lambda wanted: (_ for _ in ()).throw(Refused("not allowed", code)))

    with pytest.raises(StoreUnavailable, match="cannot be used: not allowed"), store.turn("boot", world.elapsed):
        """It has not begun."""
    refused = store.health_issues()
    monkeypatch.undo()

    said = HealthIssue("red", "the store refuses this runtime: not allowed")
    assert refused == [said] * (code != NOT_FOUND)
    assert (world.turn(store), store.health_issues()) == (True, [])


def test_another_refusal_than_that_a_node_is_away_gives_results_no_other_queue(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare, refused = world.server.declare, list[str]()

    def refuse(wanted: Wanted) -> None:
        if isinstance(wanted, QueueSpec) and ".results." in wanted.name and not refused:
            refused.append(wanted.name)
            raise Refused("not allowed", 403)
        declare(wanted)

    monkeypatch.setattr(world.server, "declare", refuse)
    store = world.store()
    while not world.turn(store) and world.elapsed < 120.0:
        pass

    assert [store.state.results_name] == refused


def test_dead_jobs_that_come_too_late_go_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    store, late, back = world.store(), Future[Browsed](), list[Sequence[int]]()
    store.dead._client.answer_seconds_max = 0.0
    monkeypatch.setattr(store._link, "browse", lambda queue, see: late)

    with pytest.raises(StoreUnavailable):
        store.dead.find(JobQuery(), limit=10)
    late.set_result(Browsed(lambda tags: (back.append(tags), Future[None]())[1]))

    assert back == [()]


def test_news_and_results_are_acknowledged_together_once_they_were_taken_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.store()
    assert world.turn(store)
    store.jobs.outlook((), world.elapsed)
    acked: list[list[int]] = []
    monkeypatch.setattr(store._link, "acknowledge", lambda session, tags: acked.append(tags))

    for tag in (-7, -8):
        store.hear(Arrival(store._session, tag, "results-1", ended(CLAIMED._replace(id=f"j{tag}", state="done"))))
    store.hear(Arrival(store._session, -9, "news-1", b"{}"))
    store.jobs.outlook((), world.elapsed)
    store.jobs.outlook((), world.elapsed)

    assert acked == [[-7, -8, -9]]
    assert set(store.jobs.known(["j-7", "j-8"])) == {"j-7", "j-8"}


class Notes:
    """A link that notes when it is to be woken."""

    def __init__(self) -> None:
        self.wakes: list[float] = []

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        self.wakes.append(seconds)

    def consume(self, *_: object, **__: object) -> None:
        pass

    cancel = acknowledge = consume


def test_a_window_that_breathes_has_one_timer(world: World) -> None:
    link, tags = Notes(), count(1)
    deliveries = Deliveries(link, world.monotonic, lambda: f"jobs-{next(tags)}", lambda: None)  # type: ignore[arg-type]
    for step in range(100):
        world.elapsed = 1.0 + LAG_SECONDS * step / 100
        deliveries.set_window("work", 20 if step % 2 == 0 else 4)
        deliveries.adjust()

    assert len(link.wakes) == 1
