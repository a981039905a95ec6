"""Schedules as an application sees them: those of other processes too, by their keys, and by their own clocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from lamplighter import NotStarted, Runtime, StoreUnavailable, UnknownSchedule
from lamplighter.testing.manual_clock import ManualTime

from .conftest import Recorder


def names(runtime: Runtime, *, everywhere: bool = False) -> list[str]:
    return sorted(schedule.name for schedule in runtime.scheduler.list(everywhere=everywhere))


@pytest.fixture
def pair(runtime: Callable[..., Runtime]) -> tuple[Runtime, Runtime]:
    """A worker that declares a schedule, and a producer."""
    worker, producer = runtime(), runtime(start=False).start(work=False)
    worker.scheduler.add("report", "@daily")
    worker.scheduler.add("kept", "@daily", durable=True)
    return worker, producer


def test_what_other_living_processes_declare_is_listed_where_that_is_asked_for(pair: tuple[Runtime, Runtime]) -> None:
    worker, producer = pair
    producer.scheduler.add("own", "@daily")

    assert names(producer) == ["kept", "own"]
    assert names(producer, everywhere=True) == ["kept", "own", "report"]
    assert names(worker, everywhere=True) == ["kept", "report"]
    assert [one.name for one in producer.scheduler.list("report", everywhere=True)] == ["report"]


def test_what_nobody_declares_any_more_is_not_listed(pair: tuple[Runtime, Runtime]) -> None:
    worker, producer = pair

    worker.stop()

    assert names(producer, everywhere=True) == ["kept"]


def test_one_that_does_not_answer_is_said_and_not_passed_over(pair: tuple[Runtime, Runtime]) -> None:
    worker, producer = pair
    worker.boot._standing.controls.close()

    with pytest.raises(StoreUnavailable, match="expected every runtime on the store to say which schedules"):
        producer.scheduler.list(everywhere=True)


def test_others_are_asked_by_a_runtime_that_runs(runtime: Callable[..., Runtime]) -> None:
    with pytest.raises(NotStarted):
        runtime(start=False).scheduler.list(everywhere=True)


def test_a_store_in_memory_has_nobody_else(runtime: Callable[..., Runtime]) -> None:
    alone = runtime(":memory:")
    alone.scheduler.add("report", "@daily")

    assert names(alone, everywhere=True) == ["report"]


def test_the_next_and_the_last_slot_are_told_by_the_clock_of_the_schedules_own_zone(
    timed: Callable[..., Runtime], time: ManualTime, recorder: Recorder
) -> None:
    rt = timed()
    rt.scheduler.add("report", "30 9 * * *", timezone="Asia/Kolkata", key="k")
    before = rt.scheduler.get("report", key="k")
    recorder.until(lambda: rt.boot.clock._time._by_wall, "the scheduler to wait for its next slot")
    time.advance(5 * 3600)
    recorder.wait_for("slot.caught_up")

    after = rt.scheduler.get("report", key="k")

    assert (before.next_slot, before.last_local) == (datetime(2026, 3, 2, 4, tzinfo=UTC), None)
    assert before.next_local is not None and after.last_local is not None
    assert before.next_local.isoformat() == after.last_local.isoformat() == "2026-03-02T09:30:00+05:30"
    assert before.next_local == before.next_slot


def test_a_schedule_is_paused_run_and_removed_by_its_key(pair: tuple[Runtime, Runtime]) -> None:
    worker, _ = pair
    scheduler = worker.scheduler
    scheduler.add("digest", "@daily", key="7")

    scheduler.pause("digest", key="7")
    paused = scheduler.get("digest", key="7").paused
    scheduler.resume("digest", key="7")
    job = scheduler.run_now("digest", key="7")
    scheduler.remove("digest", key="7")

    assert (paused, job.name) == (True, "digest")
    with pytest.raises(UnknownSchedule, match="expected the key of an active schedule of 'digest', got: '7'"):
        scheduler.remove("digest", key="7")


def test_an_asyncio_host_does_all_of_it_without_blocking_its_loop(pair: tuple[Runtime, Runtime]) -> None:
    scheduler = pair[0].scheduler

    async def act() -> list[object]:
        added = await scheduler.aadd("digest", "@daily", {"user": 7}, key="7")
        several = await scheduler.aadd_many([{"name": "digest", "when": "@hourly", "key": "8"}])
        await scheduler.apause(added)
        paused = (await scheduler.aget("digest", key="7")).paused
        await scheduler.aresume(added)
        job = await scheduler.arun_now(added)
        slots = await scheduler.aexplain(added, datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 1, 3, tzinfo=UTC))
        await scheduler.aremove("digest", key="7")
        left = [one.id for one in await scheduler.alist("digest", everywhere=True)]
        return [paused, job.data, len(slots), left == list(several)]

    assert asyncio.run(act()) == [True, {"user": 7}, 2, True]
