"""What users of other job runtimes suffer from (their issue threads are listed in the design notes), one test a pain.

Each shows in small that the pain is not ours; the fault and torture tests show it at length.
"""

from __future__ import annotations

import json
import logging
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from lamplighter import JobFailed, StaleClaim, StoreUnavailable, UnknownJob
from lamplighter.environment import Environment
from lamplighter.testing.draining import is_idle
from lamplighter.testing.manual_clock import ManualTime

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def time():
    return ManualTime(NOON.timestamp() - 30)


@pytest.fixture
def timed(runtime, time):
    return lambda **options: runtime(environment=Environment(clock=time.clock), **options)


def kill_actor(rt, name):
    """Kill an actor with the next thing that it reads."""
    rt.boot.post.find(name).actor_ref.tell("this is no Mail")


KILLED = """
    import sys, time
    from lamplighter import Runtime
    rt = Runtime(sys.argv[1])
    @rt.jobs.handler("work")
    def work(job):
        print(job.token + "\\n", end="", flush=True)
        time.sleep(60)
    with rt:
        rt.jobs.queue("work", id="in-flight")
        rt.jobs.queue("work", id="waiting")
        print("queued\\n", end="", flush=True)
        time.sleep(60)
"""


def killed_host(path):
    """A host in a process of its own that was killed with one job running and one waiting; the token of the first."""
    host = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(path)], stdout=subprocess.PIPE, text=True
    )
    (token,) = {host.stdout.readline().strip() for _ in range(2)} - {"queued"}
    host.send_signal(signal.SIGKILL)
    host.wait(10)
    host.stdout.close()
    return token


def test_pain_01_jobs_in_flight_are_not_lost_when_the_process_dies(runtime, tmp_path):
    token = killed_host(tmp_path / "jobs.db")

    rt = runtime()
    rt.jobs.add_handler("work", lambda job: "again")

    assert [rt.jobs.join(job, timeout=10).result for job in ("in-flight", "waiting")] == ["again", "again"]
    with pytest.raises(StaleClaim):
        rt.jobs.mark_done(token)


def test_pain_01_jobs_in_flight_are_taken_back_by_a_runtime_that_only_starts(runtime, recorder, tmp_path):
    killed_host(tmp_path / "jobs.db")

    rt = runtime()

    assert recorder.wait_for("runtime.recovered")["jobs"] == 1
    assert rt.jobs.counts()["queued"] == 2


def test_pain_02_no_job_stays_running_for_ever_when_its_actor_dies(runtime, recorder):
    rt = runtime(lane_grace_seconds=0.1)
    started = threading.Semaphore(0)
    rt.jobs.add_handler("work", lambda job: (started.release(), job.record.claim_no > 1 or job.sleep(30), "ran")[2])
    job = rt.jobs.queue("work")
    assert started.acquire(timeout=10)

    kill_actor(rt, "handler:work")

    assert recorder.wait_for("job.retried", job_id=job.id, timeout=1)["outcome"] == "interrupted"
    assert rt.jobs.join(job, timeout=10).result == "ran"


def test_pain_03_a_live_job_is_never_rescued_by_its_age(timed, time, recorder):
    rt, other = timed(), timed()
    go = threading.Event()
    for one in (rt, other):
        one.jobs.add_handler("work", lambda job: go.wait(20))
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)

    for _ in range(5):
        time.advance(86400)
        recorder.until(lambda: is_idle(rt) and is_idle(other), "everybody to have looked")
    state = rt.jobs.get(job)
    go.set()

    assert (state.state, state.record.claim_no) == ("running", 1)
    assert rt.jobs.join(job, timeout=10).record.claim_no == 1
    assert len(recorder.of("job.started", job_id=job.id)) == 1


def test_pain_04_a_crash_is_not_counted_as_the_jobs_failure(runtime, tmp_path):
    killed_host(tmp_path / "jobs.db")

    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.attempt, max_attempts=1)

    assert rt.jobs.join("in-flight", timeout=10).result == 1
    assert [one.outcome for one in rt.jobs.attempts("in-flight")] == ["interrupted"]


