"""What a review found broken, told once each: every test here failed before its mend."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import threading
import time as walltime
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import current_thread

import pytest
from lamplighter import Job, JobFailed, Snooze, StaleClaim, StoreUnavailable
from lamplighter.actors.job_broker import JobBroker
from lamplighter.boot.requests import Requests
from lamplighter.environment import Environment
from lamplighter.environment.failpoints import Failpoints
from lamplighter.messages.mail import Housekeep, Look, Wake
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.testing.draining import is_idle
from lamplighter.testing.manual_clock import ManualTime

MARCH = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def time():
    return ManualTime(MARCH.timestamp())


@pytest.fixture
def scheduled(runtime, time):
    """Makes runtimes whose clock is `time`."""
    return lambda **options: runtime(environment=Environment(clock=time.clock), **options)


@pytest.fixture
def caller():
    """Threads for calls that the test itself must not wait for."""
    with ThreadPoolExecutor(4) as pool:
        yield pool.submit


PROCESS_FUNCTIONS = """
def asks_badly(job):
    if job.data == "badly":
        job.queue("other", at="tomorrow")
    return "fine"

def waits(job):
    with open(job.data) as fifo:
        return fifo.readline()
"""


@pytest.fixture
def functions(tmp_path, monkeypatch):
    (tmp_path / "regression_functions.py").write_text(PROCESS_FUNCTIONS)
    monkeypatch.syspath_prepend(tmp_path)
    import regression_functions

    yield regression_functions
    del sys.modules["regression_functions"]


def threads_of(name):
    """The threads that run the jobs of a name."""
    return [thread.name for thread in threading.enumerate() if thread.name.endswith(f" {name}")]


# --- schedules -----------------------------------------------------------------------------------------------


def test_a_schedule_without_a_slot_for_weeks_is_not_forgotten_by_retention(scheduled, time, recorder):
    rt = scheduled()
    monthly = rt.scheduler.add("monthly", "0 0 1 * *")
    recorder.until(lambda: is_idle(rt), "the actors to be idle")

    for _ in range(140):
        time.advance(12 * 3600)
        recorder.until(lambda: is_idle(rt), "the actors to be idle")

    fired = [event["slot"] for event in recorder.of("slot.fired", schedule=monthly)]
    assert fired == [datetime(2026, 4, 1, tzinfo=UTC).timestamp(), datetime(2026, 5, 1, tzinfo=UTC).timestamp()]
    assert [record.id for record in rt.boot.store.schedules()] == [monthly]


def test_one_schedule_whose_zone_is_gone_rests_alone_and_is_said(scheduled, time, recorder, tmp_path):
    rt = scheduled()
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

    assert (unusable["job_name"], "Europe/Gone" in unusable["reason"]) == ("gone", True)
    assert recorder.of("slot.fired", schedule=gone) == []
    assert recorder.of("actor.crashed") == []


def test_a_job_that_waits_for_its_schedules_earlier_one_blocks_no_other_job_of_its_name(scheduled, time, recorder):
    rt = scheduled()
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


def test_a_strangers_question_behind_a_claim_does_not_keep_the_job_from_starting(runtime, recorder, monkeypatch):
    # A HandlerActor starts jobs once its mail is read, and took the question for mail; refused, it never got there.
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: "done")
    recorder.until(lambda: is_idle(rt), "the runtime to be idle")
    actor = rt.boot.post.find("handler:work")
    arrived, go = threading.Event(), threading.Event()
    receive = actor.receive
    monkeypatch.setattr(actor, "receive", lambda mail: (arrived.set(), go.wait(10), receive(mail)))

    job = rt.jobs.queue("work")
    assert arrived.wait(10)
    refused = actor.actor_ref.ask("no mail", block=False)
    go.set()

    assert rt.jobs.join(job, timeout=10).result == "done"
    with pytest.raises(TypeError):
        refused.get(10)


# --- neighbours, links and folders ---------------------------------------------------------------------------


def test_a_hint_that_arrives_among_other_mail_is_heeded(runtime, recorder, monkeypatch, caller):
    first = runtime()
    recorder.until(lambda: is_idle(first), "the first to be idle")
    broker = first.boot.post.find("broker")
    entered, go = threading.Event(), threading.Event()
    commit = broker._commit
    monkeypatch.setattr(broker, "_commit", lambda batch: (entered.set(), go.wait(10), commit(batch))[2])
    queued = caller(first.jobs.queue, "nobody")
    assert entered.wait(10)

    second = runtime()
    recorder.until(lambda: is_idle(second) and len(broker.mailbox), "the second to be there and to have hinted")
    first.boot.post.tell("broker", Look(foreign=True))
    first.boot.post.tell("broker", Housekeep())
    go.set()
    queued.result(10)

    recorder.until(lambda: broker._state.others, "the first to learn of the second", timeout=3)
    assert [other.boot for other in broker._state.others] == [second.boot.id]


def test_a_store_that_is_reached_through_a_link_is_the_same_store_and_nobody_is_robbed(runtime, recorder, tmp_path):
    (tmp_path / "real.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    direct = runtime(tmp_path / "real.db")
    go = threading.Event()
    direct.jobs.add_handler("work", lambda job: go.wait(10))
    job = direct.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)

    linked = runtime(tmp_path / "link.db")
    # Answered only after the first turn, which takes back what the dead held.
    linked.jobs.queue("nobody")

    both = {direct.boot.id, linked.boot.id}
    for rt in (direct, linked):
        assert {boot.boot for boot in rt.boot.store.boots()} == both
        assert all(rt.boot._standing.presence.is_alive(boot) for boot in both)
    assert (linked.jobs.get(job).state, linked.jobs.get(job).record.claim_no) == ("running", 1)
    go.set()
    assert direct.jobs.join(job, timeout=10).result is True


def test_a_relative_store_path_survives_a_change_of_folder(runtime, tmp_path, monkeypatch, caller):
    monkeypatch.chdir(tmp_path)
    rt = runtime("relative.db")
    rt.jobs.add_handler("work", lambda job: "ran")

    monkeypatch.chdir("/")

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=10).result == "ran"
    assert [caller(rt.jobs.counts, "work").result(10)["done"] for _ in range(3)] == [1, 1, 1]
    assert (tmp_path / "relative.db").exists()


# --- tasks ---------------------------------------------------------------------------------------------------


def test_sys_exit_in_a_sub_task_of_an_async_handler_does_not_stop_the_loop(runtime, recorder):
    rt = runtime()

    async def leaves():
        sys.exit(3)

    async def work(job):
        sub = asyncio.create_task(leaves())
        await asyncio.wait([sub])
        return repr(sub.exception())

    rt.jobs.add_handler("work", work, max_attempts=1)

    for _ in range(2):
        assert rt.jobs.join(rt.jobs.queue("work"), timeout=5).result == "SystemExit(3)"
    assert rt.health().status == "green"


def test_tasks_beside_one_that_blocks_their_loop_run_again_and_are_cancelled_when_it_unblocks(runtime, recorder):
    rt = runtime(lane_grace_seconds=0.1)
    go, runs, cancelled = threading.Event(), [], []

    async def work(job):
        if job.data == "block":
            go.wait(10)
            return None
        runs.append(job.token)
        if len(runs) > 1:
            return "again"
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append((job.token, job.cancelled))
            raise

    rt.jobs.add_handler("work", work, concurrency=2)
    beside = rt.jobs.queue("work", "beside")
    recorder.until(lambda: runs, "the one beside to run")
    rt.jobs.queue("work", "block", timeout=0.1, max_attempts=1)

    again = rt.jobs.join(beside, timeout=10)
    before = list(cancelled)
    go.set()
    recorder.until(lambda: cancelled, "the lost task to be cancelled", timeout=5)
    recorder.until(lambda: len(threads_of("loop work")) == 1, "the loop that was blocked to end", timeout=5)

    assert (again.result, again.attempt, runs) == ("again", 1, [f"{beside.id}:1", f"{beside.id}:2"])
    assert before == []
    assert cancelled == [(f"{beside.id}:1", True)]


# --- processes -----------------------------------------------------------------------------------------------


def test_a_child_that_queues_with_a_bad_option_gets_an_error_and_its_lane_goes_on(runtime, functions):
    rt = runtime()
    rt.jobs.add_handler("work", functions.asks_badly, isolation="process", max_attempts=1)

    with pytest.raises(JobFailed) as caught:
        rt.jobs.join(rt.jobs.queue("work", "badly"), timeout=10)
    after = rt.jobs.join(rt.jobs.queue("work", "well"), timeout=10)

    assert "tomorrow" in caught.value.job.error
    assert after.result == "fine"
    assert rt.jobs.counts("other")["queued"] == 0


def test_a_job_that_can_have_no_child_process_waits_for_its_back_off(runtime, recorder, functions, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    rt = runtime()
    rt.jobs.add_handler("work", functions.asks_badly, isolation="process", max_attempts=3, backoff=[3600])
    job = rt.jobs.queue("work")

    retried = recorder.wait_for("job.retried", job_id=job.id)
    kept = rt.jobs.get(job)

    assert retried["run_at"] - walltime.time() > 3000
    assert (kept.state, kept.attempt, kept.record.claim_no) == ("queued", 1, 1)
    assert "/nonexistent/python" in rt.jobs.attempts(job)[0].error


# --- removed handlers ----------------------------------------------------------------------------------------


def test_claims_that_are_on_their_way_when_the_last_handler_is_removed_go_back(runtime, recorder, monkeypatch, caller):
    rt = runtime()
    ran = []
    handler = rt.jobs.add_handler("work", ran.append)
    recorder.until(lambda: is_idle(rt), "the actors to be idle")
    broker = rt.boot.post.find("broker")
    committed, go = threading.Event(), threading.Event()
    let_out = broker._let_out

    def late(out):
        if any(step.event == "job.claimed" for step in out.transitions) and not committed.is_set():
            committed.set()
            go.wait(10)
        let_out(out)

    monkeypatch.setattr(broker, "_let_out", late)
    queued = caller(rt.jobs.queue, "work", id="J")
    assert committed.wait(10)

    rt.jobs.remove_handler(handler)
    actor = rt.boot.post.find("handler:work")
    recorder.until(lambda: not len(actor.mailbox) and actor.busy_since is None, "the handler to have gone")
    claimed = rt.jobs.get("J").state
    go.set()
    queued.result(10)

    recorder.until(lambda: rt.jobs.get("J").state == "queued", "the job to be back in the queue", timeout=5)
    assert (claimed, ran) == ("running", [])
    rt.jobs.add_handler("work", lambda job: "new")
    assert rt.jobs.join("J", timeout=10).result == "new"


def test_removing_a_handler_whose_job_still_runs_leaves_no_thread_behind(runtime, recorder):
    rt = runtime()
    go = threading.Event()
    handler = rt.jobs.add_handler("leaving", lambda job: go.wait(10))
    job = rt.jobs.queue("leaving")
    recorder.wait_for("job.started", job_id=job.id)

    rt.jobs.remove_handler(handler)
    recorder.until(lambda: is_idle(rt), "the actors to be idle")
    there = threads_of("lane leaving")
    go.set()

    assert rt.jobs.join(job, timeout=10).result is True
    recorder.until(lambda: not threads_of("lane leaving"), "the thread to end", timeout=5)
    assert "lamplighter lane leaving" in there


def test_removing_a_handler_whose_job_still_runs_leaves_no_child_process_behind(runtime, recorder, functions, tmp_path):
    os.mkfifo(tmp_path / "go")
    rt = runtime()
    handler = rt.jobs.add_handler("leaving", functions.waits, isolation="process")
    job = rt.jobs.queue("leaving", str(tmp_path / "go"))
    recorder.wait_for("job.started", job_id=job.id)
    # Opened for reading too, so that nobody has to wait for the other end.
    fifo = os.open(tmp_path / "go", os.O_RDWR)
    try:
        rt.jobs.remove_handler(handler)
        recorder.until(lambda: is_idle(rt), "the actors to be idle")
        there = threads_of("lane leaving")
        os.write(fifo, b"went\n")
        assert rt.jobs.join(job, timeout=10).result == "went\n"
    finally:
        os.close(fifo)

    recorder.until(lambda: not threads_of("lane leaving"), "the child's keeper to end", timeout=5)
    recorder.until(lambda: not threads_of("child exit"), "the child to end", timeout=5)
    assert "lamplighter process lane leaving" in there


# --- the broker, the clock, the start ------------------------------------------------------------------------


def test_who_joins_is_told_although_the_broker_died_between_its_commit_and_telling(
    runtime, recorder, monkeypatch, caller
):
    let_out, killed = JobBroker._let_out, threading.Event()

    def dies_once(self, out):
        if not killed.is_set() and any(step.event == "job.done" for step in out.transitions):
            killed.set()
            raise SystemExit("killed after the commit")
        let_out(self, out)

    monkeypatch.setattr(JobBroker, "_let_out", dies_once)
    rt = runtime()
    go = threading.Event()
    rt.jobs.add_handler("work", lambda job: go.wait(10))
    job = rt.jobs.queue("work")
    joined = caller(rt.jobs.join, job, timeout=8)
    recorder.until(lambda: job.id in rt.boot.joins.awaited(), "somebody to wait for the job")

    go.set()

    assert joined.result(10).result is True
    assert killed.is_set()
    assert recorder.wait_for("actor.crashed")["child"] == "broker"


def test_deadlines_go_with_their_jobs(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None, timeout=3600, concurrency=4)

    for job in rt.jobs.queue_many([("work", n) for n in range(200)]):
        rt.jobs.join(job, timeout=10)
    actor = rt.boot.post.find("handler:work")
    recorder.until(lambda: actor.is_quiet, "the handler to hold nothing")

    live = [due for due, _, timed in rt.boot.clock._monotonic if timed.call is not None]
    assert [due for due in live if due - walltime.monotonic() > 600] == []


def test_the_clocks_heap_does_not_grow_with_jobs_that_have_ended(runtime, recorder):
    rt = runtime(durability="os")
    rt.jobs.add_handler("work", lambda job: None, timeout=3600, concurrency=4)

    for job in rt.jobs.queue_many([("work", n) for n in range(1000)]):
        rt.jobs.join(job, timeout=10)

    assert len(rt.boot.clock._monotonic) < 500


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
    alive = [name for name in failed.post.names() if failed.post.find(name).thread.is_alive()]

    rt.start()

    assert (after_failure, status, alive) == (None, "red", [])
    assert [boot.boot for boot in rt.boot.store.boots()] == [rt.boot.id]
    assert [record.id for record in rt.boot.store.schedules()] == [schedule]
    assert rt.jobs.join(rt.jobs.queue("work"), timeout=10).result == "ran"


@dataclass
class Order:
    price: int


class Pricer:
    def __call__(self, job: Job[Order]) -> int:
        return job.data.price


def price_with(discount: int, job: Job[Order]) -> int:
    return job.data.price - discount


@pytest.mark.parametrize(
    "fn", [Pricer(), Pricer().__call__, partial(price_with, 1)], ids=["object", "method", "partial"]
)
def test_whatever_can_be_called_may_ask_for_a_type(runtime, fn):
    rt = runtime()
    rt.jobs.add_handler("price", fn)

    job = rt.jobs.join(rt.jobs.queue("price", {"price": 3}), timeout=10)

    assert job.result in (2, 3)


def test_an_ending_that_fails_its_turn_is_kept_while_the_store_is_away(runtime, recorder):
    failpoints = Failpoints()

    def work(job):
        if job.attempt == 1:
            locked = "1*raise(sqlite3.OperationalError: database is locked)"
            failpoints.arm("store.turn.commit", f"2*raise(ValueError)->{locked}->off")
        return "done"

    rt = runtime(environment=Environment(failpoints=failpoints))
    rt.jobs.add_handler("work", work, backoff=[0])

    job = rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    assert job.result == "done"
    assert recorder.of("message.refused")


def test_after_a_fork_a_job_that_another_process_queued_meanwhile_is_found(tmp_path):
    one, other = SqliteStore(str(tmp_path / "jobs.db")), SqliteStore(str(tmp_path / "jobs.db"))
    one.open()
    other.open()
    with one.turn("b", 1.0) as turn:
        before = turn.version
    one.freeze()
    with other.turn("c", 2.0) as turn:
        turn.pause("a name", paused=True)
    one.thaw()

    with one.turn("b", 3.0) as turn:
        after = turn.version
    one.close()
    other.close()

    assert before != after


def test_a_job_that_is_snoozed_past_its_expiry_expires_in_time(scheduled, time, recorder):
    def snooze(job):
        raise Snooze(600)

    rt = scheduled()
    rt.jobs.add_handler("work", snooze)
    job = rt.jobs.queue("work", expires=5)
    recorder.wait_for("job.snoozed")

    time.advance(6)

    assert recorder.wait_for("job.cancelled")["job_id"] == job.id


@pytest.mark.parametrize("dies", [False, True], ids=["between two lives", "over the news"])
def test_a_clock_that_was_stepped_back_unheard_delays_no_job_by_its_step(scheduled, time, recorder, dies):
    rt = scheduled()
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
def test_a_claim_without_a_lane_keeps_its_time_whatever_the_clock_does(scheduled, time, recorder, hours):
    rt = scheduled()
    kept = []
    rt.jobs.add_handler("work", kept.append, auto_done=False, timeout=60, max_attempts=1)
    job = rt.jobs.queue("work")
    recorder.until(lambda: kept and rt.boot.post.find("handler:work").is_quiet, "the handler to have returned")

    time.step(hours * 3600)
    recorder.wait_for("clock.jumped")
    time.advance(50)
    rt.jobs.mark_done(kept[0], "in time")

    assert rt.jobs.get(job).result == "in time"


def test_a_slot_fires_though_the_clock_went_back_a_little_at_that_very_instant(scheduled, time, recorder):
    rt = scheduled()
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


def test_a_picture_of_a_job_ends_no_later_job_of_its_id(scheduled, time, recorder):
    rt = scheduled(keep_done_seconds=4)
    first = rt.jobs.queue("work", id="a")
    rt.jobs.cancel(first)
    time.advance(60)
    recorder.wait_for("retention.pruned")
    rt.jobs.queue("work", id="a")

    with pytest.raises(StaleClaim):
        rt.jobs.mark_done(first)

    assert rt.jobs.get("a").state == "queued"


def test_an_attempt_is_stale_once_a_host_has_marked_its_job_done(runtime, recorder):
    rt = runtime()
    kept = []

    def once(job):
        kept.append(job)
        raise ValueError("not this time")

    rt.jobs.add_handler("work", once, backoff=[600])
    job = rt.jobs.queue("work")
    recorder.wait_for("job.retried")
    rt.jobs.mark_done(job.id, "by an operator")

    with pytest.raises(StaleClaim):
        rt.jobs.mark_done(kept[0].token, "by the attempt")

    assert rt.jobs.get(job).result == "by an operator"


def test_a_stop_ends_everything_though_the_store_is_broken(runtime, tmp_path):
    rt = runtime()
    boot = rt.boot
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as db:
        db.execute("drop table lamplighter_boots")
        db.commit()

    rt.stop(drain=0)

    assert rt.boot is None
    assert not boot._standing.presence.is_alive(boot.id)


def test_a_schedule_that_cannot_be_read_here_is_said_once(scheduled, time, recorder, tmp_path):
    rt = scheduled()
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
