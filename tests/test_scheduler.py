"""The Scheduler API: every call and option of the table in DESIGN.md, mostly on a clock that a test owns."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from lamplighter import JobState, NotStarted, StoreUnavailable, UnknownSchedule, UsageError
from lamplighter.environment import Environment
from lamplighter.environment.failpoints import Failpoints
from lamplighter.testing.draining import is_idle
from lamplighter.testing.manual_clock import ManualTime

START = datetime(2026, 3, 1, 11, 59, 30, tzinfo=UTC)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def time():
    return ManualTime(START.timestamp())


@pytest.fixture
def scheduled(runtime, time):
    """Makes runtimes whose clock is `time`."""
    return lambda **options: runtime(environment=Environment(clock=time.clock), **options)


def advance(rt, time, recorder, schedule, seconds, slots):
    """Let time pass, and wait until so many more slots of a schedule are accounted for."""
    before = len(recorder.of("slot.fired", schedule=schedule))
    recorder.until(lambda: rt.boot.clock._time._by_wall, "the scheduler to wait for its next slot")
    time.advance(seconds)
    if slots:
        recorder.wait_for("slot.fired", schedule=schedule, count=before + slots)


def settle(rt, time, recorder):
    """Wait until the scheduler has taken in all that it was told."""
    recorder.until(lambda: is_idle(rt), "the actors to be idle")


def test_every_minute_queues_a_job_that_knows_its_slot(scheduled, time, recorder):
    rt = scheduled()
    rt.jobs.add_handler("tick", lambda job: [job.data, job.slot.isoformat(), job.schedule])
    schedule = rt.scheduler.add("tick", "* * * * *", {"n": 1})

    advance(rt, time, recorder, schedule, 30, 1)
    fired = recorder.wait_for("slot.fired", schedule=schedule)
    job = rt.jobs.join(fired["job_id"], timeout=10)

    assert job.result == [{"n": 1}, NOON.isoformat(), schedule]
    assert (fired["outcome"], fired["slot"], fired["corr"]) == ("fired", NOON.timestamp(), job.id)


def test_six_fields_have_the_seconds_first(scheduled, time):
    rt = scheduled()
    midnight = rt.scheduler.add("clean", "0 0 0 * * *")
    at_ten_past = rt.scheduler.add("clean", "10 * * * * *")

    slots = {one.id: one.next_slot for one in rt.scheduler.list()}

    assert slots == {
        midnight: datetime(2026, 3, 2, tzinfo=UTC),
        at_ten_past: datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC),
    }


@pytest.mark.parametrize(
    ("when", "next_slot"),
    [
        ("@daily", datetime(2026, 3, 2, tzinfo=UTC)),
        ("@hourly", NOON),
        ("@every 30s", NOON),
        (timedelta(hours=1), NOON),
        (datetime(2026, 3, 1, 13, tzinfo=UTC), datetime(2026, 3, 1, 13, tzinfo=UTC)),
    ],
    ids=str,
)
def test_each_kind_of_when_knows_its_next_slot(scheduled, when, next_slot):
    rt = scheduled()

    rt.scheduler.add("work", when)

    assert [one.next_slot for one in rt.scheduler.list()] == [next_slot]


def test_cron_is_read_in_its_time_zone(scheduled):
    rt = scheduled()

    rt.scheduler.add("work", "0 14 * * *", timezone="Europe/Berlin")

    assert rt.scheduler.list()[0].next_slot == datetime(2026, 3, 1, 13, tzinfo=UTC)


def test_the_same_add_again_is_the_same_schedule(scheduled):
    rt = scheduled()

    first = rt.scheduler.add("work", "@daily", {"b": 1, "a": 2})
    second = rt.scheduler.add("work", "@daily", {"b": 1, "a": 2})
    other = rt.scheduler.add("work", "@daily", {"b": 2})

    assert first == second != other
    assert len(rt.scheduler.list()) == 2


def test_a_schedule_with_a_key_may_change_and_remains_the_same_one(scheduled, recorder):
    rt = scheduled()
    first = rt.scheduler.add("work", "@daily", key="nightly")

    second = rt.scheduler.add("work", "@hourly", key="nightly")

    assert first == second
    (only,) = rt.scheduler.list()
    assert only.next_slot == NOON
    recorder.wait_for("schedule.changed", schedule=first)


def test_a_schedule_is_found_by_its_key_and_may_be_named_by_its_picture(scheduled):
    rt = scheduled()
    for tenant in (7, 8):
        rt.scheduler.add("digest", "@daily", tenant, key=f"tenant-{tenant}")

    seven = rt.scheduler.get("digest", key="tenant-7")

    assert (seven.data, seven.key) == (7, "tenant-7")
    assert rt.scheduler.get(seven.id) == rt.scheduler.get(seven) == seven
    rt.scheduler.remove(seven)
    assert [one.key for one in rt.scheduler.list()] == ["tenant-8"]
    with pytest.raises(UnknownSchedule, match="expected the key of an active schedule of 'digest', got: 'tenant-7'"):
        rt.scheduler.get("digest", key="tenant-7")


def test_the_jobs_of_a_schedule_have_the_options_that_it_was_given(scheduled, time, recorder):
    rt = scheduled()
    options = {"priority": 7, "max_attempts": 3, "timeout": timedelta(seconds=20), "expires": timedelta(minutes=5)}
    schedule = rt.scheduler.add("tick", "* * * * *", **options, jitter=10)

    advance(rt, time, recorder, schedule, 30, 1)
    fired = rt.jobs.get(recorder.wait_for("slot.fired", schedule=schedule)["job_id"]).record
    beside = rt.scheduler.run_now(schedule).record

    for record in (fired, beside):
        assert (record.priority, record.max_attempts, record.timeout) == (7, 3, 20.0)
    assert fired.expires_at == pytest.approx(fired.run_at + 300, rel=0, abs=0.001)
    assert beside.expires_at == pytest.approx(beside.queued_at + 300, rel=0, abs=0.001)


def test_other_options_of_its_jobs_make_it_another_schedule_from_now_on(scheduled, recorder):
    rt = scheduled()
    first = rt.scheduler.add("tick", "@daily")

    second = rt.scheduler.add("tick", "@daily", priority=1)

    assert first == second
    recorder.wait_for("schedule.changed", schedule=first)


def test_a_job_of_a_schedule_that_nobody_starts_expires(scheduled, time, recorder):
    rt = scheduled()
    schedule = rt.scheduler.add("tick", "0 12 * * *", expires=60)
    advance(rt, time, recorder, schedule, 30, 1)
    settle(rt, time, recorder)

    time.advance(61)

    fired = recorder.wait_for("slot.fired", schedule=schedule)
    assert recorder.wait_for("job.cancelled")["job_id"] == fired["job_id"]


def test_a_schedule_may_stand_above_its_handler(scheduled, time, recorder):
    rt = scheduled()

    @rt.scheduler.cron("0 12 * * *", {"n": 1}, timezone="UTC", priority=3)
    @rt.jobs.handler
    def nightly(job):
        return job.data

    (schedule,) = rt.scheduler.list("nightly")
    assert (schedule.data, schedule.next_slot) == ({"n": 1}, NOON)
    advance(rt, time, recorder, schedule.id, 30, 1)
    fired = recorder.wait_for("slot.fired", schedule=schedule.id)["job_id"]
    job = rt.jobs.join(fired, timeout=10)
    assert (job.result, job.priority) == ({"n": 1}, 3)
    assert nightly(job) == {"n": 1}


def test_a_schedule_above_what_is_no_handler_is_refused(scheduled):
    rt = scheduled()

    with pytest.raises(UsageError, match=r"above @jobs\.handler, got it above"):
        rt.scheduler.cron("@daily")(lambda job: None)
    with pytest.raises(UsageError, match="unknown option tz; did you mean timezone"):
        rt.scheduler.cron("@daily", tz="UTC")(rt.jobs.handler("x")(lambda job: None))
    assert rt.scheduler.list() == []


def test_add_many_gives_an_id_for_each(scheduled):
    rt = scheduled()

    ids = rt.scheduler.add_many([{"name": "a", "when": "@daily"}, {"name": "b", "when": "@hourly", "data": [1]}])

    assert [one.id for one in rt.scheduler.list("b")] == ids[1:]
    assert rt.scheduler.list("b")[0].data == [1]
    assert len(rt.scheduler.list()) == 2


def test_the_log_tells_the_key_of_a_schedule(scheduled, recorder):
    rt = scheduled()

    schedule = rt.scheduler.add("tick", "* * * * *", key="nightly")

    added = recorder.wait_for("schedule.added", schedule=schedule)
    (told,) = (
        move
        for line in recorder.of("turn.committed", turn=added["turn"])
        for move in line["moves"]
        if move["k"] == "schedule.added"
    )
    assert (added["key"], told["key"]) == ("nightly", "nightly")


def test_a_schedule_may_be_declared_before_start(scheduled, time, recorder):
    rt = scheduled(start=False)
    schedule = rt.scheduler.add("tick", "* * * * *")
    listed = rt.scheduler.list()

    rt.start()
    recorder.wait_for("schedule.added", schedule=schedule)
    advance(rt, time, recorder, schedule, 30, 1)

    assert [one.id for one in listed] == [schedule]


def test_a_durable_schedule_needs_a_running_runtime(scheduled):
    with pytest.raises(NotStarted):
        scheduled(start=False).scheduler.add("tick", "* * * * *", durable=True)


@pytest.mark.parametrize("durable", [True, False])
def test_a_removed_schedule_fires_no_more(scheduled, time, recorder, durable):
    rt = scheduled()
    schedule = rt.scheduler.add("tick", "* * * * *", durable=durable)
    other = rt.scheduler.add("other", "* * * * *")
    advance(rt, time, recorder, schedule, 30, 1)
    settle(rt, time, recorder)

    rt.scheduler.remove(schedule)
    settle(rt, time, recorder)
    advance(rt, time, recorder, other, 60, 1)
    settle(rt, time, recorder)

    assert [one.id for one in rt.scheduler.list()] == [other]
    assert len(recorder.of("slot.fired", schedule=schedule)) == 1
    assert recorder.of("schedule.removed", schedule=schedule)
    with pytest.raises(UnknownSchedule):
        rt.scheduler.remove(schedule)


def test_a_durable_schedule_survives_without_being_declared_again(scheduled, time, recorder):
    first = scheduled()
    durable = first.scheduler.add("tick", "* * * * *", durable=True)
    first.scheduler.add("gone", "* * * * *")
    first.stop()

    second = scheduled()
    advance(second, time, recorder, durable, 30, 1)

    assert [(one.id, one.durable) for one in second.scheduler.list()] == [(durable, True)]
    assert recorder.of("slot.fired", job_name="gone") == []


def test_a_date_time_fires_once_and_has_then_no_next_slot(scheduled, time, recorder):
    rt = scheduled()
    schedule = rt.scheduler.add("once", NOON)

    advance(rt, time, recorder, schedule, 30, 1)
    settle(rt, time, recorder)
    time.advance(3600)
    settle(rt, time, recorder)

    (only,) = rt.scheduler.list()
    assert (only.next_slot, only.last_slot) == (None, NOON)
    assert len(recorder.of("slot.fired", schedule=schedule)) == 1


def test_a_date_time_that_has_passed_is_recorded_as_skipped_when_it_is_added(scheduled, recorder):
    rt = scheduled()
    passed = START - timedelta(hours=1)

    schedule = rt.scheduler.add("once", passed)

    assert rt.scheduler.list()[0].next_slot is None
    recorder.wait_for("slot.skipped", schedule=schedule)
    (story,) = rt.scheduler.explain(schedule, START - timedelta(days=1), START)
    assert (story.slot, story.outcome) == (passed, "skipped")


def test_the_slots_of_a_paused_schedule_are_recorded_as_skipped_until_it_is_resumed(scheduled, time, recorder):
    rt = scheduled()
    schedule = rt.scheduler.add("tick", "* * * * *")
    settle(rt, time, recorder)
    rt.scheduler.pause(schedule)
    settle(rt, time, recorder)

    time.advance(30)
    skipped = recorder.wait_for("slot.skipped", schedule=schedule)
    (told,) = rt.scheduler.list()
    settle(rt, time, recorder)
    rt.scheduler.resume(schedule)
    settle(rt, time, recorder)
    advance(rt, time, recorder, schedule, 60, 1)

    assert (skipped["slot"], skipped["reason"]) == (NOON.timestamp(), "paused")
    assert (told.paused, told.last_slot) == (True, None)
    assert recorder.of("slot.fired")[0]["slot"] == (NOON + MINUTE).timestamp()
    assert rt.scheduler.list()[0].paused is False


def test_run_now_queues_a_job_beside_the_slots(scheduled):
    rt = scheduled()
    rt.jobs.add_handler("report", lambda job: [job.data, job.slot, job.schedule])
    schedule = rt.scheduler.add("report", "@daily", {"x": 1})

    job = rt.scheduler.run_now(schedule)

    assert rt.jobs.join(job, timeout=10).result == [{"x": 1}, None, schedule]
    assert rt.scheduler.list()[0].last_slot is None


def test_a_slot_fires_once_however_many_runtimes_declare_its_schedule(scheduled, time, recorder):
    runtimes = [scheduled() for _ in range(3)]
    ids = {rt.scheduler.add("tick", "* * * * *") for rt in runtimes}
    (schedule,) = ids
    for rt in runtimes:
        settle(rt, time, recorder)

    for count in range(1, 4):
        time.advance(30 if count == 1 else 60)
        recorder.wait_for("slot.fired", schedule=schedule, count=count)
        for rt in runtimes:
            settle(rt, time, recorder)

    slots = [event["slot"] for event in recorder.of("slot.fired", schedule=schedule)]
    assert slots == [(NOON + n * MINUTE).timestamp() for n in range(3)]
    assert runtimes[0].jobs.counts("tick")["queued"] == 3


def test_a_slot_fires_once_over_a_restart(scheduled, time, recorder):
    rt = scheduled()
    schedule = rt.scheduler.add("tick", "* * * * *")
    advance(rt, time, recorder, schedule, 30, 1)
    settle(rt, time, recorder)
    rt.stop()

    rt.start()
    settle(rt, time, recorder)
    advance(rt, time, recorder, schedule, 60, 1)

    assert [event["slot"] for event in recorder.of("slot.fired")] == [NOON.timestamp(), (NOON + MINUTE).timestamp()]
    assert rt.jobs.counts("tick")["queued"] == 2


def test_a_slot_never_fires_twice_when_the_clock_steps_back(scheduled, time, recorder):
    rt = scheduled()
    schedule = rt.scheduler.add("tick", "* * * * *")
    advance(rt, time, recorder, schedule, 30, 1)
    settle(rt, time, recorder)

    time.step(-3600)
    recorder.wait_for("clock.jumped", delta=-3600)
    settle(rt, time, recorder)
    for _ in range(3):
        time.advance(60)
        settle(rt, time, recorder)
    time.advance(3600 - 180 + 60)
    recorder.until(lambda: rt.jobs.counts("tick")["queued"] > 4, "the next slot")

    slots = [job.slot for job in rt.jobs.list("tick")]
    # It counts from 11:00, and noon does not come again.
    assert slots == [NOON + MINUTE, *(NOON - timedelta(minutes=minutes) for minutes in (57, 58, 59)), NOON]


@pytest.mark.parametrize(
    ("policy", "fires", "skipped"),
    [
        ({}, [5], [(1, 4, 4, "superseded by a later slot")]),
        ({"catch_up": "all"}, [1, 2, 3, 4, 5], []),
        ({"catch_up": "all", "catch_up_max": 2}, [4, 5], [(1, 3, 3, "more than catch_up_max")]),
        ({"catch_up": "skip"}, [], [(1, 5, 5, "catch_up=skip")]),
        ({"catch_up": "all", "catch_up_window": 150}, [4, 5], [(1, 3, 3, "older than catch_up_window")]),
    ],
    ids=str,
)
def test_after_a_stop_the_policy_says_what_becomes_of_the_slots_that_were_missed(
    scheduled, time, recorder, policy, fires, skipped
):
    rt = scheduled()
    schedule = rt.scheduler.add("tick", "* * * * *", **policy)
    advance(rt, time, recorder, schedule, 30, 1)
    settle(rt, time, recorder)
    rt.stop()
    time.advance(5 * 60 + 45)

    rt.start()
    recorder.until(
        lambda: len(recorder.of("slot.caught_up")) == len(fires) and len(recorder.of("slot.skipped")) == len(skipped),
        "every missed slot to be accounted for",
    )

    def minute(slot):
        return round((slot - NOON.timestamp()) / 60)

    assert [minute(event["slot"]) for event in recorder.of("slot.caught_up")] == fires
    assert [
        (minute(event["slot"]), minute(event["last"]), event["count"], event["reason"])
        for event in recorder.of("slot.skipped")
    ] == skipped
    assert rt.jobs.counts("tick")["queued"] == 1 + len(fires)


def test_a_new_schedule_counts_from_now_and_catches_up_with_nothing(scheduled, time, recorder):
    rt = scheduled()
    schedule = rt.scheduler.add("tick", "* * * * *", catch_up="all")

    settle(rt, time, recorder)

    assert recorder.of("slot.caught_up", schedule=schedule) == []
    assert rt.jobs.counts("tick")["queued"] == 0


def test_a_slot_that_could_not_be_stored_is_due_again_when_the_store_is_back(scheduled, time, recorder, tmp_path):
    rt = scheduled(busy_seconds_max=0.02)
    schedule = rt.scheduler.add("tick", "* * * * *")
    settle(rt, time, recorder)
    other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    other.execute("begin immediate")
    time.advance(30)
    recorder.wait_for("store.waiting")

    other.execute("rollback")
    other.close()
    recorder.until(lambda: time.advance(0.2) or recorder.of("slot.fired", schedule=schedule), "the slot to fire")

    assert recorder.of("slot.fired", schedule=schedule)[0]["slot"] == NOON.timestamp()


def test_overlap_allow_fires_beside_an_unfinished_job(scheduled, time, recorder):
    rt = scheduled()
    schedule = rt.scheduler.add("tick", "* * * * *")

    for seconds in (30, 60):
        advance(rt, time, recorder, schedule, seconds, 1)
        settle(rt, time, recorder)

    assert rt.jobs.counts("tick")["queued"] == 2


def test_overlap_skip_lets_a_slot_pass_while_an_earlier_job_is_open_and_names_it(scheduled, time, recorder):
    rt = scheduled()
    schedule = rt.scheduler.add("tick", "* * * * *", overlap="skip")
    advance(rt, time, recorder, schedule, 30, 1)
    settle(rt, time, recorder)
    (job,) = rt.jobs.list("tick")

    time.advance(60)
    skipped = recorder.wait_for("slot.skipped", schedule=schedule)
    (told,) = rt.scheduler.list()
    settle(rt, time, recorder)
    rt.jobs.mark_done(job)
    advance(rt, time, recorder, schedule, 60, 1)

    assert (skipped["by"], skipped["reason"]) == (job.id, "overlap=skip: an earlier job is unfinished")
    assert told.last_slot == NOON
    assert rt.jobs.counts("tick") == {"queued": 1, "running": 0, "done": 1, "dead": 0, "cancelled": 0}


def test_overlap_queue_one_lets_one_wait_and_runs_them_one_after_another(scheduled, time, recorder):
    rt = scheduled()
    started, go = threading.Semaphore(0), threading.Semaphore(0)
    lock, now, most = threading.Lock(), [0], [0]

    def work(job):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        started.release()
        go.acquire(timeout=10)
        with lock:
            now[0] -= 1

    rt.jobs.add_handler("tick", work, concurrency=4)
    schedule = rt.scheduler.add("tick", "* * * * *", overlap="queue_one")
    advance(rt, time, recorder, schedule, 30, 1)
    assert started.acquire(timeout=10)
    settle(rt, time, recorder)

    advance(rt, time, recorder, schedule, 60, 1)
    settle(rt, time, recorder)
    time.advance(60)
    skipped = recorder.wait_for("slot.skipped", schedule=schedule)
    counts = rt.jobs.counts("tick")
    go.release(4)
    assert started.acquire(timeout=10)
    recorder.until(lambda: rt.jobs.counts("tick")["done"] == 2, "both to end")

    assert skipped["reason"] == "overlap=queue_one: an earlier job still waits"
    assert (counts["running"], counts["queued"]) == (1, 1)
    assert most[0] == 1


def test_jitter_moves_when_the_job_is_due_and_never_the_slot(scheduled, time, recorder):
    rt = scheduled()
    schedule = rt.scheduler.add("tick", "* * * * *", jitter=30)
    advance(rt, time, recorder, schedule, 30, 1)

    (job,) = rt.jobs.list("tick")

    assert job.slot == NOON
    assert timedelta(0) <= job.run_at - NOON < timedelta(seconds=30)
    assert job.run_at != NOON


def test_explain_tells_what_was_and_what_will_be(scheduled, time, recorder):
    rt = scheduled()
    schedule = rt.scheduler.add("tick", "* * * * *", overlap="skip")
    advance(rt, time, recorder, schedule, 30, 1)
    settle(rt, time, recorder)
    time.advance(60)
    recorder.wait_for("slot.skipped", schedule=schedule)
    settle(rt, time, recorder)

    stories = rt.scheduler.explain(schedule, NOON, NOON + 4 * MINUTE)

    assert [(one.slot, one.outcome) for one in stories] == [
        (NOON, "fired"),
        (NOON + MINUTE, "skipped"),
        (NOON + 2 * MINUTE, "due"),
        (NOON + 3 * MINUTE, "due"),
    ]
    assert rt.jobs.get(stories[0].job_id).state == JobState.QUEUED
    assert stories[1].reason == "overlap=skip: an earlier job is unfinished"


def test_explain_says_which_rule_moved_a_slot_out_of_a_gap(scheduled):
    rt = scheduled()
    schedule = rt.scheduler.add("night", "30 2 * * *", timezone="Europe/Berlin")

    (story,) = rt.scheduler.explain(schedule, datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 3, 29, 12, tzinfo=UTC))

    assert story.slot == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert story.reason == "moved from 2026-03-29 02:30:00, which does not exist in Europe/Berlin"


def test_explain_of_an_empty_range_is_empty(scheduled):
    rt = scheduled()
    schedule = rt.scheduler.add("tick", "* * * * *")

    assert rt.scheduler.explain(schedule, NOON, NOON) == []


def test_a_per_second_schedule_fires_on_the_real_clock(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("tick", lambda job: None)
    schedule = rt.scheduler.add("tick", "* * * * * *")

    recorder.wait_for("slot.fired", schedule=schedule, count=2)

    first, second = (event["slot"] for event in recorder.of("slot.fired", schedule=schedule)[:2])
    assert second - first == 1
    assert all(event["late"] < 1 for event in recorder.of("slot.fired", schedule=schedule))


@contextmanager
def unanswered(rt, recorder, path, how):
    """A store that does not answer in time: it is locked, or stores what it was given and says so too late."""
    requests = rt.boot.requests
    patient = requests.context
    requests.context = patient._replace(limits=replace(patient.limits, reply_seconds_max=0.05))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        if how == "locked":
            other.execute("begin immediate")
        else:
            rt.environment.failpoints.arm("broker.let_out", "1*sleep(0.5)")
        with pytest.raises(StoreUnavailable):
            yield
    requests.context = patient
    recorder.until(lambda: is_idle(rt) and rt.boot.requests.store_trouble is None, "the store to answer again")


@pytest.mark.parametrize("how", ["locked", "late"])
def test_a_removal_that_the_store_did_not_answer_removes_nothing(runtime, time, recorder, tmp_path, how):
    environment = Environment(clock=time.clock, failpoints=Failpoints())
    rt = runtime(environment=environment)
    schedule = rt.scheduler.add("tick", "* * * * *")
    before = [(one.id, one.when) for one in rt.scheduler.list()]
    settle(rt, time, recorder)

    with unanswered(rt, recorder, tmp_path / "jobs.db", how):
        rt.scheduler.remove(schedule)

    assert [(one.id, one.when) for one in rt.scheduler.list()] == before
    if how == "locked":
        advance(rt, time, recorder, schedule, 30, 1)
    rt.scheduler.remove(schedule)
    assert rt.scheduler.list() == []


@pytest.mark.parametrize("how", ["locked", "late"])
def test_an_addition_that_the_store_did_not_answer_adds_nothing(runtime, time, recorder, tmp_path, how):
    environment = Environment(clock=time.clock, failpoints=Failpoints())
    rt = runtime(environment=environment)
    rt.scheduler.add("tick", "@yearly", key="tick")
    settle(rt, time, recorder)

    with unanswered(rt, recorder, tmp_path / "jobs.db", how):
        rt.scheduler.add("tick", "* * * * *", key="tick")
    with unanswered(rt, recorder, tmp_path / "jobs.db", how):
        rt.scheduler.add("tock", "* * * * *")
    known = [one.name for one in rt.scheduler.list()]
    again = [rt.scheduler.add("tick", "* * * * *", key="tick"), rt.scheduler.add("tock", "* * * * *")]
    advance(rt, time, recorder, again[0], 30, 1)

    assert known == ["tick"]
    recorder.wait_for("slot.fired", schedule=again[1])


def test_whatever_a_job_queues_descends_from_it(scheduled, recorder):
    rt = scheduled()
    schedule = rt.scheduler.add("made", "0 0 1 1 *")

    @rt.jobs.handler("made")
    def made(job):
        pass

    rt.jobs.pause("made")

    def work(job):
        rt.jobs.queue("made")
        rt.jobs.queue_many([("made", None), ("made", None)])
        made.queue()
        made.many([None, None])
        rt.scheduler.run_now(schedule)
        job.then(("made", None))

    async def work_async(job):
        await rt.jobs.aqueue("made")
        await rt.jobs.aqueue_many([("made", None), ("made", None)])
        await made.aqueue()
        await made.amany([None, None])
        await rt.scheduler.arun_now(schedule)
        job.then(("made", None))

    rt.jobs.add_handler("work", work)
    rt.jobs.add_handler("work async", work_async)
    roots = [rt.jobs.join(rt.jobs.queue(name), timeout=10).id for name in ("work", "work async")]
    alone = rt.scheduler.run_now(schedule)

    descend = Counter(job.record.root_id for job in rt.jobs.list("made"))
    assert descend == {**dict.fromkeys(roots, 8), alone.id: 1}


def test_a_job_is_no_schedule_though_it_has_an_id(runtime):
    rt = runtime()
    job = rt.jobs.queue("digest", id=rt.scheduler.add("digest", "@daily"))

    for refused in (rt.scheduler.pause, rt.scheduler.remove, rt.scheduler.get):
        with pytest.raises(UnknownSchedule, match="expected the id of an active schedule, as add gave it, got: <Job"):
            refused(job)
