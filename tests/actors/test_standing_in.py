"""A caller that finds the broker waiting takes its turn itself, on its own thread; and when it must not."""

from __future__ import annotations

import asyncio
import io
import logging
import queue
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import structlog
from lamplighter.actors.handler_actor import HandlerActor
from lamplighter.actors.job_broker import STOOD_IN_SECONDS_MAX, JobBroker
from lamplighter.broker.tallies import TurnTime, TurnTimes
from lamplighter.environment import Environment
from lamplighter.environment.failpoints import Failpoints
from lamplighter.environment.replies import ActorMailbox, BrokerLost, ThreadReply, may_stand_in
from lamplighter.errors import UsageError
from lamplighter.history.audit.audit import audit_logs
from lamplighter.log.outlets import Console, LineFile, StructlogOutlet
from lamplighter.messages.jobs import UNATTRIBUTED, Claim, ClaimKey, NewJob
from lamplighter.messages.mail import CheckDue, Limit, Mail, Queue, Revoke, Run, Settled

SECONDS_MAX = 15.0


class Turns(Failpoints):
    """Keeps which thread has committed each turn, has the next ones die at a point, and calls something at another."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[threading.Thread] = []
        self.deaths: list[tuple[str, type[BaseException]]] = []
        self.calls: dict[str, list[Callable[[], object]]] = {}

    def at(self, point: str, about: Any = None) -> None:
        if calls := self.calls.get(point):
            calls.pop()()
        if point == "store.turn.commit":
            self.threads.append(threading.current_thread())
        if self.deaths and self.deaths[0][0] == point and isinstance(about, JobBroker):
            raise self.deaths.pop(0)[1]("made to die")


class Heard(Failpoints):
    """Keeps which thread has handled each kind of a HandlerActor's messages, and has it die over the first of one."""

    def __init__(self, kind: str = "", error: type[BaseException] = ValueError) -> None:
        super().__init__()
        self.threads: dict[str, list[threading.Thread]] = {}
        self._kind, self._error = kind, error

    def at(self, point: str, about: Any = None) -> None:
        if point == "actor.receive" and isinstance(about, HandlerActor):
            kind = type(about.in_hand.body).__name__
            self.threads.setdefault(kind, []).append(threading.current_thread())
            if kind == self._kind:
                self._kind = ""
                raise self._error("made to die")


def waits(rt) -> bool:
    """Whether the broker has nothing to do, and others may stand in for it."""
    broker = rt.boot.post.find("broker")
    broker._waiting_callers = 0
    broker.turn_times.last = TurnTime(0.001, 0.0)
    return idles(broker)


def idles(actor):
    """Whether nothing is for an actor to read, and nothing wakes it."""
    return not actor.mailbox._reading and actor.mailbox.empty() and actor.mailbox._arrived.empty()


@pytest.fixture
def runtime(runtime, unwatched):
    """Makes runtimes whose broker may be stood in for."""
    return partial(runtime, logger=unwatched)


@pytest.fixture
def turns():
    return Turns()


@pytest.fixture
def rt(runtime, recorder, turns):
    """A runtime whose broker waits."""
    made = runtime(environment=Environment(failpoints=turns), restart_backoff_seconds_max=0.0)
    made.jobs.queue("first")
    recorder.until(lambda: waits(made), "the broker to wait")
    turns.threads.clear()
    return made


def test_a_caller_that_finds_the_broker_waiting_takes_its_turn(rt, recorder, turns, caller):
    def queue():
        return rt.jobs.queue("work"), threading.current_thread()

    job, thread = caller(queue).result(SECONDS_MAX)

    assert turns.threads == [thread]
    assert recorder.wait_for("job.queued", job_id=job.id)["actor"] == "broker"
    assert rt.jobs.get(job).state == "queued"


def test_a_step_takes_its_turn_on_the_thread_of_its_job(rt, recorder, turns):
    at, go = [], threading.Event()

    def work(job):
        at.append(threading.current_thread())
        go.wait(SECONDS_MAX)
        return job.step("one", int)

    rt.jobs.add_handler("work", work)
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)
    recorder.until(lambda: waits(rt), "the broker to wait")
    go.set()

    assert rt.jobs.join(job, timeout=SECONDS_MAX).result == 0
    assert at[0] in turns.threads


