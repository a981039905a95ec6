"""`job.wait` and `jobs.signal`: a handler waits for days until somebody has told its job what it waits for."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import timedelta

import pytest
from lamplighter import (
    NO_SIGNAL,
    JobFailed,
    Operator,
    Runtime,
    SignalRefused,
    UnknownJob,
    UsageError,
)
from lamplighter.environment import Environment
from lamplighter.environment.failpoints import Failpoints
from lamplighter.testing import Inline
from lamplighter.testing.simulation.simulation import Simulation

JOIN_SECONDS_MAX = 20
DAYS = timedelta(days=7)
HOUR = timedelta(hours=1)


@dataclass
class Decision:
    approved: bool


FUNCTIONS = """
import dataclasses
from datetime import timedelta

from lamplighter import NO_SIGNAL


@dataclasses.dataclass
class Decision:
    approved: bool


def answer(found):
    return "none" if found is NO_SIGNAL else found.approved


def work(job):
    timeout = None if job.data is None else timedelta(seconds=job.data)
    return [job.attempt, answer(job.wait("approval", Decision, timeout=timeout))]


async def work_async(job):
    timeout = None if job.data is None else timedelta(seconds=job.data)
    return [job.attempt, answer(await job.await_signal("approval", Decision, timeout=timeout))]
"""


@pytest.fixture(params=["thread", "task"])
def waiting(request, runtime, importable):
    """A runtime whose `work` waits for an approval, on each kind of lane; tests/whole has the lanes in processes."""
    return waiting_on(request.param, runtime, importable)


def waiting_on(kind, runtime, importable):
    module = importable("functions_that_wait", FUNCTIONS)
    rt = runtime(workers_max=1)
    isolation = "process" if kind == "process" else "thread"
    fn = module.work_async if kind == "task" else module.work
    rt.jobs.add_handler("work", fn, isolation=isolation, max_attempts=1)
    return rt


def test_a_job_waits_without_a_thread_and_gets_its_signal(waiting, recorder):
    job = waiting.jobs.queue("work")
    recorder.wait_for("job.snoozed", job_id=job.id)
    assert (waiting.jobs.get(job).state, waiting.jobs.get(job).awaits) == ("queued", "approval")

    other = waiting.jobs.queue("work")
    waiting.jobs.signal(other, "approval", Decision(False))
    assert waiting.jobs.join(other, timeout=JOIN_SECONDS_MAX).result == [1, False]
    waiting.jobs.signal(job.id, "approval", {"approved": True}, by="ann", reason="looks good")

    ended = waiting.jobs.join(job, timeout=JOIN_SECONDS_MAX)
    assert (ended.result, ended.awaits) == ([1, True], None)
    assert waiting.jobs.attempts(job) == []
    (line,) = recorder.of("job.signalled", job_id=job.id)
    assert (line["step"], line["by"], line["reason"], line["corr"]) == ("signal:approval", "ann", "looks good", job.id)
    assert recorder.audit().ok


def test_a_wait_whose_time_is_over_says_so_and_that_counts(waiting, recorder):
    job = waiting.jobs.join(waiting.jobs.queue("work", 0.01), timeout=JOIN_SECONDS_MAX)

    assert job.result == [1, "none"]
    assert recorder.of("job.signalled") == []
    assert recorder.audit().ok


class Worker:
    """The function of `work`: waits for what its job's data name, one after the other; raises while it is to fail."""

    def __init__(self) -> None:
        self.fails = False
        self.runs = 0
        self.timeout = HOUR
        self.wanted = None

    def __call__(self, job):
        self.runs += 1
        wanted = () if self.wanted is None else (self.wanted,)
        found = [job.wait(name, *wanted, timeout=self.timeout) for name in job.data or ["approval"]]
        if self.fails:
            raise RuntimeError("not today")
        return ["none" if one is NO_SIGNAL else one for one in found]


@pytest.fixture
def worker():
    return Worker()


@pytest.fixture
def inline(worker):
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", worker, max_attempts=1)

    with Inline(register) as app:
        yield app