def test_pain_05_cron_fires_once_and_not_once_per_process(timed, time, recorder):
    runtimes = [timed() for _ in range(4)]
    for rt in runtimes:
        rt.scheduler.add("tick", "* * * * *")
    recorder.until(lambda: all(is_idle(rt) for rt in runtimes), "all to know it")

    time.advance(30)
    recorder.wait_for("slot.fired")
    recorder.until(lambda: all(is_idle(rt) for rt in runtimes), "all to have heard")

    assert runtimes[0].jobs.counts("tick")["queued"] == 1


def test_pain_06_missed_runs_neither_vanish_nor_come_as_a_flood(timed, time, recorder):
    rt = timed()
    schedule = rt.scheduler.add("tick", "* * * * *")
    rt.stop()
    time.advance(14 * 86400)

    rt.start()
    recorder.wait_for("slot.caught_up")
    recorder.until(lambda: is_idle(rt), "the scheduler to be done")

    (job,) = rt.jobs.list("tick")
    stories = rt.scheduler.explain(schedule, NOON - timedelta(hours=1), job.slot + timedelta(seconds=1))
    assert sum(story.count for story in stories) == 14 * 24 * 60
    assert all(story.reason for story in stories)


def test_pain_07_a_fixed_time_fires_once_a_day_whatever_daylight_saving_does(runtime):
    rt = runtime()
    nightly = rt.scheduler.add("night", "30 2 * * *", timezone="Europe/Berlin")
    start = datetime(2027, 1, 1, tzinfo=UTC)

    slots = [story.slot for story in rt.scheduler.explain(nightly, start, start + timedelta(days=365))]

    assert len({slot.date() for slot in slots}) == len(slots) == 365


def test_pain_08_a_suspended_laptop_catches_up_and_says_that_the_clock_jumped(timed, time, recorder):
    rt = timed()
    rt.scheduler.add("tick", "* * * * *")
    recorder.until(lambda: rt.boot.clock._wall and is_idle(rt), "the scheduler to wait")

    time.step(8 * 3600)

    recorder.wait_for("clock.jumped", delta=8 * 3600)
    recorder.until(lambda: rt.jobs.counts("tick")["queued"] == 1, "one job")
    recorder.until(lambda: is_idle(rt), "the scheduler to be done")
    assert rt.jobs.counts("tick")["queued"] == 1


def test_pain_09_an_overlapping_schedule_goes_on_once_the_earlier_job_has_ended(timed, time, recorder):
    rt = timed()
    rt.scheduler.add("tick", "* * * * *", overlap="skip")
    for seconds, event in ((30, "slot.fired"), (60, "slot.skipped")):
        recorder.until(lambda: rt.boot.clock._wall and is_idle(rt), "the scheduler to wait")
        time.advance(seconds)
        recorder.wait_for(event)

    (job,) = rt.jobs.list("tick")
    rt.jobs.cancel(job)
    recorder.until(lambda: is_idle(rt), "the scheduler to wait")
    time.advance(60)

    assert recorder.of("slot.skipped")[0]["by"] == job.id
    recorder.wait_for("slot.fired", count=2)


def test_pain_10_a_thread_that_cannot_be_stopped_is_fenced_and_replaced(runtime, recorder):
    rt = runtime(lane_grace_seconds=0.05)
    never = threading.Event()
    rt.jobs.add_handler("work", lambda job: job.data or never.wait(30), timeout=0.05, max_attempts=1)

    with pytest.raises(JobFailed, match="timed out"):
        rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    assert rt.jobs.join(rt.jobs.queue("work", "next"), timeout=10).result == "next"
    assert "never.wait" in recorder.wait_for("lane.abandoned")["stack"]
    never.set()
    recorder.wait_for("job.fenced")


@pytest.mark.parametrize("name", ["scheduler", "broker", "handler:tick", "supervisor"])
def test_pain_11_no_part_dies_in_silence(timed, time, recorder, name):
    rt = timed()
    rt.jobs.add_handler("tick", lambda job: "ran")
    schedule = rt.scheduler.add("tick", "* * * * *")
    rt.jobs.join(rt.jobs.queue("tick"), timeout=10)
    recorder.until(lambda: rt.boot.clock._wall and is_idle(rt), "the scheduler to wait")

    kill_actor(rt, name)
    said = "supervisor.restarted" if name == "supervisor" else "actor.restarted"
    recorder.wait_for(said)
    recorder.until(lambda: rt.boot.post.find(name).incarnation == 2 and is_idle(rt), "the next incarnation")
    time.advance(30)

    fired = recorder.wait_for("slot.fired", schedule=schedule)
    assert rt.jobs.join(fired["job_id"], timeout=10).result == "ran"


