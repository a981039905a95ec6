"""What runs a job: lanes on threads, tasks and processes, typed payloads, retries, timeouts, and hostile functions."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections import Counter
from datetime import timedelta
from typing import TypedDict

import msgspec
import pytest
import structlog
from lamplighter import (
    Backoff,
    Discard,
    Job,
    JobFailed,
    JobTimeout,
    RestartBudget,
    Retry,
    Snooze,
    UnknownHandler,
    UsageError,
)
from lamplighter.environment import Environment
from lamplighter.messages.mail import Ended, Ending
from lamplighter.messages.outcomes import Outcome, OutcomeKind, Policy
from lamplighter.rules.validation import check_backoff
from lamplighter.testing.draining import is_idle
from lamplighter.testing.manual_clock import ManualTime


@dataclasses.dataclass
class Mail:
    to: str
    copies: int = 1


class Parcel(TypedDict):
    street: str


class Verify(msgspec.Struct):
    user: str
    url: str


def finish(rt, name, data=None, **options):
    return rt.jobs.join(rt.jobs.queue(name, data, **options), timeout=10)


def ending(rt, name, data=None, **options):
    """How a job ends that does not end well."""
    return ending_of(rt, rt.jobs.queue(name, data, **options))


def ending_of(rt, job):
    """The same, of a job that is queued already."""
    with pytest.raises(JobFailed) as caught:
        rt.jobs.join(job, timeout=10)
    return caught.value.job


def test_a_handler_gets_a_job_that_knows_itself(runtime):
    rt = runtime()
    seen = {}

    def work(job):
        for name in ("id", "token", "name", "data", "attempt", "slot", "result", "state", "cancelled", "deadline"):
            seen[name] = getattr(job, name)
        seen["queued_at"] = job.queued_at

    rt.jobs.add_handler("work", work, timeout=60)
    job = rt.jobs.queue("work", [1])
    rt.jobs.join(job, timeout=10)

    assert seen["queued_at"] == job.queued_at
    assert 50 < (seen.pop("deadline") - seen.pop("queued_at")).total_seconds() < 70
    assert seen == {
        "id": job.id,
        "token": f"{job.id}:1",
        "name": "work",
        "data": [1],
        "attempt": 1,
        "slot": None,
        "result": None,
        "state": "running",
        "cancelled": False,
    }


def test_only_the_job_of_a_handler_has_a_lane(runtime):
    rt = runtime()
    picture = rt.jobs.queue("work")

    for use in (lambda: picture.log, lambda: picture.cancelled, lambda: picture.sleep(0), lambda: picture.progress(1)):
        with pytest.raises(UsageError, match="only the Job that a handler gets"):
            use()
    with pytest.raises(UsageError, match="expected a running job"):
        _ = picture.token


def test_progress_can_be_seen_while_the_job_runs(runtime, recorder):
    rt = runtime()
    go = threading.Event()
    rt.jobs.add_handler("work", lambda job: (job.progress(3, 10, "third"), go.wait(10))[1])
    job = rt.jobs.queue("work")

    recorder.until(lambda: rt.jobs.get(job).progress_report, "a report")

    assert rt.jobs.get(job).progress_report == {"done": 3, "total": 10, "note": "third"}
    go.set()
    rt.jobs.join(job, timeout=10)


def test_progress_that_json_cannot_carry_is_the_handlers_error(runtime):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.progress(1, note={1j}), max_attempts=1)

    assert "UsageError" in ending(rt, "work").error


def test_the_log_of_a_job_and_the_hosts_own_lines_carry_its_fields(runtime):
    lines, contexts = [], []

    def keep(_, __, line):
        lines.append(line)
        raise structlog.DropEvent

    rt = runtime(logger=structlog.wrap_logger(structlog.PrintLogger(), processors=[keep]))

    def work(job):
        job.log.info("hello", colour="red")
        contexts.append(structlog.contextvars.get_contextvars())

    rt.jobs.add_handler("work", work)
    job = finish(rt, "work")

    (hello,) = [line for line in lines if line["event"] == "hello"]
    assert (hello["job_id"], hello["job_name"], hello["attempt"], hello["colour"]) == (job.id, "work", 1, "red")
    assert contexts[0]["job_id"] == job.id
    assert structlog.contextvars.get_contextvars() == {}


def test_the_decorator_leaves_the_function_what_it_is(runtime):
    rt = runtime(start=False)

    @rt.jobs.handler("work", concurrency=2, timeout=5)
    def work(job):
        return "ran"

    rt.start()
    assert work(None) == "ran"
    assert finish(rt, "work").result == "ran"


def test_a_dataclass_payload_arrives_as_one(runtime):
    rt = runtime()

    def work(job: Job[Mail]):
        return [type(job.data).__name__, job.data.to, job.data.copies]

    rt.jobs.add_handler("mail", work)

    assert finish(rt, "mail", {"to": "ada"}).result == ["Mail", "ada", 1]


def test_a_typed_dict_payload_arrives_as_a_dict(runtime):
    rt = runtime()

    def work(job: Job[Parcel]):
        return job.data["street"]

    rt.jobs.add_handler("parcel", work)

    assert finish(rt, "parcel", {"street": "Elm"}).result == "Elm"


def test_a_struct_payload_arrives_as_one_in_an_async_handler_too(runtime):
    rt = runtime()

    async def work(job: Job[Verify]):
        return [type(job.data).__name__, job.data.url]

    rt.jobs.add_handler("verify", work)

    assert finish(rt, "verify", {"user": "u1", "url": "dat://x"}).result == ["Verify", "dat://x"]


@pytest.mark.parametrize("data", [{"to": 7}, {}, None, [1], "ada"], ids=repr)
def test_data_that_does_not_fit_kills_the_job_with_the_reason(runtime, data):
    rt = runtime()
    ran = []

    def work(job: Job[Mail]):
        ran.append(job)

    rt.jobs.add_handler("mail", work)

    dead = ending(rt, "mail", data)

    assert (dead.state, dead.attempt, ran) == ("dead", 1, [])
    assert dead.reason.startswith("data does not fit Mail: ")


def test_an_untyped_handler_gets_whatever_came(runtime):
    rt = runtime()

    def work(job: Job):
        return job.data

    rt.jobs.add_handler("any", work)

    assert finish(rt, "any", {"x": [1]}).result == {"x": [1]}


def test_each_job_goes_to_exactly_one_of_several_handlers(runtime):
    rt = runtime()
    ran = Counter()
    for handler in "abc":
        rt.jobs.add_handler("work", lambda job, handler=handler: ran.update([job.id]), concurrency=2)

    jobs = rt.jobs.queue_many([("work", n) for n in range(200)])
    for job in jobs:
        rt.jobs.join(job, timeout=10)

    assert ran == Counter({job.id: 1 for job in jobs})


def test_never_more_than_concurrency_run_at_once(runtime):
    rt = runtime()
    lock, now, most, full = threading.Lock(), [0], [0], threading.Event()

    def work(job):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
            if now[0] == 3:
                full.set()
        full.wait(5)
        with lock:
            now[0] -= 1

    rt.jobs.add_handler("work", work, concurrency=3)
    for job in rt.jobs.queue_many([("work", n) for n in range(30)]):
        rt.jobs.join(job, timeout=10)

    assert most[0] == 3


def test_concurrency_total_holds_over_two_runtimes_on_one_file(runtime):
    first, second = runtime(), runtime()
    lock, now, most, ran = threading.Lock(), [0], [0], Counter()

    def work(job, who):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
            ran[who] += 1
        job.sleep(0.005)
        with lock:
            now[0] -= 1

    for who, rt in (("first", first), ("second", second)):
        rt.jobs.add_handler("work", lambda job, who=who: work(job, who), concurrency=4, concurrency_total=2)
    jobs = first.jobs.queue_many([("work", n) for n in range(60)])
    for job in jobs:
        second.jobs.join(job, timeout=20)

    assert most[0] <= 2
    assert sum(ran.values()) == 60


def test_async_jobs_run_by_the_hundred_at_once(runtime):
    rt = runtime()
    here, everybody = [0], asyncio.Event()

    async def work(job):
        here[0] += 1
        if here[0] == 300:
            everybody.set()
        await asyncio.wait_for(everybody.wait(), 10)
        return job.data

    rt.jobs.add_handler("io", work, concurrency=300)
    jobs = rt.jobs.queue_many([("io", n) for n in range(300)])

    assert [rt.jobs.join(job, timeout=20).result for job in jobs] == list(range(300))


def test_an_object_with_an_async_call_is_a_coroutine_handler(runtime):
    class Handler:
        async def __call__(self, job):
            await asyncio.sleep(0)
            return "awaited"

    rt = runtime()
    rt.jobs.add_handler("io", Handler())

    assert finish(rt, "io").result == "awaited"


def test_a_timed_out_task_is_cancelled(timed, time):
    rt = timed()
    inside, cancelled = threading.Event(), threading.Event()

    async def work(job):
        inside.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    rt.jobs.add_handler("io", work, timeout=1, max_attempts=1)
    job = rt.jobs.queue("io")
    assert inside.wait(15)
    time.advance(1)

    assert "timed out" in ending_of(rt, job).error
    assert cancelled.wait(5)


def test_a_failed_job_is_tried_again_until_it_succeeds(runtime):
    rt = runtime()

    def work(job):
        if job.attempt < 3:
            raise ValueError("not yet")
        return job.attempt

    rt.jobs.add_handler("work", work, backoff=[0])

    assert finish(rt, "work").result == 3


def test_a_job_waits_for_its_backoff_between_attempts(runtime, recorder):
    time = ManualTime(1000.0)
    rt = runtime(environment=Environment(clock=time.clock))
    rt.jobs.add_handler("work", lambda job: 1 / 0, max_attempts=4, backoff=Backoff(first=10, factor=3, jitter=0))
    job = rt.jobs.queue("work")

    waits = []
    for attempt in (1, 2, 3):
        waits.append(recorder.wait_for("job.failed", job_id=job.id, count=attempt)["run_at"] - time.wall)
        recorder.until(lambda: rt.jobs.get(job).state != "running", "it to be queued")
        time.advance(waits[-1])

    recorder.wait_for("job.dead", job_id=job.id)
    assert waits == [10, 30, 90]


def test_a_job_out_of_attempts_is_dead_and_says_how_many(runtime):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: 1 / 0, max_attempts=3, backoff=[0])

    dead = ending(rt, "work")

    assert (dead.state, dead.attempt, dead.reason) == ("dead", 3, "failed in attempt 3 of 3")
    assert dead.error == "ZeroDivisionError: division by zero"


def test_a_job_without_a_handler_is_parked_and_waits_for_one(runtime, recorder):
    rt = runtime()
    job = rt.jobs.queue("later")
    recorder.wait_for("job.parked", job_id=job.id)

    rt.jobs.add_handler("later", lambda job: "at last")

    assert rt.jobs.join(job, timeout=10).result == "at last"


def test_snooze_runs_the_job_again_and_uses_no_attempt(runtime, recorder):
    rt = runtime()
    runs = []

    def work(job):
        runs.append(job.attempt)
        if len(runs) < 4:
            raise Snooze(0.01)

    rt.jobs.add_handler("work", work, max_attempts=1)
    job = finish(rt, "work")

    assert runs == [1, 1, 1, 1]
    assert len(recorder.of("job.snoozed", job_id=job.id)) == 3
    assert rt.jobs.attempts(job) == []


def test_waits_may_be_timedeltas_and_one_wait_stands_for_all_retries():
    hour = timedelta(hours=1)

    assert (Snooze(hour).seconds, Retry(hour).seconds) == (3600.0, 3600.0)
    assert (check_backoff(hour), check_backoff(5), check_backoff([1, hour])) == ((3600.0,), (5.0,), (1.0, 3600.0))


@pytest.mark.parametrize("seconds", [-1, "1", None, True, float("nan"), float("inf"), 1e300, 10**400])
def test_a_snooze_that_cannot_be_is_refused(seconds):
    with pytest.raises(UsageError, match="Snooze"):
        Snooze(seconds)


def test_a_handler_that_snoozes_for_ever_fails_and_is_told_why(runtime):
    rt = runtime()

    def work(job):
        raise Snooze(1e300)

    rt.jobs.add_handler("work", work, max_attempts=2, backoff=[0])
    dead = ending(rt, "work")

    assert (dead.state, dead.attempt) == ("dead", 2)
    assert (
        "expected Snooze(seconds) to be a number of seconds or a timedelta, 0 or more and at most a century"
        in dead.error
    )


def test_discard_kills_the_job_at_once_with_its_reason(runtime):
    rt = runtime()

    def work(job):
        raise Discard("the user is gone")

    rt.jobs.add_handler("work", work)

    dead = ending(rt, "work")

    assert (dead.state, dead.attempt, dead.reason) == ("dead", 1, "the user is gone")


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), MemoryError(), RecursionError(), GeneratorExit()], ids=repr
)
@pytest.mark.parametrize("kind", ["thread", "task"])
def test_whatever_a_handler_raises_ends_its_job_and_nothing_else(runtime, recorder, error, kind):
    rt = runtime()

    def work(job):
        if job.data == "bad":
            raise error
        return "fine"

    async def atask(job):
        return work(job)

    rt.jobs.add_handler("work", work if kind == "thread" else atask, max_attempts=1)

    dead = ending(rt, "work", "bad")
    after = finish(rt, "work", "good")

    assert type(error).__name__ in dead.error
    assert after.result == "fine"
    assert recorder.of("actor.crashed") == []


def test_an_error_whose_own_text_raises_ends_its_job_all_the_same(runtime):
    class Nasty(Exception):
        def __str__(self):
            raise RuntimeError("no text for you")

    rt = runtime()

    def work(job):
        raise Nasty

    rt.jobs.add_handler("work", work, max_attempts=1)

    assert "Nasty" in ending(rt, "work").error


def test_a_timed_out_job_is_signalled_and_uses_an_attempt(timed, time, recorder):
    rt = timed()
    inside, seen = threading.Semaphore(0), []

    def work(job):
        inside.release()
        seen.append((job.sleep(30), job.cancelled))

    rt.jobs.add_handler("slow", work, timeout=1, max_attempts=2, backoff=[0])
    job = rt.jobs.queue("slow")
    for _ in range(2):
        assert inside.acquire(timeout=15)
        time.advance(1)

    dead = ending_of(rt, job)

    assert (dead.state, dead.reason) == ("dead", "timed out in attempt 2 of 2")
    recorder.until(lambda: seen == [(False, True)] * 2, "both attempts to be woken")


def test_what_a_timed_out_attempt_returns_late_changes_nothing(timed, time, recorder):
    rt = timed()
    inside, go = threading.Event(), threading.Event()

    def work(job):
        if job.attempt == 1:
            inside.set()
            go.wait(10)
            return "late"
        return "in time"

    rt.jobs.add_handler("slow", work, timeout=1, backoff=[0])
    job = rt.jobs.queue("slow")
    assert inside.wait(15)
    time.advance(1)
    recorder.wait_for("job.failed", job_id=job.id, outcome="timed_out")
    go.set()

    assert rt.jobs.join(job, timeout=10).result == "in time"
    assert recorder.wait_for("job.fenced", job_id=job.id)["claim_no"] == 1
    assert rt.jobs.get(job).result == "in time"


def test_on_timeout_raise_strikes_a_busy_thread(timed, time):
    rt = timed()
    inside, struck = threading.Event(), threading.Event()

    def work(job):
        try:
            inside.set()
            while True:
                pass
        except JobTimeout:
            struck.set()
            raise

    rt.jobs.add_handler("busy", work, timeout=1, on_timeout="raise", max_attempts=1)
    job = rt.jobs.queue("busy")
    assert inside.wait(15)
    time.advance(1)

    assert "timed out" in ending_of(rt, job).error
    assert struck.wait(5)


def test_a_hung_lane_is_abandoned_listed_with_its_stack_and_replaced(timed, time, recorder):
    rt = timed(lane_grace_seconds=5)
    inside, never = threading.Event(), threading.Event()

    def hangs_here(job):
        if job.data == "hang":
            inside.set()
            never.wait(30)
        return "done"

    rt.jobs.add_handler("work", hangs_here, timeout=1, max_attempts=1)
    hung = rt.jobs.queue("work", "hang")
    assert inside.wait(15)
    time.advance(1)
    ending_of(rt, hung)
    time.advance(5)
    abandoned = recorder.wait_for("lane.abandoned", job_id=hung.id)
    health = rt.health()

    assert finish(rt, "work", "next").result == "done"
    assert "hangs_here" in abandoned["stack"]
    assert health.status == "yellow"
    assert [(lane.job_id, lane.job_name) for lane in health.abandoned] == [(hung.id, "work")]
    assert "never.wait(30)" in health.abandoned[0].stack
    never.set()
    recorder.wait_for("lane.returned", job_id=hung.id)
    recorder.until(lambda: rt.health().status == "green", "health to be green again")


def test_a_thread_that_ends_when_it_is_asked_to_is_not_said_to_have_hung(timed, time, recorder):
    rt = timed(lane_grace_seconds=600)
    inside = threading.Event()
    rt.jobs.add_handler("work", lambda job: inside.set() or job.sleep(30), timeout=1, max_attempts=1)

    job = rt.jobs.queue("work")
    assert inside.wait(15)
    time.advance(1)
    ending_of(rt, job)
    # That its late ending was refused is the last thing that is said of it.
    recorder.wait_for("job.fenced", job_id=job.id)

    assert not recorder.of("lane.abandoned")
    assert not recorder.of("lane.returned")


def test_too_many_hung_lanes_halt_their_handler_until_they_end_each_time(timed, time, recorder):
    rt = timed(lane_grace_seconds=5, abandoned_threads_max=1)
    inside, ways_out = threading.Semaphore(0), [threading.Event(), threading.Event()]

    def work(job):
        if job.data != "free":
            inside.release()
            ways_out[job.data].wait(30)
        return job.data

    rt.jobs.add_handler("work", work, timeout=1, max_attempts=1)
    for again, way_out in enumerate(ways_out):
        for hung in range(1, 3):
            job = rt.jobs.queue("work", again)
            assert inside.acquire(timeout=15)
            time.advance(1)
            ending_of(rt, job)
            time.advance(5)
            recorder.wait_for("lane.abandoned", count=2 * again + hung)
        recorder.wait_for("handler.halted", job_name="work", count=again + 1)

        job = rt.jobs.queue("work", "free")
        status = rt.health().status
        before = rt.jobs.get(job).state
        way_out.set()

        assert (status, before) == ("red", "queued")
        assert rt.jobs.join(job, timeout=10).result == "free"
        recorder.until(lambda: rt.health().status == "green", "the hung ones to have ended")


def test_a_handler_halted_by_threads_of_another_name_looks_until_they_end(timed, time, recorder):
    rt = timed(lane_grace_seconds=5, abandoned_threads_max=1)
    inside, ways_out = threading.Semaphore(0), {"one": threading.Event(), "other": threading.Event()}

    def work(job):
        if job.data != "free":
            inside.release()
            ways_out[job.name].wait(30)
        return job.data

    for name in ways_out:
        rt.jobs.add_handler(name, work, timeout=1, max_attempts=1)
        job = rt.jobs.queue(name)
        assert inside.acquire(timeout=15)
        time.advance(1)
        ending_of(rt, job)
    recorder.wait_for("handler.halted", job_name="other")
    job = rt.jobs.queue("other", "free")
    for _ in range(2):
        # It looks, and both still hang.
        time.advance(5)
        recorder.until(lambda: is_idle(rt), "the look to be over")

    ways_out["one"].set()
    recorder.until(lambda: len(rt.health().abandoned) == 1, "the thread of the other name to have ended")
    time.advance(5)

    assert rt.jobs.join(job, timeout=10).result == "free"
    ways_out["other"].set()


def test_jobs_of_a_removed_handler_wait_for_the_next_one(runtime):
    rt = runtime()
    handler = rt.jobs.add_handler("work", lambda job: "old")
    finish(rt, "work")

    rt.jobs.remove_handler(handler)
    job = rt.jobs.queue("work")
    with pytest.raises(TimeoutError):
        rt.jobs.join(job, timeout=0.1)
    rt.jobs.add_handler("work", lambda job: "new")

    assert rt.jobs.join(job, timeout=10).result == "new"


def test_the_running_jobs_of_a_removed_handler_finish(runtime, recorder):
    rt = runtime()
    go = threading.Event()
    handler = rt.jobs.add_handler("work", lambda job: go.wait(10))
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)

    rt.jobs.remove_handler(handler)
    go.set()

    assert rt.jobs.join(job, timeout=10).result is True
    assert rt.jobs.get(job).record.claim_no == 1


def test_past_the_drain_a_removed_handlers_jobs_are_queued_again_and_use_no_attempt(runtime, recorder):
    rt = runtime()
    handler = rt.jobs.add_handler("work", lambda job: job.sleep(30))
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)

    rt.jobs.remove_handler(handler, drain=0.05)
    retried = recorder.wait_for("job.failed", job_id=job.id)

    assert retried["outcome"] == "interrupted"
    assert (rt.jobs.get(job).state, rt.jobs.get(job).attempt) == ("queued", 0)


def test_a_handler_can_be_removed_once(runtime):
    rt = runtime()
    handler = rt.jobs.add_handler("work", print)
    rt.jobs.remove_handler(handler)

    with pytest.raises(UnknownHandler):
        rt.jobs.remove_handler(handler)


def test_a_restart_budget_may_be_given_for_a_name(runtime):
    rt = runtime(start=False)
    budget = RestartBudget(restarts_max=1, window_seconds=5, backoff_seconds_max=1)
    rt.jobs.add_handler("work", lambda job: "ran", restart=budget)

    rt.start()

    assert finish(rt, "work").result == "ran"
    assert rt.boot._supervision.family.children["handler:work"].spec.budget == budget


def test_an_ending_that_cannot_be_stored_costs_those_told_with_it_nothing(runtime, recorder):
    rt = runtime()
    release = threading.Event()
    rt.jobs.add_handler("work", lambda job: release.wait(30), concurrency=2, max_attempts=1)
    good, bad = rt.jobs.queue_many([("work", "good"), ("work", "bad")])
    recorder.wait_for("job.started", count=2)
    lanes = {lane.claim.job.id: lane for lane in rt.boot.lanes.open("work")}
    endings = tuple(
        Ending(lanes[job.id].claim, Outcome(OutcomeKind.SUCCEEDED, result=result), Policy(max_attempts=1))
        for job, result in ((bad, object()), (good, '"kept"'))
    )

    rt.boot.post.tell("broker", Ended("work", endings))

    assert rt.jobs.join(good, timeout=10).result == "kept"
    with pytest.raises(JobFailed, match="its ending could not be stored"):
        rt.jobs.join(bad, timeout=10)
    assert len(recorder.of("message.refused", message="Ended")) == 1
    release.set()
