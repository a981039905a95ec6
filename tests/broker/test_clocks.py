"""Clocks that are stepped: for seconds and for good, by an hour and by years, whether somebody lives then or not."""

from __future__ import annotations

import json
import time as system_time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from lamplighter import JobSpec, Rate, Runtime, Snooze
from lamplighter.environment import Environment
from lamplighter.environment.clock import SystemClock
from lamplighter.messages.mail import Tick
from lamplighter.messages.schedules import Accounting, SlotRange
from lamplighter.testing import Simulation, drain
from lamplighter.testing.manual_clock import ManualTime

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
YEAR = 365 * 86400.0
HOUR = 3600.0


@pytest.fixture
def time():
    return ManualTime(NOON.timestamp())


@pytest.fixture
def start(runtime, time):
    def make(given: ManualTime | None = None, **options):
        return runtime(environment=Environment(clock=(given or time).clock), **options)

    return make


def slots_of(rt: Runtime, name: str = "tick") -> list[datetime]:
    return sorted(job.slot for job in rt.jobs.list(name, limit=1000))


def pass_minutes(rt: Runtime, time: ManualTime, minutes: int) -> None:
    for _ in range(minutes):
        time.advance(60)
        drain(rt)


def test_a_clock_that_was_a_year_ahead_for_a_moment_silences_no_schedule(start, time, recorder):
    rt = start()
    schedule = rt.scheduler.add("tick", "* * * * *")
    pass_minutes(rt, time, 1)

    time.step(YEAR)
    drain(rt)
    ahead = slots_of(rt)
    time.step(-YEAR)
    drain(rt)
    pass_minutes(rt, time, 3)

    this_year = [slot for slot in slots_of(rt) if slot not in ahead[1:]]
    assert this_year == [NOON + timedelta(minutes=minutes) for minutes in (1, 2, 3, 4)]
    assert recorder.of("clock.jumped")[-1]["schedules"] == 1
    (known,) = rt.scheduler.list()
    assert (known.next_slot, known.last_slot) == (NOON + timedelta(minutes=5), NOON + timedelta(minutes=4))
    told = rt.scheduler.explain(schedule, NOON, NOON + timedelta(minutes=7))
    assert [story.outcome for story in told] == ["fired"] * 4 + ["due"] * 2


def test_the_log_of_a_clock_that_was_a_year_ahead_for_a_moment_audits_clean(start, time, recorder, tmp_path):
    rt = start()
    rt.scheduler.add("tick", "* * * * *", catch_up="all", catch_up_max=5)
    for seconds in (YEAR, -YEAR, HOUR, -HOUR):
        pass_minutes(rt, time, 3)
        time.step(seconds)
        drain(rt)
    pass_minutes(rt, time, 3)
    rt.stop()

    assert (recorder.audit().findings, recorder.audit(tmp_path / "jobs.db").findings) == ((), ())


def test_a_slot_that_fired_in_a_false_future_does_not_fire_again_when_it_comes(start, time, recorder):
    rt = start()
    rt.scheduler.add("tick", "* * * * *", catch_up="skip")
    time.step(600)
    drain(rt)
    time.advance(1)
    drain(rt)
    fired = slots_of(rt)

    time.step(-600)
    drain(rt)
    pass_minutes(rt, time, 11)

    assert fired == [NOON + timedelta(minutes=10)]
    assert slots_of(rt) == [NOON + timedelta(minutes=minutes) for minutes in range(1, 12)]
    recorder.wait_for("slot.taken", slot=fired[0].timestamp())


@pytest.mark.parametrize("overlap", ["skip", "queue_one"])
def test_a_slot_that_fired_in_a_false_future_holds_up_none_that_comes_before_it(start, time, overlap):
    rt = start()
    rt.scheduler.add("tick", "* * * * *", overlap=overlap)
    drain(rt)
    time.step(YEAR)
    drain(rt)
    ahead = slots_of(rt)

    time.step(-YEAR)
    rt.jobs.add_handler("tick", lambda job: None)
    drain(rt)
    pass_minutes(rt, time, 3)

    assert len(ahead) == 1
    assert slots_of(rt) == [*(NOON + timedelta(minutes=minutes) for minutes in (1, 2, 3)), *ahead]
    assert rt.jobs.counts("tick")["done"] == 4


