"""What a boot says of itself: by any thread, whatever its actors do."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace

import pytest
from lamplighter import Environment, Rate, RestartBudget
from lamplighter.boot.views import health_of
from lamplighter.messages.views import QuietView, RuntimeView
from lamplighter.rules.control_lines import decode_view, encode_view
from lamplighter.stores.troubles import HealthIssue
from lamplighter.supervisor import Child, ChildSpec, ChildStatus, Family
from lamplighter.testing.draining import is_idle

from support.gate import Gate


def actors(view):
    return {actor.name: actor for actor in view.actors}


@pytest.fixture
def gate():
    """At which a turn hangs, with the write lock in hand, once it is shut."""
    made = Gate("store.turn.commit")
    yield made
    made.opened.set()


def test_a_view_says_who_the_boot_is_and_what_it_may(runtime, recorder):
    rt = runtime(reply_seconds_max=7.0)
    rt.jobs.add_handler("work", lambda job: None, concurrency=3, concurrency_total=5, timeout=9, max_attempts=4)
    started = recorder.wait_for("runtime.started")

    view = rt.boot.views.runtime()

    assert (view.boot, view.boot_no, view.pid, view.host) == (rt.boot.id, 1, os.getpid(), started["host"])
    assert (view.kind, view.names, view.only, view.leads, view.is_draining) == ("worker", ("work",), None, None, False)
    assert (view.store, view.store_id) == (started["store"], started["store_id"])
    assert view.started_at == pytest.approx(started["ts"], abs=5)
    assert view.health.status == "green"
    assert view.limits["reply_seconds_max"] == 7.0
    (handler,) = view.handlers
    assert (handler.name, handler.kind, handler.concurrency) == ("work", "thread", 3)
    assert (handler.total, handler.timeout, handler.attempts) == (5, 9.0, 4)
    assert view.process.descriptors_max is None or view.process.descriptors < view.process.descriptors_max


def test_a_view_is_the_same_after_it_was_json(runtime, recorder):
    rt, release = runtime(restart_backoff_seconds_max=0.0), threading.Event()
    rt.jobs.add_handler("work", lambda job: release.wait(30))
    rt.jobs.queue("work")
    recorder.wait_for("job.started")
    view = rt.boot.views.runtime()

    assert decode_view(encode_view(view), RuntimeView) == view
    release.set()


def test_a_producer_says_that_it_is_one(runtime):
    rt = runtime(start=False)
    rt.jobs.add_handler("work", lambda job: None)
    rt.start(work=False)

    view = rt.boot.views.runtime()

    assert (view.kind, view.names, view.handlers) == ("producer", (), ())


def test_the_jobs_that_run_are_shown_with_their_deadline_and_why_they_are_to_end(runtime, recorder):
    rt, release = runtime(), threading.Event()
    rt.jobs.add_handler("work", lambda job: release.wait(30), timeout=60, concurrency=2)
    first, second = rt.jobs.queue("work"), rt.jobs.queue("work")
    recorder.wait_for("job.started", count=2)

    rt.jobs.cancel(second)
    recorder.until(lambda: any(lane.cancelled for lane in rt.boot.views.runtime().lanes), "the lane to be signalled")

    view = rt.boot.views.runtime()
    lanes = {lane.job_id: lane for lane in view.lanes}
    assert lanes.keys() == {first.id, second.id}
    assert view.lanes_open == 2
    assert (lanes[first.id].attempt, lanes[first.id].claim_no, lanes[first.id].cancelled) == (1, 1, None)
    assert lanes[first.id].deadline == lanes[first.id].since + 60
    assert lanes[second.id].cancelled == "cancelled"
    release.set()


def test_a_hung_turn_is_seen_from_outside_with_how_long_it_lasts(runtime, recorder, gate, caller):
    rt = runtime(environment=Environment(failpoints=gate))
    recorder.until(lambda: is_idle(rt), "it to be idle")
    before = rt.boot.views.runtime()
    gate.is_shut = True
    queued = caller(rt.jobs.queue, "work")
    assert gate.reached.wait(15)

    first, second = rt.boot.views.runtime(), rt.boot.views.runtime()

    assert before.turns.under_way_seconds is None
    assert before.turns.took_seconds >= before.turns.waited_seconds >= 0.0
    assert not first.turns.is_waiting
    assert second.turns.under_way_seconds > first.turns.under_way_seconds >= 0.0
    broker = actors(second)["broker"]
    assert broker.busy_with == "Queue"
    assert broker.busy_seconds >= second.turns.under_way_seconds
    gate.opened.set()
    assert queued.result(15)


def test_health_tells_of_an_actor_that_is_at_one_message(runtime, recorder, time, gate, caller):
    rt = runtime(environment=Environment(failpoints=gate, clock=time.clock))
    recorder.until(lambda: is_idle(rt), "it to be idle")
    gate.is_shut = True
    queued = caller(rt.jobs.queue, "work", delay=60)
    assert gate.reached.wait(15)

    time.advance(30)
    before = rt.health()
    time.advance(1)
    hung = rt.health()

    gate.opened.set()
    assert queued.result(15)
    assert (before.status, before.reasons) == ("green", ())
    assert (hung.status, hung.reasons) == ("yellow", ("the actor broker has been at one message (Queue) for 31 s",))


def test_a_turn_that_waits_for_the_write_lock_is_shown_as_waiting(runtime, recorder, caller):
    gate = Gate("store.turn.begin")
    rt = runtime(environment=Environment(failpoints=gate))
    recorder.until(lambda: is_idle(rt), "it to be idle")
    gate.is_shut = True
    queued = caller(rt.jobs.queue, "work")
    assert gate.reached.wait(15)

    assert rt.boot.views.runtime().turns.is_waiting
    gate.opened.set()
    assert queued.result(15)
    recorder.until(lambda: is_idle(rt), "it to be idle")
    assert not rt.boot.views.runtime().turns.is_waiting


def test_the_deaths_of_an_actor_are_kept_with_what_it_died_over(runtime, recorder):
    rt = runtime()
    recorder.wait_for("actor.started", child="scheduler")
    rt.boot.post.tell("scheduler", "nonsense")
    recorder.wait_for("actor.restarted", child="scheduler")

    scheduler = actors(rt.boot.views.runtime())["scheduler"]

    (death,) = scheduler.deaths
    assert (death.incarnation, death.over, death.why) == (1, "str", scheduler.last_crash)
    assert "does not hear str" in death.why
    assert (scheduler.restarts_in_window, scheduler.restarts_max) == (1, rt.limits.restarts_max)


def test_the_deaths_of_the_supervisor_are_kept_too(runtime, recorder):
    rt = runtime()
    recorder.wait_for("actor.started", child="scheduler")
    rt.boot.post.tell("supervisor", "nonsense")
    recorder.wait_for("supervisor.restarted")

    supervisor = actors(rt.boot.views.runtime())["supervisor"]

    assert [(death.incarnation, death.over) for death in supervisor.deaths] == [(1, "str")]
    assert supervisor.restarts_max is None


def test_the_budget_of_a_name_is_that_of_its_handler(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None, restart=RestartBudget(restarts_max=2, window_seconds=3))
    recorder.wait_for("actor.started", child="handler:work")

    handler = actors(rt.boot.views.runtime())["handler:work"]

    assert (handler.restarts_max, handler.restart_window_seconds) == (2, 3)


def where_it_hangs(release):
    release.wait(30)


async def where_it_waits(release):
    await asyncio.to_thread(release.wait, 30)


def test_the_stacks_show_where_jobs_tasks_and_threads_are(runtime, recorder):
    rt, release = runtime(), threading.Event()

    async def wait(job):
        await asyncio.create_task(where_it_waits(release), name="its own task")

    rt.jobs.add_handler("hangs", lambda job: where_it_hangs(release))
    rt.jobs.add_handler("waits", wait)
    job = rt.jobs.queue("hangs")
    rt.jobs.queue("waits")
    recorder.wait_for("job.started", count=2)

    def found(what, name):
        return [one.stack for one in rt.boot.views.stacks().stacks if one.what == what and name in one.name]

    def hangs(what, name, where):
        return any(where in stack for stack in found(what, name))

    recorder.until(lambda: hangs("job", job.id, "where_it_hangs"), "the function to be called")
    recorder.until(lambda: hangs("task", "its own task of waits", "where_it_waits"), "its task")
    assert hangs("thread", "lamplighter lane hangs", "where_it_hangs")
    assert found("thread", "lamplighter broker")
    assert found("thread", "MainThread")
    release.set()


def test_a_boot_says_which_schedules_its_code_declares(runtime):
    rt = runtime(start=False)
    rt.jobs.add_handler("work", lambda job: None)
    declared = rt.scheduler.add("work", "@daily", key="k")
    rt.start()
    rt.scheduler.add("work", "@hourly", durable=True)

    assert rt.boot.views.declared().schedules == (declared,)


def test_health_is_yellow_while_the_log_beside_the_file_is_too_long(runtime, tmp_path):
    rt = runtime(wal_bytes_max=100_000)
    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as reader:
        reader.execute("begin").execute("select * from lamplighter_jobs").fetchall()
        for _ in range(10):
            rt.jobs.queue("nobody", "x" * 50_000)
        health = rt.health()

    assert health.status == "yellow"
    assert any("wal_bytes_max=100,000" in reason for reason in health.reasons)
    assert not any("wal_bytes_max" in reason for reason in runtime().health().reasons)


def a_child(name: str, *statuses: ChildStatus) -> Child:
    child = Child(ChildSpec(id=name, start=print), last_crash="KeyError: 'x'")
    for status in statuses:
        child.become(status)
    return child


UP, WAITING, QUARANTINED = ChildStatus.UP, ChildStatus.WAITING, ChildStatus.QUARANTINED
SINCE = QuietView(since=0.0, by="ada", via="cli", reason="a deploy")


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({}, "green", None),
        ({"children": (a_child("broker", UP),)}, "green", None),
        ({"children": (a_child("broker", UP, WAITING),)}, "yellow", "broker is being restarted: KeyError: 'x'"),
        ({"children": (a_child("broker", UP, QUARANTINED),)}, "red", "broker is quarantined: KeyError: 'x'"),
        ({"gave_up": "it died"}, "red", "the supervisor gave up: it died"),
        (
            {"unheard": ("clock",)},
            "red",
            "the thread of the clock has ended, and nothing starts it again: restart the process",
        ),
        ({"trouble": "the disk is full"}, "yellow", "the store is unavailable: the disk is full"),
        (
            {"quiet": SINCE},
            "yellow",
            "it takes no jobs until somebody has it go on: quiet since 1970-01-01T00:00:00Z by ada (a deploy)",
        ),
        (
            {"quiet": replace(SINCE, by=None, reason=None)},
            "yellow",
            "it takes no jobs until somebody has it go on: quiet since 1970-01-01T00:00:00Z",
        ),
        ({"health_issues": (HealthIssue("yellow", "so"),)}, "yellow", "so"),
        ({"health_issues": (HealthIssue("red", "so"),)}, "red", "so"),
        ({"stuck": ("so",)}, "yellow", "so"),
        ({"hidden": ("so",)}, "yellow", "so"),
        ({"waiting": ("so",)}, "yellow", "so"),
    ],
)
def test_health_is_what_its_worst_part_is(runtime, changes, status, reason):
    family = Family(threading.Event())
    changes = dict(changes)
    family.gave_up = changes.pop("gave_up", None)
    family.children |= {child.spec.id: child for child in changes.pop("children", ())}
    none = dict.fromkeys(("unheard", "waiting", "hidden", "stuck", "health_issues", "abandoned", "subscriptions"), ())
    log = runtime(start=False).start().boot.log

    health = health_of(
        **{**none, "boot": "b", "trouble": None, "quiet": None, "abandoned_max": 1, "now": 0.0, **changes},
        family=family,
        log=log,
    )

    assert (health.status, health.reasons, health.boot) == (status, () if reason is None else (reason,), "b")


def test_each_option_of_a_handler_is_shown(runtime):
    rt = runtime()
    options = {"rate": Rate(5, per=1, burst=2), "rate_per_group": Rate(1, per=60), "concurrency_per_group": 2}
    rt.jobs.add_handler("work", lambda job: None, **options)
    rt.jobs.add_handler("plain", lambda job: None)

    shown = {one.name: one for one in rt.boot.views.runtime().handlers}

    assert (shown["work"].rate, shown["work"].rate_per_group, shown["work"].per_group) == ("5/1s burst 2", "1/60s", 2)
    assert (shown["plain"].rate, shown["plain"].rate_per_group, shown["plain"].per_group) == (None, None, None)


def test_a_quiet_runtime_says_since_when_and_who_had_it_so(runtime, time):
    rt = runtime(environment=Environment(clock=time.clock))
    assert (rt.boot.views.quiet().quiet, rt.boot.views.runtime().quiet) == (None, None)

    rt.quiet(by="ada", reason="a deploy")

    quiet = rt.boot.views.runtime().quiet
    assert (quiet.since, quiet.by, quiet.reason) == (time.wall, "ada", "a deploy")
    assert rt.boot.views.quiet().quiet == quiet
