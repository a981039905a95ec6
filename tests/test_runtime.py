"""The runtime in its host: lives, draining, several at once, trouble with the store, and what is never touched."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sqlite3
import threading
import time

import pykka
import pytest
import structlog
from lamplighter import JobFailed, NotStarted, Runtime, RuntimeFailed, StoreUnavailable, UsageError
from lamplighter.boot import draining
from lamplighter.environment.replies import READER
from lamplighter.messages.jobs import Claim, NewJob
from lamplighter.messages.mail import Drain, Interrupt, Queue, ReleaseClaims, Run
from lamplighter.supervisor import ChildStatus, Supervision
from lamplighter.testing.draining import is_idle

from .conftest import WAIT_SECONDS_MAX


def lamplighter_threads():
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("lamplighter ")}


@contextlib.contextmanager
def locked(path):
    """Hold SQLite's write lock as a host with an open transaction does."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    try:
        yield
    finally:
        other.execute("rollback")
        other.close()


def is_empty(actor):
    """Whether an actor has handled all its mail."""
    return actor.mailbox.empty() and actor.busy_since is None


def new_job(job_id):
    """A job named "work" as the broker gets it."""
    now = time.time()
    return NewJob(job_id, "work", "null", 0, now, now, job_id)


def test_jobs_leave_nothing_to_the_collector(runtime):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.data)
    rt.jobs.join(rt.jobs.queue("work", 1), timeout=WAIT_SECONDS_MAX)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for job in [rt.jobs.queue("work", number) for number in range(50)]:
            rt.jobs.join(job, timeout=WAIT_SECONDS_MAX)
        gc.collect()
        left = {type(one).__qualname__ for one in gc.garbage if type(one).__module__.startswith("lamplighter")}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()

    assert left == set()


def test_start_and_stop_are_idempotent(runtime, recorder):
    rt = runtime(start=False)

    rt.stop()
    assert rt.start() is rt
    boot = rt.boot
    rt.start()
    assert rt.boot is boot
    rt.stop()
    rt.stop()

    recorder.wait_for("runtime.stopped")
    assert len(recorder.of("runtime.started")) == 1
    assert len(recorder.of("runtime.stopped")) == 1


def test_a_stopped_runtime_can_be_started_again_and_keeps_its_handlers(runtime):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: "ran")
    rt.stop()

    rt.start()

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=10).result == "ran"


def test_a_context_manager_starts_and_stops(tmp_path):
    with Runtime(tmp_path / "jobs.db") as rt:
        assert rt.health().status == "green"

    assert rt.boot is None
    with pytest.raises(NotStarted):
        rt.jobs.queue("work")


def test_an_async_context_manager_starts_and_stops_off_the_loop(tmp_path):
    async def host():
        async with Runtime(tmp_path / "jobs.db") as rt:
            rt.jobs.add_handler("work", lambda job: "ran")
            return rt, (await rt.jobs.ajoin(await rt.jobs.aqueue("work"), timeout=10)).result

    rt, result = asyncio.run(host())

    assert (result, rt.boot) == ("ran", None)


def test_a_url_and_a_path_are_the_same_store(tmp_path):
    with Runtime(f"sqlite:///{tmp_path}/jobs.db") as rt:
        rt.jobs.queue("work", id="a")
    with Runtime(tmp_path / "jobs.db") as rt:
        assert rt.jobs.get("a").state == "queued"


def test_a_store_in_memory_works_and_is_gone_with_its_life(tmp_path):
    rt = Runtime(":memory:")
    with rt:
        rt.jobs.add_handler("work", lambda job: job.data)
        assert rt.jobs.join(rt.jobs.queue("work", 1), timeout=10).result == 1
    with rt:
        assert rt.jobs.counts()["done"] == 0


def test_a_stop_leaves_no_thread_behind(tmp_path):
    before = lamplighter_threads()
    rt = Runtime(tmp_path / "jobs.db").start()
    rt.jobs.add_handler("work", lambda job: 1)
    rt.jobs.join(rt.jobs.queue("work"), timeout=10)
    during = lamplighter_threads()

    rt.stop()

    give_up_at = time.monotonic() + 5
    while lamplighter_threads() - before and time.monotonic() < give_up_at:
        threading.Event().wait(0.01)
    assert during - before
    assert lamplighter_threads() - before == set()


def test_stop_is_refused_inside_a_handler(runtime):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: rt.stop(), max_attempts=1)

    with pytest.raises(JobFailed, match="outside a handler"):
        rt.jobs.join(rt.jobs.queue("work"), timeout=10)


