"""Schedules on a RabbitMQ: the leader fires what any living runtime declares, and forgets who has ended."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from lamplighter import NotSupported, Runtime
from lamplighter.messages.mail import Resync
from lamplighter.messages.schedules import SlotRange
from lamplighter.stores.rabbitmq import ledger_sums as sums
from lamplighter.testing import Simulation
from lamplighter.testing.simulation.simulation import START

from support.conformance.kit import NOW, a_schedule
from support.rabbitmq.simulated import SimulatedRabbitMQ

from .model_world import World
from .test_ledger import declare, started, world, write

__all__ = ["world"]

MINUTE = 60.0


def number_of(runtime: Runtime) -> int:
    """The number of the simulated process."""
    return runtime.environment.whereabouts()[1]


def declaring(*processes: int, when: str = "* * * * *", catch_up: str = "all") -> Callable[[Runtime], None]:
    """Have these processes declare the schedule `tick`; all of them handle its jobs."""

    def boot(runtime: Runtime) -> None:
        runtime.jobs.add_handler("tick", lambda job: None)
        if number_of(runtime) in processes:
            runtime.scheduler.add("tick", when, key="tick", catch_up=catch_up)

    return boot


def test_a_schedule_in_a_transaction_is_refused_with_what_to_do_instead(tmp_path):
    with (
        Simulation(lambda runtime: None, server=SimulatedRabbitMQ) as simulation,
        contextlib.closing(sqlite3.connect(tmp_path / "app.db")) as db,
    ):
        scheduler = simulation.runtime.scheduler
        for call in (
            lambda: scheduler.add("tick", "@daily", durable=True, connection=db),
            lambda: scheduler.remove("tick", key="tick", connection=db),
        ):
            with pytest.raises(NotSupported, match=r"a schedule cannot join a transaction .* after the commit"):
                call()

        assert scheduler.list() == []


def lines_of(simulation: Simulation, *events: str) -> list[dict]:
    return [line for line in map(json.loads, simulation.log.splitlines()) if line["event"] in events]


def fired(simulation: Simulation, name: str = "tick") -> list[float]:
    """The slots that have fired, in order."""
    return [line["slot"] for line in lines_of(simulation, "slot.fired", "slot.caught_up") if line["job_name"] == name]


def leader_of(simulation: Simulation) -> Runtime:
    """The runtime that was the last to lead."""
    boot = lines_of(simulation, "scheduler.leads")[-1]["boot"]
    return next(runtime for runtime in simulation.runtimes if runtime.current_boot.get().id == boot)


def led_by(boot: Callable[[Runtime], None], number: int, **options: object) -> Simulation:
    """A simulation of two processes in which this one leads."""
    for seed in range(50):
        simulation = Simulation(boot, processes=2, server=SimulatedRabbitMQ, seed=seed, **options)  # type: ignore[arg-type]
        with simulation:
            simulation.run(seconds=1)
            leads = number_of(leader_of(simulation)) == number
        if leads:
            return Simulation(boot, processes=2, server=SimulatedRabbitMQ, seed=seed, **options)  # type: ignore[arg-type]
    raise AssertionError(f"process {number} led with none of the seeds")


def test_a_leader_that_has_declared_nothing_fires_what_another_declares() -> None:
    with led_by(declaring(2), 1) as simulation:
        simulation.run(minutes=5)

        assert len(fired(simulation)) == 5


def test_each_schedule_fires_where_two_services_have_one_each() -> None:
    def boot(runtime: Runtime) -> None:
        name = f"of-{number_of(runtime)}"
        runtime.jobs.add_handler(name, lambda job: None)
        runtime.scheduler.add(name, "* * * * *")

    with Simulation(boot, processes=2, server=SimulatedRabbitMQ) as simulation:
        simulation.run(minutes=5)

        assert [len(fired(simulation, f"of-{number}")) for number in (1, 2)] == [5, 5]


def test_a_schedule_that_is_declared_while_another_runtime_leads_fires_from_then_on() -> None:
    with led_by(declaring(), 1) as simulation:
        simulation.run(seconds=90)
        simulation.runtimes[1].scheduler.add("tick", "* * * * *")
        simulation.run(minutes=3)

        assert len(fired(simulation)) == 3


def test_a_schedule_that_nobody_declares_rests_and_none_of_its_slots_is_forgotten() -> None:
    with led_by(declaring(2), 1) as simulation:
        simulation.run(minutes=2)
        simulation.runtimes[1].stop()
        simulation.run(minutes=5)
        rested = len(fired(simulation))
        simulation.runtimes[1].start()
        simulation.run(minutes=2)
        slots = fired(simulation)

    assert rested == 2
    assert slots == [slots[0] + MINUTE * number for number in range(9)]


def test_what_a_runtime_removes_goes_on_as_long_as_another_declares_it() -> None:
    with led_by(declaring(1, 2), 1) as simulation:
        simulation.run(minutes=2)
        first, second = simulation.runtimes
        (schedule,) = first.scheduler.list()
        first.scheduler.remove(schedule.id)
        simulation.run(minutes=2)
        went_on = len(fired(simulation))
        second.scheduler.remove(schedule.id)
        simulation.run(minutes=2)

        assert (went_on, len(fired(simulation))) == (4, 4)


def test_a_change_in_the_code_of_one_of_two_counts_from_when_it_was_declared() -> None:
    """A rolling deployment: what the old version has declared is what the new one says from then on."""
    with led_by(declaring(1, 2), 1) as simulation:
        simulation.run(minutes=2)
        simulation.runtimes[1].scheduler.add("tick", "*/2 * * * *", key="tick", catch_up="all")
        simulation.run(minutes=8)
        slots = fired(simulation)

    assert len(slots) == 2 + 4
    assert all(slot % (2 * MINUTE) == 0 for slot in slots[2:])


@pytest.mark.parametrize("leader", [1, 2])
def test_nothing_of_an_old_rule_fires_after_a_deployment_that_has_changed_it(leader: int) -> None:
    rule = ["* * * * *"]

    def boot(runtime: Runtime) -> None:
        runtime.jobs.add_handler("tick", lambda job: None)
        if number_of(runtime) == 2:
            runtime.scheduler.add("tick", rule[0], key="tick", catch_up="all")

    with led_by(boot, leader) as simulation:
        simulation.run(minutes=2)
        simulation.runtimes[1].stop()
        simulation.run(minutes=5)
        rule[0] = "0 0 1 1 *"
        simulation.kill(2)
        simulation.run(minutes=3)

        assert len(fired(simulation)) == 2


def lead_anew(simulation: Simulation) -> None:
    """Have a runtime that is stopped lead twice: whoever leads anew writes a sum of what it has found."""
    simulation.runtime.start()
    simulation.run(seconds=1)
    simulation.runtime.stop()
    simulation.runtime.start()


def test_explain_says_of_no_slot_what_is_not_so_however_little_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "SLOTS_TOLD_MAX", 2)

    with Simulation(declaring(1, 2), processes=2, server=SimulatedRabbitMQ) as simulation:
        simulation.run(minutes=6)
        begin, now = START + timedelta(minutes=1), simulation.now
        for runtime in simulation.runtimes:
            runtime.stop()
        lead_anew(simulation)
        (schedule,) = simulation.runtime.scheduler.list()
        stories = simulation.runtime.scheduler.explain(schedule.id, begin, now)

    assert [(one.slot, one.outcome, one.count) for one in stories] == [
        (begin, "unknown", 4),
        *((begin + timedelta(minutes=number), "fired", 1) for number in (4, 5)),
    ]
    assert stories[0].last == begin + timedelta(minutes=3)


def test_explain_does_not_keep_silent_of_slots_from_before_a_clock_was_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The schedule was added in a future: what it did after that was set right is its own all the same."""
    monkeypatch.setattr(sums, "SLOTS_TOLD_MAX", 2)

    with Simulation(declaring(1), server=SimulatedRabbitMQ) as simulation:
        simulation.run(minutes=1)
        simulation.step_clock(-7200.0)
        simulation.run(minutes=6)
        begin, now = START - timedelta(minutes=118), simulation.now
        simulation.runtime.stop()
        lead_anew(simulation)
        (schedule,) = simulation.runtime.scheduler.list()
        stories = simulation.runtime.scheduler.explain(schedule.id, begin, now)

    assert (stories[0].slot, stories[0].outcome) == (begin, "unknown")
    assert sum(story.count for story in stories) == 6