@pytest.mark.parametrize("queue", ["runtime", "job"])
def test_what_a_handler_queues_is_stored_on_its_thread(rt, recorder, turns, queue):
    at, go = [], threading.Event()

    def work(job):
        at.append(threading.current_thread())
        go.wait(SECONDS_MAX)
        (rt.jobs if queue == "runtime" else job).queue("next")

    rt.jobs.add_handler("work", work)
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)
    recorder.until(lambda: waits(rt), "the broker to wait")
    go.set()

    rt.jobs.join(job, timeout=SECONDS_MAX)
    assert at[0] in turns.threads


def unread(rt, body):
    """A message that the broker's thread is not woken for, as if it were slow to begin."""
    mailbox = rt.boot.post.find("broker").mailbox
    mailbox.put = mailbox.mail.append
    rt.boot.post.tell("broker", body)
    del mailbox.put


def test_who_stands_in_takes_along_what_the_broker_has_not_begun_to_read(rt, recorder, turns, caller):
    reply = ThreadReply()
    unread(rt, Limit(name="work", most=3, who=UNATTRIBUTED, reply=reply))

    job = caller(rt.jobs.queue, "work").result(SECONDS_MAX)

    reply.wait(SECONDS_MAX)
    assert len(turns.threads) == 1
    recorder.wait_for("job.queued", job_id=job.id)
    told = [line["event"] for line in recorder.events if line["event"] in ("name.limited", "job.queued")]
    assert told[-2:] == ["name.limited", "job.queued"]
    assert rt.jobs.get(job).state == "queued"


def test_mail_that_waits_comes_before_a_job_of_the_direct_lane(rt, recorder, turns, caller):
    reply = ThreadReply()
    unread(rt, Limit(name="first", most=3, who=UNATTRIBUTED, reply=reply))

    caller(rt.jobs.queue, "first").result(SECONDS_MAX)

    reply.wait(SECONDS_MAX)
    assert len(turns.threads) == 1


@pytest.mark.parametrize("point", ["actor.receive", "broker.let_out", "actor.received"])
def test_a_turn_that_dies_over_what_waited_is_asked_for_again(rt, recorder, turns, caller, point):
    reply = ThreadReply()
    unread(rt, Limit(name="work", most=3, who=UNATTRIBUTED, reply=reply))
    turns.deaths = [(point, SystemExit)]

    job = caller(rt.jobs.queue, "work").result(SECONDS_MAX)

    if point != "actor.received":
        with pytest.raises(BrokerLost):
            reply.wait(SECONDS_MAX)
    assert recorder.wait_for("actor.crashed", child="broker")["message"] == "Limit"
    assert [one.id for one in rt.jobs.list(name="work")] == [job.id]
    assert not recorder.audit().findings


def test_what_is_left_when_somebody_has_stood_in_is_for_the_brokers_own_thread(runtime, recorder, turns, caller):
    rt = runtime(environment=Environment(failpoints=turns), turn_messages_max=2)
    rt.jobs.queue("first")
    recorder.until(lambda: waits(rt), "the broker to wait")
    for _ in range(5):
        unread(rt, CheckDue())

    assert caller(rt.jobs.queue, "work").result(SECONDS_MAX).name == "work"


def test_a_chain_runs_on_the_thread_of_its_lane(runtime, recorder, turns):
    heard, at, go = Heard(), [], threading.Event()
    rt = runtime(environment=Environment(failpoints=heard), prefetch_seconds=1e6)

    def work(job):
        if job.data == "first":
            return
        at.append(threading.current_thread())
        if job.data:
            return
        go.wait(SECONDS_MAX)
        recorder.until(lambda: waits(rt), "the broker to wait")
        recorder.until(lambda: idles(actor), "the actor to wait")
        job.queue("work", 1)

    rt.jobs.add_handler("work", work)
    rt.jobs.join(rt.jobs.queue("work", "first"), timeout=SECONDS_MAX)
    actor, broker = (rt.boot.post.find(name) for name in ("handler:work", "broker"))
    recorder.until(lambda: broker._state.capacities["work"].prefetch, "claims in advance")
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)
    go.set()

    recorder.until(lambda: rt.jobs.counts("work")["done"] == 3, "the end of the chain")
    assert at[0] in heard.threads["Run"]
    assert at[0] is at[1]