def test_pain_12_all_goes_on_by_itself_when_the_store_is_back(runtime, recorder, tmp_path):
    rt = runtime(reply_seconds_max=0.1, busy_seconds_max=0.02)
    rt.jobs.add_handler("work", lambda job: "ran")
    other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(StoreUnavailable):
        rt.jobs.queue("work")
    recorder.until(lambda: recorder.of("store.waiting") or recorder.of("store.unavailable"), "the broker to wait")
    other.execute("rollback")
    other.close()

    recorder.wait_for("store.available")

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=10).result == "ran"
    assert recorder.of("actor.crashed") == []


def test_pain_13_no_caller_ever_sees_database_is_locked_from_short_transactions(runtime, tmp_path):
    runtimes = [runtime(), runtime()]
    host = sqlite3.connect(tmp_path / "jobs.db", timeout=10, check_same_thread=False)
    host.execute("create table rows (n integer)")
    errors = []

    def queue(rt):
        try:
            for n in range(40):
                rt.jobs.queue("work", n)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=queue, args=(rt,)) for rt in runtimes for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(60):
        with host:
            host.execute("insert into rows values (?)", (n,))
    for thread in threads:
        thread.join(30)
    host.close()

    assert errors == []
    assert runtimes[0].jobs.counts("work")["queued"] == 240


def test_pain_14_a_deploy_without_the_handler_deletes_nothing(runtime, recorder):
    rt = runtime()
    job = rt.jobs.queue("renamed", {"kept": True})
    for _ in range(2):
        rt.stop()
        rt.start()

    recorder.wait_for("job.parked", job_id=job.id)
    rt.jobs.add_handler("renamed", lambda job: job.data)

    assert rt.jobs.join(job, timeout=10).result == {"kept": True}


def test_pain_15_what_has_ended_is_pruned_and_the_mailbox_is_bounded(timed, time, recorder, tmp_path):
    rt = timed(keep_done_seconds=60, mailbox_messages_max=1, reply_seconds_max=0.05, busy_seconds_max=0.02)
    rt.jobs.mark_done(rt.jobs.queue("work", id="old"))
    recorder.until(lambda: time.advance(5) or recorder.of("retention.pruned"), "retention to remove it")

    with pytest.raises(UnknownJob):
        rt.jobs.get("old")
    other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    other.execute("begin immediate")
    for _ in range(4):
        with pytest.raises(StoreUnavailable):
            rt.jobs.queue("work")
    assert len(rt.boot.post.find("broker").mailbox) <= 2
    other.execute("rollback")
    other.close()


def test_pain_16_a_job_that_is_due_in_weeks_is_delivered_once(timed, time, recorder):
    rt = timed()
    ran = []
    rt.jobs.add_handler("work", lambda job: ran.append(job.id))
    job = rt.jobs.queue("work", delay=timedelta(days=30))

    for _ in range(30):
        time.advance(86400 - 1)
        recorder.until(lambda: is_idle(rt), "everybody to have looked")
    before = list(ran)
    time.advance(60)
    rt.jobs.join(job, timeout=10)

    assert (before, ran) == ([], [job.id])


def test_pain_17_a_limit_is_freed_by_the_death_of_its_holder(runtime, tmp_path):
    killed_host(tmp_path / "jobs.db")

    rt = runtime()
    rt.jobs.add_handler("work", lambda job: "ran", concurrency=2, concurrency_total=1)

    assert rt.jobs.join("waiting", timeout=10).result == "ran"


