"""Runtimes on a RabbitMQ that do not work. One of them may lead the schedules of all."""

from __future__ import annotations

from ....faults.kit import eventually

JOIN_SECONDS = 15.0


def test_a_producer_queues_for_its_workers_and_takes_nothing_itself(url: str, runtime) -> None:
    web, worker = runtime(url, start=False), runtime(url)
    web.jobs.add_handler("work", lambda job: "the producer")
    web.start(work=False)
    worker.jobs.add_handler("work", lambda job: job.data)

    done = [web.jobs.join(web.jobs.queue("work", number), timeout=JOIN_SECONDS).result for number in range(3)]
    durable = web.scheduler.add("work", "@daily", durable=True)
    seen = [one.id for one in web.scheduler.list()]
    web.scheduler.remove(durable)

    assert done == [0, 1, 2]
    assert (seen, web.scheduler.list()) == ([durable], [])
    assert [actor.name for actor in web.tree()] == ["supervisor", "broker", "scheduler"]


def test_a_producer_lists_what_living_workers_declare_where_that_is_asked_for(url: str, runtime) -> None:
    web, worker = runtime(url, start=False).start(work=False), runtime(url)
    declared = worker.scheduler.add("work", "@daily", key="k")

    def seen() -> list[str]:
        return [one.id for one in web.scheduler.list(everywhere=True)]

    eventually(lambda: seen() == [declared], what="the worker's schedule to be listed")
    assert web.scheduler.list() == []
    worker.stop()
    eventually(lambda: seen() == [], what="it to be listed no more once its worker is gone")