@pytest.mark.parametrize("drain", [-1, "10", float("nan")])
def test_a_drain_that_cannot_be_is_refused(runtime, drain):
    rt = runtime()

    with pytest.raises(UsageError, match="drain"):
        rt.stop(drain=drain)
    with pytest.raises(UsageError, match="drain"):
        runtime(start=False, drain=drain)

    assert rt.boot is not None


def test_a_stop_lets_running_jobs_finish_and_starts_no_new_ones(runtime, recorder):
    rt = runtime()
    go = threading.Event()
    rt.jobs.add_handler("work", lambda job: go.wait(10))
    running, waiting = rt.jobs.queue("work"), rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=running.id)

    stopping = threading.Thread(target=rt.stop)
    stopping.start()
    recorder.wait_for("runtime.stopping")
    go.set()
    stopping.join(10)

    with rt:
        assert rt.jobs.get(running).state == "done"
        assert rt.jobs.get(running).record.claim_no == 1
    stopped = recorder.wait_for("runtime.stopped", interrupted=0)
    assert recorder.of("job.started", job_id=waiting.id, boot=stopped["boot"]) == []


def test_what_does_not_finish_within_the_drain_is_interrupted_and_uses_no_attempt(runtime, recorder):
    rt = runtime()
    release, seen = threading.Event(), []

    @rt.jobs.handler("work")
    def work(job):
        seen.append((job.stopping, job.cancelled))
        slept = job.sleep(30)
        # It takes longer than the drain all the same.
        seen.append((slept, job.stopping, job.cancelled))
        release.wait(30)
        seen.append(job.cancelled)

    job = rt.jobs.queue("work")
    recorder.until(lambda: len(seen) == 1, "the handler to begin")

    stopping = threading.Thread(target=rt.stop, kwargs={"drain": 60})
    stopping.start()
    recorder.until(lambda: len(seen) == 2, "the handler to hear of the stop")
    rt.stop(drain=0)
    stopping.join(30)

    recorder.wait_for("runtime.stopped", interrupted=1)
    assert recorder.wait_for("job.failed", job_id=job.id)["reason"] == "interrupted: the runtime stopped"
    release.set()
    recorder.until(lambda: len(seen) == 3, "the handler to go on")
    assert seen == [(False, False), (False, True, False), True]
    other = runtime()
    stored = other.jobs.get(job)
    assert (stored.state, stored.attempt, stored.record.interruptions) == ("queued", 0, 0)


def assert_that_the_next_broker_claims_nothing(rt, recorder, stopping, release, running):
    """Have the broker die in a stop, and its successor take a turn with a job that waits, until what runs has ended."""
    post = rt.boot.post
    post.find("broker").actor_ref.tell("no mail of ours")
    recorder.wait_for("actor.restarted", child="broker")
    waiting = rt.jobs.queue("work")
    recorder.until(lambda: post.find("broker")._state.capacities, "its HandlerActor to answer")
    rt.jobs.resume("another turn")
    release.set()
    stopping.join(WAIT_SECONDS_MAX)

    # A stop that waits for its drain to be over has not heard of the ending.
    assert not stopping.is_alive(), recorder.events[-20:]
    assert [event["job_id"] for event in recorder.of("job.claimed")] == [running]
    assert waiting.state == "queued"


def test_a_broker_that_is_started_while_the_runtime_stops_claims_nothing(runtime, recorder):
    # Only the broker that had heard of the stop knew of it; its successor went on handing out work.
    rt = runtime()
    release = threading.Event()
    rt.jobs.add_handler("work", lambda job: release.wait(30), concurrency=2)
    rt.jobs.queue("work")
    running = recorder.wait_for("job.started")["job_id"]

    stopping = threading.Thread(target=rt.stop, kwargs={"drain": 60})
    stopping.start()
    recorder.wait_for("runtime.stopping")
    assert_that_the_next_broker_claims_nothing(rt, recorder, stopping, release, running)


def kill_broker(rt, recorder):
    """Kill a broker that has died often, so that it waits out a long back-off."""
    broker = rt.boot._supervision.family.children["broker"]
    broker.deaths = [rt.boot.clock.monotonic()] * 20
    rt.boot.post.find("broker").actor_ref.tell("no mail of ours")
    recorder.until(lambda: broker.status is ChildStatus.WAITING, "the broker to wait out its back-off")
    return broker


