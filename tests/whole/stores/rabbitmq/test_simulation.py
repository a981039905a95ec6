"""The RabbitMQ store in seeded simulations, on the model: nothing accepted is lost, whatever befalls."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta

import pytest
from lamplighter import Runtime
from lamplighter.stores.rabbitmq import ledger_sums
from lamplighter.stores.rabbitmq.store import RabbitStore
from lamplighter.stores.rabbitmq.turn import RabbitTurn
from lamplighter.testing import Faults, Simulation
from lamplighter.testing.simulation.faults import LEAP_SECONDS
from lamplighter.testing.simulation.simulation import Violation
from rabbit_workload import TROUBLES, campaign, checked, host, keep_firing, register, resume_names

from support.rabbitmq.simulated import OF_A_SERVER, ServerFaults, SimulatedRabbitMQ

from ....faults.kit import count


@pytest.mark.parametrize("name", TROUBLES)
def test_nothing_accepted_is_lost_and_no_slot_is_forgotten(name: str) -> None:
    reached: Counter[str] = Counter()
    for seed in range(count(2, 200)):
        reached += checked(name, seed)
    print(f"\n{name}: {dict(sorted((key, value) for key, value in reached.items() if ' at ' not in key))}")
    for fault in OF_A_SERVER if name != "all" else ():
        assert bool(reached[fault]) == (getattr(TROUBLES[name], fault) > 0.0)


def test_while_nothing_goes_wrong_no_job_is_delivered_twice() -> None:
    """What was delivered and is given back looks as if its process had died, and is written down before it runs."""
    jobs = 300

    def uneven(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", lambda job: job.sleep(0.001 if job.data // 16 % 2 else 0.02), concurrency=4)

    def queue(runtime: Runtime) -> None:
        runtime.jobs.queue_many([("work", number) for number in range(jobs)])

    def done() -> bool:
        return simulation.log.count('"job.done"') >= 2 * jobs

    with Simulation(uneven, host=queue, processes=2, server=SimulatedRabbitMQ) as simulation:
        assert simulation.run(minutes=1, until=done)
    claimed = [line for line in map(json.loads, simulation.log.splitlines()) if line["event"] == "job.claimed"]

    assert Counter(line["redeliveries"] for line in claimed) == {0: len(claimed)}


def test_a_runtime_whose_results_lie_on_a_lost_node_gets_another_queue_for_them() -> None:
    with Simulation(register, server=SimulatedRabbitMQ) as simulation:
        simulation.run(seconds=5)
        server = simulation.server
        server.away |= {name for name in server.queues if "results" in name}
        server.cut(server.links[0])
        simulation.run(seconds=15)
        job = simulation.runtime.jobs.queue("work", 1)

        assert simulation.runtime.jobs.join(job, timeout=5).result == 1


def test_no_lane_is_idle_while_a_job_waits_where_all_lanes_are_busy() -> None:
    """Short jobs make each of two processes take many in advance; of the long ones behind them each can run four."""
    long, queued = 8, list[int]()

    def uneven(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", lambda job: job.sleep(job.data), concurrency=long // 2)

    def queue(runtime: Runtime) -> None:
        if not queued:
            queued.append(1)
            runtime.jobs.queue_many([("work", 0.001)] * 400 + [("work", 600.0)] * long)

    with Simulation(uneven, host=queue, processes=2, server=SimulatedRabbitMQ) as simulation:
        simulation.run(minutes=1)
    open_claims = Counter[str]()
    for line in map(json.loads, simulation.log.splitlines()):
        open_claims["job.claimed" if line["event"] == "job.claimed" else "over"] += line["event"] in (
            "job.claimed",
            "job.released",
            "job.done",
        )

    assert open_claims["job.claimed"] - open_claims["over"] == long


def test_the_same_seed_gives_the_same_log_byte_for_byte() -> None:
    assert campaign(TROUBLES["all"], 7, 2).log == campaign(TROUBLES["all"], 7, 2).log


def test_acknowledging_before_the_confirms_loses_jobs_and_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def stages(self, ops, session, stages=RabbitStore._stages):
        for delivery in ops.acknowledged:
            self._link.acknowledge(session, [delivery.arrival.tag])
        return stages(self, ops, session)

    monkeypatch.setattr(RabbitStore, "_stages", stages)

    with pytest.raises(Violation, match="accepted and lost"):
        for seed in range(20):
            campaign(ServerFaults(cut_link=0.05), seed)


def test_a_server_that_never_answers_again_would_stop_everything_and_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RabbitStore, "_look_after", lambda self, *waits_for: None)

    with Simulation(
        register, host=host, faults=ServerFaults(hush_link=0.2), processes=2, server=SimulatedRabbitMQ
    ) as simulation:
        simulation.run(minutes=1)
        with pytest.raises(Violation, match="not done"):
            simulation.settle(seconds=60)


def test_a_runtime_that_fires_though_it_does_not_lead_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RabbitTurn, "leads", property(lambda self: True, lambda self, leads: None), raising=False)

    assert sum(campaign(Faults(), seed).reached["fired_twice"] for seed in range(10)) > 0


def test_what_a_person_has_run_now_is_no_slot_that_fires_twice() -> None:
    with Simulation(register, server=SimulatedRabbitMQ) as simulation:
        (schedule,) = simulation.runtime.scheduler.list()
        for _ in range(3):
            simulation.operator().run_now(schedule.id, reason="now")
            simulation.run(seconds=5)
        simulation.run(minutes=1)
        report = simulation.check()

    assert simulation.reached["operator.acted"] == 3
    assert (report.slots, simulation.reached["fired_twice"]) == (1, 0)


def test_a_name_that_was_paused_in_a_false_future_is_resumed_in_the_campaign() -> None:
    with Simulation(register, server=SimulatedRabbitMQ) as simulation:
        simulation.step_clock(LEAP_SECONDS)
        simulation.run(seconds=1)
        simulation.operator().pause("work", until=simulation.now + timedelta(seconds=10))
        simulation.run(seconds=1)
        simulation.step_clock(-LEAP_SECONDS)
        simulation.runtime.jobs.queue("work", 1, id="j")
        with pytest.raises(Violation, match="not done"):
            simulation.settle(seconds=60)

        resume_names(simulation)

        simulation.settle(seconds=10)
        assert simulation.runtime.jobs.paused() == ()


def test_a_pause_that_should_have_ended_by_itself_is_not_ended_by_the_campaign() -> None:
    with Simulation(register, server=SimulatedRabbitMQ) as simulation:
        simulation.run(seconds=1)
        simulation.operator().pause("work", until=simulation.now + timedelta(days=1))
        simulation.runtime.jobs.queue("work", 1, id="j")

        resume_names(simulation)

        with pytest.raises(Violation, match="not done"):
            simulation.settle(seconds=10)


def test_what_fires_after_a_clock_has_gone_back_counts_for_the_campaign() -> None:
    """A clock was a year ahead when the campaign began to wait for a slot, and all that fired were before that."""
    with Simulation(register, server=SimulatedRabbitMQ) as simulation:
        simulation.run(seconds=90)
        simulation.step_clock(LEAP_SECONDS)
        simulation.run(seconds=1)
        simulation._world.after(1.0, lambda: simulation.step_clock(-LEAP_SECONDS))

        keep_firing(simulation)


def test_what_has_fired_before_counts_for_the_campaign_whoever_remembers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime that connects anew is told the newest slots, and all of those were in a false future. (Seed 11554.)"""
    monkeypatch.setattr(ledger_sums, "SLOTS_TOLD_MAX", 1)
    with Simulation(register, processes=2, server=SimulatedRabbitMQ) as simulation:
        simulation.run(seconds=90)
        simulation.step_clock(1200.0)
        simulation.run(seconds=5)
        simulation.step_clock(-1200.0)
        simulation.run(seconds=5)
        store = simulation.runtime.current_boot.get().store
        simulation.server.cut(next(link for link in simulation.server.links if store.is_on(link)))
        simulation.run(seconds=5)

        keep_firing(simulation)


def test_a_schedule_that_is_silent_is_found() -> None:
    with Simulation(register, server=SimulatedRabbitMQ) as simulation:
        simulation.run(seconds=90)
        (schedule,) = simulation.runtime.scheduler.list()
        simulation.runtime.scheduler.pause(schedule.id)

        with pytest.raises(Violation, match="not done"):
            keep_firing(simulation)
