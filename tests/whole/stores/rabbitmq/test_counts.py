"""Jobs on a RabbitMQ are counted: of all names that are known, and with those that are delayed."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from lamplighter import StoreUnavailable

from ....faults.kit import eventually
from ....stores.rabbitmq.model_world import World


def test_jobs_of_all_names_are_counted_and_so_are_delayed_ones(url: str, runtime) -> None:
    one, other = runtime(url), runtime(url)
    other.jobs.add_handler("work", lambda job: job.data["no such"], max_attempts=1)
    one.jobs.queue("work", {})
    eventually(lambda: one.jobs.counts("work")["dead"] == 1, what="a dead job")
    one.jobs.pause("work")
    one.jobs.queue_many([("work", 1), ("work", 2), ("else", 3)])
    one.jobs.queue("work", 4, delay=3600)

    def counted() -> dict[str, int]:
        return {state: number for state, number in one.jobs.counts().items() if number}

    eventually(lambda: counted() == {"queued": 4, "dead": 1}, what="all jobs")
    assert one.jobs.counts("work")["queued"] == 2


def test_the_jobs_of_a_name_that_only_another_runtime_knows_are_counted(url: str, runtime) -> None:
    one, other, third = runtime(url), runtime(url), runtime(url)
    other.jobs.add_handler("work", lambda job: None)
    one.jobs.pause("work")
    one.jobs.queue("work")

    eventually(lambda: third.jobs.counts()["queued"] == 1, what="the job")


def test_a_server_that_does_not_answer_is_waited_for_once_for_all_queues(monkeypatch) -> None:
    """Each of some thirty queues was waited for, one after the other, and the error ended with a colon."""
    world = World()
    store = world.store()
    assert world.turn(store)
    waits: list[float] = []

    class Unanswered(Future):  # type: ignore[type-arg]
        def result(self, timeout: float | None = None) -> None:
            assert timeout is not None
            waits.append(timeout)
            world.elapsed += timeout
            raise TimeoutError

    monkeypatch.setattr(store._link, "look", lambda queue: Unanswered())
    with pytest.raises(StoreUnavailable, match=r"did not answer in time: it is slow, or has an alarm"):
        store.jobs.counts(None, 2.0)

    assert waits == [2.0]