def test_a_stop_does_not_wait_for_the_back_off_of_a_broker_that_has_died(runtime, recorder):
    # The job had returned, and no broker was there to store that before the stop had ended: it ran again.
    rt = runtime(restarts_max=100, restart_backoff_seconds_max=3600)
    release = threading.Event()
    rt.jobs.add_handler("work", lambda job: release.wait(30))
    rt.jobs.queue("work", id="a")
    recorder.wait_for("job.started")
    kill_broker(rt, recorder)

    release.set()
    stopping = threading.Thread(target=rt.stop, kwargs={"drain": 60})
    stopping.start()

    assert recorder.wait_for("job.done")["job_id"] == "a"
    stopping.join(WAIT_SECONDS_MAX)
    assert not recorder.of("store.unavailable")


class FastWhile:
    """A clock whose every look is a tenth of a second later than it was, while something holds."""

    def __init__(self, holds):
        self.holds = holds
        self.ahead = 0.0

    def monotonic(self):
        self.ahead += 0.1 if self.holds() else 0.0
        return time.monotonic() + self.ahead


@pytest.mark.parametrize("dies_again", [False, True], ids=["dies", "dies_again"])
def test_a_stop_lets_a_broker_that_dies_meanwhile_store_what_has_ended(runtime, recorder, monkeypatch, dies_again):
    # Its successor came when the stop had ceased to wait, and took back a job that had returned: it ran again.
    # One that dies again, when its back-off was cut short, waits out the next: here for long by the drain's own clock.
    rt = runtime(restarts_max=100, restart_backoff_seconds_max=0.5 if dies_again else 3600)
    release = threading.Event()
    rt.jobs.add_handler("work", lambda job: release.wait(30))
    rt.jobs.queue("work", id="a")
    recorder.wait_for("job.started")
    stopping = threading.Thread(target=rt.stop, kwargs={"drain": 60})
    stopping.start()
    recorder.wait_for("runtime.stopping")
    recorder.until(lambda: rt.boot.post.find("broker")._state.draining, "the broker to have heard of the stop")
    broker = kill_broker(rt, recorder)
    if dies_again:
        monkeypatch.setattr(rt.boot._supervision, "start_now", lambda child: None)
        monkeypatch.setattr(draining, "LOOK_SECONDS_MAX", 0.001)
        monkeypatch.setattr(draining, "BACKOFF_SECONDS_MAX", 3600)
        clock = FastWhile(lambda: broker.status is ChildStatus.WAITING)
        monkeypatch.setattr(rt.boot.draining, "context", rt.boot.draining.context._replace(clock=clock))
    requests, was_settled = rt.boot.requests, []
    ask = requests.ask
    monkeypatch.setattr(
        requests, "ask", lambda make: was_settled.append(rt.boot.draining._holds_nothing()) or ask(make)
    )

    release.set()
    recorder.until(lambda: rt.boot.post.find("handler:work")._unsettled, "the job to have ended")
    rt.boot.draining.shorten(0)
    stopping.join(WAIT_SECONDS_MAX)

    # When the broker was asked to take back what is held, nothing was.
    assert was_settled == [True]
    assert [event["job_id"] for event in recorder.of("job.done")] == ["a"]


def test_a_thread_with_the_number_of_a_dead_brokers_thread_may_call(runtime, recorder, caller):
    # The system gives numbers of threads again. It was told that it called in the midst of the runtime's own work.
    rt = runtime(restarts_max=100, restart_backoff_seconds_max=3600)
    recorder.wait_for("actor.started", child="broker")
    kill_broker(rt, recorder)
    dead = rt.boot.post.find("broker")
    dead.thread.join(WAIT_SECONDS_MAX)
    called = threading.Event()

    def queue():
        dead.mailbox._reading[READER] = threading.get_ident()
        called.set()
        return rt.jobs.queue("work")

    queued = caller(queue)
    assert called.wait(10)
    rt.boot._supervision.start_now("broker")

    assert queued.result(WAIT_SECONDS_MAX).state == "queued"


