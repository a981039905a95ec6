"""Actors that die: their jobs go on, whoever waits is answered, and none dies in silence."""

from __future__ import annotations

import threading

import pytest
from lamplighter import RestartBudget, Runtime, StoreError, StoreUnavailable
from lamplighter.actors.job_broker import JobBroker
from lamplighter.broker.state import Joins
from lamplighter.environment import Environment
from lamplighter.messages.mail import Settled
from lamplighter.testing.draining import is_idle

SECONDS_MAX = 20.0


def kill_actor(rt, name):
    """Kill an actor with the next thing that it reads."""
    rt.boot.post.find(name).actor_ref.tell("this is no Mail")


def kill(runtime: Runtime, name: str) -> None:
    """Let an actor die of its next message."""
    actor = runtime.boot.post.find(name)

    def die(mail: object) -> None:
        raise SystemExit(f"{name} is killed by a test")

    actor.receive = die
    runtime.boot.post.tell(name, object())


def test_no_job_stays_running_for_ever_when_its_actor_dies(runtime, recorder):
    rt = runtime(lane_grace_seconds=0.1)
    started = threading.Semaphore(0)
    rt.jobs.add_handler("work", lambda job: (started.release(), job.record.claim_no > 1 or job.sleep(30), "ran")[2])
    job = rt.jobs.queue("work")
    assert started.acquire(timeout=10)

    kill_actor(rt, "handler:work")

    assert recorder.wait_for("job.failed", job_id=job.id, timeout=1)["outcome"] == "interrupted"
    assert rt.jobs.join(job, timeout=10).result == "ran"


@pytest.mark.parametrize("name", ["scheduler", "broker", "handler:tick", "supervisor"])
def test_no_part_dies_in_silence(timed, time, recorder, name):
    rt = timed()
    rt.jobs.add_handler("tick", lambda job: "ran")
    schedule = rt.scheduler.add("tick", "* * * * *")
    rt.jobs.join(rt.jobs.queue("tick"), timeout=10)
    recorder.until(lambda: rt.boot.clock._time._by_wall and is_idle(rt), "the scheduler to wait")

    kill_actor(rt, name)
    said = "supervisor.restarted" if name == "supervisor" else "actor.restarted"
    recorder.wait_for(said)
    recorder.until(lambda: rt.boot.post.find(name).incarnation == 2 and is_idle(rt), "the next incarnation")
    time.advance(60)

    fired = recorder.wait_for("slot.fired", schedule=schedule)
    assert rt.jobs.join(fired["job_id"], timeout=10).result == "ran"


def test_an_ending_that_a_dying_broker_never_settled_is_told_to_the_next_one(runtime, recorder, monkeypatch):
    rt = runtime()
    gate, runs = threading.Event(), []

    def work(job):
        runs.append(job.id)
        gate.wait(SECONDS_MAX)
        return "once"

    rt.jobs.add_handler("work", work)
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)
    # The broker dies over the very message that tells it of the ending, and has settled nothing.
    broker = rt.boot.post.find("broker")
    receive = broker.receive

    def die_of_an_ending(mail):
        if type(mail.body).__name__ == "Ended":
            raise SystemExit("killed by an ending")
        receive(mail)

    monkeypatch.setattr(broker, "receive", die_of_an_ending)
    gate.set()

    done = rt.jobs.join(job, timeout=SECONDS_MAX)

    assert (done.result, runs) == ("once", [job.id])


@pytest.mark.parametrize(
    ("kind", "ask"),
    [
        ("KeepStep", lambda rt, job: job.step("one", int)),
        ("Queue", lambda rt, job: job.queue("nobody")),
        ("Queue", lambda rt, job: rt.scheduler.run_now("nobody", key="late")),
        ("Ended", lambda rt, job: None),
    ],
    ids=["step", "job", "run_now", "end"],
)
def test_a_crash_over_what_a_job_says_tells_which_job_that_descends_from(runtime, recorder, monkeypatch, kind, ask):
    rt, is_armed = runtime(), threading.Event()
    recorder.until(lambda: is_idle(rt), "its broker")
    broker = rt.boot.post.find("broker")
    receive = broker.receive

    def die_once(mail):
        if is_armed.is_set() and type(mail.body).__name__ == kind:
            is_armed.clear()
            raise SystemExit("killed by a test")
        receive(mail)

    def work(job):
        # The end of the job before it would take the message along.
        rt.jobs.join("root", timeout=SECONDS_MAX)
        is_armed.set()
        ask(rt, job)

    rt.scheduler.add("nobody", "@yearly", key="late")
    rt.jobs.add_handler("root", lambda job: job.queue("work", id="child"))
    rt.jobs.add_handler("work", work)
    monkeypatch.setattr(broker, "receive", die_once)
    rt.jobs.join(rt.jobs.queue("root", id="root"), timeout=SECONDS_MAX)
    rt.jobs.join("child", timeout=SECONDS_MAX)

    (crash,) = recorder.of("actor.crashed")
    assert (crash["child"], crash["message"], crash["message_corr"]) == ("broker", kind, "root")


