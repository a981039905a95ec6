"""What becomes of jobs that were delivered and are not wanted any more, because those before them take longer."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from lamplighter import Job
from lamplighter.stores.rabbitmq.deliveries import LAG_SECONDS, STUCK_SECONDS, Deliveries, Delivery
from lamplighter.stores.rabbitmq.job_message import waiting
from lamplighter.stores.rabbitmq.link import Arrival
from lamplighter.stores.transitions import born
from lamplighter.testing import Simulation

from support.conformance.kit import new
from support.rabbitmq.simulated import SimulatedRabbitMQ

from .test_schedules import lines_of

SESSION = 1


class Server:
    """A link that delivers as much as it is asked for, and notes what it is given back, or published anew."""

    def __init__(self) -> None:
        self.now = 0.0
        self.back: list[int] = []
        self.anew: list[int] = []
        self.ended: list[str] = []
        self.alarms: list[float] = []
        self._tags, self._consumers = count(1), count(1)
        self.deliveries = Deliveries(
            self,  # type: ignore[arg-type]
            lambda: self.now,
            lambda: f"jobs-{next(self._consumers)}",
            lambda: None,
        )
        self.deliveries.begin(SESSION)

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Time passes by `let_pass` alone."""
        self.alarms.append(self.now + seconds)

    def consume(self, session: int, queue: str, consumer: str, *, prefetch: int) -> None:
        for _ in range(prefetch):
            self.deliver(consumer)

    def deliver(self, consumer: str, *, redeliveries: int = 0, is_taken_in: bool = True) -> None:
        tag = next(self._tags)
        body = waiting(born(new(f"job-{tag}"), 0))
        self.deliveries.arrived(
            Arrival(session=SESSION, tag=tag, consumer=consumer, body=body, redeliveries=redeliveries)
        )
        if is_taken_in:
            self.take_in()

    def take_in(self) -> None:
        while self.deliveries.fresh:
            self.deliveries.wait(self.deliveries.fresh.popleft())

    def cancel(self, session: int, consumer: str) -> None:
        self.ended.append(consumer)

    def acknowledge(self, session: int, acks: object, requeue: tuple[int, ...] = ()) -> None:
        self.back += requeue

    def want(self, size: int) -> None:
        self.deliveries.set_window("work", size)
        self.take_turn()

    def let_pass(self, seconds: float) -> None:
        self.now += seconds
        self.take_turn()
        for _ in range(2):
            if self.deliveries.notice_surplus():
                self.take_turn()
        assert not self.deliveries.notice_surplus(), "it takes one turn after the other"

    def take_turn(self) -> None:
        for delivery in self.deliveries.stuck():
            self.deliveries.drop(delivery)
            self.anew.append(delivery.arrival.tag)
        self.deliveries.adjust()

    def run(self, deliveries: list[Delivery]) -> None:
        """Let lanes have these."""
        for delivery in deliveries:
            self.deliveries.take(delivery)

    @property
    def waiting(self) -> list[Delivery]:
        return list(self.deliveries.waiting["work"])


@pytest.fixture
def server() -> Server:
    server = Server()
    server.want(4)
    server.want(10)
    server.want(4)
    return server


def test_what_is_not_wanted_any_more_may_still_be_worked_off_for_a_while(server: Server) -> None:
    server.run(server.waiting[:4])
    server.let_pass(STUCK_SECONDS / 2)
    kept = len(server.waiting)
    for delivery in server.waiting:
        server.deliveries.drop(delivery)
    server.let_pass(LAG_SECONDS)

    assert (server.ended, kept, server.anew, server.back) == (["jobs-2"], 6, [], [])


def test_what_is_not_worked_off_by_then_goes_to_others(server: Server) -> None:
    server.run(server.waiting[:4])
    server.let_pass(STUCK_SECONDS)

    assert (server.anew, server.back, server.waiting) == ([5, 6, 7, 8, 9, 10], [], [])


def test_nothing_is_stuck_behind_jobs_that_lanes_take(server: Server) -> None:
    """Four processes on a busy machine published a fifth of their jobs anew, and ended all consumers each time."""
    server.run(server.waiting[:4])
    server.now += STUCK_SECONDS * 0.9
    server.run(server.waiting[:1])
    server.let_pass(STUCK_SECONDS * 0.9)
    while_taken = list(server.ended), list(server.anew)
    server.let_pass(STUCK_SECONDS * 0.1)

    assert while_taken == ([], [])
    assert server.anew == [6, 7, 8, 9, 10]


