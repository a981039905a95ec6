"""Runtimes on a RabbitMQ that do not work. One of them may lead the schedules of all."""

from __future__ import annotations

from lamplighter import Runtime
from lamplighter.testing import Simulation

from support.rabbitmq.simulated import SimulatedRabbitMQ

from ...faults.kit import eventually
from .test_schedules import lines_of, number_of

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


def register(runtime: Runtime) -> None:
    runtime.jobs.add_handler("tick", lambda job: None)
    if number_of(runtime) == 2:
        runtime.scheduler.add("tick", "@every 10s", key="producer's")


def leads(*runtimes: Runtime) -> list[bool]:
    return [runtime.current_boot.get().store.leads for runtime in runtimes]


def test_a_producer_that_leads_fires_what_is_stored_and_nothing_of_its_own() -> None:
    with Simulation(register, processes=1, producers=1, server=SimulatedRabbitMQ) as simulation:
        simulation.run(seconds=5)
        worker, producer = simulation.runtimes
        schedule = worker.scheduler.add("tick", "@every 10s", durable=True)
        worker.stop()
        simulation.run(minutes=2)
        boot = producer.current_boot.get()
        fired = [line["schedule"] for line in lines_of(simulation, "slot.fired") if line["boot"] == boot.id]

        assert leads(producer) == [True]
        assert len(fired) >= 10
        assert set(fired) == {schedule}


def test_a_producer_leads_only_while_no_worker_lives() -> None:
    with Simulation(register, processes=1, producers=1, server=SimulatedRabbitMQ) as simulation:
        simulation.run(seconds=30)
        worker, producer = simulation.runtimes
        before = leads(worker, producer)
        worker.stop()
        simulation.run(seconds=30)
        between = leads(producer)
        worker.start()
        simulation.run(seconds=30)

        assert (before, between, leads(worker, producer)) == ([True, False], [True], [True, False])


def test_a_name_that_another_runtime_resumes_is_worked_again() -> None:
    """It stood still until something else gave the worker a reason for a turn."""
    with Simulation(register, processes=1, producers=1, server=SimulatedRabbitMQ) as simulation:
        simulation.run(seconds=5)
        _, producer = simulation.runtimes
        producer.jobs.pause("tick")
        job = producer.jobs.queue("tick")
        simulation.run(seconds=5)
        producer.jobs.resume("tick")

        assert producer.jobs.join(job, timeout=5.0).state == "done"