@pytest.mark.parametrize("troubles", [[], [StoreUnavailable("no reader")], [StoreError("damaged")]])
def test_who_joins_is_told_although_the_broker_died_between_its_commit_and_telling(
    runtime, recorder, monkeypatch, caller, troubles
):
    let_out, killed, look = JobBroker._let_out, threading.Event(), Joins.look

    def looks(self, store):
        if killed.is_set() and troubles:
            raise troubles.pop()
        look(self, store)

    def dies_once(self, out):
        if not killed.is_set() and any(step.event == "job.done" for step in out.transitions):
            killed.set()
            raise SystemExit("killed after the commit")
        let_out(self, out)

    monkeypatch.setattr(JobBroker, "_let_out", dies_once)
    monkeypatch.setattr(Joins, "look", looks)
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
    assert (len(recorder.of("actor.crashed")), troubles) == (1, [])


def test_the_jobs_of_a_handler_that_is_quarantined_go_back_into_the_queue(runtime, recorder):
    rt = runtime()
    gate = threading.Event()
    budget = RestartBudget(restarts_max=0)
    rt.jobs.add_handler("work", lambda job: gate.wait(SECONDS_MAX), restart=budget)
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)

    kill(rt, "handler:work")
    recorder.wait_for("actor.quarantined")
    recorder.wait_for("job.failed", job_id=job.id)
    gate.set()

    assert rt.jobs.get(job).state == "queued"
    rt.stop(drain=2)
    assert recorder.of("runtime.draining") == []


def failing_runner():
    raise ValueError("no runner")


def test_a_stop_does_not_wait_for_the_claim_that_a_quarantined_actor_died_over(runtime, recorder):
    rt = runtime(environment=Environment(runners={"thread": failing_runner}))
    rt.jobs.add_handler("work", lambda job: "ran", restart=RestartBudget(restarts_max=0))
    job = rt.jobs.queue("work")
    recorder.wait_for("actor.quarantined")
    recorder.wait_for("job.failed", job_id=job.id)

    rt.stop(drain=2)

    assert recorder.of("runtime.draining") == []


@pytest.mark.parametrize("keys", [(), (("unknown", 1),)])
def test_a_handler_actor_that_hears_of_endings_it_does_not_know_goes_on(runtime, keys):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: "done")

    rt.jobs.join(rt.jobs.queue("work"), timeout=SECONDS_MAX)
    rt.boot.post.tell("handler:work", Settled(keys))

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=SECONDS_MAX).result == "done"


def test_a_strangers_question_behind_a_claim_does_not_keep_the_job_from_starting(
    runtime, recorder, caller, monkeypatch
):
    # A HandlerActor starts jobs once its mail is read, and took the question for mail; refused, it never got there.
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: "done")
    recorder.until(lambda: is_idle(rt), "the runtime to be idle")
    actor = rt.boot.post.find("handler:work")
    arrived, go = threading.Event(), threading.Event()
    receive = actor.receive
    monkeypatch.setattr(actor, "receive", lambda mail: (arrived.set(), go.wait(10), receive(mail)))

    job = caller(rt.jobs.queue, "work")
    assert arrived.wait(10)
    refused = actor.actor_ref.ask("no mail", block=False)
    go.set()

    assert rt.jobs.join(job.result(10), timeout=10).result == "done"
    with pytest.raises(TypeError):
        refused.get(10)


def test_an_ending_is_settled_though_nothing_is_claimed_beside_it(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)
    rt.jobs.join(rt.jobs.queue("work"), timeout=SECONDS_MAX)
    actor = rt.boot.post.find("handler:work")
    try:
        recorder.until(lambda: actor.holds_nothing, "its ending to be settled")
    finally:
        rt.stop(drain=0)