def test_a_broker_that_nobody_could_find_yet_when_the_stop_began_claims_nothing(runtime, recorder, monkeypatch):
    # It was made before the stop began, and its dead predecessor was told to drain: it handed out work for ever, which
    # its HandlerActor gave back.
    rt = runtime()
    release = threading.Event()
    rt.jobs.add_handler("work", lambda job: release.wait(30), concurrency=2)
    rt.jobs.queue("work")
    running = recorder.wait_for("job.started")["job_id"]
    post = rt.boot.post
    enter, actor = post.enter, post.find("handler:work")
    stopping = threading.Thread(target=rt.stop, kwargs={"drain": 60})

    def enter_when_the_stop_has_begun(broker):
        stopping.start()
        recorder.until(lambda: actor._backlog.closed, "the HandlerActor to have read its Drain")
        enter(broker)

    monkeypatch.setattr(post, "enter", enter_when_the_stop_has_begun)
    assert_that_the_next_broker_claims_nothing(rt, recorder, stopping, release, running)


def test_a_claim_that_comes_after_all_was_interrupted_is_given_back_and_not_started(runtime, recorder):
    # The broker was in a turn when a stop without a drain began: what it claimed in it was started, and waited for.
    rt = runtime()
    ran = []
    rt.jobs.add_handler("work", lambda job: ran.append(job.id))
    record = rt.jobs.queue("work", delay=3600).record._replace(state="running", claim_no=1)
    recorder.until(lambda: rt.boot.post.find("handler:work"), "the HandlerActor to be there")
    actor = rt.boot.post.find("handler:work")

    rt.boot.post.tell(actor.name, Interrupt(handler_id=None, reason="the runtime stopped"))
    rt.boot.post.tell(actor.name, Run(claims=(Claim(record),), settled=()))

    recorder.until(lambda: actor.mailbox.empty() and actor.busy_since is None and actor.holds_nothing, "it to be quiet")
    assert ran == []


def test_a_claim_taken_while_the_stop_began_is_not_started_only_to_be_interrupted(runtime, recorder, monkeypatch):
    # It came behind the Drain, at a HandlerActor that the stop had found quiet: the farewell ended it as it ran.
    rt = runtime()
    release = threading.Event()
    rt.jobs.add_handler("work", lambda job: release.wait(30))
    recorder.until(lambda: is_idle(rt), "the runtime to be idle")
    broker, actor = rt.boot.post.find("broker"), rt.boot.post.find("handler:work")
    committed, go, let_out = threading.Event(), threading.Event(), broker._let_out
    monkeypatch.setattr(broker, "_let_out", lambda out: (committed.set(), go.wait(30), let_out(out)))
    rt.boot.post.tell("broker", Queue(jobs=(new_job("late"),), reply=None))
    assert committed.wait(10)

    stopping = threading.Thread(target=rt.stop, kwargs={"drain": 30})
    stopping.start()

    def waiting():
        # What its neighbours or its clock have to say may wait there too.
        return {type(envelope.message.body) for envelope in list(broker.mailbox.mail)}

    recorder.until(lambda: waiting() >= {Drain, ReleaseClaims}, "the Drain and the Farewell to wait for the turn's end")
    recorder.until(lambda: is_empty(actor), "the HandlerActor to have read its Drain")
    go.set()
    stopping.join(30)
    release.set()

    assert recorder.of("job.claimed", job_id="late")
    assert recorder.of("job.started", job_id="late") == []


def test_no_job_begins_before_its_runtime_is_known_to_run_and_no_handler_is_lost(runtime, monkeypatch):
    # A job of the first names could not queue another, and a handler that a thread added then had no HandlerActor.
    rt = runtime(start=False)
    rt.jobs.add_handler("work", lambda job: rt.jobs.queue("late").id)
    began, children = rt.current_boot.began, []

    def begin(boot):
        children.extend(boot._supervision.family.children)
        rt.jobs.add_handler("late", lambda job: "late")
        began(boot)

    monkeypatch.setattr(rt.current_boot, "began", begin)
    rt.start()

    queued = rt.jobs.join(rt.jobs.queue("work"), timeout=10).result
    assert rt.jobs.join(queued, timeout=10).result == "late"
    assert children == ["broker", "scheduler"]


def test_a_stop_finds_a_claim_that_is_just_being_given_its_lane(runtime, recorder, caller, monkeypatch):
    # It was out of the line and not among the running yet while its thread was made: the stop saw nothing to wait for.
    rt = runtime()
    starting, go, ended = threading.Event(), threading.Event(), threading.Event()
    rt.jobs.add_handler("work", lambda job: (ended.wait(30), "done")[1])
    start = rt.boot.lanes.start
    monkeypatch.setattr(rt.boot.lanes, "start", lambda *given: (starting.set(), go.wait(30), start(*given))[2])
    # The broker stands in for the HandlerActor, so whoever queues waits with it.
    queued = caller(rt.jobs.queue, "work")
    assert starting.wait(10)

    quiet = rt.boot.post.find("handler:work").holds_nothing
    go.set()
    job = queued.result(10)
    recorder.wait_for("job.started", job_id=job.id)
    ended.set()

    assert not quiet
    assert rt.jobs.join(job, timeout=10).result == "done"