def test_what_a_lane_has_told_its_actor_comes_before_what_the_next_job_queues(rt, recorder, turns):
    # The end of the first lets go of its unique key. Its actor is slow to begin to read of it.
    go = threading.Event()

    def work(job):
        if job.data:
            return
        go.wait(SECONDS_MAX)

    rt.jobs.add_handler("work", work)
    first = rt.jobs.queue("work", unique="one")
    recorder.wait_for("job.started", job_id=first.id)
    actor = rt.boot.post.find("handler:work")
    recorder.until(lambda: idles(actor), "the actor to wait")
    actor.mailbox.put = actor.mailbox.mail.append
    go.set()
    recorder.until(lambda: not actor.mailbox.empty(), "the lane to end")
    recorder.until(lambda: waits(rt), "the broker to wait")
    turns.threads.clear()

    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(rt.jobs.queue("work", 1, unique="one")))
    thread.start()
    thread.join(SECONDS_MAX)

    assert turns.threads[0] is thread
    assert not found[0].deduplicated
    del actor.mailbox.put
    actor.mailbox._arrived.put(None)
    assert rt.jobs.join(found[0], timeout=SECONDS_MAX).state == "done"
    assert not recorder.audit().findings


def test_what_may_wait_for_a_child_is_for_an_actors_own_thread(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)
    recorder.wait_for("actor.started", child="handler:work")
    actor = rt.boot.post.find("handler:work")
    seen = []

    def read():
        seen.append(actor.may_be_stood_in_for)
        for body in (Run((), ()), Settled(()), Revoke(key=ClaimKey(0, 0), reason="none"), Run((), ())):
            rt.boot.post.tell("handler:work", body)
        actor._read_here()
        seen.extend(type(envelope.message.body) for envelope in actor.mailbox.mail)
        seen.append(actor.may_be_stood_in_for)

    recorder.until(lambda: idles(actor) and actor.mailbox.lend(read), "the actor to wait")

    assert seen == [True, Revoke, Run, False]


def test_a_burst_that_ends_with_what_is_settled_is_looked_at_as_a_whole(runtime, recorder):
    rt = runtime()
    ran = []
    rt.jobs.add_handler("work", lambda job: ran.append(job.id))
    record = rt.jobs.queue("work", delay=3600).record._replace(state="running", claim_no=1)
    recorder.wait_for("actor.started", child="handler:work")
    actor = rt.boot.post.find("handler:work")

    def read():
        for body in (Run((Claim(record),), ()), Settled(())):
            rt.boot.post.tell("handler:work", body)
        actor._read_here()

    recorder.until(lambda: idles(actor) and actor.mailbox.lend(read), "the actor to wait")

    recorder.until(lambda: ran == [record.id], "the claim to be started")


def test_the_end_of_a_lane_and_the_next_job_are_stored_in_one_turn(rt, recorder, caller):
    go = threading.Event()
    rt.jobs.add_handler("work", lambda job: go.wait(SECONDS_MAX))
    first = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=first.id)
    actor = rt.boot.post.find("handler:work")
    recorder.until(lambda: idles(actor), "the actor to wait")
    actor.mailbox.put = actor.mailbox.mail.append
    go.set()
    recorder.until(lambda: not actor.mailbox.empty(), "the lane to end")
    recorder.until(lambda: waits(rt), "the broker to wait")

    second = caller(rt.jobs.queue, "work").result(SECONDS_MAX)

    ended = recorder.wait_for("job.done", job_id=first.id)
    assert recorder.wait_for("job.queued", job_id=second.id)["turn"] == ended["turn"]
    del actor.mailbox.put
    actor.mailbox._arrived.put(None)
    assert rt.jobs.join(second, timeout=SECONDS_MAX).state == "done"