@pytest.mark.parametrize("why", ["paused", "overlap"])
def test_a_slot_of_a_false_future_is_told_when_it_comes_and_may_not_fire(start, time, recorder, tmp_path, why):
    rt = start()
    schedule = rt.scheduler.add("tick", "* * * * *", overlap="queue_one" if why == "overlap" else "allow")
    time.step(120)
    drain(rt)
    (fired,) = slots_of(rt)

    time.step(-120)
    drain(rt)
    if why == "paused":
        rt.scheduler.pause(schedule)
    pass_minutes(rt, time, 4)
    rt.stop()

    assert recorder.audit(tmp_path / "jobs.db").findings == ()
    recorder.wait_for("slot.taken", slot=fired.timestamp())
    told = [(event["slot"], event["last"]) for event in recorder.of("slot.skipped")]
    assert not any(first <= fired.timestamp() <= last for first, last in told)


def test_slots_that_are_missed_behind_one_that_fired_in_a_false_future_are_said(start, time, recorder):
    rt = start()
    schedule = rt.scheduler.add("tick", "* * * * *", catch_up="skip")
    drain(rt)
    pass_minutes(rt, time, 1)
    time.step(60)
    drain(rt)
    ahead = slots_of(rt)[1:]
    time.step(-60)
    drain(rt)

    time.step(600)
    drain(rt)

    assert ahead == [NOON + timedelta(minutes=2)]
    told = rt.scheduler.explain(schedule, NOON + timedelta(minutes=2), NOON + timedelta(minutes=12))
    assert [(story.slot.minute, story.outcome, story.count) for story in told] == [
        (2, "fired", 1),
        (3, "skipped", 8),
        (11, "fired", 1),
    ]
    assert recorder.wait_for("slot.skipped", slot=(NOON + timedelta(minutes=3)).timestamp())["count"] == 8


def test_a_schedule_that_was_left_in_a_false_future_counts_from_the_next_start(start, time, recorder):
    wrong = ManualTime(NOON.timestamp() + YEAR)
    first = start(wrong)
    first.scheduler.add("tick", "* * * * *")
    drain(first)
    first.stop()

    second = start()
    second.scheduler.add("tick", "* * * * *")
    pass_minutes(second, time, 2)

    assert slots_of(second) == [NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)]
    (jumped,) = recorder.of("clock.jumped", boot=second.boot.id)
    assert (jumped.get("delta"), jumped["schedules"]) == (None, 1)


def test_what_was_thought_in_a_false_future_is_not_stored_after_it(start, time, recorder):
    rt = start()
    schedule = rt.scheduler.add("tick", "* * * * *")
    drain(rt)
    known = rt.boot.store.schedules.one(schedule)
    future = NOON.timestamp() + YEAR
    gone = SlotRange(first=NOON.timestamp() + 60, last=future, count=525_600, reason="superseded by a later slot")

    thought = Accounting(fires=(), skipped=(gone,), accounted_to=future)
    rt.boot.post.tell("broker", Tick(schedule_id=schedule, change_no=known.change_no, accounting=thought))
    drain(rt)
    pass_minutes(rt, time, 2)

    assert slots_of(rt) == [NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)]
    assert recorder.of("slot.skipped") == []


@pytest.mark.parametrize("step", [-HOUR, HOUR, YEAR, -YEAR])
def test_what_waits_for_so_many_seconds_waits_for_so_many_whatever_the_clock_does(start, time, recorder, step):
    rt = start()
    seen: set[str] = set()

    def once(job):
        if job.name in seen:
            return
        seen.add(job.name)
        raise Snooze(100) if job.name == "snoozed" else OSError("once")

    rt.jobs.add_handler("retried", once, backoff=[100])
    rt.jobs.add_handler("snoozed", once)
    for name in ("plain", "retried", "snoozed"):
        rt.jobs.queue(name)
    rt.jobs.queue("delayed", delay=100)
    rt.jobs.requeue(rt.jobs.queue("requeued"), delay=100)
    recorder.wait_for("job.failed")
    recorder.wait_for("job.snoozed")
    time.advance(40)

    time.step(step)
    recorder.wait_for("clock.jumped", jobs=4 + (step < 0))
    for name in ("plain", "delayed", "requeued"):
        rt.jobs.add_handler(name, lambda job: None)
    time.advance(55)
    drain(rt)
    early = rt.jobs.counts()["done"]
    time.advance(10)
    drain(rt)

    assert (early, rt.jobs.counts()["done"]) == (1, 5)