def test_who_asks_as_the_runtime_stops_is_told_so_and_not_kept_waiting(runtime):
    # Nobody would ever answer, and the caller was held for all of reply_seconds_max to be told of a busy broker.
    rt = runtime(reply_seconds_max=0.2)
    boot = rt.boot
    rt.stop()

    with pytest.raises(StoreUnavailable, match="the runtime was stopped") as by_thread:
        boot.requests.ask(lambda reply: Queue(jobs=(new_job("late"),), reply=reply), jobs=[new_job("late")])
    with pytest.raises(StoreUnavailable, match="the runtime was stopped"):
        asyncio.run(
            boot.requests.asked(
                lambda reply: Queue(jobs=(new_job("late"),), reply=reply), awaits=True, jobs=[new_job("late")]
            )
        )

    assert by_thread.value.job_id == "late"


def test_who_calls_while_the_parts_of_a_runtime_end_is_told_that_it_is_not_started(runtime, monkeypatch):
    # It was told that the store did not answer, and a caller that tried again at once turned in circles meanwhile.
    rt, told = runtime(), []

    def stop(supervision):
        with pytest.raises(NotStarted, match="is being stopped") as caught:
            rt.jobs.queue("late")
        told.append(caught.value)
        monkeypatch.undo()
        supervision.stop()

    monkeypatch.setattr(Supervision, "stop", stop)
    rt.stop()

    assert len(told) == 1
    assert rt.boot is None


def test_a_job_that_has_ended_is_not_among_the_current_ones(runtime, recorder):
    # Its lane had given its place on, and the actor had not heard of it: with one lane there were two jobs.
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)
    recorder.until(lambda: rt.boot.post.find("handler:work"), "the HandlerActor to be there")
    actor, record = rt.boot.post.find("handler:work"), rt.jobs.queue("other").record
    lane = rt.boot.lanes.open_lane(rt.current_boot.declared.handlers("work")[0], Claim(record), lambda lane: None)

    actor._running[lane.id] = lane
    before = actor.current()
    lane.close()
    after = actor.current()
    actor._running.clear()

    assert (before, after) == ([record.id], [])


def test_wait_returns_when_the_runtime_has_stopped(runtime):
    rt = runtime()

    before = rt.wait(timeout=0.01)
    threading.Timer(0.05, rt.stop).start()

    assert before is False
    assert rt.wait(timeout=10) is True


def test_several_runtimes_on_one_file_share_its_jobs(runtime):
    ran = {}
    runtimes = [runtime() for _ in range(3)]
    for number, rt in enumerate(runtimes):
        rt.jobs.add_handler("work", lambda job, number=number: ran.setdefault(job.id, []).append(number))

    jobs = [runtimes[n % 3].jobs.queue("work") for n in range(60)]
    for job in jobs:
        runtimes[0].jobs.join(job, timeout=20)

    assert sorted(ran) == sorted(job.id for job in jobs)
    assert all(len(by) == 1 for by in ran.values())


def test_runtimes_on_different_files_know_nothing_of_one_another(runtime, tmp_path):
    one, two = runtime(tmp_path / "one.db"), runtime(tmp_path / "two.db")
    one.jobs.add_handler("work", lambda job: "one")
    two.jobs.add_handler("work", lambda job: "two")

    assert one.jobs.join(one.jobs.queue("work"), timeout=10).result == "one"
    assert two.jobs.join(two.jobs.queue("work"), timeout=10).result == "two"
    assert (one.jobs.counts()["done"], two.jobs.counts()["done"]) == (1, 1)


def test_a_job_of_one_runtime_is_started_by_an_idle_other_without_a_poll(runtime, recorder, monkeypatch):
    monkeypatch.setattr("lamplighter.broker.peer_watcher.POLL_SECONDS", 3600)
    producer, worker = runtime(), runtime()
    worker.jobs.add_handler("work", lambda job: None)

    jobs = [producer.jobs.join(producer.jobs.queue("work"), timeout=10) for _ in range(8)]

    started = {line["job_id"]: line["boot"] for line in recorder.of("job.started")}
    assert started == {job.id: worker.boot.id for job in jobs}


