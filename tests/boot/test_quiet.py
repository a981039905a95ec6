"""A runtime is quiet: it claims nothing more, what runs goes on, and the log says who had it so."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest
from lamplighter import Environment, NotStarted, StoreUnavailable
from lamplighter.messages.views import QuietAnswer, RuntimeView
from lamplighter.rules.control_lines import AskRefused
from lamplighter.testing.draining import is_idle

from support.gate import Gate

from .test_control import PATIENCE, ask, where


def test_a_quiet_runtime_starts_no_job_and_finishes_those_that_run(runtime, recorder):
    rt, begun, release = runtime(), threading.Event(), threading.Event()

    def work(job):
        begun.set()
        release.wait(30)

    rt.jobs.add_handler("work", work, concurrency=4)
    running = rt.jobs.queue("work")
    # What is claimed and has not come to its function goes back.
    assert begun.wait(PATIENCE)

    rt.quiet(by="ada", reason="a deploy")
    waiting = rt.jobs.queue("work")
    release.set()
    rt.jobs.join(running, timeout=PATIENCE)
    recorder.until(lambda: is_idle(rt), "it to be idle")

    assert rt.jobs.get(waiting).state == "queued"
    rt.go()
    rt.jobs.join(waiting, timeout=PATIENCE)


def test_what_was_claimed_in_advance_goes_back_when_a_runtime_becomes_quiet(runtime, recorder):
    rt = runtime(unstarted_seconds=600)
    holds, goes_on = threading.Event(), threading.Event()

    @rt.jobs.handler("quick")
    def quick(job):
        if job.data == "hold":
            holds.set()
            goes_on.wait(30)

    # So many that their mean duration says that some may be claimed in advance.
    rt.jobs.queue_many([("quick", None)] * 300)
    recorder.until(lambda: rt.jobs.counts("quick")["done"] == 300)
    rt.jobs.queue_many([("quick", "hold"), *[("quick", None)] * 50])
    assert holds.wait(PATIENCE)
    recorder.until(lambda: rt.jobs.counts("quick")["running"] > 1, "some that are claimed in advance")

    rt.quiet()
    recorder.until(lambda: rt.jobs.counts("quick")["running"] == 1, "all but the one that runs to go back")
    goes_on.set()
    recorder.until(lambda: rt.jobs.counts("quick")["running"] == 0, "that one to end")

    assert rt.jobs.counts("quick")["queued"] == 50


def test_another_runtime_on_the_store_does_the_jobs_of_a_quiet_one(runtime, recorder):
    quiet, other = runtime(), runtime()
    for rt in (quiet, other):
        rt.jobs.add_handler("work", lambda job: None)
    quiet.quiet()

    job = quiet.jobs.queue("work")
    quiet.jobs.join(job, timeout=PATIENCE)

    assert recorder.wait_for("job.started", job_id=job.id)["boot"] == other.boot.id
    assert recorder.of("name.parked") == []


def test_a_quiet_runtime_still_fires_its_schedules(timed, recorder, time):
    rt = timed(start=False)
    rt.jobs.add_handler("work", lambda job: None)
    schedule = rt.scheduler.add("work", "@every 60s", key="k")
    rt.start()
    rt.quiet()

    recorder.until(lambda: (time.advance(1.0), recorder.of("slot.fired", schedule=schedule))[1], "a slot to fire")

    assert recorder.of("job.started") == []


def test_the_log_and_health_say_who_had_it_be_quiet_and_go_on(runtime, recorder):
    rt = runtime()
    rt.quiet(by="ada", reason="a deploy")
    health = rt.health()
    rt.quiet(by="bob")
    rt.go(by="eve")
    rt.go()

    assert health.status == "yellow"
    (reason,) = health.reasons
    assert reason.startswith("it takes no jobs until somebody has it go on: quiet since ")
    assert reason.endswith(" by ada (a deploy)")
    assert rt.health().status == "green"
    recorder.wait_for("runtime.resumed")
    assert [(event["by"], event["reason"]) for event in recorder.of("runtime.quieted")] == [("ada", "a deploy")]
    assert [event["by"] for event in recorder.of("runtime.resumed")] == ["eve"]


def test_who_asks_from_outside_has_it_be_quiet_and_is_named_in_the_log(runtime, recorder):
    rt = runtime()

    quiet = ask(where(rt), "quiet", QuietAnswer, by="ada@here", via="cli", reason="a deploy").quiet
    told = recorder.wait_for("runtime.quieted")
    view = ask(where(rt), "view", RuntimeView)
    gone_on = ask(where(rt), "go", QuietAnswer, by="ada@here")
    resumed = recorder.wait_for("runtime.resumed")

    assert (quiet.by, quiet.via, quiet.reason) == ("ada@here", "cli", "a deploy")
    assert (told["by"], told["via"], told["reason"]) == ("ada@here", "cli", "a deploy")
    assert view.quiet == quiet
    assert view.health.status == "yellow"
    assert gone_on == QuietAnswer(boot=rt.boot.id, quiet=None)
    assert (resumed["by"], resumed["via"]) == ("ada@here", "control")


def test_a_name_that_is_none_changes_nothing(runtime):
    rt = runtime()

    with pytest.raises(AskRefused, match="expected by to be a str of 1 to 200 characters"):
        ask(where(rt), "quiet", QuietAnswer, by="x" * 300)

    assert rt.boot.views.quiet().quiet is None


def test_a_broker_that_hangs_heeds_it_when_it_goes_on(runtime, recorder, caller):
    gate = Gate("store.turn.commit")
    rt = runtime(environment=Environment(failpoints=gate), reply_seconds_max=1.0)
    rt.jobs.add_handler("work", lambda job: None)
    recorder.until(lambda: is_idle(rt), "it to be idle")
    gate.is_shut = True
    queued = caller(rt.jobs.queue, "work", id="first")
    assert gate.reached.wait(PATIENCE)

    with pytest.raises(StoreUnavailable):
        rt.quiet(by="ada")
    answered = ask(where(rt), "quiet", QuietAnswer, by="bob").quiet
    gate.is_shut = False
    gate.opened.set()

    assert answered.by == "ada"
    assert recorder.wait_for("runtime.quieted")["by"] == "ada"
    with pytest.raises(StoreUnavailable):
        queued.result(PATIENCE)
    recorder.until(lambda: is_idle(rt), "it to be idle")
    # The turn that hung had claimed it before.
    second = rt.jobs.queue("work", id="second")
    recorder.until(lambda: is_idle(rt), "it to be idle")
    assert rt.jobs.get(second).state == "queued"


def test_a_quiet_boot_that_goes_on_as_another_says_so_of_that_one_too(runtime, recorder, tmp_path):
    rt = runtime()
    was = rt.boot.id
    rt.quiet(by="ada")
    with closing(sqlite3.connect(tmp_path / "jobs.db", timeout=PATIENCE)) as db, db:
        db.execute("delete from lamplighter_boots where boot = ?", (was,))

    rt.jobs.queue("work")

    recorder.wait_for("runtime.quieted", count=2)
    told = [(event["boot"], event["by"]) for event in recorder.of("runtime.quieted")]
    assert told == [(was, "ada"), (rt.boot.id, "ada")]


def test_a_broker_that_dies_over_it_leaves_it_to_its_successor(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)
    recorder.until(lambda: is_idle(rt), "it to be idle")
    rt.environment.failpoints.arm("actor.receive", "1*raise(ValueError: planted)->off")

    rt.quiet(by="ada")

    recorder.wait_for("actor.restarted", child="broker")
    assert [event["by"] for event in recorder.of("runtime.quieted")] == ["ada"]
    job = rt.jobs.queue("work")
    recorder.until(lambda: is_idle(rt), "it to be idle")
    assert rt.jobs.get(job).state == "queued"


def test_the_next_start_claims_again(runtime):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)
    rt.quiet()
    rt.stop()
    with pytest.raises(NotStarted):
        rt.go()

    rt.start()

    rt.jobs.join(rt.jobs.queue("work"), timeout=PATIENCE)