def test_pain_18_unique_keys_do_not_race(runtime):
    runtimes = [runtime(), runtime()]
    found, errors = [], []

    def queue(rt):
        try:
            found.append(rt.jobs.queue("sync", unique="user-1").id)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=queue, args=(rt,)) for rt in runtimes for _ in range(15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert errors == []
    assert (len(found), len(set(found))) == (30, 1)


POISON = """
    import os, sys, threading
    from lamplighter import Runtime
    rt = Runtime(sys.argv[1])
    rt.jobs.add_handler("bad", lambda job: os._exit(7))
    rt.jobs.add_handler("good", lambda job: "fine")
    with rt:
        rt.jobs.queue("bad", id="bad")
        rt.jobs.queue("good", id="good")
        try:
            rt.jobs.join("good", timeout=10)
            rt.jobs.join("bad", timeout=10)
        except Exception as error:
            print(error)
"""


def test_pain_19_a_job_that_kills_its_process_each_time_is_found_out_and_the_others_go_on(runtime, tmp_path):
    hosts = []
    for _ in range(5):
        command = [sys.executable, "-c", textwrap.dedent(POISON), str(tmp_path / "jobs.db")]
        hosts.append(subprocess.run(command, timeout=30, capture_output=True, text=True, check=False))
        if hosts[-1].returncode == 0:
            break

    rt = runtime()
    bad = rt.jobs.get("bad")
    assert [host.returncode for host in hosts] == [7, 7, 7, 0]
    assert (bad.state, bad.reason[:30]) == ("dead", "poison: interrupted 3 times wi")
    assert len(rt.jobs.attempts("bad")) == 3
    assert rt.jobs.get("good").result == "fine"


def test_pain_20_the_history_of_a_job_is_there_without_another_service(runtime):
    rt = runtime()

    def work(job):
        if job.attempt == 1:
            raise ValueError("first")
        return "second"

    rt.jobs.add_handler("work", work, backoff=[0])
    job = rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    (failed,) = rt.jobs.attempts(job)
    assert (failed.error, failed.boot, job.result) == ("ValueError: first", rt.boot.id, "second")
    assert 'raise ValueError("first")' in failed.traceback


def test_pain_21_schedules_can_be_changed_while_it_runs_and_are_kept(runtime):
    rt = runtime()
    first = rt.scheduler.add("tick", "@daily", durable=True)
    second = rt.scheduler.add("tick", "@hourly", durable=True)
    rt.scheduler.pause(first)
    rt.scheduler.remove(second)
    rt.stop()

    rt.start()

    assert [(one.id, one.paused) for one in rt.scheduler.list()] == [(first, True)]


def test_pain_22_logging_is_not_hijacked_and_the_hosts_lines_know_their_job(runtime):
    root, contexts = logging.getLogger(), []
    before = list(root.handlers), root.level, structlog.is_configured()
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: contexts.append(structlog.contextvars.get_contextvars()))

    job = rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    assert (list(root.handlers), root.level, structlog.is_configured()) == before
    assert (contexts[0]["job_id"], contexts[0]["attempt"]) == (job.id, 1)


def test_pain_23_a_test_in_memory_runs_the_real_store_and_really_serialises(runtime):
    rt = runtime(":memory:")
    seen = []
    rt.jobs.add_handler("work", lambda job: seen.append(job.data))
    data = {"list": [1]}

    rt.jobs.join(rt.jobs.queue("work", data), timeout=10)

    assert type(rt.boot.store).__name__ == "SqliteStore"
    assert seen == [data]
    assert seen[0] is not data


def test_pain_24_no_job_runs_before_its_transaction_has_committed_or_after_it_was_rolled_back(runtime, tmp_path):
    rt = runtime()
    ran = Counter()
    rt.jobs.add_handler("welcome", lambda job: ran.update([job.data]))
    host = sqlite3.connect(tmp_path / "jobs.db")

    rt.jobs.queue("welcome", "rolled back", connection=host)
    host.rollback()
    kept = rt.jobs.queue("welcome", "committed", connection=host)
    before = dict(ran)
    host.commit()
    rt.jobs.join(kept, timeout=10)
    host.close()

    assert (before, ran) == ({}, Counter(["committed"]))


def test_pain_25_data_is_json_in_the_store_and_nowhere_in_the_log(runtime, recorder, tmp_path):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)

    job = rt.jobs.join(rt.jobs.queue("work", {"password": "hunter2"}), timeout=10)
    rt.stop()
    recorder.wait_for("runtime.stopped")

    with sqlite3.connect(tmp_path / "jobs.db") as connection:
        (text,) = connection.execute("select data from lamplighter_jobs where id = ?", (job.id,)).fetchone()
    connection.close()
    assert json.loads(text) == {"password": "hunter2"}
    assert "hunter2" not in str(recorder.events)
    assert recorder.of("job.queued")[0]["bytes"] == len(text)
