"""Clocks that were wrong for a while, on RabbitMQ: no schedule falls silent, and no slot fires again."""

from __future__ import annotations

import pytest
from lamplighter.messages.clock_steps import Reading, Stepped
from lamplighter.messages.schedules import SlotRange
from lamplighter.stores.rabbitmq.shared_state import SKEW_SECONDS_MAX
from lamplighter.stores.rabbitmq.store import RabbitStore
from lamplighter.testing import Simulation
from lamplighter.testing.simulation.simulation import START

from support.conformance.kit import NOW, a_schedule, new, want
from support.conformance.schedules import entry
from support.rabbitmq.simulated import SimulatedRabbitMQ

from .model_world import World
from .test_ledger import declare, died, started, world, write
from .test_schedules import MINUTE, declaring, fired, lines_of

__all__ = ["world"]

YEAR = 365 * 86400.0
FIRST = NOW - NOW % MINUTE + MINUTE


def keep_time(store: RabbitStore, now: float) -> Stepped | None:
    with store.turn("b", now) as turn:
        return turn.keep_time(Reading(now, None, 0.0), may_have_gone_back=False)


def in_a_false_future(store: RabbitStore) -> None:
    """Of fifty-two slots all but one are skipped."""
    reason = "superseded by a later slot"
    with store.turn("b", NOW + 3600) as turn:
        turn.schedules.skip("s", SlotRange(first=FIRST, last=FIRST + 49 * MINUTE, count=50, reason=reason))
        turn.schedules.fire(entry(FIRST + 50 * MINUTE, "s-1"))
        turn.schedules.skip(
            "s", SlotRange(first=FIRST + 51 * MINUTE, last=FIRST + 51 * MINUTE, count=1, reason="paused")
        )
        turn.schedules.account("s", NOW + 3600, FIRST + 50 * MINUTE)


def became(store: RabbitStore) -> list[tuple[float, float, int, str]]:
    entries = store.schedules.slots("s", NOW, NOW + 7200).entries
    return [((one.slot - FIRST) / MINUTE, (one.last - FIRST) / MINUTE, one.count, one.outcome) for one in entries]


SET_RIGHT = [(0, 1, 2, "skipped"), (50, 50, 1, "fired")]
"""What has become of slots by the second minute, and by a clock that was wrong."""


def test_a_schedule_goes_on_after_a_clock_that_was_a_year_ahead_for_three_seconds() -> None:
    with Simulation(declaring(1, 2), processes=2, server=SimulatedRabbitMQ) as simulation:
        simulation.run(minutes=2)
        simulation.step_clock(YEAR)
        simulation.run(seconds=3)
        simulation.step_clock(-YEAR)
        before = len(fired(simulation))
        simulation.run(minutes=3)
        jumped = [line["schedules"] for line in lines_of(simulation, "clock.jumped")]
        simulation.check()

    assert len(fired(simulation)) - before == 3
    # Only the leader counts schedules again.
    assert sorted(jumped) == [0, 0, 0, 1]


def test_a_clock_that_is_a_year_ahead_for_a_moment_has_no_slot_forgotten(world: World) -> None:
    store = started(world)
    declare(store, a_schedule(durable=1))
    with store.turn("b", NOW) as turn:
        turn.keep_time(Reading(NOW, "machine", 0.0), may_have_gone_back=False)
        turn.schedules.fire(entry(NOW, "s-1"))

    def pruned(now: float, offset: float) -> int:
        with store.turn("b", now) as turn:
            turn.keep_time(Reading(now, "machine", offset), may_have_gone_back=False)
            return turn.prune(done_before=0.0, dead_before=0.0, slots_before=now, batch=10)

    assert pruned(NOW + YEAR, YEAR) == 0
    assert pruned(NOW + 2, 0.0) == 0
    assert [slot.slot for slot in store.schedules.slots("s", NOW, NOW + 1).entries] == [NOW]
    assert pruned(NOW + YEAR, 0.0) > 0


def test_a_slot_that_fired_in_a_false_future_fires_once_and_those_before_it_do_fire() -> None:
    with Simulation(declaring(1, 2, catch_up="latest"), processes=2, server=SimulatedRabbitMQ) as simulation:
        simulation.run(seconds=90)
        simulation.step_clock(5 * MINUTE)
        simulation.run(seconds=3)
        simulation.step_clock(-5 * MINUTE)
        simulation.run(minutes=8)
        simulation.check()

    minutes = [(slot - START.timestamp()) / MINUTE for slot in fired(simulation)]
    assert minutes == [1, 6, 2, 3, 4, 5, 7, 8, 9]


def test_whoever_leads_next_sets_right_what_the_clock_of_the_leader_before_did(world: World) -> None:
    wrong, right = started(world), started(world)
    declare(wrong, a_schedule(durable=1))
    in_a_false_future(wrong)
    world.let_pass(1.0)
    died(world, wrong)
    world.let_pass(1.0)

    is_due = right.jobs.outlook((), NOW + 90).is_due
    stepped, again = keep_time(right, NOW + 90), keep_time(right, NOW + 91)
    late = started(world)

    assert (is_due, stepped, again) == (True, Stepped(None, 0, 1), None)
    assert not right.jobs.outlook((), NOW + 91).is_due
    for store in (right, late):
        (schedule,) = store.schedules.all()
        assert (schedule.accounted_to, schedule.last_slot) == (NOW + 90, None)
        assert became(store) == SET_RIGHT


