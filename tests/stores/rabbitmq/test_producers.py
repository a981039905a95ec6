"""Runtimes on a RabbitMQ that do not work. One of them may lead the schedules of all."""

from __future__ import annotations

from lamplighter import Runtime
from lamplighter.testing import Simulation

from support.rabbitmq.simulated import SimulatedRabbitMQ

from .test_schedules import lines_of, number_of


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