def test_the_ends_of_a_chain_are_stored_together(timed, time, recorder):
    rt, is_over = timed(), threading.Event()

    def link(job):
        time.advance(0.0001)
        if job.data:
            job.queue("work", job.data - 1)
        else:
            is_over.set()

    rt.jobs.add_handler("work", link)
    rt.jobs.queue("work", 30)
    assert is_over.wait(SECONDS_MAX)
    recorder.until(lambda: len(recorder.of("job.done")) == 31, "all of its links to be done")

    ends = [[move["k"] for move in turn["moves"]].count("done") for turn in recorder.of("turn.committed")]
    assert (sum(ends), max(ends) >= 8) == (31, True)
    assert not recorder.audit().findings


@pytest.mark.parametrize("stands_still", [False, True], ids=["time-passes", "time-stands-still"])
def test_the_end_of_a_job_does_not_wait_for_the_next_of_its_chain(runtime, timed, recorder, caller, stands_still):
    rt, begins, goes_on = (timed if stands_still else runtime)(), threading.Event(), threading.Event()
    links = []

    def link(job):
        if job.data == 0:
            goes_on.wait(SECONDS_MAX)
            return
        if job.data == 1:
            begins.wait(SECONDS_MAX)
        links.append(job.queue("work", job.data - 1))

    rt.jobs.add_handler("work", link)
    rt.jobs.queue("work", 10)
    recorder.until(lambda: len(links) == 9, "the last but one to begin")
    joined = caller(rt.jobs.join, links[8])
    recorder.until(lambda: links[8].id in rt.boot.joins.awaited(), "somebody to wait for it")
    begins.set()

    try:
        assert joined.result(SECONDS_MAX).state == "done"
    finally:
        goes_on.set()


@pytest.mark.parametrize("error", [ValueError, SystemExit])
@pytest.mark.parametrize("kind", ["Run", "LanesEnded", "Settled"])
def test_a_handler_actor_that_dies_on_whichever_thread_kills_no_other(runtime, recorder, kind, error):
    heard = Heard(kind, error)
    rt = runtime(environment=Environment(failpoints=heard), restart_backoff_seconds_max=0.0)
    rt.jobs.add_handler("work", lambda job: "done")

    job = rt.jobs.join(rt.jobs.queue("work"), timeout=SECONDS_MAX)

    crash = recorder.wait_for("actor.crashed", child="handler:work")
    assert (crash["reason"], crash["message"]) == (f"{error.__name__}: made to die", kind)
    assert job.state == "done"
    assert rt.jobs.join(rt.jobs.queue("work"), timeout=SECONDS_MAX).state == "done"
    assert {crash["child"] for crash in recorder.of("actor.crashed")} == {"handler:work"}
    assert not recorder.audit().findings


@pytest.mark.parametrize("error", [ValueError, SystemExit])
@pytest.mark.parametrize("point", ["actor.receive", "broker.let_out", "actor.received"])
def test_a_turn_that_dies_on_a_callers_thread_is_the_brokers_death(rt, recorder, turns, caller, point, error):
    turns.deaths = [(point, error)]

    job = caller(rt.jobs.queue, "work").result(SECONDS_MAX)

    crash = recorder.wait_for("actor.crashed", child="broker")
    assert (crash["reason"], crash.get("message")) == (f"{error.__name__}: made to die", "Queue")
    recorder.wait_for("actor.restarted", child="broker")
    assert [one.id for one in rt.jobs.list(name="work")] == [job.id]
    assert len(recorder.of("job.queued", job_id=job.id)) <= 1
    assert not recorder.audit().findings


def test_what_a_broker_has_died_of_is_for_the_next_ones_own_thread(rt, recorder, turns, caller):
    at = []

    def queue():
        at.append(threading.current_thread())
        return rt.jobs.queue("work")

    turns.deaths = [("actor.receive", SystemExit)]
    caller(queue).result(SECONDS_MAX)

    assert at[0] not in turns.threads


@pytest.mark.parametrize("deaths", [0, 1])
def test_no_caller_stands_in_for_a_question_that_a_broker_has_died_of(rt, turns, caller, monkeypatch, deaths):
    requests, stood_in = rt.boot.requests, []
    tell = requests._tell
    monkeypatch.setattr(requests, "_tell", lambda *args, here: stood_in.append(here) or tell(*args, here=here))
    now = rt.boot.clock.now()
    job = NewJob("one", "work", "null", 0, now, now, "one")
    turns.deaths = [("actor.receive", SystemExit)] * deaths

    caller(lambda: requests.ask(partial(Queue, (job,)), here=True)).result(SECONDS_MAX)

    assert (stood_in[0], any(stood_in[1:]), len(stood_in) > 1) == (True, False, bool(deaths))