def test_what_waits_for_an_instant_waits_for_it_by_the_clock_as_it_is(start, time, recorder):
    rt = start()
    job = rt.jobs.queue("work", at=NOON + timedelta(hours=2))
    rt.jobs.add_handler("work", lambda job: None)

    time.step(HOUR)
    recorder.wait_for("clock.jumped", jobs=0)
    time.advance(HOUR - 1)
    drain(rt)
    before = rt.jobs.get(job).state
    time.advance(2)
    drain(rt)

    assert (before, rt.jobs.get(job).state) == ("queued", "done")


@pytest.mark.parametrize("step", [YEAR, -YEAR])
def test_a_step_expires_no_job_that_has_some_seconds_left(start, time, recorder, step):
    rt = start()
    job = rt.jobs.queue("work", expires=100)
    time.advance(90)

    time.step(step)
    recorder.wait_for("clock.jumped", jobs=1)
    drain(rt)
    soon = rt.jobs.get(job).state
    time.advance(20)
    recorder.wait_for("job.cancelled", reason="expired")

    assert soon == "queued"


def test_a_sleep_of_the_machine_is_time_that_has_passed(start, time, recorder):
    rt = start()
    rt.jobs.add_handler("work", lambda job: None)
    job = rt.jobs.queue("work", delay=100)

    time.suspend(HOUR)
    drain(rt)

    assert rt.jobs.get(job).state == "done"
    assert recorder.wait_for("clock.jumped")["delta"] == HOUR


def test_of_several_processes_one_alone_makes_good_for_a_step(start, time, recorder):
    runtimes = [start() for _ in range(3)]
    job = runtimes[0].jobs.queue("work", delay=100)

    time.step(HOUR)
    for rt in runtimes:
        recorder.wait_for("clock.jumped", boot=rt.boot.id)

    assert sum(line["jobs"] for line in recorder.of("clock.jumped")) == 1
    assert runtimes[0].jobs.get(job).record.run_at == NOON.timestamp() + HOUR + 100


@pytest.mark.parametrize("step", [HOUR, -HOUR])
@pytest.mark.parametrize("limit", ["rate", "rate_per_group"])
def test_a_step_of_the_clock_makes_no_rate_faster_or_slower(step, limit):
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("api", lambda job: None, concurrency=5, **{limit: Rate(1, per=40)})

    def live(runtime: Runtime) -> None:
        runtime.jobs.queue_many([JobSpec("api", group="one")] * 3)

    with Simulation(register, host=live, processes=2) as simulation:
        for _ in range(3):
            simulation.run(seconds=50)
            simulation.step_clock(step)
        simulation.run(seconds=100)
        notes = simulation.check().notes
        lines = [json.loads(line) for line in simulation.log.splitlines() if '"job.claimed"' in line]

    # Each step is of an hour, and there are fewer than 15 minutes between the first and the last start.
    starts = [(line["ts"] - lines[0]["ts"] + HOUR / 4) % HOUR for line in lines]
    assert [after - before for before, after in pairwise(starts)] == pytest.approx([40.0] * 5, abs=0.3)
    if limit == "rate":
        assert "the clock was set: whether jobs were started faster than their rate cannot be said" in notes


def test_a_wait_from_a_clock_years_ahead_ends_though_nobody_saw_it_set_right(start, time):
    wrong = ManualTime(NOON.timestamp() + YEAR)
    first = start(wrong)
    delayed, expiring = first.jobs.queue("work", delay=100), first.jobs.queue("work", delay=50, expires=200)
    first.stop()

    second = start()
    second.jobs.add_handler("work", lambda job: None)
    drain(second)
    time.advance(101)
    drain(second)

    assert [second.jobs.get(job).state for job in (delayed, expiring)] == ["done", "done"]