def test_the_next_leader_goes_on_with_what_others_declare() -> None:
    with Simulation(declaring(3), processes=3, server=SimulatedRabbitMQ) as simulation:
        simulation.run(minutes=2)
        leader_of(simulation).stop()
        simulation.run(minutes=3)
        slots = fired(simulation)

    assert Counter(slots) == Counter(slots[0] + MINUTE * number for number in range(5))


def test_explicitly_removed_and_added_again_a_schedule_counts_from_then_on() -> None:
    with Simulation(declaring(1), server=SimulatedRabbitMQ) as simulation:
        simulation.run(minutes=2)
        (schedule,) = simulation.runtime.scheduler.list()
        simulation.runtime.scheduler.remove(schedule.id)
        simulation.run(minutes=3)
        simulation.runtime.scheduler.add("tick", "* * * * *", key="tick", catch_up="all")
        simulation.run(minutes=1)

        assert len(fired(simulation)) == 3


def test_skipped_slots_whose_turn_was_cut_midway_are_said_once_more_and_counted_once(world: World) -> None:
    """The connection is lost while a turn writes its records: the slots that it skipped are in the ledger, and how far
    the schedule is accounted for is not. The scheduler asks again, a minute later.
    """
    first, reason = NOW - NOW % MINUTE + MINUTE, "older than catch_up_window"
    leader = started(world)
    declare(leader, a_schedule())
    row = {"schedule_id": "s", "slot": first, "last": first + 9 * MINUTE, "count": 10, "outcome": "skipped"}
    write(world, {"is": "slot", "slot": {**row, "reason": reason, "job_id": None}, "by": "cut"})
    world.let_pass(1.0)

    with leader.turn("b", NOW + 3600) as turn:
        is_said = turn.schedules.skip("s", SlotRange(first=first, last=first + 10 * MINUTE, count=11, reason=reason))
        turn.schedules.account("s", NOW + 3600, None)
    world.let_pass(1.0)

    assert is_said
    entries = leader.schedules.slots("s", 0.0, NOW + 3600).entries
    assert [(one.slot, one.last, one.count) for one in entries] == [(first, first + 10 * MINUTE, 11)]


