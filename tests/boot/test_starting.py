"""Starts that are given up, and starts from places where one must not wait."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from datetime import timedelta

import pytest
from lamplighter import Rate, Runtime, StoreUnavailable, UsageError
from lamplighter.boot.requests import Requests
from lamplighter.environment import Environment
from lamplighter.stores.opening import place_of


class SlowStore:
    """Opens a store once it is let."""

    def __init__(self):
        self.opening, self.may_open = threading.Event(), threading.Event()

    def __call__(self, address, **options):
        store = place_of(address).store(**options)
        open_it = store.open

        def open_late():
            self.opening.set()
            assert self.may_open.wait(30)
            open_it()

        store.open = open_late
        return store


def test_a_start_that_is_cancelled_while_it_goes_on_leaves_nothing_running(tmp_path):
    slow = SlowStore()
    rt = Runtime(tmp_path / "jobs.db", environment=Environment(store=slow))

    async def enter():
        async with rt:
            pytest.fail("it was cancelled before")

    async def main():
        entering = asyncio.create_task(enter())
        assert await asyncio.to_thread(slow.opening.wait, 30)
        entering.cancel()
        await asyncio.sleep(0)
        # Impatience changes nothing.
        entering.cancel()
        slow.may_open.set()
        with pytest.raises(asyncio.CancelledError):
            await entering

    asyncio.run(main())

    assert rt.boot is None
    assert rt.wait(0)


def test_each_handler_is_logged_with_all_its_limits_before_the_start_or_after(runtime, recorder):
    rt = runtime(start=False)
    rate, slow = Rate(100, per=60, burst=5), Rate(1, per=3600)
    rt.jobs.add_handler("mail", print, concurrency=2, concurrency_total=7, concurrency_per_group=3, rate=rate)
    rt.jobs.add_handler("mail", repr, rate_per_group=slow)
    rt.jobs.add_handler("report", print, isolation="process")
    rt.start()
    rt.jobs.add_handler("report", repr, concurrency=4)

    told = recorder.wait_for("handler.added", count=4) and recorder.of("handler.added")
    names = {"job_name", "handler", "isolation", "concurrency", "concurrency_total", "concurrency_per_group"}
    ids = [handler.id for name in ("mail", "report") for handler in rt.boot.share.declared.handlers(name)]
    assert [{name: line[name] for name in line if name in names or name.startswith("rate")} for line in told] == [
        {
            "job_name": "mail",
            "handler": ids[0],
            "isolation": "thread",
            "concurrency": 2,
            "concurrency_total": 7,
            "concurrency_per_group": 3,
            "rate": "100/60s burst 5",
        },
        {
            "job_name": "mail",
            "handler": ids[1],
            "isolation": "thread",
            "concurrency": 1,
            "rate_per_group": "1/3600s",
        },
        {"job_name": "report", "handler": ids[2], "isolation": "process", "concurrency": 1},
        {"job_name": "report", "handler": ids[3], "isolation": "thread", "concurrency": 4},
    ]


def test_a_cancelled_entry_does_not_stop_what_ran_before(runtime):
    rt = runtime()

    async def enter():
        async with rt:
            pytest.fail("it was cancelled before")

    async def main():
        entering = asyncio.create_task(enter())
        await asyncio.sleep(0)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering

    asyncio.run(main())

    assert rt.boot is not None


def test_a_start_inside_a_handler_does_not_wait_for_the_stop_that_waits_for_it(runtime):
    rt = runtime()
    inside, stopping, order = threading.Event(), threading.Event(), []

    @rt.jobs.handler("ensures")
    def ensures(job):
        inside.set()
        assert stopping.wait(15)
        order.append(rt.start() is rt)
        return "it runs"

    rt.subscribe(lambda event: stopping.set(), events=["runtime.stopping"])
    job = rt.jobs.queue("ensures")
    assert inside.wait(15)

    rt.stop(drain=20)

    assert order == [True]
    assert rt.boot is None, "nothing was started behind the back of stop"
    rt.start()
    assert rt.jobs.get(job).result == "it runs"


def test_a_handler_that_has_outlived_the_stop_cannot_start_its_runtime(runtime):
    rt = runtime()
    inside, stopped, said = threading.Event(), threading.Event(), []

    @rt.jobs.handler("outlives")
    def outlives(job):
        inside.set()
        assert stopped.wait(15)
        with pytest.raises(UsageError, match="whose runtime was stopped") as error:
            rt.start()
        said.append(error)

    rt.jobs.queue("outlives")
    assert inside.wait(15)
    (lane,) = rt.boot.lanes.open()
    ended = threading.Event()
    lane.when_ended(ended.set)
    rt.stop(drain=0.0)
    stopped.set()

    assert ended.wait(15)
    assert len(said) == 1
    assert rt.boot is None


def test_a_start_that_fails_has_started_nothing_and_the_next_one_begins_anew(runtime, recorder, monkeypatch):
    rt = runtime(start=False)
    rt.jobs.add_handler("work", lambda job: "ran")
    schedule = rt.scheduler.add("work", timedelta(hours=1))
    asked = []

    def refuse(requests, *_, **__):
        asked.append(requests)
        monkeypatch.undo()
        raise StoreUnavailable("database is locked", None)

    monkeypatch.setattr(Requests, "ask", refuse)
    with pytest.raises(StoreUnavailable):
        rt.start()
    after_failure, status = rt.boot, rt.health().status
    (failed,) = asked
    alive = [name for name in failed.context.post.names() if failed.context.post.find(name).thread.is_alive()]

    rt.start()

    assert (after_failure, status, alive) == (None, "red", [])
    assert [boot.boot for boot in rt.boot.store.surroundings("b").boots] == [rt.boot.id]
    assert [record.id for record in rt.boot.store.schedules.all()] == [schedule]
    assert rt.jobs.join(rt.jobs.queue("work"), timeout=10).result == "ran"


def test_a_stop_ends_everything_though_the_store_is_broken(runtime, tmp_path):
    rt = runtime()
    boot = rt.boot
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as db:
        db.execute("drop table lamplighter_boots")
        db.commit()

    rt.stop(drain=0)

    assert rt.boot is None
    assert not boot._standing.presence.is_alive(boot.id)