def test_a_signal_that_comes_before_the_wait_is_kept_for_it(inline):
    job = inline.jobs.queue("work", ["first", "second"])
    inline.jobs.signal(job, "second", 2)
    assert inline.jobs.get(job).awaits == "first"

    inline.jobs.signal(job, "first", 1)

    assert inline.jobs.get(job).result == [1, 2]


def test_the_first_signal_of_a_name_counts(inline):
    job = inline.jobs.queue("work", ["first", "second"])
    inline.jobs.signal(job, "second", {"n": 1})

    inline.jobs.signal(job, "second", {"n": 1})
    with pytest.raises(SignalRefused, match="has signal 'second' already, with other data: the first one counts"):
        inline.jobs.signal(job, "second", {"n": 2})
    inline.jobs.signal(job, "first")

    assert inline.jobs.get(job).result == [None, {"n": 1}]


@pytest.mark.parametrize("end", ["done", "dead", "cancelled"])
def test_a_job_that_has_ended_takes_no_signal(inline, worker, end):
    worker.fails = end == "dead"
    job = inline.jobs.queue("work", [] if end == "cancelled" else ["other"])
    if end == "cancelled":
        inline.jobs.cancel(job)
    else:
        inline.jobs.signal(job, "other")
    assert inline.jobs.get(job).state == end

    for name in ("approval", "other"):
        with pytest.raises(SignalRefused, match=f"job {job.id} is {end}, and takes no signal '{name}'; a requeue"):
            inline.jobs.signal(job, name)


def test_after_the_time_a_signal_is_refused_and_all_attempts_see_none(inline, worker):
    worker.fails = True
    job = inline.jobs.queue("work", max_attempts=2)
    inline.advance(minutes=61)
    with pytest.raises(SignalRefused, match="is dead"):
        inline.jobs.signal(job, "approval")
    worker.fails = False
    inline.jobs.requeue(job, delay=60)

    with pytest.raises(SignalRefused, match=f"time in which job {job.id} has waited for signal 'approval' is over"):
        inline.jobs.signal(job, "approval")
    inline.advance(seconds=61)

    assert inline.jobs.get(job).result == ["none"]


@pytest.mark.parametrize("what", ["a restart", "a requeue", "a requeue of the dead", "another timeout"])
def test_nothing_lengthens_the_time_of_a_wait(worker, what):
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", worker, max_attempts=1)

    with Simulation(register) as simulation:
        job = simulation.runtime.jobs.queue("work", [] if what != "a requeue of the dead" else ["other", "approval"])
        if what == "a requeue of the dead":
            simulation.runtime.jobs.signal(job, "other")
        simulation.run(minutes=30)
        match what:
            case "a restart":
                simulation.kill()
            case "a requeue":
                simulation.runtime.jobs.requeue(job)
            case "a requeue of the dead":
                simulation.runtime.jobs.cancel(job)
                simulation.runtime.jobs.requeue(job)
            case "another timeout":
                worker.timeout = timedelta(hours=10)
        simulation.run(minutes=29)
        assert simulation.runtime.jobs.get(job).awaits == "approval"
        simulation.run(minutes=2)

        assert simulation.runtime.jobs.get(job).result[-1] == "none"


def test_a_dead_job_that_is_requeued_keeps_its_signals_unless_it_is_to_begin_afresh(inline, worker):
    worker.fails = True
    job = inline.jobs.queue("work")
    inline.jobs.signal(job, "approval", "yes")
    assert inline.jobs.get(job).state == "dead"
    worker.fails = False

    inline.jobs.requeue(job, afresh=True)
    assert inline.jobs.get(job).awaits == "approval"
    inline.jobs.signal(job, "approval", "no")

    assert inline.jobs.get(job).result == ["no"]
    inline.jobs.requeue(job)
    assert inline.jobs.get(job).awaits == "approval", "one that was done begins anew"


def test_a_delay_of_a_requeue_holds_though_the_signal_comes(inline, worker):
    job = inline.jobs.queue("work")
    inline.jobs.requeue(job, delay=600)

    inline.jobs.signal(job, "approval", 1)
    assert (inline.jobs.get(job).state, worker.runs) == ("queued", 1)
    inline.advance(minutes=11)

    assert inline.jobs.get(job).result == [1]