def test_a_scheduler_of_another_boot_reads_all_schedules_anew() -> None:
    """What it has seen is of the boot before: without that it read what has changed since, which is nothing."""
    with Simulation(declaring(1), server=SimulatedRabbitMQ) as simulation:
        simulation.run(minutes=1, seconds=1)
        before = len(fired(simulation))
        simulation.runtime.current_boot.get().post.tell("scheduler", Resync(1, "a boot that was renewed"))
        simulation.run(minutes=2)

        assert (before, len(fired(simulation))) == (1, 3)


def test_a_schedule_that_is_retired_is_not_declared_again_by_the_next_session() -> None:
    of = World()
    store = of.store()
    while not of.turn(store):
        pass
    with store.turn("boot", of.elapsed) as turn:
        turn.schedules.declare([a_schedule(id=name, durable=0) for name in ("kept", "gone")])
    with store.turn("boot", of.elapsed) as turn:
        turn.schedules.retire("gone")

    of.server.cut(store._link)  # type: ignore[arg-type]
    of.attended.append(store)
    while not of.turn(store):
        pass
    # The session first says again what the others may lack; then it hears that itself.
    of.let_pass(5.0)
    assert of.turn(store)

    assert [store.state.shared.is_declared(name) for name in ("kept", "gone")] == [True, False]


def test_so_many_abandoned_schedules_and_no_more_are_removed_in_a_turn() -> None:
    of = World()
    store = of.store()
    while not of.turn(store):
        pass
    names = ["a", "b", "c"]
    with store.turn("boot", of.elapsed) as turn:
        turn.schedules.declare([a_schedule(id=name, durable=0) for name in names])
        for name in names:
            turn.schedules.retire(name)

    removed = []
    for _ in names:
        with store.turn("boot", of.elapsed) as turn:
            removed.append(turn.schedules.forget_abandoned(2 * NOW, 2))

    assert (removed, list(store.schedules.all())) == ([2, 1, 0], [])
