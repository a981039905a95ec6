"""Schedules that are changed, removed and added: between the lives of a runtime, and within one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from lamplighter import Runtime
from lamplighter.environment import Environment
from lamplighter.testing import drain
from lamplighter.testing.manual_clock import ManualTime

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def time():
    return ManualTime(NOON.timestamp())


@pytest.fixture
def life(tmp_path, time):
    """Makes the runtime of a host's next version, on the same file."""

    def make() -> Runtime:
        return Runtime(tmp_path / "app.db", environment=Environment(clock=time.clock))

    return make


def slots(rt: Runtime, name: str = "bill") -> list[tuple[datetime | None, object]]:
    """The slots whose jobs were queued, each with what its job got."""
    return sorted((job.slot, job.data) for job in rt.jobs.list(name, limit=1000))


def test_a_schedule_that_was_changed_between_two_lives_fires_nothing_of_the_old_rule(life, time):
    old, new = life(), life()
    old.scheduler.add("bill", "0 * * * *", "old", key="bill", catch_up="all")
    new.scheduler.add("bill", "30 * * * *", "new", key="bill", catch_up="all")
    with old:
        drain(old)
    time.advance(3 * 3600)

    with new:
        drain(new)
        at_start = slots(new)
        time.advance(3600)
        drain(new)
        later = slots(new)

    assert at_start == []
    assert later == [(NOON + timedelta(hours=3.5), "new")]


def test_a_schedule_that_no_life_has_declared_for_a_while_was_missed_as_in_a_stop(life, time):
    with_it, without, again = life(), life(), life()
    with_it.scheduler.add("bill", "0 * * * *", key="bill", catch_up="all")
    again.scheduler.add("bill", "0 * * * *", key="bill", catch_up="all")
    with with_it:
        drain(with_it)

    with without:
        time.advance(2 * 3600)
        drain(without)
        unfired = slots(without)
    with again:
        drain(again)
        caught_up = slots(again)

    assert unfired == []
    assert [slot for slot, _ in caught_up] == [NOON + timedelta(hours=1), NOON + timedelta(hours=2)]


@pytest.mark.parametrize("durable", [False, True])
def test_a_schedule_that_was_removed_and_is_added_again_counts_from_then(life, time, durable):
    rt = life()
    options = {"key": "bill", "catch_up": "all", "durable": durable}
    with rt:
        schedule = rt.scheduler.add("bill", "0 * * * *", **options)
        time.advance(3600)
        drain(rt)
        # The one that is added again is new: it is not paused.
        rt.scheduler.pause(schedule)
        rt.scheduler.remove(schedule)
        time.advance(3 * 3600)
        drain(rt)
        rt.scheduler.add("bill", "0 * * * *", **options)
        drain(rt)
        again = slots(rt)
        time.advance(3600)
        drain(rt)
        later = slots(rt)

    assert [slot for slot, _ in again] == [NOON + timedelta(hours=1)]
    assert [slot for slot, _ in later] == [NOON + timedelta(hours=1), NOON + timedelta(hours=5)]


def test_a_schedule_that_became_durable_and_was_removed_is_gone_for_good(life, time):
    # The declaration from before it was durable was stored again at the next start.
    rt = life()
    rt.scheduler.add("bill", "0 * * * *", key="bill")
    with rt:
        schedule = rt.scheduler.add("bill", "0 * * * *", key="bill", durable=True)
        rt.scheduler.remove(schedule)
        listed = rt.scheduler.list()

    with rt:
        time.advance(3600)
        drain(rt)
        fired = slots(rt)

    assert (listed, fired) == ([], [])


def test_a_schedule_that_became_durable_stays_so_at_the_next_start(life, time):
    rt = life()
    rt.scheduler.add("bill", "0 * * * *", key="bill")
    with rt:
        rt.scheduler.add("bill", "0 * * * *", key="bill", durable=True)

    with rt:
        drain(rt)
        (schedule,) = rt.scheduler.list()

    assert schedule.durable


def test_a_removal_is_remembered_in_the_next_life(life, time):
    first, second = life(), life()
    with first:
        first.scheduler.remove(first.scheduler.add("bill", "0 * * * *", key="bill", catch_up="all"))
    time.advance(2 * 3600)
    second.scheduler.add("bill", "0 * * * *", key="bill", catch_up="all")

    with second:
        drain(second)
        fired = slots(second)

    assert fired == []


def test_a_schedule_that_another_runtime_declares_all_the_while_misses_nothing(life, time):
    here, there = life(), life()
    with here, there:
        schedule = here.scheduler.add("bill", "0 * * * *", key="bill", catch_up="all")
        there.scheduler.add("bill", "0 * * * *", key="bill", catch_up="all")
        here.scheduler.remove(schedule)
        time.advance(2 * 3600)
        drain(there)
        here.scheduler.add("bill", "0 * * * *", key="bill", catch_up="all")
        time.advance(3600)
        drain(there)
        drain(here)
        fired = slots(here)

    assert [slot for slot, _ in fired] == [NOON + timedelta(hours=hours) for hours in (1, 2, 3)]


def test_explain_tells_of_a_slot_at_the_very_start(life):
    rt = life()
    schedule = rt.scheduler.add("bill", "0 * * * *")
    with rt:
        stories = rt.scheduler.explain(schedule, NOON + timedelta(hours=1), NOON + timedelta(hours=3))

    assert [(story.slot, story.outcome) for story in stories] == [
        (NOON + timedelta(hours=1), "due"),
        (NOON + timedelta(hours=2), "due"),
    ]


def test_schedules_can_be_changed_while_it_runs_and_are_kept(runtime):
    rt = runtime()
    first = rt.scheduler.add("tick", "@daily", durable=True)
    second = rt.scheduler.add("tick", "@hourly", durable=True)
    rt.scheduler.pause(first)
    rt.scheduler.remove(second)
    rt.stop()

    rt.start()

    assert [(one.id, one.paused) for one in rt.scheduler.list()] == [(first, True)]