def test_a_signal_is_what_the_handler_asks_for(inline, worker):
    worker.wanted = Decision
    good, bad = inline.jobs.queue("work"), inline.jobs.queue("work")

    inline.jobs.signal(good, "approval", Decision(True))
    inline.jobs.signal(bad, "approval", {"approved": "perhaps"})

    assert inline.jobs.get(good).result == [{"approved": True}]
    dead = inline.jobs.get(bad)
    assert dead.state == "dead"
    assert dead.reason.startswith("signal 'approval': data does not fit Decision: Expected `bool`, got `str`")


def test_a_wait_without_a_timeout_has_no_end(inline, worker):
    worker.timeout = None
    job = inline.jobs.queue("work")
    inline.advance(hours=40)

    inline.jobs.signal(job, "approval", "late")

    assert inline.jobs.get(job).result == ["late"]


def test_what_cannot_be_is_refused_before_anything_is_stored(inline):
    job = inline.jobs.queue("work")

    for name, data, says in (
        ("", 1, "expected the name of a signal to be a str of 1 to 200 characters, got: 0 characters"),
        (7, 1, "expected the name of a signal to be a str of 1 to 200 characters, got: 7"),
        ("x" * 201, 1, "expected the name of a signal to be a str of 1 to 200 characters, got: 201 characters"),
        ("approval", object(), "expected a JSON-serializable value at data of signal 'approval'"),
        ("approval", "x" * 2_000_000, "expected data of signal 'approval' of at most"),
    ):
        with pytest.raises(UsageError, match=says):
            inline.jobs.signal(job, name, data)
    with pytest.raises(UsageError, match="expected by to be a str"):
        inline.jobs.signal(job, "approval", by=7)
    with pytest.raises(UnknownJob, match="no job 'gone'"):
        inline.jobs.signal("gone", "approval")
    assert [step.name for step in inline.jobs.steps(job)] == ["wait:approval"]


def test_too_many_signals_of_a_job_are_refused(inline, monkeypatch):
    monkeypatch.setattr("lamplighter.stores.tables.signals.SIGNALS_MAX", 2)
    job = inline.jobs.queue("work")
    for name in ("one", "two", "one"):
        inline.jobs.signal(job, name)

    with pytest.raises(UsageError, match=f"expected at most 2 signals of job {job.id}, got one more: 'signal:three'"):
        inline.jobs.signal(job, "three")


def test_a_handler_says_a_wait_that_cannot_be():
    said = []

    def register(runtime: Runtime) -> None:
        def work(job):
            for ask in (
                lambda: job.wait(""),
                lambda: job.wait("x", timeout=-1),
                lambda: job.wait("x", Runtime),
                lambda: job.step("signal:x", len, ""),
                lambda: job.step("wait:x", len, ""),
                lambda: [job.wait("known"), job.wait("known")],
            ):
                try:
                    ask()
                except UsageError as error:
                    said.append(str(error))

        runtime.jobs.add_handler("work", work)

    with Inline(register, at_once=False) as app:
        job = app.jobs.queue("work")
        app.jobs.signal(job, "known", 1)
        app.drain()
        assert app.jobs.get(job).state == "done"

    assert said[0].startswith("expected the name of a signal to be a str of 1 to 200 characters")
    assert said[1].startswith("expected timeout to be")
    assert said[2].startswith("expected a payload type that JSON data can be made into")
    assert said[3] == "expected a step's name that does not begin with 'wait:' or 'signal:', got: 'signal:x'"
    assert said[4] == "expected a step's name that does not begin with 'wait:' or 'signal:', got: 'wait:x'"
    assert said[5].startswith("signal 'known' was waited for in this attempt already")


def test_on_an_event_loop_a_wait_is_awaited():
    def register(runtime: Runtime) -> None:
        async def work(job):
            try:
                job.wait("x")
            except UsageError as error:
                return str(error)

        runtime.jobs.add_handler("work", work)

    with Inline(register) as app:
        assert "job.await_signal(...)" in app.jobs.queue("work").result