def test_what_a_turn_has_begun_and_not_left_is_left_on_the_thread_that_it_dies_on(rt, recorder, caller):
    at, left = [], []

    def begin():
        try:
            yield
        finally:
            left.append(threading.current_thread())

    def die(mail):
        # An error from outside comes as a block has been entered, and before it is there.
        at.append(threading.current_thread())
        begun = begin()
        next(begun)
        raise SystemExit("made to die")

    rt.boot.post.find("broker").receive = die
    caller(rt.jobs.queue, "work").result(SECONDS_MAX)

    assert recorder.wait_for("actor.crashed", child="broker")["reason"] == "SystemExit: made to die"
    assert left == at


def test_who_waits_behind_a_turn_that_dies_asks_the_next_broker(rt, recorder, turns, caller):
    broker, behind = rt.boot.post.find("broker"), []

    def die(mail):
        behind.append(caller(rt.jobs.queue, "behind"))
        recorder.until(lambda: len(broker.mailbox) == 1, "another message")
        raise SystemExit("made to die")

    broker.receive = die
    first = caller(rt.jobs.queue, "first to die")

    assert first.result(SECONDS_MAX).name == "first to die"
    assert behind[0].result(SECONDS_MAX).name == "behind"
    assert rt.jobs.counts("behind")["queued"] == 1


def test_a_turn_on_a_callers_thread_says_nothing_of_what_the_caller_has_bound(runtime, recorder, caller, monkeypatch):
    lines: list[dict[str, Any]] = []

    def keep(logger, method, line):
        lines.append(dict(line))
        raise structlog.DropEvent

    monkeypatch.setattr(StructlogOutlet, "is_ours", lambda outlet: True)
    logger = structlog.wrap_logger(None, processors=[structlog.contextvars.merge_contextvars, keep])
    turns = Turns()
    rt = runtime(logger=logger, environment=Environment(failpoints=turns))
    rt.jobs.queue("first")
    recorder.until(lambda: waits(rt), "the broker to wait")

    def queue():
        with structlog.contextvars.bound_contextvars(request="mine"):
            return rt.jobs.queue("work"), threading.current_thread()

    job, thread = caller(queue).result(SECONDS_MAX)

    assert turns.threads[-1] is thread
    assert [line["event"] for line in lines if line.get("job_id") == job.id][:1] == ["job.queued"]
    assert not [line for line in lines if "request" in line]


class TimeIsUp(Exception):
    """What a host's own time limit raises into a thread of its own."""


def raise_time_is_up():
    raise TimeIsUp


# A job with an option is not stored by the direct lane.
@pytest.mark.parametrize("options", [{}, {"unique": "one"}], ids=["direct", "ordinary"])
@pytest.mark.parametrize(
    ("point", "times"),
    [
        ("actor.receive", 1),
        ("store.turn.begin", 2),
        ("store.turn.commit", 2),
        ("store.turn.committed", 1),
        ("broker.let_out", 1),
        ("log.write", 1),
    ],
)
def test_whatever_a_host_raises_into_a_turn_nothing_is_refused_or_left_untold(
    runtime, recorder, caller, tmp_path, point, times, options
):
    # After the commit the turn was tried again, message by message, and what it had claimed was given to nobody.
    turns, log = Turns(), logging.Logger("of a file")
    log.addHandler(LineFile(str(tmp_path / "log")))
    rt = runtime(logger=log, environment=Environment(failpoints=turns), restart_backoff_seconds_max=0.0)
    rt.jobs.add_handler("work", lambda job: None)
    rt.jobs.join(rt.jobs.queue("work"), timeout=SECONDS_MAX)
    recorder.until(lambda: waits(rt), "the broker to wait")
    turns.calls[point] = [raise_time_is_up] * times

    job = caller(partial(rt.jobs.queue, **options), "work").result(SECONDS_MAX)

    assert rt.jobs.join(job, timeout=SECONDS_MAX).state == "done"
    assert turns.calls == {point: []}
    rt.stop()
    assert not recorder.of("message.refused")
    assert rt.health().log_dropped == 0
    assert not recorder.audit(tmp_path / "jobs.db").findings
    assert audit_logs([str(tmp_path / "log")]).ok