def test_a_locked_file_makes_queue_say_so_with_the_job_id_and_heals_by_itself(runtime, recorder, tmp_path):
    rt = runtime(reply_seconds_max=2, busy_seconds_max=0.05)
    before = rt.jobs.queue("work", id="before")
    with locked(tmp_path / "jobs.db"):
        with pytest.raises(StoreUnavailable, match="pass connection=") as caught:
            rt.jobs.queue("work", "kept")
        status = rt.health().status
        waiting = recorder.wait_for("store.waiting")

    again = rt.jobs.queue("work", "kept", id=caught.value.job_id)
    recorder.wait_for("store.available")

    assert (status, "locked" in waiting["reason"]) == ("yellow", True)
    assert again.id == caught.value.job_id
    assert rt.jobs.counts()["queued"] == 2
    assert rt.jobs.get(before).state == "queued"
    assert rt.health().reasons == ("no living runtime has a handler for 'work', and 2 of its jobs wait",)


def test_aqueue_says_so_as_well(runtime, tmp_path):
    rt = runtime(reply_seconds_max=0.2, busy_seconds_max=0.05)

    async def host():
        with pytest.raises(StoreUnavailable) as caught:
            await rt.jobs.aqueue("work")
        return caught.value.job_id

    with locked(tmp_path / "jobs.db"):
        assert asyncio.run(host())


def test_after_a_second_of_waiting_the_log_says_so(runtime, recorder, tmp_path):
    rt = runtime()
    with locked(tmp_path / "jobs.db"):
        thread = threading.Thread(target=lambda: rt.jobs.queue("work"))
        thread.start()
        waiting = recorder.wait_for("store.waiting")

    thread.join(10)
    assert 1 <= waiting["waited"] < 2
    assert rt.jobs.counts()["queued"] == 1


def test_endings_are_kept_while_the_file_is_locked_and_stored_when_it_is_free(runtime, recorder, tmp_path):
    rt = runtime(busy_seconds_max=0.05)
    go = threading.Event()
    rt.jobs.add_handler("work", lambda job: (go.wait(10), "kept")[1])
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)

    with locked(tmp_path / "jobs.db"):
        go.set()
        recorder.wait_for("store.waiting")
        during = rt.jobs.get(job).state

    assert during == "running"
    assert rt.jobs.join(job, timeout=10).result == "kept"
    assert rt.jobs.get(job).record.claim_no == 1


def test_a_full_disk_makes_queue_say_so_loses_nothing_and_heals_by_itself(runtime, recorder):
    rt = runtime(reply_seconds_max=0.3)
    kept = [rt.jobs.queue("work", n) for n in range(3)]
    writer = rt.boot.store._writer
    writer.execute(f"pragma max_page_count = {writer.execute('pragma page_count').fetchone()[0]}")

    with pytest.raises(StoreUnavailable) as caught:
        rt.jobs.queue("work", "x" * 100_000)
    trouble = recorder.wait_for("store.unavailable")
    writer.execute("pragma max_page_count = 1000000000")
    again = rt.jobs.queue("work", "x", id=caught.value.job_id)

    assert "full" in trouble["reason"]
    assert again.id == caught.value.job_id
    assert [rt.jobs.get(job).data for job in kept] == [0, 1, 2]
    rt.jobs.add_handler("work", lambda job: None)
    for job in (*kept, again):
        rt.jobs.join(job, timeout=10)


def test_a_stop_while_the_file_is_locked_returns_and_the_next_start_takes_jobs_back(runtime, recorder, tmp_path):
    rt = runtime(reply_seconds_max=2, busy_seconds_max=0.05)
    rt.jobs.add_handler("work", lambda job: None)
    rt.jobs.queue("work", id="a")
    rt.jobs.join("a", timeout=10)
    with locked(tmp_path / "jobs.db"):
        rt.stop(drain=0.1)

    rt.start()

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=10).state == "done"
    recorder.wait_for("runtime.recovered")


def kill_until(rt, recorder, name, event):
    """Kill each incarnation of an actor until the supervisor says that it was one too many."""
    for incarnation in range(1, 20):
        recorder.until(lambda n=incarnation: recorder.of(event) or rt.boot.post.find(name).incarnation == n)
        if recorder.of(event):
            return
        rt.boot.post.find(name).actor_ref.tell("this is no Mail")
        recorder.until(lambda n=incarnation: len(recorder.of("actor.crashed", child=name)) == n or recorder.of(event))