def test_what_is_stuck_goes_though_its_consumer_has_just_ended(server: Server) -> None:
    server.run(server.waiting[:4])
    for delivery in server.waiting:
        server.deliveries.drop(delivery)
    server.let_pass(LAG_SECONDS - STUCK_SECONDS / 2)
    server.deliver("jobs-2")
    server.let_pass(STUCK_SECONDS / 2)
    ended, anew = list(server.ended), list(server.anew)
    server.let_pass(STUCK_SECONDS / 2)

    assert (ended, anew) == (["jobs-2"], [])
    assert (server.anew, server.back) == ([11], [])


def test_a_delivery_that_has_failed_before_fails_again(server: Server) -> None:
    server.run(server.waiting)
    server.deliver("jobs-2", redeliveries=1)
    server.let_pass(LAG_SECONDS)
    back = list(server.back)
    server.let_pass(LAG_SECONDS)

    assert (back, server.back, server.anew) == ([], [11], [])


def test_what_comes_once_a_consumer_was_ended_long_ago_goes_back_at_once(server: Server) -> None:
    server.run(server.waiting[:4])
    server.let_pass(STUCK_SECONDS)
    server.let_pass(LAG_SECONDS)
    server.deliver("jobs-2")

    assert (server.back, server.waiting) == ([11], [])


def test_lanes_with_jobs_of_an_ended_consumer_have_no_room_for_those_of_another(server: Server) -> None:
    for delivery in server.waiting[:4]:
        server.deliveries.drop(delivery)
    server.run(server.waiting[:4])
    for delivery in server.waiting:
        server.deliveries.drop(delivery)
    server.let_pass(LAG_SECONDS)
    ended = list(server.ended)
    server.let_pass(LAG_SECONDS)
    server.let_pass(LAG_SECONDS)

    assert (ended, server.ended) == (["jobs-2"], ["jobs-2", "jobs-1"])


def test_what_is_stuck_of_a_consumer_that_the_server_has_ended_goes(server: Server) -> None:
    server.deliveries.cancelled(SESSION, "jobs-2")
    server.run(server.waiting[:4])
    server.let_pass(STUCK_SECONDS)

    assert (server.anew, server.waiting) == ([5, 6, 7, 8, 9, 10], [])


def test_where_nothing_is_wanted_all_goes_back_at_once(server: Server) -> None:
    server.want(0)

    assert (sorted(server.back), server.waiting) == ([*range(1, 11)], [])


def test_what_came_while_its_consumer_left_goes_too(server: Server) -> None:
    server.deliver("jobs-2", is_taken_in=False)
    server.want(0)
    server.take_in()
    server.let_pass(0.0)

    assert (sorted(server.back), server.waiting, server.anew) == ([*range(1, 11)], [], [11])


def test_a_claim_that_is_undone_once_its_consumer_has_left_goes_too(server: Server) -> None:
    claimed = server.waiting[0]
    server.run([claimed])
    server.want(0)
    server.deliveries.wait(claimed, is_first=True)
    server.let_pass(0.0)

    assert (sorted(server.back), server.waiting, server.anew) == ([*range(2, 11)], [], [1])


def test_a_name_whose_jobs_are_to_go_back_later_is_looked_at_then(server: Server) -> None:
    before = server.deliveries.notice_surplus()
    server.now += STUCK_SECONDS

    assert (before, server.deliveries.notice_surplus()) == (False, True)
    assert server.alarms[-1] == STUCK_SECONDS


def work(job: Job[float]) -> None:
    job.sleep(job.data)


def test_short_jobs_that_wait_behind_long_ones_go_to_another_runtime() -> None:
    with Simulation(
        lambda runtime: runtime.jobs.add_handler("work", work, concurrency=2), processes=2, server=SimulatedRabbitMQ
    ) as simulation:
        simulation.run(seconds=2)
        one, other = simulation.runtimes
        other.quiet()
        one.jobs.queue_many([("work", 0.0)] * 100)
        simulation.run(seconds=5)
        one.jobs.queue_many([("work", 60.0)] * 2)
        simulation.run(seconds=0.02)
        one.jobs.queue_many([("work", 0.0)] * 20)
        simulation.run(seconds=0.02)
        other.go()
        simulation.run(seconds=1)

        assert len(lines_of(simulation, "job.done")) == 120
        simulation.run(seconds=70)
        simulation.check()