@pytest.mark.parametrize("point", ["store.turn.committed", "turn.ended"])
def test_memory_that_is_short_after_a_commit_loses_nothing_of_the_turn(rt, recorder, turns, monkeypatch, point):
    rt.jobs.add_handler("work", lambda job: None)

    def fail():
        raise MemoryError

    end = TurnTimes.end

    def at_end(times, *, is_stored):
        end(times, is_stored=is_stored)
        if is_stored:
            turns.at("turn.ended")

    monkeypatch.setattr(TurnTimes, "end", at_end)
    rt.jobs.join(rt.jobs.queue("work"), timeout=SECONDS_MAX)
    recorder.until(lambda: waits(rt), "the broker to wait")

    turns.calls[point] = [fail]
    # On the main thread nobody stands in, and a job with an option takes an ordinary turn.
    job = rt.jobs.queue("work", unique="one")

    assert rt.jobs.join(job, timeout=SECONDS_MAX).state == "done"
    assert recorder.of("turn.recovered")


def test_what_a_host_raises_into_its_threads_spends_no_budget_of_the_brokers(rt, recorder, turns, caller):
    for number in range(12):
        recorder.until(lambda: waits(rt), "the broker to wait")
        turns.deaths = [("broker.let_out", SystemExit)]
        caller(rt.jobs.queue, "work").result(SECONDS_MAX)
        recorder.wait_for("actor.restarted", child="broker", child_incarnation=number + 2)

    assert rt.health().status != "red"


def test_what_a_handler_actor_dies_of_on_the_brokers_thread_spends_its_budget(runtime, recorder):
    class Deadly(Failpoints):
        def at(self, point, about=None):
            if point == "actor.receive" and isinstance(about, HandlerActor) and isinstance(about.in_hand.body, Run):
                raise ValueError

    rt = runtime(environment=Environment(failpoints=Deadly()), restart_backoff_seconds_max=0.0, restarts_max=3)
    rt.jobs.add_handler("work", lambda job: None)
    rt.jobs.queue("work")

    assert recorder.wait_for("actor.quarantined")["child"] == "handler:work"
    assert len(recorder.of("actor.crashed", child="handler:work")) == 4


@pytest.mark.parametrize(
    "sees", ["handler", "filter", "processor", "stderr", "stderr of last resort", "last resort", "factory"]
)
def test_nobody_stands_in_where_the_applications_code_sees_lines(runtime, recorder, caller, sees, monkeypatch):
    # It may take a lock that the caller has, who would wait for itself.
    turns, logger = Turns(), logging.Logger("watched")
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)

    def see(*line):
        return line[-1]

    match sees:
        case "handler":
            logger.addHandler(logging.StreamHandler(io.StringIO()))
        case "filter":
            logger.addFilter(see)
        case "stderr":
            logger.addHandler(Console())
            monkeypatch.setattr(sys, "stderr", io.StringIO())
        case "stderr of last resort":
            monkeypatch.setattr(sys, "stderr", io.StringIO())
        case "last resort":
            monkeypatch.setattr(logging, "lastResort", logging.NullHandler())
        case "factory":
            monkeypatch.setattr(logging, "_logRecordFactory", partial(logging.LogRecord))
        case _:
            logger = structlog.wrap_logger(logger, processors=[see, structlog.processors.JSONRenderer()])
    rt = runtime(logger=logger, environment=Environment(failpoints=turns))
    rt.jobs.queue("first")
    recorder.until(lambda: waits(rt), "the broker to wait")

    caller(rt.jobs.queue, "work").result(SECONDS_MAX)

    assert turns.threads[-1].name == "lamplighter broker"


@pytest.mark.parametrize("sink", [Console, None])
def test_callers_stand_in_where_lines_go_to_pythons_own_standard_error(runtime, recorder, caller, sink, monkeypatch):
    turns, logger = Turns(), logging.Logger("of Python")
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    if sink is not None:
        logger.addHandler(sink())
    rt = runtime(logger=logger, environment=Environment(failpoints=turns))
    rt.jobs.queue("first")
    recorder.until(lambda: waits(rt), "the broker to wait")

    def queue():
        rt.jobs.queue("work")
        return threading.current_thread()

    thread = caller(queue).result(SECONDS_MAX)

    assert turns.threads[-1] is thread