def test_a_wrong_clock_of_one_that_does_not_lead_silences_nothing_that_it_declares(world: World) -> None:
    leader, other = started(world), started(world)
    with other.turn("b", NOW + YEAR) as turn:
        turn.schedules.declare([a_schedule(), a_schedule(id="t")])
    before = leader.surroundings("b").change_no

    unasked, stepped = keep_time(other, NOW), keep_time(leader, NOW)
    world.let_pass(1.0)

    assert (unasked, stepped) == (None, Stepped(None, 0, 2))
    assert {one.accounted_to for store in (leader, other) for one in store.schedules.all()} == {NOW}
    assert len(leader.schedules.changed(before, 10)) == 2


def test_clocks_of_hosts_that_differ_by_some_seconds_are_no_step(world: World) -> None:
    leader = started(world)
    declare(leader, a_schedule())
    with leader.turn("b", NOW + SKEW_SECONDS_MAX) as turn:
        turn.schedules.account("s", NOW + SKEW_SECONDS_MAX, None)

    assert keep_time(leader, NOW) is None


def test_a_runtime_that_missed_that_a_clock_was_set_right_learns_it_from_the_whole(
    world: World,
) -> None:
    leader, other = started(world), started(world)
    declare(leader, a_schedule(durable=1))
    in_a_false_future(leader)
    world.let_pass(1.0)
    world.attended.remove(other)
    world.server.cut(other._link)
    keep_time(leader, NOW + 90)
    while not world.turn(other):
        pass

    (schedule,) = other.schedules.all()
    assert (schedule.accounted_to, became(other)) == (NOW + 90, SET_RIGHT)


def test_a_count_from_now_that_comes_late_takes_nothing_back(world: World) -> None:
    """Whoever led before may have written it when another had gone on already."""
    leader = started(world)
    declare(leader, a_schedule())
    with leader.turn("b", NOW + 5) as turn:
        turn.schedules.account("s", NOW + 5, NOW + 4)
    write(world, {"is": "recount", "to": NOW, "by": "x"})
    world.let_pass(1.0)

    (schedule,) = leader.schedules.all()
    assert (schedule.accounted_to, schedule.last_slot) == (NOW + 5, NOW + 4)


def queue(store: RabbitStore, job_id: str, **changes: float | None) -> None:
    now = store._environment.clock.now()
    with store.turn("b", now) as turn:
        turn.jobs.insert([new(job_id, run_at=now + (changes.get("due_in") or 0.0), queued_at=now, **changes)])


def expiring(store: RabbitStore, job_id: str, seconds: float, due_in: float = 0.0) -> None:
    """Queue a job that was given so many seconds, as a host whose clock is wrong does."""
    expires_at = store._environment.clock.now() + seconds
    queue(store, job_id, expires_at=expires_at, expires_in=seconds, due_in=due_in)


def became_of_all(world: World, store: RabbitStore) -> dict[str, str]:
    """What a runtime does with the jobs that it is given: `job.claimed` or `job.cancelled`."""
    found: dict[str, str] = {}
    for _ in range(3):
        with store.turn("b", store._environment.clock.now()) as turn:
            turn.jobs.refresh()
            turn.jobs.claim([want(9)], suspect=True)
            found |= {step.job.id: step.event for step in turn.transitions}
        world.wait(0.1)
    return found


@pytest.mark.parametrize("skew", [-60.0, 60.0])
def test_seconds_until_a_job_expires_pass_by_no_hosts_clock(world: World, skew: float) -> None:
    worker = started(world)
    producer = started(world, skew=skew)

    expiring(producer, "later", 30.0)
    expiring(producer, "soon", 20.0)
    expiring(producer, "delayed", 30.0, due_in=10.0)
    world.let_pass(25.0)

    assert became_of_all(world, worker) == {"later": "job.claimed", "soon": "job.cancelled", "delayed": "job.claimed"}


def test_an_instant_at_which_a_job_expires_is_one_of_the_clock_of_who_takes_it(world: World) -> None:
    worker = started(world)
    producer = started(world, skew=-60.0)

    queue(producer, "passed", expires_at=world.now() - 1.0)
    queue(producer, "to come", expires_at=world.now() + 30.0)

    assert became_of_all(world, worker) == {"passed": "job.cancelled", "to come": "job.claimed"}


def test_whoever_leads_next_goes_on_with_the_time_of_the_leader_before(world: World) -> None:
    first = started(world)
    ahead, behind = started(world, skew=60.0), started(world, skew=-60.0)
    expiring(first, "later", 30.0)
    expiring(behind, "soon", 20.0)
    died(world, first)
    world.let_pass(12.0)
    expiring(behind, "later still", 30.0)
    world.let_pass(13.0)

    expected = {"later": "job.claimed", "later still": "job.claimed", "soon": "job.cancelled"}
    assert became_of_all(world, ahead) == expected


def test_a_job_that_is_given_back_unbegun_still_expires_when_its_seconds_have_passed(world: World) -> None:
    worker = started(world)
    producer = started(world, skew=60.0)
    expiring(producer, "a", 30.0)
    while not worker.state.deliveries.held:
        became_of_all(world, worker)
    with worker.turn("b", world.now()) as turn:
        (held,) = worker.state.deliveries.held
        turn.jobs.release(held.job, "its lane has ended")
    world.let_pass(31.0)

    assert became_of_all(world, worker) == {"a": "job.cancelled"}