def test_when_the_supervisor_gives_up_the_host_is_told_and_goes_on(runtime, recorder):
    told = []
    rt = runtime(restarts_max=2, restart_backoff_seconds_max=0.01, on_failure=told.append)
    rt.jobs.queue("work", id="kept")

    kill_until(rt, recorder, "broker", "supervisor.gave_up")
    with pytest.raises(RuntimeFailed, match="broker died 3 times"):
        rt.wait(timeout=10)
    recorder.until(lambda: told, "on_failure to be called")
    health = rt.health()
    with pytest.raises(NotStarted, match="has failed"):
        rt.jobs.queue("work")
    rt.start()

    assert isinstance(told[0], RuntimeFailed)
    assert (health.status, "broker died" in health.reasons[0]) == ("red", True)
    assert rt.health().status == "green"
    assert rt.jobs.get("kept").state == "queued"
    assert rt.wait(timeout=0) is False


def test_no_job_is_blamed_because_its_runtime_has_given_up(runtime, recorder):
    # Its process lives, but in the third time the job was dead as poison.
    told, go = threading.Event(), threading.Event()
    rt = runtime(restarts_max=2, restart_backoff_seconds_max=0.01, on_failure=lambda failure: told.set())
    rt.jobs.add_handler("work", lambda job: go.wait(30))
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)

    kill_until(rt, recorder, "broker", "supervisor.gave_up")
    assert told.wait(10)
    rt.start()
    recorder.until(lambda: recorder.of("runtime.recovered"), "the next life to take it back")
    taken_back = rt.jobs.get(job).record
    go.set()

    assert taken_back.interruptions == 0
    assert rt.jobs.join(job, timeout=10).state == "done"


def test_a_name_whose_actor_keeps_dying_is_quarantined_alone(runtime, recorder):
    rt = runtime(restarts_max=1, restart_backoff_seconds_max=0.01)
    for name in ("bad", "good"):
        rt.jobs.add_handler(name, lambda job: "ran")
        rt.jobs.join(rt.jobs.queue(name), timeout=10)

    kill_until(rt, recorder, "handler:bad", "actor.quarantined")
    job = rt.jobs.queue("bad")

    assert rt.health().status == "red"
    assert "handler:bad is quarantined" in rt.health().reasons[0]
    assert rt.jobs.join(rt.jobs.queue("good"), timeout=10).result == "ran"
    assert rt.jobs.get(job).state == "queued"
    rt.jobs.add_handler("bad", lambda job: "mended")
    assert rt.jobs.join(job, timeout=10).state == "done"


def test_health_is_red_before_start_and_green_after(runtime):
    rt = runtime(start=False)

    before = rt.health()
    rt.start()

    assert (before.status, before.reasons) == ("red", ("it is not started",))
    assert (rt.health().status, rt.health().reasons) == ("green", ())


def test_tree_shows_every_actor_and_what_it_does(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.sleep(30))
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)

    tree = {view.name: view for view in rt.tree()}

    assert list(tree) == ["supervisor", "broker", "scheduler", "handler:work"]
    assert tree["handler:work"].jobs == (job.id,)
    assert all((view.incarnation, view.status, view.last_crash) == (1, "up", None) for view in tree.values())


def test_tree_of_a_runtime_that_is_not_started_says_so(runtime):
    with pytest.raises(NotStarted):
        runtime(start=False).tree()


def test_a_subscriber_gets_the_events_it_asked_for_after_their_commit(runtime, recorder):
    rt = runtime()
    seen = []
    rt.subscribe(lambda event: seen.append((event["event"], rt.jobs.get(event["job_id"]).state)), events=["job.done"])
    rt.jobs.add_handler("work", lambda job: None)

    rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    recorder.until(lambda: seen, "the subscriber to be called")
    assert seen == [("job.done", "done")]


def test_what_a_subscriber_raises_is_counted_and_harms_nobody(runtime, recorder):
    rt = runtime()

    def broken(event):
        raise SystemExit("subscriber")

    rt.subscribe(broken, events=["job.done"])
    rt.jobs.add_handler("work", lambda job: "fine")

    results = [rt.jobs.join(rt.jobs.queue("work"), timeout=10).result for _ in range(2)]

    assert results == ["fine", "fine"]
    recorder.wait_for("subscriber.failed", failures=2)
    assert rt.health().subscriber_failures == 2


