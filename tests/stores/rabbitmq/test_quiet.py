"""Runtimes on a RabbitMQ that somebody had be quiet: what the server delivers to them, others have a use for."""

from __future__ import annotations

from lamplighter import Runtime
from lamplighter.testing import Simulation

from support.rabbitmq.simulated import SimulatedRabbitMQ

from .test_schedules import lines_of


def register(runtime: Runtime) -> None:
    runtime.jobs.add_handler("work", lambda job: job.sleep(0.1), concurrency=2)


def test_a_quiet_runtime_gives_back_what_was_delivered_and_others_do_it() -> None:
    with Simulation(register, processes=2, server=SimulatedRabbitMQ) as simulation:
        simulation.run(seconds=2)
        quiet, other = simulation.runtimes
        quiet.quiet()

        for _ in range(20):
            quiet.jobs.queue("work")
        simulation.run(seconds=10)

        assert {line["boot"] for line in lines_of(simulation, "job.started")} == {other.boot.id}
        assert len(lines_of(simulation, "job.done")) == 20
        simulation.check()


def test_a_runtime_that_goes_on_does_what_waits() -> None:
    with Simulation(register, processes=1, server=SimulatedRabbitMQ) as simulation:
        simulation.run(seconds=2)
        (runtime,) = simulation.runtimes
        runtime.quiet(by="ada")
        for _ in range(5):
            runtime.jobs.queue("work")
        simulation.run(seconds=30)
        started = len(lines_of(simulation, "job.started"))

        runtime.go(by="ada")
        simulation.run(seconds=10)

        assert started == 0
        assert len(lines_of(simulation, "job.done")) == 5
        assert [line["by"] for line in lines_of(simulation, "runtime.resumed")] == ["ada"]
        simulation.check()
