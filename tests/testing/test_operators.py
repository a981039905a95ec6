"""People who act on the store of a simulation, by chance or as the test has them do it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from lamplighter import Job, Runtime, StoreUnavailable, UsageError
from lamplighter.testing import Faults, Simulation

from support.rabbitmq.simulated import SimulatedRabbitMQ

from ..support.disk.disk import Disk


def register(runtime: Runtime) -> None:
    runtime.jobs.add_handler("work", lambda job: job.sleep(1.0), concurrency=2, max_attempts=50)
    runtime.scheduler.add("work", "@every 30s")


def host(runtime: Runtime) -> None:
    for number in range(60):
        try:
            runtime.jobs.queue("work", id=f"j{number}")
        except StoreUnavailable:
            continue
        runtime.environment.event().wait(2.0)


def told(simulation: Simulation) -> list[dict[str, object]]:
    return [line for line in map(json.loads, simulation.log.splitlines()) if line["event"] == "operator.acted"]


@pytest.mark.parametrize("processes", [1, 2])
def test_whatever_people_do_the_proof_is_whole(processes: int) -> None:
    faults = Faults(operator=0.05, kill_process=0.001, lost_hint=0.5)
    with Simulation(register, host=host, seed=3, faults=faults, processes=processes) as simulation:
        reached = simulation.reached
        simulation.run(hours=1, until=lambda: reached["operator acted"] > 40 and reached["operator killed"] > 3)
        report = simulation.check()

    assert reached["operator acted"] > 20
    assert reached["operator killed"] > 3
    assert report.acts > 20
    assert {line["via"] for line in told(simulation)} == {"chance"}
    assert {line["action"] for line in told(simulation)} >= {"requeued", "name.paused", "queued"}


def test_the_same_seed_has_the_same_people_do_the_same() -> None:
    logs = []
    for _ in range(2):
        with Simulation(register, host=host, seed=5, faults=Faults(operator=0.05)) as simulation:
            simulation.run(minutes=1)
            logs.append(simulation.log)

    assert logs[0] == logs[1]
    assert "operator.acted" in logs[0]


def test_the_test_has_somebody_act() -> None:
    ran: list[str] = []

    def work(job: Job) -> None:
        ran.append(job.id)

    with Simulation(lambda runtime: runtime.jobs.add_handler("work", work), processes=2) as simulation:
        runtime = simulation.runtime
        simulation.operator(by="ada", via="cli").pause("work", reason="a moment")
        runtime.jobs.queue("work", id="j")
        simulation.run(seconds=30)
        before = list(ran)
        simulation.operator(by="ada").resume("work")
        simulation.run(seconds=5)
        report = simulation.check()

    assert (before, ran, report.acts) == ([], ["j"], 2)
    assert [(line["by"], line["via"], line["action"]) for line in told(simulation)] == [
        ("ada", "cli", "name.paused"),
        ("ada", "test", "name.resumed"),
    ]


def test_nobody_acts_beside_a_disk_whose_power_can_be_cut() -> None:
    with pytest.raises(UsageError, match="expected no disk where an operator acts"):
        Simulation(register, faults=Faults(operator=0.1, power_cut=0.1), disk=Disk)


@pytest.mark.parametrize("server", [None, SimulatedRabbitMQ], ids=["sqlite", "rabbitmq"])
@pytest.mark.parametrize(("step", "are_paused"), [(-3600.0, [True, True]), (3600.0, [True, False])], ids=["back", "on"])
def test_a_pause_ends_when_the_clock_shows_its_instant(
    server: type[SimulatedRabbitMQ] | None, step: float, are_paused: list[bool]
) -> None:
    """An instant that somebody has named is no wait in seconds: no step of the clock moves it."""
    with Simulation(lambda runtime: runtime.jobs.add_handler("work", lambda job: None), server=server) as simulation:
        end = simulation.now + timedelta(minutes=10)
        simulation.operator(by="ada").pause("work", until=end)
        simulation.run(seconds=5)
        paused = [simulation.runtime.jobs.paused() == ("work",)]
        simulation.step_clock(step)
        simulation.run(minutes=11)
        paused.append(simulation.runtime.jobs.paused() == ("work",))
        simulation.run(until=lambda: simulation.now > end, hours=2)
        simulation.run(seconds=1)
        simulation.runtime.jobs.queue("work", id="j")
        simulation.settle(seconds=5)

        assert paused == are_paused
        assert simulation.runtime.jobs.paused() == ()
        assert simulation.log.count('"job.done"') == 1