@pytest.mark.parametrize("point", ["store.turn.commit", "log.write", "broker.let_out"])
@pytest.mark.parametrize("on", ["caller", "broker"])
def test_a_call_in_the_midst_of_a_turn_is_refused_at_once(rt, recorder, turns, caller, point, on):
    # A finalizer may be called anywhere; the call waited for itself.
    refused = []

    def finalize():
        with pytest.raises(UsageError, match="in the midst of the runtime's own work") as error:
            rt.jobs.queue("another")
        refused.append(error)

    turns.calls[point] = [finalize]
    job = caller(rt.jobs.queue, "work").result(SECONDS_MAX) if on == "caller" else rt.jobs.queue("work")

    assert len(refused) == 1
    assert rt.jobs.get(job).state == "queued"


def test_nobody_stands_in_where_that_could_be_interrupted(caller):
    async def on_a_loop():
        return may_stand_in()

    def struck():
        threading.current_thread().may_be_struck = True
        return may_stand_in()

    def deep(left):
        return deep(left - 1) if left else may_stand_in()

    assert not may_stand_in()
    assert caller(may_stand_in).result(SECONDS_MAX)
    assert not caller(asyncio.run, on_a_loop()).result(SECONDS_MAX)
    assert not caller(struck).result(SECONDS_MAX)
    assert not caller(deep, sys.getrecursionlimit() - 150).result(SECONDS_MAX)


def test_a_handler_whose_timeout_raises_takes_no_turn(rt, recorder, turns):
    at, go = [], threading.Event()

    def work(job):
        at.append((threading.current_thread(), may_stand_in()))
        go.wait(SECONDS_MAX)
        return job.step("one", int)

    rt.jobs.add_handler("work", work, on_timeout="raise", timeout=60)
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)
    recorder.until(lambda: waits(rt), "the broker to wait")
    go.set()

    rt.jobs.join(job, timeout=SECONDS_MAX)
    assert at[0][1] is False
    assert at[0][0] not in turns.threads


@pytest.mark.parametrize(
    ("last", "callers", "since"),
    [(None, 0, None), (STOOD_IN_SECONDS_MAX, 0, None), (0.001, 2, None), (0.001, 0, 1.0)],
    ids=["no turn yet", "a slow turn", "several callers", "the store is away"],
)
def test_a_broker_that_has_other_things_to_do_is_not_stood_in_for(rt, last, callers, since):
    broker = rt.boot.post.find("broker")
    assert broker.may_be_stood_in_for

    broker.turn_times.last = None if last is None else TurnTime(last, 0.0)
    broker._waiting_callers, broker._waiting_since = callers, since

    assert not broker.may_be_stood_in_for
    broker._waiting_since = None


def test_who_would_give_up_before_the_write_lock_is_free_takes_no_turn(runtime):
    rt = runtime(reply_seconds_max=0.4, busy_seconds_max=0.5)
    rt.jobs.queue("first")
    broker = rt.boot.post.find("broker")
    broker.turn_times.last = TurnTime(0.001, 0.0)

    assert not broker.may_be_stood_in_for


@pytest.fixture
def mailbox():
    """One that a thread reads, and tells of on `mailbox.heard`, until it gets "the end"."""
    made = ActorMailbox()
    made.heard = queue.SimpleQueue()

    def read():
        while (got := made.get()) != "the end":
            made.heard.put(got)
        made.heard.put(got)

    made.thread = threading.Thread(target=read, daemon=True)
    return made


def lent(mailbox, read):
    """Read in the place of the reader, as soon as that waits."""
    while not mailbox.lend(read):
        pass


