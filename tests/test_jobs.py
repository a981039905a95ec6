"""The Jobs API: every call and option of the table in DESIGN.md, for sync and for asyncio hosts."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import uuid
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy
from lamplighter import (
    Job,
    JobFailed,
    JobSpec,
    JobState,
    KeyTaken,
    NotStarted,
    StaleClaim,
    UnknownJob,
    UsageError,
)
from lamplighter.environment import Environment
from lamplighter.testing.manual_clock import ManualTime
from sqlalchemy.orm import Session


def fail(job):
    raise ValueError("no luck")


def test_a_queued_job_is_durable_and_is_run_by_its_handler(runtime):
    rt = runtime()
    rt.jobs.add_handler("double", lambda job: job.data["n"] * 2)

    job = rt.jobs.queue("double", {"n": 21})
    done = rt.jobs.join(job, timeout=10)

    assert (job.state, job.name, job.data) == (JobState.QUEUED, "double", {"n": 21})
    assert (done.id, done.state, done.result) == (job.id, JobState.DONE, 42)
    assert rt.jobs.get(job.id).result == 42


def test_data_comes_back_as_it_went_in(runtime):
    rt = runtime()
    data = {"text": "grüße 😀", "list": [1, 2.5, None, True, {"x": []}], "big": 2**80}

    job = rt.jobs.queue("waits", data)

    assert rt.jobs.get(job).data == data


def test_a_known_id_gives_the_stored_job_and_stores_nothing(runtime):
    rt = runtime()
    first = rt.jobs.queue("mail", {"to": "a"}, id="order-7")

    second = rt.jobs.queue("mail", {"to": "b"}, id="order-7")

    assert not first.deduplicated
    assert (second.id, second.deduplicated, second.data) == ("order-7", True, {"to": "a"})
    assert rt.jobs.counts()["queued"] == 1


def test_a_delayed_job_starts_when_its_time_has_come_and_not_before(runtime, recorder):
    time = ManualTime(1_000_000.0)
    rt = runtime(environment=Environment(clock=time.clock))
    rt.jobs.add_handler("later", lambda job: "ran")
    delayed = rt.jobs.queue("later", delay=60)
    dated = rt.jobs.queue("later", at=datetime.fromtimestamp(1_000_120, UTC))
    in_a_timedelta = rt.jobs.queue("later", delay=timedelta(minutes=3))

    time.advance(59.5)
    rt.jobs.join(rt.jobs.queue("later"), timeout=10)
    before = [rt.jobs.get(job).state for job in (delayed, dated, in_a_timedelta)]
    time.advance(1)
    rt.jobs.join(delayed, timeout=10)
    between = rt.jobs.get(dated).state
    time.advance(120)

    assert before == ["queued", "queued", "queued"]
    assert between == "queued"
    assert rt.jobs.join(dated, timeout=10).result == "ran"
    assert rt.jobs.join(in_a_timedelta, timeout=10).result == "ran"


def test_an_at_that_has_passed_is_due_at_once(runtime):
    rt = runtime()
    rt.jobs.add_handler("now", lambda job: 1)

    job = rt.jobs.queue("now", at=datetime(2001, 1, 1, tzinfo=UTC))

    assert rt.jobs.join(job, timeout=10).result == 1


def test_higher_priority_runs_first_then_what_is_due_longer_then_what_came_first(runtime):
    rt = runtime()
    order = []
    rt.jobs.pause("work")
    rt.jobs.add_handler("work", lambda job: order.append(job.data))
    past = datetime.now(UTC) - timedelta(hours=1)
    jobs = [
        rt.jobs.queue("work", "third"),
        rt.jobs.queue("work", "fourth"),
        rt.jobs.queue("work", "last", priority=-1),
        rt.jobs.queue("work", "second", at=past),
        rt.jobs.queue("work", "first", priority=5),
    ]

    rt.jobs.resume("work")
    for job in jobs:
        rt.jobs.join(job, timeout=10)

    assert order == ["first", "second", "third", "fourth", "last"]


def test_while_a_job_with_a_unique_key_is_unfinished_it_is_the_one_that_is_returned(runtime):
    rt = runtime()
    first = rt.jobs.queue("sync", 1, unique="user-1")

    again = rt.jobs.queue("sync", 2, unique="user-1")
    other_key = rt.jobs.queue("sync", 3, unique="user-2")
    other_name = rt.jobs.queue("async", 4, unique="user-1")

    assert (again.id, again.deduplicated, again.data) == (first.id, True, 1)
    assert not other_key.deduplicated
    assert not other_name.deduplicated


def test_a_unique_key_is_free_again_once_its_job_has_ended(runtime):
    rt = runtime()
    first = rt.jobs.queue("sync", unique="k")
    rt.jobs.mark_done(first)

    second = rt.jobs.queue("sync", unique="k")

    assert second.id != first.id
    assert not second.deduplicated


def test_an_expired_job_ends_cancelled_with_the_reason_expired_and_never_runs(runtime, recorder):
    rt = runtime()
    rt.jobs.pause("stale")
    ran = []
    rt.jobs.add_handler("stale", ran.append)

    job = rt.jobs.queue("stale", expires=0.05)
    recorder.wait_for("job.cancelled", job_id=job.id)
    rt.jobs.resume("stale")

    assert (rt.jobs.get(job).state, rt.jobs.get(job).reason) == ("cancelled", "expired")
    assert ran == []


@pytest.mark.parametrize("expires", [60, timedelta(minutes=1), datetime(2200, 1, 1, tzinfo=UTC)])
def test_a_job_that_has_not_expired_runs(runtime, expires):
    rt = runtime()
    rt.jobs.add_handler("fresh", lambda job: "ran")

    assert rt.jobs.join(rt.jobs.queue("fresh", expires=expires), timeout=10).result == "ran"


def test_the_jobs_own_max_attempts_wins_over_the_handlers(runtime):
    rt = runtime()
    rt.jobs.add_handler("fails", fail, max_attempts=20, backoff=[0])

    job = rt.jobs.queue("fails", max_attempts=2)

    with pytest.raises(JobFailed):
        rt.jobs.join(job, timeout=10)
    assert [attempt.attempt for attempt in rt.jobs.attempts(job)] == [1, 2]


def test_the_jobs_own_timeout_wins_over_the_handlers(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("slow", lambda job: job.sleep(30), timeout=60, max_attempts=1)

    job = rt.jobs.queue("slow", timeout=0.05)

    with pytest.raises(JobFailed, match=r"timed out after 0\.05 s"):
        rt.jobs.join(job, timeout=10)


def test_queue_many_stores_pairs_and_specs_in_order(runtime):
    rt = runtime()

    jobs = rt.jobs.queue_many([("a", 1), JobSpec("b", 2, priority=9, id="b-2"), ("a", 3)])

    assert [(job.name, job.data) for job in jobs] == [("a", 1), ("b", 2), ("a", 3)]
    assert rt.jobs.get("b-2").priority == 9
    assert rt.jobs.counts()["queued"] == 3


def test_queue_many_of_nothing_is_nothing(runtime):
    assert runtime().jobs.queue_many([]) == []


def test_queue_many_stores_all_or_nothing(runtime):
    rt = runtime()

    with pytest.raises(UsageError):
        rt.jobs.queue_many([("a", 1), ("b", {1j, 2}), ("c", 3)])

    assert rt.jobs.counts()["queued"] == 0


def test_a_handler_may_queue_and_its_children_have_its_root(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("parent", lambda job: [job.queue("child", 1).id, rt.jobs.queue("child", 2).id])
    rt.jobs.add_handler("child", lambda job: None)

    job = rt.jobs.queue("parent")
    children = rt.jobs.join(job, timeout=10).result

    assert [recorder.wait_for("job.queued", job_id=child)["corr"] for child in children] == [job.id, job.id]


def test_before_start_and_after_stop_queue_says_that_nothing_runs(runtime):
    rt = runtime(start=False)

    with pytest.raises(NotStarted, match="not started"):
        rt.jobs.queue("mail")
    rt.start()
    rt.stop()
    with pytest.raises(NotStarted):
        rt.jobs.queue("mail")


def test_a_dead_job_that_is_requeued_starts_over_with_its_id_and_claim_no(runtime):
    rt = runtime()
    handler = rt.jobs.add_handler("flaky", fail, max_attempts=2, backoff=[0])
    job = rt.jobs.queue("flaky")
    with pytest.raises(JobFailed):
        rt.jobs.join(job, timeout=10)
    rt.jobs.remove_handler(handler)

    again = rt.jobs.requeue(job)

    assert (again.id, again.state, again.attempt, again.error) == (job.id, "queued", 0, None)
    assert again.record.claim_no == 2
    rt.jobs.add_handler("flaky", lambda job: job.attempt)
    assert rt.jobs.join(job, timeout=10).result == 1


@pytest.mark.parametrize("end", ["mark_done", "cancel"])
def test_a_done_or_cancelled_job_may_be_requeued(runtime, end):
    rt = runtime()
    job = rt.jobs.queue("any")
    getattr(rt.jobs, end)(job)

    assert rt.jobs.requeue(job).state == "queued"
    assert rt.jobs.get(job).ended_at is None


def test_requeue_puts_a_job_at_the_back_of_the_queue(runtime):
    rt = runtime()
    order = []
    first, second = rt.jobs.queue("work", "first"), rt.jobs.queue("work", "second")

    rt.jobs.requeue(first)
    rt.jobs.add_handler("work", lambda job: order.append(job.data))
    for job in (first, second):
        rt.jobs.join(job, timeout=10)

    assert order == ["second", "first"]


def test_requeue_with_a_delay_waits(runtime):
    rt = runtime()
    job = rt.jobs.queue("work")

    again = rt.jobs.requeue(job.id, delay=timedelta(hours=1))

    assert again.run_at - job.queued_at >= timedelta(hours=1)


def test_a_running_attempt_loses_its_right_to_finish_a_requeued_job(runtime, recorder):
    rt = runtime()
    started, go = threading.Event(), threading.Event()

    def work(job):
        if job.record.claim_no == 1:
            started.set()
            go.wait(10)
            return "stale"
        return "fresh"

    rt.jobs.add_handler("work", work, concurrency=2)
    job = rt.jobs.queue("work")
    assert started.wait(10)

    rt.jobs.requeue(job)
    go.set()

    assert rt.jobs.join(job, timeout=10).result == "fresh"
    fenced = recorder.wait_for("job.fenced", job_id=job.id)
    assert (fenced["claim_no"], fenced["outcome"]) == (1, "succeeded")
    assert rt.jobs.get(job).result == "fresh"


def test_requeue_is_refused_while_another_unfinished_job_holds_the_key(runtime):
    rt = runtime()
    first = rt.jobs.queue("sync", unique="k")
    rt.jobs.cancel(first)
    rt.jobs.queue("sync", unique="k")

    with pytest.raises(KeyTaken, match="'k'"):
        rt.jobs.requeue(first)

    assert rt.jobs.get(first).state == "cancelled"


@pytest.mark.parametrize("call", ["requeue", "cancel", "get", "join", "mark_done"])
def test_an_unknown_job_is_said_to_be_unknown(runtime, call):
    with pytest.raises(UnknownJob, match="'nobody'"):
        getattr(runtime().jobs, call)("nobody")


@pytest.mark.parametrize("by_id", [True, False])
def test_a_queued_job_is_marked_done_by_its_id_or_its_picture(runtime, by_id):
    rt = runtime()
    job = rt.jobs.queue("manual")

    rt.jobs.mark_done(job.id if by_id else job, {"by": "hand"})

    assert (rt.jobs.get(job).state, rt.jobs.get(job).result) == ("done", {"by": "hand"})


def test_marking_a_done_job_done_again_changes_nothing(runtime):
    rt = runtime()
    job = rt.jobs.queue("manual")
    rt.jobs.mark_done(job, 1)

    rt.jobs.mark_done(job, 1)

    assert rt.jobs.get(job).result == 1


def test_a_handler_may_mark_its_job_done_before_it_returns(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("early", lambda job: (rt.jobs.mark_done(job, "early"), "late")[1])

    job = rt.jobs.queue("early")

    assert rt.jobs.join(job, timeout=10).result == "early"
    rt.stop()
    recorder.wait_for("runtime.stopped")
    assert recorder.of("job.fenced") == []
    assert len(recorder.of("job.done", job_id=job.id)) == 1


def test_a_token_ends_a_deferred_job_later_and_from_another_runtime(runtime):
    rt, other = runtime(), runtime()
    tokens = []
    arrived = threading.Event()
    rt.jobs.add_handler("webhook", lambda job: (tokens.append(job.token), arrived.set()), auto_done=False)
    job = rt.jobs.queue("webhook")
    assert arrived.wait(10)

    other.jobs.mark_done(tokens[0], {"paid": True})

    assert rt.jobs.join(job, timeout=10).result == {"paid": True}


def test_a_deferred_job_stays_running_without_a_lane_until_it_is_ended(runtime, recorder):
    rt = runtime()
    tokens = {}
    rt.jobs.add_handler("webhook", lambda job: tokens.update({job.id: job.token}), auto_done=False)
    jobs = [rt.jobs.queue("webhook") for _ in range(3)]

    recorder.until(lambda: len(tokens) == 3, "three jobs on one lane")

    assert [rt.jobs.get(job).state for job in jobs] == ["running"] * 3
    for job in jobs:
        rt.jobs.mark_done(tokens[job.id])
        rt.jobs.join(job, timeout=10)


def test_a_deferred_job_that_nobody_ends_times_out_and_is_tried_again(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("webhook", lambda job: None, auto_done=False, timeout=0.1, backoff=[0])

    job = rt.jobs.queue("webhook")

    assert recorder.wait_for("job.failed", job_id=job.id)["outcome"] == "timed_out"
    recorder.wait_for("job.started", job_id=job.id, count=2)


def test_an_id_does_not_end_a_running_job(runtime):
    rt = runtime()
    started, go = threading.Event(), threading.Event()
    rt.jobs.add_handler("work", lambda job: (started.set(), go.wait(10), "own")[2])
    job = rt.jobs.queue("work")
    assert started.wait(10)

    with pytest.raises(StaleClaim, match="only a queued job"):
        rt.jobs.mark_done(job.id)
    with pytest.raises(StaleClaim):
        rt.jobs.mark_done(job)

    go.set()
    assert rt.jobs.join(job, timeout=10).result == "own"


def test_a_token_that_somebody_has_made_up_is_refused_and_is_no_attempt_of_the_log(runtime, recorder):
    rt = runtime()
    job = rt.jobs.queue("webhook")

    with pytest.raises(StaleClaim, match="claim 7"):
        rt.jobs.mark_done(f"{job.id}:7", "forged")

    rt.stop()
    assert recorder.of("job.fenced") == []


def test_the_claim_of_a_boot_that_the_store_has_forgotten_ends_no_job(runtime, recorder):
    rt = runtime()
    kept = []
    rt.jobs.add_handler("webhook", kept.append, auto_done=False)
    rt.jobs.queue("webhook")
    recorder.until(lambda: kept, "the attempt")
    # As of a boot whose claim a standby lacks that was promoted, where another has claimed the job since.
    stale = Job(kept[0].record._replace(boot="another"))

    with pytest.raises(StaleClaim, match="no longer holds it"):
        rt.jobs.mark_done(stale)
    rt.jobs.mark_done(kept[0])


def test_a_stale_token_is_refused_and_the_log_says_so(runtime, recorder):
    rt = runtime()
    tokens = []
    rt.jobs.add_handler("webhook", lambda job: tokens.append(job.token), auto_done=False)
    job = rt.jobs.queue("webhook")
    recorder.until(lambda: tokens, "a token")
    rt.jobs.requeue(job)
    recorder.until(lambda: len(tokens) == 2, "the second attempt's token")

    with pytest.raises(StaleClaim, match="claim 1"):
        rt.jobs.mark_done(tokens[0], "stale")

    assert recorder.wait_for("job.fenced", job_id=job.id)["claim_no"] == 1
    assert rt.jobs.get(job).state == "running"
    rt.jobs.mark_done(tokens[1], "fresh")
    assert rt.jobs.join(job, timeout=10).result == "fresh"


def test_an_id_that_looks_like_a_token_is_an_id(runtime):
    rt = runtime()
    for job_id in ("order:7", "user", "user:ada"):
        rt.jobs.queue("manual", id=job_id)

    rt.jobs.mark_done("order:7", "by id")
    rt.jobs.mark_done("user:ada")

    assert rt.jobs.get("order:7").result == "by id"
    assert (rt.jobs.get("user").state, rt.jobs.get("user:ada").state) == ("queued", "done")


def test_what_could_be_a_token_or_an_id_is_refused(runtime):
    rt = runtime()
    rt.jobs.queue("manual", id="order")
    job = rt.jobs.queue("manual", id="order:7")

    with pytest.raises(UsageError, match="which is both here"):
        rt.jobs.mark_done("order:7")

    rt.jobs.mark_done(job)
    assert (rt.jobs.get("order").state, rt.jobs.get("order:7").state) == ("queued", "done")


def test_the_token_of_the_longest_id_works(runtime, recorder):
    rt = runtime()
    tokens = []
    rt.jobs.add_handler("webhook", lambda job: tokens.append(job.token), auto_done=False)
    job = rt.jobs.queue("webhook", id="x" * 200)
    recorder.until(lambda: tokens, "a token")

    rt.jobs.mark_done(tokens[0], "ended")

    assert rt.jobs.join(job, timeout=10).result == "ended"


def test_the_same_token_twice_ends_a_job_once(runtime, recorder):
    rt = runtime()
    tokens = []
    rt.jobs.add_handler("webhook", lambda job: tokens.append(job.token), auto_done=False)
    job = rt.jobs.queue("webhook")
    recorder.until(lambda: tokens, "a token")
    rt.jobs.mark_done(tokens[0], 1)

    rt.jobs.mark_done(tokens[0], 1)

    assert rt.jobs.get(job).result == 1
    # Events come on a thread of their own, in their order: after this one's, nothing of the job's is under way.
    recorder.wait_for("job.queued", job_id=rt.jobs.queue("later").id)
    assert len(recorder.of("job.done", job_id=job.id)) == 1


def test_a_queued_job_that_is_cancelled_never_runs(runtime):
    rt = runtime()
    ran = []
    job = rt.jobs.queue("work")

    cancelled = rt.jobs.cancel(job)
    rt.jobs.add_handler("work", ran.append)
    rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    assert cancelled.state == "cancelled"
    assert [one.id for one in ran] != [job.id]
    with pytest.raises(JobFailed, match="cancelled"):
        rt.jobs.join(job, timeout=10)


def test_a_running_job_that_is_cancelled_is_signalled_and_ends_at_once(runtime, recorder):
    rt = runtime()
    woken = []
    rt.jobs.add_handler("work", lambda job: woken.append((job.sleep(30), job.cancelled)))
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)

    cancelled = rt.jobs.cancel(job)

    assert cancelled.state == "cancelled"
    recorder.until(lambda: woken == [(False, True)], "the handler to be woken")
    rt.stop()
    recorder.wait_for("runtime.stopped")
    assert recorder.of("job.done", job_id=job.id) == []


def test_cancelling_a_job_that_has_ended_leaves_it_as_it_is(runtime):
    rt = runtime()
    job = rt.jobs.queue("work")
    rt.jobs.mark_done(job, "kept")

    assert rt.jobs.cancel(job).state == "done"
    assert rt.jobs.get(job).result == "kept"


def test_a_pause_holds_for_every_runtime_on_the_store_and_over_a_restart(runtime, recorder):
    rt, other = runtime(), runtime()
    ran = []
    rt.jobs.pause("work")
    other.jobs.add_handler("work", lambda job: ran.append(job.id))
    other.jobs.add_handler("probe", lambda job: None)
    job = rt.jobs.queue("work")
    other.jobs.join(other.jobs.queue("probe"), timeout=10)
    other.stop()
    other.start()
    other.jobs.join(other.jobs.queue("probe"), timeout=10)
    before = list(ran)

    rt.jobs.resume("work")

    assert before == []
    rt.jobs.join(job, timeout=10)
    assert ran == [job.id]


def test_counts_has_every_state(runtime):
    rt = runtime()
    rt.jobs.queue("a")
    rt.jobs.queue("b")
    rt.jobs.cancel(rt.jobs.queue("a"))

    assert rt.jobs.counts() == {"queued": 2, "running": 0, "done": 0, "dead": 0, "cancelled": 1}
    assert rt.jobs.counts("b") == {"queued": 1, "running": 0, "done": 0, "dead": 0, "cancelled": 0}
    assert set(rt.jobs.counts("nobody").values()) == {0}


def test_list_gives_the_newest_first_in_pages(runtime):
    rt = runtime()
    rt.jobs.queue_many([("a", n) for n in range(5)])
    rt.jobs.queue("b")

    page = rt.jobs.list("a", limit=2)
    next_page = rt.jobs.list("a", limit=2, before=page[-1])

    assert [job.data for job in page] == [4, 3]
    assert [job.data for job in next_page] == [2, 1]
    assert [job.name for job in rt.jobs.list(state="queued", limit=1)] == ["b"]
    assert rt.jobs.list(state="dead") == []


def test_attempts_keep_every_error_with_its_traceback(runtime):
    rt = runtime()

    def work(job):
        raise ValueError(f"attempt {job.attempt}")

    rt.jobs.add_handler("work", work, max_attempts=3, backoff=[0])
    job = rt.jobs.queue("work")
    with pytest.raises(JobFailed):
        rt.jobs.join(job, timeout=10)

    kept = rt.jobs.attempts(job)

    assert [(one.attempt, one.outcome, one.error) for one in kept] == [
        (n, "failed", f"ValueError: attempt {n}") for n in (1, 2, 3)
    ]
    assert all("raise ValueError" in one.traceback for one in kept)


def test_join_raises_the_handlers_error_when_the_job_died(runtime):
    rt = runtime()
    rt.jobs.add_handler("work", fail, max_attempts=1)
    job = rt.jobs.queue("work")

    with pytest.raises(JobFailed, match="ValueError: no luck") as caught:
        rt.jobs.join(job, timeout=10)

    assert caught.value.job.state == "dead"
    assert "raise ValueError" in caught.value.job.traceback


def test_join_gives_up_after_its_timeout(runtime):
    rt = runtime()

    with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
        rt.jobs.join(rt.jobs.queue("nobody"), timeout=0.05)


def test_whoever_waits_in_vain_learns_where_the_job_is(runtime):
    rt = runtime()
    rt.jobs.add_handler("send-mail", lambda job: job.sleep(60), concurrency=1)
    begun = threading.Event()
    rt.jobs.add_handler("begin", lambda job: begun.set() or job.sleep(60))
    running = rt.jobs.queue("begin")
    assert begun.wait(10)
    jobs = {
        rt.jobs.queue("send_mail"): "no running process on .* has a handler for 'send_mail'; did you mean 'send-mail'?",
        rt.jobs.queue("send-mail", delay=3600): r"it is due in (1 h 0 min|59 min \d+ s), at ",
        running: "attempt 1 has run for .* on boot ",
    }
    rt.jobs.pause("send-mail")
    jobs[rt.jobs.queue("send-mail")] = "'send-mail' has been paused since "

    for job, says in jobs.items():
        with pytest.raises(TimeoutError, match=f"has not ended within 0.01 s: {says}"):
            rt.jobs.join(job, timeout=0.01)
    rt.stop(0)


def test_whoever_waits_in_vain_for_a_free_lane_learns_who_has_it(runtime):
    rt, begun = runtime(), threading.Event()
    rt.jobs.add_handler("work", lambda job: begun.set() or job.sleep(60))
    busy = rt.jobs.queue("work")
    assert begun.wait(10)

    with pytest.raises(
        TimeoutError, match=f"the one lane of 'work' is busy on boot .*, the longest .* with job {busy.id}"
    ):
        rt.jobs.join(rt.jobs.queue("work"), timeout=0.01)
    rt.stop(0)


def test_whoever_waits_in_vain_for_another_process_is_not_told_a_guess(runtime):
    rt, other, begun = runtime(), runtime(), threading.Event()
    other.jobs.add_handler("work", lambda job: begun.set() or job.sleep(60))
    rt.jobs.queue("work")
    assert begun.wait(10)

    with pytest.raises(TimeoutError, match=r"(is due for|unknown, because boot .* may take it and has not said)"):
        rt.jobs.join(rt.jobs.queue("work"), timeout=0.01)
    other.stop(0)


def test_join_of_a_job_that_has_ended_returns_at_once(runtime):
    rt = runtime()
    job = rt.jobs.queue("a")
    rt.jobs.mark_done(job)

    assert rt.jobs.join(job, timeout=0).state == "done"


def test_join_works_from_another_runtime_on_the_file(runtime):
    rt, other = runtime(), runtime()
    rt.jobs.add_handler("work", lambda job: "there")

    assert other.jobs.join(other.jobs.queue("work"), timeout=10).result == "there"


def test_join_is_told_when_the_runtime_stops_under_it(runtime, recorder):
    rt = runtime()
    job = rt.jobs.queue("nobody")
    said = []

    def wait():
        try:
            rt.jobs.join(job, timeout=30)
        except NotStarted as error:
            said.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    recorder.until(lambda: rt.boot.joins.awaited() == [job.id], "the waiter")
    rt.stop()
    thread.join(10)

    assert len(said) == 1


def test_every_call_has_its_form_for_asyncio(runtime):
    rt = runtime()
    rt.jobs.add_handler("double", lambda job: job.data * 2)

    async def host():
        job = await rt.jobs.aqueue("double", 4, priority=2)
        done = await rt.jobs.ajoin(job, timeout=10)
        many = await rt.jobs.aqueue_many([("hand", 1), JobSpec(name="hand", data=2)])
        await rt.jobs.amark_done(many[0], "x")
        again = await rt.jobs.arequeue(many[0], delay=60)
        cancelled = await rt.jobs.acancel(many[1])
        await rt.jobs.apause("hand")
        await rt.jobs.aresume("hand")
        got = await rt.jobs.aget(job)
        listed = await rt.jobs.alist("hand", limit=10)
        counted = await rt.jobs.acounts("hand")
        return done.result, again.state, cancelled.state, got.priority, len(listed), counted["cancelled"]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert asyncio.run(host()) == (8, "queued", "cancelled", 2, 2, 1)


@pytest.mark.parametrize("call", [lambda rt: rt.jobs.aqueue("work"), lambda rt: rt.__aenter__()])
def test_without_a_loop_of_asyncio_the_error_says_what_to_do(runtime, call):
    rt = runtime()

    with pytest.raises(UsageError, match=r"running event loop of asyncio, got none.*trio\.to_thread"):
        call(rt).send(None)

    assert rt.jobs.counts()["queued"] == 0


def test_the_asyncio_forms_never_block_the_loop(runtime):
    rt = runtime()
    go = threading.Event()
    rt.jobs.add_handler("slow", lambda job: go.wait(10))

    async def host():
        job = await rt.jobs.aqueue("slow")
        joining = asyncio.create_task(rt.jobs.ajoin(job, timeout=10))
        # The job can only end if the loop goes on while somebody waits for it.
        await asyncio.sleep(0)
        go.set()
        return (await joining).result

    assert asyncio.run(host()) is True


def test_ajoin_raises_as_join_does(runtime):
    rt = runtime()
    rt.jobs.add_handler("work", fail, max_attempts=1)

    async def host():
        with pytest.raises(JobFailed, match="no luck"):
            await rt.jobs.ajoin(await rt.jobs.aqueue("work"), timeout=10)
        with pytest.raises(TimeoutError):
            await rt.jobs.ajoin(await rt.jobs.aqueue("nobody"), timeout=0.05)
        with pytest.raises(UnknownJob):
            await rt.jobs.ajoin("nobody")

    asyncio.run(host())


def test_snapshots_are_equal_as_long_as_the_job_has_not_changed(runtime):
    rt = runtime()
    job, other = rt.jobs.queue_many([("hand", 1), ("hand", 1)])

    assert rt.jobs.get(job) == rt.jobs.get(job) == job != other
    assert {job, rt.jobs.get(job), other} == {job, other}
    rt.jobs.cancel(job)
    assert rt.jobs.get(job) != job != job.id


@pytest.mark.parametrize("is_async", [False, True])
def test_many_are_joined_in_their_order_within_one_timeout(runtime, is_async):
    rt = runtime()
    rt.jobs.add_handler("double", lambda job: job.data * 2)
    rt.jobs.add_handler("fails", fail, max_attempts=1)

    def join_many(jobs, timeout):
        if is_async:
            return asyncio.run(rt.jobs.ajoin_many(jobs, timeout))
        return rt.jobs.join_many(jobs, timeout)

    jobs = rt.jobs.queue_many([("double", number) for number in range(3)])
    never = rt.jobs.queue("nobody")

    assert [job.result for job in join_many(reversed(jobs), 10)] == [4, 2, 0]
    assert join_many([], 0) == []
    with pytest.raises(JobFailed, match="no luck"):
        join_many([jobs[0], rt.jobs.queue("fails"), never], 10)
    with pytest.raises(TimeoutError, match=rf"job {never.id} has not ended within 0\.05 s"):
        join_many([*jobs, never, never], 0.05)
    for wrong in (jobs[0].id, None, [never, 7]):
        with pytest.raises(UsageError, match="expected job"):
            join_many(wrong, None)


def test_a_sync_call_on_a_running_loop_works_and_warns_once(runtime):
    rt = runtime()

    async def host():
        return rt.jobs.queue("a"), rt.jobs.queue("a")

    with pytest.warns(RuntimeWarning, match=r"await jobs\.aqueue") as warned:
        asyncio.run(host())

    assert len(warned) == 1
    assert rt.jobs.counts()["queued"] == 2


@pytest.mark.filterwarnings("ignore:jobs.queue blocks")
def test_each_log_says_once_for_each_name_which_call_blocks_a_loop(runtime, recorder):
    rt, other = runtime(), runtime(":memory:")

    async def host():
        for name in ("a", "b", "a"):
            rt.jobs.queue(name)
        rt.jobs.pause("c")
        await rt.jobs.aqueue("d")
        other.jobs.queue("b")

    ids = rt.boot.id, other.boot.id
    asyncio.run(host())
    rt.jobs.queue("e")
    for one in (rt, other):
        one.stop()

    recorder.wait_for("runtime.stopped", count=2)
    blocked = [[(event["call"], event.get("job_name")) for event in recorder.of("loop.blocked", boot=id)] for id in ids]
    assert blocked == [[("jobs.queue", "a"), ("jobs.queue", "b"), ("jobs.pause", None)], [("jobs.queue", "b")]]


def test_a_coroutine_handler_queues_without_blocking_its_loop(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("child", lambda job: job.data)

    async def parent(job):
        children = await asyncio.gather(*[job.aqueue("child", number, priority=1) for number in range(3)])
        return [child.id for child in children]

    rt.jobs.add_handler("parent", parent)

    parent_job = rt.jobs.join(rt.jobs.queue("parent"), timeout=10)

    children = [rt.jobs.join(child, timeout=10) for child in parent_job.result]
    assert [child.result for child in children] == [0, 1, 2]
    assert {child.record.root_id for child in children} == {parent_job.id}
    assert recorder.of("loop.blocked") == []


def test_a_coroutine_handler_that_blocks_its_loop_is_told_what_to_await(runtime, recorder):
    rt = runtime()

    async def parent(job):
        return job.queue("child").id

    rt.jobs.add_handler("parent", parent)

    with pytest.warns(RuntimeWarning, match=r"await job\.aqueue") as warned:
        rt.jobs.join(rt.jobs.queue("parent"), timeout=10)

    assert warned[0].filename == __file__
    assert recorder.wait_for("loop.blocked")["call"] == "job.queue"


def test_an_option_that_there_is_not_is_refused_by_the_async_variant_too(runtime):
    rt = runtime()

    async def parent(job):
        with pytest.raises(UsageError, match=r"prioriti.*job.aqueue"):
            await job.aqueue("child", prioriti=1)

    rt.jobs.add_handler("parent", parent, max_attempts=1)

    rt.jobs.join(rt.jobs.queue("parent"), timeout=10)


@pytest.fixture
def host_db(tmp_path):
    connection = sqlite3.connect(tmp_path / "jobs.db")
    connection.execute("create table if not exists users (name text)")
    connection.commit()
    yield connection
    connection.close()


def test_a_job_of_a_sqlite3_transaction_exists_once_that_commits(runtime, host_db):
    rt = runtime()
    rt.jobs.add_handler("welcome", lambda job: job.data)
    host_db.execute("insert into users values ('ada')")

    job = rt.jobs.queue("welcome", "ada", connection=host_db)
    with pytest.raises(UnknownJob):
        rt.jobs.get(job)
    host_db.commit()

    rt_join = rt.jobs.join(job, timeout=10)
    assert rt_join.result == "ada"


def test_a_job_of_a_transaction_that_is_rolled_back_never_was(runtime, host_db):
    rt = runtime()
    ran = []
    rt.jobs.add_handler("welcome", ran.append)
    host_db.execute("insert into users values ('ada')")

    job = rt.jobs.queue("welcome", "ada", connection=host_db)
    host_db.rollback()

    rt.jobs.join(rt.jobs.queue("welcome", "probe"), timeout=10)
    with pytest.raises(UnknownJob):
        rt.jobs.get(job)
    assert len(ran) == 1


def test_a_job_of_a_transaction_gets_its_line_in_the_log(runtime, recorder, host_db):
    rt = runtime()
    job = rt.jobs.queue("welcome", connection=host_db)
    host_db.commit()

    queued = recorder.wait_for("job.queued", job_id=job.id)

    assert [
        move["j"] for turn in recorder.of("turn.committed") if turn["turn"] == queued["turn"] for move in turn["moves"]
    ] == [job.id]


def test_a_job_of_a_transaction_is_found_though_it_was_queued_without_a_broker(runtime, recorder, host_db):
    rt = runtime()
    rt.jobs.add_handler("welcome", lambda job: "found")
    rt.jobs.join(rt.jobs.queue("welcome"), timeout=10)
    rt.boot.post.find("broker").actor_ref.tell("this is no Mail, and kills it")
    job = rt.jobs.queue("welcome", connection=host_db)
    recorder.wait_for("actor.restarted", child="broker")

    host_db.commit()

    assert rt.jobs.join(job, timeout=10).result == "found"


def test_a_known_id_in_a_transaction_gives_the_stored_job(runtime, host_db):
    rt = runtime()
    rt.jobs.queue("welcome", 1, id="x")

    again = rt.jobs.queue("welcome", 2, id="x", connection=host_db)
    host_db.commit()

    assert (again.deduplicated, again.data) == (True, 1)


@pytest.mark.parametrize("commit", [True, False])
def test_a_job_in_a_sqlalchemy_connection_follows_its_transaction(runtime, tmp_path, commit):
    rt = runtime()
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'jobs.db'}")

    with engine.connect() as connection:
        job = rt.jobs.queue("welcome", connection=connection)
        connection.commit() if commit else connection.rollback()
    engine.dispose()

    assert rt.jobs.counts()["queued"] == int(commit)
    if commit:
        assert rt.jobs.get(job).state == "queued"


@pytest.mark.parametrize("commit", [True, False])
def test_a_job_in_a_sqlalchemy_session_follows_its_transaction(runtime, tmp_path, commit):
    rt = runtime()
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'jobs.db'}")

    with Session(engine) as session:
        rt.jobs.queue("welcome", connection=session)
        session.commit() if commit else session.rollback()
    engine.dispose()

    assert rt.jobs.counts()["queued"] == int(commit)


def test_a_connection_to_another_file_is_refused(runtime, tmp_path):
    rt = runtime()
    other = sqlite3.connect(tmp_path / "other.db")

    with pytest.raises(UsageError, match=r"open on the store's file .*jobs\.db, got: .*other\.db"):
        rt.jobs.queue("welcome", connection=other)
    with pytest.raises(UsageError, match="a database in memory"):
        rt.jobs.queue("welcome", connection=sqlite3.connect(":memory:"))
    other.close()


@pytest.mark.parametrize("connection", ["jobs.db", 7, object()])
def test_what_is_no_connection_is_refused(runtime, connection):
    with pytest.raises(UsageError, match="expected connection= to be an open"):
        runtime().jobs.queue("welcome", connection=connection)


def test_a_handlers_writes_and_its_completion_commit_together(runtime, host_db, tmp_path):
    rt = runtime()

    def work(job):
        connection = sqlite3.connect(tmp_path / "jobs.db")
        connection.execute("insert into users values (?)", (job.data,))
        rt.jobs.mark_done(job, "with the row", connection=connection)
        connection.commit()
        connection.close()

    rt.jobs.add_handler("work", work)
    job = rt.jobs.queue("work", "ada")

    assert rt.jobs.join(job, timeout=10).result == "with the row"
    assert host_db.execute("select name from users").fetchall() == [("ada",)]


def test_a_completion_that_is_rolled_back_is_none(runtime, host_db, tmp_path):
    rt = runtime()

    def work(job):
        if job.attempt == 1:
            connection = sqlite3.connect(tmp_path / "jobs.db")
            connection.execute("insert into users values ('half')")
            rt.jobs.mark_done(job, "never", connection=connection)
            connection.rollback()
            connection.close()
            raise ValueError("after the rollback")
        return "second"

    rt.jobs.add_handler("work", work, backoff=[0])
    job = rt.jobs.queue("work")

    assert rt.jobs.join(job, timeout=10).result == "second"
    assert host_db.execute("select * from users").fetchall() == []


def test_a_stale_completion_in_a_transaction_is_refused(runtime, recorder, host_db):
    rt = runtime()
    tokens = []
    rt.jobs.add_handler("work", lambda job: tokens.append(job.token), auto_done=False)
    job = rt.jobs.queue("work")
    recorder.until(lambda: tokens, "a token")
    rt.jobs.requeue(job)
    recorder.until(lambda: len(tokens) == 2, "the second token")

    with pytest.raises(StaleClaim):
        rt.jobs.mark_done(tokens[0], connection=host_db)
    with pytest.raises(StaleClaim, match="is running: an id marks only a queued job done"):
        rt.jobs.mark_done(job.id, connection=host_db)
    host_db.rollback()

    rt.jobs.mark_done(tokens[1], "own", connection=host_db)
    host_db.commit()
    assert rt.jobs.join(job, timeout=10).result == "own"


def test_what_many_queue_in_one_turn_is_answered_and_told_each_by_itself(runtime, recorder, tmp_path):
    rt = runtime()
    # Before there is a broker, whoever asks tries again a moment later, and those who ask then come first.
    recorder.wait_for("actor.started", child="broker")
    host = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)

    async def main() -> list[Any]:
        # Whatever comes while the file is locked waits for one turn.
        host.execute("begin immediate")
        options = [{"id": f"j{n}"} for n in range(40)]
        options += [{"id": "j7"}, {"id": "twin", "unique": "key"}, {"id": "other", "unique": "key"}]
        asked = [asyncio.ensure_future(rt.jobs.aqueue("work", n, **some)) for n, some in enumerate(options)]
        left = asyncio.ensure_future(rt.jobs.aqueue("work", id="left"))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        host.execute("rollback")
        return await asyncio.gather(*asked)

    stored = asyncio.run(main())

    assert [(job.id, job.data, job.deduplicated) for job in stored] == [
        *((f"j{n}", n, False) for n in range(40)),
        ("j7", 7, True),
        ("twin", 41, False),
        ("twin", 41, True),
    ]
    recorder.wait_for("job.deduplicated", count=2)
    queued = recorder.of("job.queued")
    ids = [*(f"j{n}" for n in range(40)), "twin"]
    assert [(line["job_id"], line["corr"]) for line in queued] == list(zip(ids, ids, strict=True))
    moves = [move for line in recorder.of("turn.committed") for move in line["moves"]]
    assert [move["j"] for move in moves if move["k"] == "queued"] == ids
    assert len({line["msg"] for line in queued}) == 41
    assert [(line["job_id"], line["asked_id"]) for line in recorder.of("job.deduplicated")] == [
        ("j7", "j7"),
        ("twin", "other"),
    ]
    with pytest.raises(UnknownJob):
        rt.jobs.get("left")


def test_the_history_of_a_job_is_there_without_another_service(runtime):
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


def test_a_job_as_a_dict_is_what_json_can_carry(runtime):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.progress(1) or object(), max_attempts=3)
    rt.jobs.pause("work")
    job = rt.jobs.queue("work", {"of": uuid.UUID(int=1)}, unique="u", priority=3)
    waiting = job.to_dict()
    rt.jobs.resume("work")

    done = rt.jobs.join(job, timeout=10).to_dict()

    assert json.loads(json.dumps(done)) == done
    assert waiting | {"id": "", "queued_at": "", "run_at": ""} == {
        "id": "",
        "name": "work",
        "state": "queued",
        "data": {"of": "00000000-0000-0000-0000-000000000001"},
        "result": None,
        "progress": None,
        "reason": None,
        "error": None,
        "attempt": 0,
        "priority": 3,
        "unique": "u",
        "group": None,
        "debounce": None,
        "schedule": None,
        "slot": None,
        "queued_at": "",
        "run_at": "",
        "started_at": None,
        "runs_on": None,
        "ended_at": None,
    }
    assert datetime.fromisoformat(done["ended_at"]) >= datetime.fromisoformat(done["started_at"]) >= job.queued_at
    assert done["runs_on"] == rt.boot.id
    assert datetime.fromisoformat(done["ended_at"]) >= datetime.fromisoformat(done["queued_at"]) == job.queued_at
    assert (done["state"], done["result"], done["progress"]["done"], done["attempt"]) == ("done", None, 1, 1)
    assert "its result is lost" in done["reason"]
