"""What becomes of jobs that were delivered and are not wanted any more, because those before them take longer."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from lamplighter.stores.rabbitmq.consumers import LAG_SECONDS
from lamplighter.stores.rabbitmq.deliveries import Deliveries, Delivery
from lamplighter.stores.rabbitmq.job_message import waiting
from lamplighter.stores.rabbitmq.link import Arrival
from lamplighter.stores.transitions import born

from support.conformance.kit import new

SESSION = 1


class Server:
    """A link that delivers as much as it is asked for, and notes what it is given back."""

    def __init__(self) -> None:
        self.now = 0.0
        self.back: list[int] = []
        self.ended: list[str] = []
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

    def consume(self, session: int, queue: str, consumer: str, *, prefetch: int) -> None:
        for _ in range(prefetch):
            self.deliver(consumer)

    def deliver(self, consumer: str) -> None:
        tag = next(self._tags)
        body = waiting(born(new(f"job-{tag}"), 0))
        self.deliveries.arrived(Arrival(session=SESSION, tag=tag, consumer=consumer, body=body))
        while self.deliveries.fresh:
            self.deliveries.wait(self.deliveries.fresh.popleft())

    def cancel(self, session: int, consumer: str) -> None:
        self.ended.append(consumer)

    def acknowledge(self, session: int, acks: object, requeue: tuple[int, ...] = ()) -> None:
        self.back += requeue

    def want(self, size: int) -> None:
        self.deliveries.set_window("work", size)
        self.deliveries.adjust()

    def let_pass(self, seconds: float) -> None:
        self.now += seconds
        self.deliveries.adjust()

    @property
    def waiting(self) -> list[Delivery]:
        return list(self.deliveries.waiting["work"])


@pytest.fixture
def server() -> Server:
    server = Server()
    server.want(4)
    server.want(10)
    server.want(4)
    server.let_pass(LAG_SECONDS)
    return server


def test_what_is_not_wanted_any_more_may_still_be_worked_off_for_a_while(server: Server) -> None:
    ended = list(server.ended)
    kept = len(server.waiting)
    for delivery in server.waiting[4:]:
        server.deliveries.drop(delivery)
    server.let_pass(LAG_SECONDS)

    assert (ended, kept, server.back) == (["jobs-2"], 10, [])


def test_what_is_not_worked_off_by_then_goes_to_others(server: Server) -> None:
    server.let_pass(LAG_SECONDS)

    assert (sorted(server.back), len(server.waiting)) == ([5, 6, 7, 8, 9, 10], 4)


def test_what_was_on_its_way_when_its_consumer_was_ended_is_kept_as_long(server: Server) -> None:
    server.deliver("jobs-2")
    kept, back = len(server.waiting), list(server.back)
    server.let_pass(LAG_SECONDS)
    server.deliver("jobs-2")

    assert (kept, back) == (11, [])
    assert (sorted(server.back), len(server.waiting)) == ([5, 6, 7, 8, 9, 10, 11, 12], 4)


def test_lanes_with_jobs_of_an_ended_consumer_have_no_room_for_those_of_another(server: Server) -> None:
    for delivery in server.waiting[:4]:
        server.deliveries.drop(delivery)
    for delivery in server.waiting[:4]:
        server.deliveries.waiting["work"].remove(delivery)
    server.let_pass(LAG_SECONDS)
    back = list(server.back)
    server.deliver("jobs-1")
    server.let_pass(LAG_SECONDS)
    server.let_pass(LAG_SECONDS)

    assert (back, server.back, server.ended) == ([9, 10], [9, 10, 11], ["jobs-2", "jobs-1"])


def test_where_nothing_is_wanted_all_goes_back_at_once(server: Server) -> None:
    server.want(0)

    assert (sorted(server.back), server.waiting) == ([*range(1, 11)], [])


def test_a_name_whose_jobs_are_to_go_back_later_is_looked_at_then(server: Server) -> None:
    before = server.deliveries.notice_surplus()
    server.now += LAG_SECONDS

    assert (before, server.deliveries.notice_surplus()) == (False, True)