def test_a_mailbox_is_lent_only_while_its_reader_waits(mailbox, caller):
    assert not mailbox.lend(pytest.fail)
    mailbox.thread.start()

    def read():
        # The reader gets nothing while another has its place, and goes on when that is given back.
        caller(mailbox.put, "while lent").result(SECONDS_MAX)
        assert not caller(mailbox.lend, pytest.fail).result(SECONDS_MAX)
        assert not mailbox.lend(pytest.fail)
        assert mailbox.heard.empty()

    lent(mailbox, read)
    assert mailbox.heard.get(timeout=SECONDS_MAX) == "while lent"
    mailbox.put("the end")
    mailbox.thread.join(SECONDS_MAX)
    # It has ended, and nobody reads in its place.
    assert not mailbox.lend(pytest.fail)


def test_a_reader_that_is_woken_while_another_has_its_place_does_not_wait_for_it(mailbox):
    mailbox.thread.start()

    def read():
        for mail in ("for whoever stands in", "left for the reader"):
            mailbox.mail.append(mail)
            mailbox._arrived.put(None)
            while not mailbox._arrived.empty():
                pass
            if mail == "for whoever stands in":
                assert mailbox.take() == mail

    lent(mailbox, read)

    assert mailbox.heard.get(timeout=SECONDS_MAX) == "left for the reader"
    mailbox.put("the end")


def test_all_that_is_left_when_somebody_has_stood_in_is_read(mailbox):
    mailbox.thread.start()

    lent(mailbox, lambda: [mailbox.put(mail) for mail in ("one", "two", "the end")])

    assert [mailbox.heard.get(timeout=SECONDS_MAX) for _ in range(3)] == ["one", "two", "the end"]


@pytest.mark.parametrize("at", ["setdefault", "clear"])
def test_an_error_from_outside_finds_the_place_given_back(mailbox, at):
    class Struck(dict):
        """Raises as soon as a method has done what it does, where an error from outside is raised."""

        def setdefault(self, *args):
            got = super().setdefault(*args)
            self.strike("setdefault")
            return got

        def clear(self):
            super().clear()
            self.strike("clear")

        def strike(self, method):
            if method == at and threading.current_thread() is not mailbox.thread:
                raise TimeoutError

    mailbox.thread.start()
    lent(mailbox, lambda: None)
    mailbox._reading = Struck(mailbox._reading)

    with pytest.raises(TimeoutError):
        lent(mailbox, lambda: mailbox.put("left for the reader"))

    if at == "setdefault":
        mailbox.put("left for the reader")
    assert mailbox.heard.get(timeout=SECONDS_MAX) == "left for the reader"
    mailbox.put("the end")


def test_a_dead_broker_is_not_stood_in_for(rt, recorder, caller):
    broker = rt.boot.post.find("broker")
    broker.actor_ref.tell("this is no Mail")
    recorder.wait_for("actor.restarted", child="broker")

    assert broker.may_be_stood_in_for
    assert not broker.handle_here(Mail(0, None, None, 0.0, CheckDue()))


def test_an_actor_that_is_about_to_die_is_not_stood_in_for(rt):
    broker = rt.boot.post.find("broker")
    broker._fatal = SystemExit("on another thread")

    assert not broker.handle_here(Mail(0, None, None, 0.0, CheckDue()))
    assert not broker.mailbox._reading
    broker._fatal = None


def test_nothing_is_lost_though_turns_die_on_whichever_thread(runtime, recorder, caller, tmp_path):
    points = Failpoints(
        "actor.receive=2%raise(SystemExit);broker.let_out=2%raise(SystemExit);actor.received=2%raise(ValueError);"
        "store.turn.commit=1%raise(sqlite3.OperationalError: disk I/O error)"
    )
    rt = runtime(environment=Environment(failpoints=points), restarts_max=10_000, restart_backoff_seconds_max=0.0)
    rt.jobs.add_handler("work", lambda job: job.step("one", int), concurrency=2, max_attempts=10)

    def produce(first):
        return [rt.jobs.queue("work", id=f"job-{number}") for number in range(first, first + 60)]

    produced = [caller(produce, first) for first in (0, 60, 120)]
    jobs = [job for one in produced for job in one.result(60)]

    assert {rt.jobs.join(job, timeout=60).state for job in jobs} == {"done"}
    assert recorder.of("actor.crashed")
    rt.stop()
    recorder.until(lambda: recorder.of("runtime.stopped"), "the end")
    assert not recorder.audit(tmp_path / "jobs.db").findings