def test_a_subscriber_that_came_late_is_called_once_for_each_event_of_the_next_start(runtime, recorder):
    rt = runtime()
    seen = []
    rt.subscribe(lambda event: seen.append(event["boot"]), events=["runtime.stopping", "runtime.stopped"])
    rt.stop()
    recorder.until(lambda: len(seen) == 2, "the first life's events")
    recorder.until(lambda: not [name for name in lamplighter_threads() if "subscriber" in name], "its thread to end")

    rt.start()
    rt.stop()
    recorder.until(lambda: len(seen) == 4, "the second life's events")

    assert len(set(seen)) == 2


def test_a_subscriber_of_an_unknown_event_or_that_cannot_be_called_is_refused(runtime):
    rt = runtime()

    with pytest.raises(UsageError, match=r"job\.exploded"):
        rt.subscribe(print, events=["job.exploded"])
    with pytest.raises(UsageError, match="callable"):
        rt.subscribe("print")


def test_the_hosts_logging_is_not_touched(runtime):
    root = logging.getLogger()
    before = (list(root.handlers), root.level, list(root.filters), structlog.is_configured(), structlog.get_config())

    rt = runtime()
    rt.jobs.add_handler("work", lambda job: 1)
    rt.jobs.join(rt.jobs.queue("work"), timeout=10)
    rt.stop()

    assert (
        list(root.handlers),
        root.level,
        list(root.filters),
        structlog.is_configured(),
        structlog.get_config(),
    ) == before
    assert logging.getLogger("lamplighter").handlers == []


def test_a_host_that_has_configured_structlog_gets_our_lines_in_its_own(runtime):
    lines = []

    def keep(_, __, line):
        lines.append(line)
        raise structlog.DropEvent

    structlog.configure(processors=[keep], wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET))
    try:
        rt = runtime()
        rt.stop()
    finally:
        structlog.reset_defaults()

    assert [line["event"] for line in lines if line["event"].startswith("runtime.")] == [
        "runtime.started",
        "runtime.stopping",
        "runtime.stopped",
    ]


def test_a_logger_that_raises_kills_nobody_and_is_counted(runtime):
    class Broken:
        def __getattr__(self, level):
            def write(*args, **fields):
                raise OSError("no space left on device")

            return write

    rt = runtime(logger=Broken())
    rt.jobs.add_handler("work", lambda job: "ran")

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=10).result == "ran"
    assert rt.health().log_dropped > 0
    assert all(view.incarnation == 1 for view in rt.tree())


def test_the_hosts_own_actors_are_untouched_and_its_stop_all_does_not_stop_ours(runtime):
    class Host(pykka.ThreadingActor):
        use_daemon_thread = True

        def on_receive(self, message):
            return message

    host = Host.start()
    try:
        rt = runtime()
        rt.jobs.add_handler("work", lambda job: "ran")
        registered = pykka.ActorRegistry.get_all()
        rt.jobs.join(rt.jobs.queue("work"), timeout=10)
        rt.stop()
        alive = host.is_alive()
        rt.start()
        pykka.ActorRegistry.stop_all(timeout=5)

        assert rt.jobs.join(rt.jobs.queue("work"), timeout=10).result == "ran"
        assert registered == [host]
        assert alive
        assert not host.is_alive()
    finally:
        if host.is_alive():
            host.stop()


def test_the_signal_handlers_of_the_host_are_not_touched_by_start(runtime):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)]

    runtime()

    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)] == before


@pytest.mark.parametrize("is_replaced", [False, True])
def test_after_a_stop_a_ctrl_c_is_handled_as_before_or_as_the_host_wants_it_now(runtime, is_replaced):
    before, others = signal.getsignal(signal.SIGINT), lambda number, frame: None
    try:
        with runtime(start=False)._heard_again():
            assert signal.getsignal(signal.SIGINT) is not before
            if is_replaced:
                signal.signal(signal.SIGINT, others)

        assert signal.getsignal(signal.SIGINT) is (others if is_replaced else before)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_test_in_memory_runs_the_real_store_and_really_serialises(runtime):
    rt = runtime(":memory:")
    seen = []
    rt.jobs.add_handler("work", lambda job: seen.append(job.data))
    data = {"list": [1]}

    rt.jobs.join(rt.jobs.queue("work", data), timeout=10)

    assert type(rt.boot.store).__name__ == "SqliteStore"
    assert seen == [data]
    assert seen[0] is not data
