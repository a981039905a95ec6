"""Which job names the runtimes on a RabbitMQ handle: all know it, so a job that nobody handles is said to wait."""

from __future__ import annotations

import pytest
from lamplighter import Runtime
from lamplighter.stores.rabbitmq.ledger import SILENT_LOOKS_MAX
from lamplighter.stores.rabbitmq.link import PULSE_SECONDS
from lamplighter.stores.rabbitmq.store import RabbitStore
from lamplighter.testing import Simulation

from support.conformance.kit import NOW, a_boot
from support.rabbitmq.simulated import SimulatedRabbitMQ

from .model_world import World
from .test_ledger import died, started, world, write
from .test_schedules import lines_of, number_of

__all__ = ["world"]

SILENT_SECONDS = PULSE_SECONDS * (SILENT_LOOKS_MAX + 2)


def handles(store: RabbitStore, *names: str) -> None:
    with store.turn("b", NOW) as turn:
        turn.boots.register(a_boot("b"))
        turn.boots.set_names("b", names)


def handled(*stores: RabbitStore) -> list[bool]:
    return [store.peers.is_handled("work") for store in stores]


def test_a_job_is_said_to_be_parked_if_no_living_runtime_handles_its_name() -> None:
    def boot(runtime: Runtime) -> None:
        if number_of(runtime) == 2:
            runtime.jobs.add_handler("work", lambda job: None)

    with Simulation(boot, processes=2, server=SimulatedRabbitMQ) as simulation:
        simulation.run(seconds=2)
        for name in ("work", "nobody's"):
            simulation.runtimes[0].jobs.queue(name)
        simulation.run(seconds=2)

        assert [line["job_name"] for line in lines_of(simulation, "job.parked")] == ["nobody's"]

        simulation.run(seconds=60 + PULSE_SECONDS)

        parked = [(line["job_name"], line["jobs"]) for line in lines_of(simulation, "name.parked")]
        # Who has queued it says it at once, and then each runtime once a minute.
        assert parked == [("nobody's", 1)] * 3


def test_jobs_of_a_name_that_is_handled_no_more_are_said_to_be_parked() -> None:
    handlers = {}

    def boot(runtime: Runtime) -> None:
        if number_of(runtime) == 2:
            handlers["work"] = runtime.jobs.add_handler("work", lambda job: None)

    with Simulation(boot, processes=2, server=SimulatedRabbitMQ) as simulation:
        simulation.run(seconds=2)
        simulation.runtimes[0].jobs.pause("work")
        simulation.runtimes[0].jobs.queue("work")
        simulation.run(seconds=70)
        before = lines_of(simulation, "name.parked")
        simulation.runtimes[1].jobs.remove_handler(handlers["work"])
        simulation.run(seconds=60 + PULSE_SECONDS)

        assert before == []
        assert [(line["job_name"], line["jobs"]) for line in lines_of(simulation, "name.parked")] == [("work", 1)] * 2
        assert any("handler for 'work', and 1 of" in reason for reason in simulation.runtimes[0].health().reasons)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nobody's", 'no running process on .* has a handler for "nobody\'s"'),
        ("work", "unknown, because boot .* may take it and has not said .*; this store does not say which jobs come"),
    ],
)
def test_whoever_waits_in_vain_is_told_what_the_runtimes_have_said(name: str, says: str) -> None:
    def boot(runtime: Runtime) -> None:
        if number_of(runtime) == 2:
            runtime.jobs.add_handler("work", lambda job: job.sleep(3600))

    with Simulation(boot, processes=2, server=SimulatedRabbitMQ) as simulation:
        simulation.run(seconds=2)
        jobs = simulation.runtimes[0].jobs
        jobs.queue(name)
        job = jobs.queue(name)
        simulation.run(seconds=5)

        with pytest.raises(TimeoutError, match=says):
            jobs.join(job, timeout=1)


def test_what_a_runtime_handles_is_known_to_the_others_and_to_those_who_come_later(world: World) -> None:
    leader, other = started(world), started(world)
    handles(other, "work")
    world.let_pass(1.0)
    late = started(world)
    known = handled(leader, other, late)
    handles(other, "else")
    world.let_pass(1.0)

    assert (known, handled(leader, other, late)) == ([True] * 3, [False] * 3)


def versions_known(*stores: RabbitStore) -> list[list[str]]:
    return [sorted(boot.version for boot in store.peers.boots()) for store in stores]


def register(store: RabbitStore, version: str) -> None:
    with store.turn(version, NOW) as turn:
        turn.boots.register(a_boot(version, version=version))


def test_who_lives_is_known_to_the_others_and_to_those_who_come_later(world: World) -> None:
    leader, leaving, dying = started(world), started(world), started(world)
    for store, version in ((leader, "1"), (leaving, "2"), (dying, "3")):
        register(store, version)
    world.let_pass(1.0)
    known = versions_known(leader, leaving, dying)

    with leaving.turn("2", NOW) as turn:
        turn.boots.forget(("2",))
    died(world, leaving)
    died(world, dying)
    world.let_pass(SILENT_SECONDS)
    late = started(world)
    register(late, "4")
    died(world, leader)
    world.let_pass(SILENT_SECONDS)

    assert (known, versions_known(late)) == ([["1", "2", "3"]] * 3, [["4"]])


def test_what_a_newer_version_says_of_its_boot_is_kept_by_an_older_leader(world: World) -> None:
    leader = started(world)
    row = {"boot": "x", "pid": 1, "host": "h", "started_at": NOW, "tenant": "next"}
    write(world, {"is": "boot", "runtime": "newer", "boot": row, "by": "newer-1", "no": 99})
    write(world, {"is": "boot", "runtime": "strange", "boot": {"boot": "y"}, "by": "strange-1", "no": 100})
    world.let_pass(1.0)
    died(world, leader)
    late = started(world)

    assert late.state.shared.boots == {"newer": row}
    (known,) = late.peers.boots()
    assert (known.boot, known.kind, known.version) == ("x", "worker", "")


def test_what_a_runtime_that_has_left_or_has_died_handles_nobody_does(world: World) -> None:
    leader, leaving, dying = started(world), started(world), started(world)
    handles(leaving, "work")
    handles(dying, "else")
    with leaving.turn("b", NOW) as turn:
        turn.boots.forget(("b",))
    world.let_pass(1.0)
    died(world, dying)
    soon = [leader.peers.is_handled(name) for name in ("work", "else")]
    world.let_pass(SILENT_SECONDS)

    assert soon == [False, True]
    assert not leader.peers.is_handled("else")


def test_a_runtime_that_was_taken_for_one_that_has_ended_says_again_what_it_handles(world: World) -> None:
    leader, hung = started(world), started(world)
    handles(hung, "work")
    world.attended.remove(hung)
    world.let_pass(SILENT_SECONDS)
    meanwhile = leader.peers.is_handled("work"), leader.peers.boots()
    world.attended.append(hung)
    world.let_pass(PULSE_SECONDS)
    while not world.turn(hung):
        pass
    world.let_pass(1.0)

    assert meanwhile == (False, [])
    assert (leader.peers.is_handled("work"), leader.peers.boots()) == (True, [a_boot("b", names=("work",))])


def test_the_next_leader_knows_who_handles_what(world: World) -> None:
    leader, other, third = started(world), started(world), started(world)
    handles(other, "work")
    world.let_pass(1.0)
    died(world, leader)
    world.let_pass(5.0)
    for store in (other, third):
        while not world.turn(store):
            pass
    world.let_pass(1.0)

    assert handled(other, third) == [True, True]