class AtTheLook(Failpoints):
    """Has a function called once, between an attempt's look for its signal and the rest of the attempt."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def at(self, name, *subjects):
        if name == "lane.step" and self.act is not None:
            act, self.act = self.act, None
            act(subjects[0].claim.job.id)


@pytest.mark.parametrize("how", ["signal", "connection"])
def test_a_signal_between_the_look_for_it_and_the_end_of_the_attempt_is_not_lost(runtime, tmp_path, recorder, how):
    """Others that store the wait and look for the signal in two steps have lost such a signal for ever."""

    def act(job_id):
        if how == "signal":
            rt.jobs.signal(job_id, "approval", 7)
            return
        with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
            rt.jobs.signal(job_id, "approval", 7, connection=connection)
            connection.commit()

    rt = runtime(tmp_path / "jobs.db", environment=Environment(failpoints=AtTheLook(act)))
    rt.jobs.add_handler("work", lambda job: job.wait("approval", timeout=DAYS))

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX).result == 7
    assert recorder.audit(tmp_path / "jobs.db").ok


def test_a_signal_and_the_end_of_the_time_are_one_or_the_other(runtime, recorder):
    """The attempt has seen that the time is over, and the signal comes before that is kept: the signal counts."""
    rt = runtime(environment=Environment(failpoints=AtTheLook(lambda job_id: rt.jobs.signal(job_id, "approval", 7))))
    rt.jobs.add_handler("work", lambda job: job.wait("approval", timeout=0))

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX).result == 7
    assert recorder.audit().ok


def test_many_that_signal_at_once_are_one_signal(runtime, recorder):
    rt, results = runtime(), []
    rt.jobs.add_handler("work", lambda job: job.wait("approval"))
    job = rt.jobs.queue("work")
    recorder.wait_for("job.snoozed", job_id=job.id)

    def send(number):
        try:
            rt.jobs.signal(job, "approval", number)
            results.append(number)
        except SignalRefused:
            pass

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [rt.jobs.join(job, timeout=JOIN_SECONDS_MAX).result]
    assert len(recorder.of("job.signalled")) == 1


def test_a_process_that_is_killed_after_a_signal_has_not_lost_it():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", lambda job: job.wait("approval", timeout=DAYS))

    with Simulation(register) as simulation:
        job = simulation.runtime.jobs.queue("work")
        simulation.run(minutes=1)
        simulation.runtime.jobs.signal(job, "approval", 7)
        simulation.kill()
        simulation.run(minutes=5)

        assert simulation.runtime.jobs.get(job).result == 7


@pytest.mark.parametrize("stop", ["before", "while it waits"])
def test_a_signal_while_no_runtime_runs_is_there_when_one_starts(tmp_path, runtime, stop):
    rt = runtime(tmp_path / "jobs.db")
    rt.jobs.add_handler("work", lambda job: job.wait("approval", timeout=DAYS))
    if stop == "before":
        rt.jobs.pause("work")
    job = rt.jobs.queue("work")
    if stop != "before":
        while rt.jobs.get(job).awaits is None:
            rt.jobs.counts()
    rt.stop()

    with Operator(tmp_path / "jobs.db", by="ann", via="test") as operator:
        operator.signal(job, "approval", 7, reason="by hand")
    rt.start()
    rt.jobs.resume("work")

    assert rt.jobs.join(job, timeout=JOIN_SECONDS_MAX).result == 7


@pytest.mark.parametrize("ends", ["commit", "rollback"])
@pytest.mark.parametrize("when", ["it waits", "it is new", "it runs"])
def test_a_signal_of_an_own_transaction_is_there_if_that_commits(runtime, tmp_path, recorder, when, ends):
    rt, entered, go_on = runtime(tmp_path / "jobs.db"), threading.Event(), threading.Event()

    def work(job):
        if when == "it runs":
            entered.set()
            go_on.wait(JOIN_SECONDS_MAX)
        return "none" if (found := job.wait("approval", timeout=DAYS)) is NO_SIGNAL else found

    if when != "it is new":
        rt.jobs.add_handler("work", work)
    job = rt.jobs.queue("work")
    if when == "it waits":
        recorder.wait_for("job.snoozed", job_id=job.id)
    if when == "it runs":
        assert entered.wait(JOIN_SECONDS_MAX)

    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        rt.jobs.signal(job, "approval", 7, by="ann", reason="in a view", connection=connection)
        rt.jobs.signal(job, "approval", 7, connection=connection)
        with pytest.raises(SignalRefused):
            rt.jobs.signal(job, "approval", 8, connection=connection)
        connection.commit() if ends == "commit" else connection.rollback()
    if when == "it is new":
        rt.jobs.add_handler("work", work)
    go_on.set()
    if ends == "rollback":
        recorder.wait_for("job.snoozed", job_id=job.id)
        assert recorder.of("job.signalled") == []
        rt.jobs.signal(job, "approval", 9)

    assert rt.jobs.join(job, timeout=JOIN_SECONDS_MAX).result == (7 if ends == "commit" else 9)
    if ends == "commit":
        line = recorder.wait_for("job.signalled", job_id=job.id)
        assert (line["by"], line["reason"], line["step"]) == ("ann", "in a view", "signal:approval")
    recorder.wait_for("job.done", job_id=job.id)
    assert recorder.audit(tmp_path / "jobs.db").findings == ()


def test_one_transaction_may_queue_a_job_signal_and_end_it(runtime, tmp_path, recorder):
    rt = runtime(tmp_path / "jobs.db")

    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        job = rt.jobs.queue("nobody", connection=connection)
        rt.jobs.signal(job, "approval", 7, connection=connection)
        rt.jobs.mark_done(job, connection=connection)
        with pytest.raises(SignalRefused):
            rt.jobs.signal(job, "other", connection=connection)
        connection.commit()

    assert recorder.wait_for("job.done", job_id=job.id)["steps"] == 1
    assert recorder.audit(tmp_path / "jobs.db").findings == ()


def test_the_signal_of_an_own_transaction_says_what_cannot_be(runtime, tmp_path):
    rt = runtime(tmp_path / "jobs.db")
    with (
        closing(sqlite3.connect(tmp_path / "jobs.db")) as connection,
        pytest.raises(UnknownJob, match="no job 'gone'"),
    ):
        rt.jobs.signal("gone", "approval", connection=connection)


def test_what_was_said_of_a_signal_is_enough_to_see_who_sent_what_and_when(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.wait("approval"))
    job = rt.jobs.queue("work", id="a")
    recorder.wait_for("job.snoozed", job_id="a")
    rt.jobs.signal(job, "approval", {"n": 1}, by="ann", reason="fine")
    rt.jobs.join(job, timeout=JOIN_SECONDS_MAX)
    recorder.wait_for("job.done", job_id="a")

    moves = [move for turn in recorder.of("turn.committed") for move in turn["moves"]]
    kinds = [move["k"] for move in moves]
    assert kinds == ["queued", "claimed", "stepped", "snoozed", "signalled", "woken", "claimed", "done"]
    (line,) = recorder.of("job.signalled")
    told = {"k": "signalled", "j": "a", "n": "work", "r": 3, "d": line["digest"], "step": "signal:approval"}
    assert moves[4] == {**told, "by": "ann", "why": "fine"}
    assert moves[5] == {"k": "woken", "j": "a", "n": "work", "r": 4, "f": "queued", "c": 1, "step": "signal:approval"}


def test_a_stop_while_a_job_comes_to_its_wait_loses_nothing(runtime, tmp_path):
    rt, entered, go_on = runtime(tmp_path / "jobs.db"), threading.Event(), threading.Event()

    def work(job):
        entered.set()
        go_on.wait(JOIN_SECONDS_MAX)
        return job.wait("approval", timeout=DAYS)

    rt.jobs.add_handler("work", work)
    job = rt.jobs.queue("work")
    assert entered.wait(JOIN_SECONDS_MAX)
    stopping = threading.Thread(target=rt.stop)
    stopping.start()
    with suppress(Exception):
        rt.jobs.signal(job, "approval", 7)
    go_on.set()
    stopping.join()
    rt.start()
    with suppress(SignalRefused):
        rt.jobs.signal(job, "approval", 7)

    assert rt.jobs.join(job, timeout=JOIN_SECONDS_MAX).result == 7


def test_a_job_that_waits_ends_by_a_cancel(inline):
    job = inline.jobs.queue("work")
    inline.jobs.cancel(job)

    with pytest.raises(JobFailed):
        inline.jobs.join(job)
    with pytest.raises(SignalRefused):
        inline.jobs.signal(job, "approval")