def test_a_job_whose_mail_was_read_after_a_step_waits_from_then(start, time):
    rt = start()
    drain(rt)
    broker = rt.boot.post.find("broker")
    receive, held = broker.receive, []

    def step_first(mail):
        if not held:
            held.append(mail)
            time.step(YEAR)
        receive(mail)

    broker.receive = step_first
    job = rt.jobs.queue("work", delay=100, expires=200)

    record = rt.jobs.get(job).record
    assert (record.run_at, record.expires_at) == (time.wall + 100, time.wall + 200)


def test_a_clock_that_is_years_ahead_for_a_moment_removes_no_history(start, time, recorder):
    rt = start(keep_done_seconds=HOUR)
    rt.jobs.add_handler("work", lambda job: None)
    job = rt.jobs.queue("work")
    drain(rt)

    time.step(YEAR)
    time.advance(600)
    drain(rt)
    time.step(-YEAR)
    time.advance(HOUR / 2)
    drain(rt)
    kept = rt.jobs.get(job).state
    for _ in range(20):
        time.advance(600)
        drain(rt)

    assert kept == "done"
    assert recorder.of("retention.pruned")


def test_a_clock_that_is_set_back_only_half_the_way_removes_no_history_yet(start, time, recorder):
    rt = start(keep_done_seconds=HOUR)
    rt.jobs.add_handler("work", lambda job: None)
    job = rt.jobs.queue("work")
    drain(rt)

    for step in (2 * YEAR, -YEAR):
        time.step(step)
        time.advance(600)
        drain(rt)
    kept = rt.jobs.get(job).state
    for _ in range(5):
        time.advance(600)
        drain(rt)

    assert kept == "done"
    assert recorder.of("retention.pruned")


def test_a_reading_counts_as_every_other_process_of_the_machine_does():
    first, second = SystemClock().reading(), SystemClock().reading()

    assert first.counter == second.counter
    assert abs(first.offset - second.offset) < 1.0
    assert abs(first.now - system_time.time()) < 60.0


def test_a_step_is_noticed_as_soon_as_somebody_looks(monkeypatch):
    clock, jumps = SystemClock(), []
    clock.on_jump(jumps.append)
    true_time = system_time.time

    monkeypatch.setattr(system_time, "time", lambda: true_time() + HOUR)
    clock.notice()
    clock.notice()

    assert [round(jump) for jump in jumps] == [HOUR]


@pytest.mark.parametrize("processes", [1, 2])
def test_days_with_a_clock_that_goes_to_and_fro_by_years_audit_clean(processes):
    def register(rt):
        rt.jobs.add_handler("work", lambda job: None)
        rt.scheduler.add("work", "* * * * *", catch_up="all", catch_up_max=3)

    with Simulation(register, seed=3, processes=processes) as sim:
        for seconds in (YEAR, -YEAR, -HOUR / 12, 2 * YEAR, -3 * YEAR, YEAR):
            sim.run(minutes=6)
            sim.step_clock(seconds)
            sim.run(seconds=5)
        sim.run(minutes=6)

        sim.check()

    assert sim.log.count('"event":"slot.fired"') > 6 * 5


@pytest.mark.parametrize("dies", [False, True], ids=["between two lives", "over the news"])
def test_a_clock_that_was_stepped_back_unheard_delays_no_job_by_its_step(timed, time, recorder, dies):
    rt = timed()
    waiting = rt.jobs.queue("work")
    if dies:
        broker = rt.boot.post.find("broker")
        broker.receive = lambda mail: 1 / 0
        time.step(-3600)
        recorder.wait_for("actor.restarted")
    else:
        rt.stop()
        time.step(-3600)
        rt.start()
    rt.jobs.add_handler("work", lambda job: "in time")

    assert rt.jobs.join(waiting, timeout=10).result == "in time"


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_claim_without_a_lane_keeps_its_time_whatever_the_clock_does(timed, time, recorder, hours):
    rt = timed()
    kept = []
    rt.jobs.add_handler("work", kept.append, auto_done=False, timeout=60, max_attempts=1)
    job = rt.jobs.queue("work")
    recorder.until(lambda: kept and rt.boot.post.find("handler:work").holds_nothing, "the handler to have returned")

    time.step(hours * 3600)
    recorder.wait_for("clock.jumped")
    time.advance(50)
    rt.jobs.mark_done(kept[0], "in time")

    assert rt.jobs.get(job).result == "in time"
