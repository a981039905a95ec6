"""`Inline` and `drain`: a host's jobs on one thread in virtual time, or on real ones."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lamplighter import Job, JobFailed, Runtime, Snooze, UsageError
from lamplighter.actors.scheduler_actor import SchedulerActor
from lamplighter.environment import Environment
from lamplighter.testing import Inline, ManualTime, Script, assert_queued, drain, fail, hang, ok, work


def register(runtime: Runtime) -> None:
    """A host: an order is priced, then mailed a minute later; every night the books are closed."""
    jobs = runtime.jobs

    @jobs.handler("price", max_attempts=2, backoff=[60])
    def price(job: Job[Any]) -> int:
        total = sum(item["price"] for item in job.data["items"])
        jobs.queue("mail", {"total": total}, delay=60)
        return total

    @jobs.handler("mail")
    async def mail(job: Job[Any]) -> str:
        await asyncio.sleep(2)
        return f"sent {job.data['total']}"

    @jobs.handler("close-books")
    def close_books(job: Job[Any]) -> str | None:
        return job.slot and job.slot.isoformat()

    runtime.scheduler.add("close-books", "0 3 * * *", key="nightly")


def test_what_is_queued_has_run_when_queue_returns() -> None:
    with Inline(register) as app:
        job = app.jobs.queue("price", {"items": [{"price": 3}]})

        assert (job.state, job.result) == ("done", 3)


def test_what_fails_is_returned_as_it_waits_for_its_retry_and_raises_no_error() -> None:
    with Inline(register) as app:
        job = app.jobs.queue("price", {})

        assert (job.state, job.error, job.attempt) == ("queued", "KeyError: 'items'", 1)
        ended = app.advance(minutes=2)
        assert [(one.id, str(one.state), one.attempt) for one in ended] == [(job.id, "dead", 2)]
        with pytest.raises(JobFailed, match="items"):
            app.jobs.join(job)


def test_a_handler_that_gives_its_job_back_each_time_does_not_run_for_ever() -> None:
    runs: list[int] = []

    def register(runtime: Runtime) -> None:
        @runtime.jobs.handler("poll")
        def poll(job: Job[Any]) -> None:
            runs.append(job.attempt)
            raise Snooze(0)

    with Inline(register) as app:
        assert app.jobs.queue("poll").state == "queued"
        assert len(runs) == 2
        app.advance(seconds=1)
        assert 10 <= len(runs) <= 13


def test_jobs_that_queue_one_another_for_ever_are_an_error_that_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamplighter.testing.inline.STEPS_MAX", 20_000)

    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("again", lambda job: job.queue("again") and None)

    with (
        Inline(register) as app,
        pytest.raises(AssertionError, match=r"nothing more to do after 20,000 steps, got: .*\(again, "),
    ):
        app.jobs.queue("again")


class Interrupted(Exception):
    """What the handler of a signal raises."""


@pytest.fixture(params=[signal.SIGINT, signal.SIGALRM])
def interrupt(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    def raises(number: int, frame: object) -> None:
        raise Interrupted

    number: signal.Signals = request.param
    before = signal.signal(number, raises)
    yield number
    signal.signal(number, before)


@pytest.mark.parametrize("where", ["a handler", "an actor"])
def test_a_ctrl_c_or_an_alarm_comes_straight_out_of_what_the_test_waits_for(
    where: str, interrupt: signal.Signals
) -> None:
    seen: list[str] = []

    def register(runtime: Runtime) -> None:
        @runtime.jobs.handler("work")
        def work(job: Job[Any]) -> None:
            if where == "a handler":
                signal.raise_signal(interrupt)
            seen.append(job.id)

        if where == "an actor":
            runtime.subscribe(lambda event: signal.raise_signal(interrupt), events=["job.claimed"])

    before = signal.getsignal(interrupt)
    with pytest.raises(Interrupted), Inline(register) as app:
        app.jobs.queue("work")
    assert signal.getsignal(interrupt) is before
    assert seen == []


def test_what_waited_for_its_name_to_be_resumed_has_run_when_resume_returns() -> None:
    with Inline(register) as app:
        app.jobs.pause("price")
        job = app.jobs.queue("price", {"items": []})
        assert job.state == "queued"

        app.jobs.resume("price")

        assert app.jobs.get(job).state == "done"


@pytest.mark.parametrize("way", ["add_handler", "handler"])
def test_what_waited_for_a_handler_has_run_when_its_handler_has_been_added(way: str) -> None:
    with Inline(register) as app:
        job = app.jobs.queue("later")
        assert job.state == "queued"

        if way == "add_handler":
            app.jobs.add_handler("later", lambda job: 2)
        else:
            app.jobs.handler("later")(lambda job: 2)

        assert app.jobs.get(job).result == 2


def test_nothing_runs_but_in_drain_also_after_a_resume_or_with_a_new_handler() -> None:
    with Inline(register, at_once=False) as app:
        app.jobs.pause("price")
        jobs = [app.jobs.queue("price", {"items": []}), app.jobs.queue("later")]
        app.jobs.resume("price")
        app.jobs.add_handler("later", lambda job: 2)
        assert [app.jobs.get(job).state for job in jobs] == ["queued", "queued"]

        app.drain()

        assert [app.jobs.get(job).state for job in jobs] == ["done", "done"]


def test_a_handler_is_added_to_a_runtime_that_has_stopped() -> None:
    with Inline(register) as app:
        app.runtime.stop()
        assert app.jobs.add_handler("later", lambda job: 2)


def test_time_passes_only_when_the_test_lets_it() -> None:
    with Inline(register, start=datetime(2026, 3, 1, tzinfo=UTC)) as app:
        app.jobs.queue("price", {"items": []})
        mail = assert_queued(app, "mail", state="queued", delay=60)

        assert app.drain() == []
        (sent,) = app.advance(seconds=61)

        assert (sent.id, sent.result) == (mail.id, "sent 0")
        assert app.now - datetime(2026, 3, 1, tzinfo=UTC) < timedelta(minutes=2)


def test_schedules_fire_as_time_passes() -> None:
    with Inline(register) as app:
        ended = app.advance(days=3)

        assert [job.result for job in ended] == [f"2026-01-0{day}T03:00:00+00:00" for day in (1, 2, 3)]


def test_without_at_once_nothing_runs_but_in_drain_which_returns_what_ended_in_order() -> None:
    with Inline(register, at_once=False) as app:
        first = app.jobs.queue("price", {"items": [{"price": 1}]})
        second = app.jobs.queue("close-books")
        third = app.jobs.queue("price", {"items": [{"price": 2}]})
        waiting = app.advance(hours=4)

        ended = app.drain()

        assert (first.state, waiting) == ("queued", [])
        assert {job.id for job in ended} > {first.id, second.id, third.id}
        assert [job.record.move_no for job in ended] == sorted(job.record.move_no or 0 for job in ended)
        assert app.jobs.counts()["running"] == 0


def test_drain_runs_what_the_jobs_queue_too() -> None:
    def countdown(runtime: Runtime) -> None:
        @runtime.jobs.handler("count")
        def count(job: Job[Any]) -> None:
            if job.data:
                job.queue("count", job.data - 1)

    with Inline(countdown, at_once=False) as app:
        app.jobs.queue("count", 4)

        assert [job.data for job in app.drain()] == [4, 3, 2, 1, 0]


def test_a_handler_that_queues_is_not_made_to_wait_for_what_it_queued() -> None:
    seen: list[str] = []

    def parent_and_child(runtime: Runtime) -> None:
        @runtime.jobs.handler("parent")
        def parent(job: Job[Any]) -> None:
            runtime.jobs.queue("child")
            seen.append("parent")

        @runtime.jobs.handler("child")
        def child(job: Job[Any]) -> None:
            job.sleep(1)
            seen.append("child")

    with Inline(parent_and_child) as app:
        app.jobs.queue("parent")

    assert seen == ["parent", "child"]


def test_data_is_really_serialised_and_refused_as_in_production() -> None:
    with Inline(register) as app:
        assert app.jobs.queue("unhandled", {"a": (1, 2)}).data == {"a": [1, 2]}
        with pytest.raises(UsageError, match="JSON"):
            app.jobs.queue("price", {"when": object()})


def test_drain_waits_for_no_job_that_is_paused_deferred_or_without_a_handler() -> None:
    def deferring(runtime: Runtime) -> None:
        register(runtime)
        runtime.jobs.add_handler("later", lambda job: None, auto_done=False)

    with Inline(deferring) as app:
        app.jobs.pause("price")

        states = [app.jobs.queue(name, {"items": []}).state for name in ("nobody", "price", "later")]

        assert states == ["queued", "queued", "running"]
        assert app.drain() == []


def test_queue_many_requeue_and_run_now_return_what_has_run() -> None:
    with Inline(register) as app:
        many = app.jobs.queue_many([("close-books", None), ("close-books", 1)])
        (nightly,) = app.scheduler.list()

        assert [job.state for job in many] == ["done", "done"]
        assert app.jobs.requeue(many[0]).record.claim_no == 2
        assert app.scheduler.run_now(nightly.id).state == "done"


def test_a_job_that_hangs_for_ever_is_named_when_drain_gives_up() -> None:
    script = Script("stuck", [work(3600.0)])

    with Inline(script.add_to, at_once=False) as app:
        job = app.jobs.queue("stuck")

        with pytest.raises(AssertionError, match=rf"after 60 s .* not done: .*{job.id} \(stuck, running\)"):
            app.drain(seconds=60)


def test_a_deduplicated_job_says_so() -> None:
    with Inline(register) as app:
        first = app.jobs.queue("mail", {"total": 1}, unique="k", delay=5)
        again = app.jobs.queue("mail", {"total": 2}, unique="k")

        assert (first.deduplicated, again.deduplicated, again.id) == (False, True, first.id)


def test_an_error_of_the_registering_function_is_the_tests() -> None:
    def broken(runtime: Runtime) -> None:
        runtime.jobs.add_handler("", print)

    with pytest.raises(UsageError, match="name"):
        Inline(broken).__enter__()


def test_the_log_is_that_of_production() -> None:
    with Inline(register) as app:
        job = app.jobs.queue("close-books")

        events = [line["event"] for line in map(json.loads, app.log.splitlines()) if line.get("job_id") == job.id]

        assert events == ["job.queued", "job.claimed", "job.started", "job.done"]


def test_the_store_is_sqlite() -> None:
    with Inline(register) as app:
        with sqlite3.connect(app.runtime.current_boot.get().store.address) as connection:
            tables = [row[0] for row in connection.execute("select name from sqlite_schema where type = 'table'")]
        connection.close()

        assert "lamplighter_jobs" in tables


def test_drain_waits_until_nothing_that_is_due_waits_or_runs(runtime: Callable[..., Runtime]) -> None:
    rt = runtime(start=False)
    script = Script("work", lambda job, n: ok(n))
    script.add_to(rt)
    rt.jobs.add_handler("parent", lambda job: [job.queue("work") for _ in range(20)] and None)
    rt.jobs.add_handler("rests", lambda job: None)
    rt.jobs.add_handler("others end it", lambda job: None, auto_done=False)
    rt.start()
    rt.jobs.pause("rests")
    for name in ("parent", "parent", "parent", "rests", "others end it"):
        rt.jobs.queue(name)
    rt.jobs.queue("work", delay=3600)
    rt.jobs.queue("work", after=rt.jobs.queue("nobody"))

    drain(rt, timeout=15)

    assert rt.jobs.counts("work") == {"queued": 2, "running": 0, "done": 60, "dead": 0, "cancelled": 0}
    assert (rt.jobs.counts("rests")["queued"], rt.jobs.counts("others end it")["running"]) == (1, 1)


def test_drain_leaves_a_retry_alone_that_waits_for_its_back_off(runtime: Callable[..., Runtime]) -> None:
    rt = runtime()
    Script("work", [fail("boom")]).add_to(rt, backoff=[3600])
    job = rt.jobs.queue("work")

    drain(rt, timeout=15)

    assert (rt.jobs.get(job).state, rt.jobs.get(job).attempt) == ("queued", 1)


def test_drain_says_what_still_runs_when_its_time_is_up(runtime: Callable[..., Runtime]) -> None:
    rt = runtime()
    script = Script("work", [hang()])
    script.add_to(rt)
    job = rt.jobs.queue("work")

    with pytest.raises(TimeoutError, match=rf"{job.id} \(work, running\)"):
        drain(rt, timeout=0.2)

    script.release()
    drain(rt, timeout=15)
    assert rt.jobs.get(job).state == "done"


def test_drain_waits_for_a_scheduler_that_is_being_started(
    runtime: Callable[..., Runtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, start = threading.Event(), SchedulerActor.start

    def start_later(*given: object, **named: object) -> object:
        begin.wait(15)
        return start(*given, **named)

    monkeypatch.setattr(SchedulerActor, "start", start_later)
    rt = runtime()

    with pytest.raises(TimeoutError, match="still wait or run: messages"):
        drain(rt, timeout=0.2)
    begin.set()
    drain(rt, timeout=15)
    assert isinstance(rt.current_boot.get().post.find("scheduler"), SchedulerActor)


def test_drain_follows_a_time_that_a_test_owns(runtime: Callable[..., Runtime]) -> None:
    time = ManualTime(datetime(2026, 1, 1, tzinfo=UTC))
    rt = runtime(start=False, environment=Environment(clock=time.clock))
    script = Script("report", [ok()])
    script.add_to(rt)
    rt.scheduler.add("report", "0 * * * *")
    rt.start()

    for _ in range(3):
        time.advance(3600)
        drain(rt, timeout=15)

    assert [call.started_at.hour for call in script.calls] == [1, 2, 3]
    assert time.now == datetime(2026, 1, 1, 3, tzinfo=UTC)


def test_drain_leaves_no_subscriber_behind(runtime: Callable[..., Runtime]) -> None:
    rt = runtime()
    before = len(rt.current_boot.get().log._subscriptions)

    drain(rt, timeout=15)

    assert len(rt.current_boot.get().log._subscriptions) == before


def test_a_call_from_another_thread_says_so_and_what_to_do() -> None:
    said: list[str] = []

    def endpoint() -> None:
        try:
            inline.jobs.queue("mail", {"total": 1})
        except UsageError as error:
            said.append(str(error))

    with Inline(register) as inline:
        thread = threading.Thread(target=endpoint)
        thread.start()
        thread.join(10)

    assert said[0].startswith("expected a call from the thread that made this simulated runtime")


def test_a_call_that_is_awaited_in_the_tests_own_loop_is_refused_at_once() -> None:
    with Inline(register) as inline, pytest.raises(UsageError, match="such as queue in the place of aqueue"):
        asyncio.run(inline.jobs.aqueue("mail", {"total": 1}))


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_a_handler_runs_on_the_tests_own_thread_whatever_it_waits_for(kind: str) -> None:
    """A connection of sqlite3's, as Django's and a scoped session of SQLAlchemy's, belongs to one thread."""
    threads = []

    def plain(job: Job[None]) -> None:
        job.sleep(60)
        threads.append(threading.get_ident())

    async def coroutine(job: Job[None]) -> None:
        await asyncio.sleep(60)
        threads.append(threading.get_ident())

    with Inline(lambda runtime: runtime.jobs.add_handler("work", plain if kind == "plain" else coroutine)) as app:
        app.jobs.queue("work")
        app.advance(minutes=2)

    assert threads == [threading.get_ident()]
