"""When the slots of schedules fire: once, also after a pause, and of each it is said why or why not."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import current_thread

from lamplighter.messages.mail import Tick, Wake
from lamplighter.messages.schedules import Accounting, SlotRange
from lamplighter.testing.draining import is_idle

from ..conftest import STARTS


def test_cron_fires_once_and_not_once_per_process(timed, time, recorder):
    runtimes = [timed() for _ in range(4)]
    for rt in runtimes:
        rt.scheduler.add("tick", "* * * * *")
    recorder.until(lambda: all(is_idle(rt) for rt in runtimes), "all to know it")

    time.advance(60)
    recorder.wait_for("slot.fired")
    recorder.until(lambda: all(is_idle(rt) for rt in runtimes), "all to have heard")

    assert runtimes[0].jobs.counts("tick")["queued"] == 1


def test_missed_runs_neither_vanish_nor_come_as_a_flood(timed, time, recorder):
    rt = timed()
    schedule = rt.scheduler.add("tick", "* * * * *")
    rt.stop()
    time.advance(14 * 86400 + 30)

    rt.start()
    recorder.wait_for("slot.caught_up")
    recorder.until(lambda: is_idle(rt), "the scheduler to be done")

    (job,) = rt.jobs.list("tick")
    stories = rt.scheduler.explain(schedule, STARTS - timedelta(hours=1), job.slot + timedelta(seconds=1))
    assert sum(story.count for story in stories) == 14 * 24 * 60
    assert all(story.reason for story in stories)


def test_a_schedule_that_retention_has_removed_of_a_frozen_process_is_added_again(timed, time, recorder):
    # A process that was frozen for nine days: retention came before the tick, and the schedule fired never again.
    rt = timed()
    schedule = rt.scheduler.add("tick", "0 * * * *")
    recorder.until(lambda: is_idle(rt), "the scheduler to wait")

    time.advance(9 * 86400)
    recorder.until(lambda: len(recorder.of("schedule.added", schedule=schedule)) == 2, "it to be added again")
    recorder.until(lambda: is_idle(rt), "the scheduler to wait")
    time.advance(3600)

    fired = recorder.wait_for("slot.fired", schedule=schedule)
    assert datetime.fromtimestamp(fired["slot"], UTC) == STARTS + timedelta(days=9, hours=1)


def test_a_fixed_time_fires_once_a_day_whatever_daylight_saving_does(runtime):
    rt = runtime()
    nightly = rt.scheduler.add("night", "30 2 * * *", timezone="Europe/Berlin")
    start = datetime(2027, 1, 1, tzinfo=UTC)

    slots = [story.slot for story in rt.scheduler.explain(nightly, start, start + timedelta(days=365))]

    assert len({slot.date() for slot in slots}) == len(slots) == 365


def test_a_suspended_laptop_catches_up_and_says_that_the_clock_jumped(timed, time, recorder):
    rt = timed()
    rt.scheduler.add("tick", "* * * * *")
    recorder.until(lambda: rt.boot.clock._time._by_wall and is_idle(rt), "the scheduler to wait")

    time.step(8 * 3600)

    recorder.wait_for("clock.jumped", delta=8 * 3600)
    recorder.until(lambda: rt.jobs.counts("tick")["queued"] == 1, "one job")
    recorder.until(lambda: is_idle(rt), "the scheduler to be done")
    assert rt.jobs.counts("tick")["queued"] == 1


def test_an_overlapping_schedule_goes_on_once_the_earlier_job_has_ended(timed, time, recorder):
    rt = timed()
    rt.scheduler.add("tick", "* * * * *", overlap="skip")
    for seconds, event in ((60, "slot.fired"), (60, "slot.skipped")):
        recorder.until(lambda: rt.boot.clock._time._by_wall and is_idle(rt), "the scheduler to wait")
        time.advance(seconds)
        recorder.wait_for(event)

    (job,) = rt.jobs.list("tick")
    rt.jobs.cancel(job)
    recorder.until(lambda: is_idle(rt), "the scheduler to wait")
    time.advance(60)

    assert recorder.of("slot.skipped")[0]["by"] == job.id
    recorder.wait_for("slot.fired", count=2)


def test_a_slot_fires_though_the_clock_went_back_a_little_at_that_very_instant(timed, time, recorder):
    rt = timed()
    rt.scheduler.add("work", "* * * * * *")
    real = rt.boot.clock.now
    reads = iter([0.0, -0.02])

    def now():
        return real() + next(reads, 0.0) if current_thread().name.endswith("scheduler") else real()

    rt.boot.clock.now = now
    for _ in range(5):
        time.advance(1)
        recorder.until(lambda: is_idle(rt), "everything to be handled")

    assert len(recorder.of("slot.fired")) >= 4


def test_a_schedule_without_a_slot_for_weeks_is_not_forgotten_by_retention(timed, time, recorder):
    rt = timed()
    monthly = rt.scheduler.add("monthly", "0 0 1 * *")
    recorder.until(lambda: is_idle(rt), "the actors to be idle")

    for _ in range(140):
        time.advance(12 * 3600)
        recorder.until(lambda: is_idle(rt), "the actors to be idle")

    fired = [event["slot"] for event in recorder.of("slot.fired", schedule=monthly)]
    assert fired == [datetime(2026, 4, 1, tzinfo=UTC).timestamp(), datetime(2026, 5, 1, tzinfo=UTC).timestamp()]
    assert [record.id for record in rt.boot.store.schedules.all()] == [monthly]


def test_one_schedule_whose_zone_is_gone_rests_alone_and_is_said(timed, time, recorder, tmp_path):
    rt = timed()
    gone = rt.scheduler.add("gone", "* * * * *", timezone="Europe/Berlin", durable=True)
    sound = rt.scheduler.add("sound", "* * * * *", durable=True)
    rt.stop()
    with sqlite3.connect(tmp_path / "jobs.db") as other:
        other.execute("update lamplighter_schedules set timezone = 'Europe/Gone' where id = ?", (gone,))
    other.close()

    rt.start()
    unusable = recorder.wait_for("schedule.unusable", schedule=gone)
    recorder.until(lambda: is_idle(rt), "the actors to be idle")
    time.advance(60)
    recorder.wait_for("slot.fired", schedule=sound)
    listed = {schedule.id: schedule.next_slot for schedule in rt.scheduler.list()}

    assert (listed[gone], listed[sound]) == (None, STARTS + timedelta(seconds=120))
    assert (unusable["job_name"], "Europe/Gone" in unusable["reason"]) == ("gone", True)
    assert recorder.of("slot.fired", schedule=gone) == []
    assert recorder.of("actor.crashed") == []


def test_a_schedule_that_cannot_be_read_here_is_said_once(timed, time, recorder, tmp_path):
    rt = timed()
    rt.scheduler.add("work", "0 3 * * *", key="k", timezone="Europe/Berlin", durable=True)

    for _ in range(5):
        with closing(sqlite3.connect(tmp_path / "jobs.db")) as db:
            # As a runtime on another system does that knows the zone, at every slot.
            db.execute("update lamplighter_store set change_no = change_no + 1")
            db.execute(
                """update lamplighter_schedules set timezone = 'Mars/Olympus',
                   change_no = (select change_no from lamplighter_store)"""
            )
            db.commit()
        rt.boot.post.tell("scheduler", Wake(reload=True))
        time.advance(2)
        recorder.until(lambda: is_idle(rt), "everything to be handled")

    assert len(recorder.of("schedule.unusable")) == 1


def test_a_job_that_waits_for_its_schedules_earlier_one_blocks_no_other_of_its_name(timed, time, recorder):
    rt = timed()
    go = threading.Event()
    rt.jobs.add_handler("work", lambda job: job.data == "adhoc" or go.wait(10), concurrency=2)
    schedule = rt.scheduler.add("work", timedelta(minutes=1), "slot", overlap="queue_one")
    for count in (1, 2):
        recorder.until(lambda: is_idle(rt), "the actors to be idle")
        time.advance(60)
        recorder.wait_for("slot.fired", schedule=schedule, count=count)
    recorder.wait_for("job.started")
    recorder.until(lambda: is_idle(rt), "the actors to be idle")

    adhoc = rt.jobs.join(rt.jobs.queue("work", "adhoc"), timeout=5)
    counts = rt.jobs.counts("work")
    go.set()

    assert adhoc.result is True
    assert (counts["running"], counts["queued"]) == (1, 1)


def test_a_tick_of_a_runtime_that_was_not_first_changes_nothing(runtime, recorder):
    rt = runtime()
    schedule_id = rt.scheduler.add("yearly", "0 0 1 1 *")
    (record,) = [one for one in rt.boot.store.schedules.all() if one.id == schedule_id]
    skipped = (SlotRange(first=1.0, last=3.0, count=3, reason="a test"),)
    accounting = Accounting(fires=(), skipped=skipped, accounted_to=record.accounted_to + 1.0)
    tick = Tick(schedule_id=schedule_id, change_no=record.change_no, accounting=accounting)

    rt.boot.post.tell("broker", tick)
    recorder.wait_for("slot.skipped", schedule=schedule_id)
    late = tick._replace(accounting=accounting._replace(skipped=(replace(skipped[0], first=4.0, last=6.0),)))
    rt.boot.post.tell("broker", late)
    rt.jobs.queue("after")

    assert [entry.count for entry in rt.boot.store.schedules.slots(schedule_id, 0.0, 10.0).entries] == [3]
