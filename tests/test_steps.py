"""`job.step`: what a step's function has returned is kept, and the next attempt goes on from there."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps

import msgspec
import pytest
from lamplighter import (
    Cancel,
    Discard,
    JobFailed,
    JobSpec,
    KeptStep,
    Retry,
    Runtime,
    Snooze,
    StaleClaim,
    Step,
    UsageError,
)
from lamplighter.boot.submitting import Submitter
from lamplighter.environment import Environment
from lamplighter.environment.failpoints import Failpoints
from lamplighter.messages.jobs import Claim
from lamplighter.messages.mail import Revoke
from lamplighter.messages.steps import KeepStep
from lamplighter.stores.tables.jobs import TableJobs
from lamplighter.testing import Inline
from lamplighter.testing.simulation.simulation import Simulation

JOIN_SECONDS_MAX = 20


@dataclass
class Page:
    number: int


FUNCTIONS = '''
import asyncio
import dataclasses
from concurrent.futures import ThreadPoolExecutor

import lamplighter
from lamplighter import LamplighterError


@dataclasses.dataclass
class Payment:
    id: str
    cents: int


def note(place, line, result=None):
    """The function of a step: says in a file that it was called."""
    with open(place, "a") as file:
        file.write(line + "\\n")
    return line if result is None else result


def charge(place) -> Payment:
    note(place, "charge")
    return Payment("p7", 100)


def nothing():
    pass


def fail_once(place):
    note(place, "again")
    if open(place).read().count("again") == 1:
        raise ValueError("no")
    return "well"


def fail(place):
    note(place, "fail")
    raise ValueError("no")


def work(job):
    place, what = job.data
    match what:
        case "go on":
            first = job.step("first", note, place, "first", result={"n": (1, 2)})
            payment = job.step("charge", charge, place)
            none = job.step("none", nothing)
            assert (first, payment.cents) == ({"n": [1, 2]}, 100)
            if job.attempt == 1:
                raise RuntimeError("after three steps")
            return [first, payment.cents, none, job.step("last", note, place, line="last")]
        case "raises":
            for _ in range(2):
                try:
                    job.step("fail", fail, place)
                except ValueError:
                    pass
            return job.step("fail", note, place, "well")
        case "again":
            return job.step(lamplighter.Step("again", retries=1, backoff=0), fail_once, place)
        case "refused":
            said = []
            for name, fn, arguments in (
                ("page", note, (place, "page")),
                ("page", note, (place, "page")),
                ("", note, (place, "x")),
                (7, note, (place, "x")),
                ("x" * 201, note, (place, "x")),
                ("uncalled", note(place, "uncalled"), ()),
                ("set", lambda: object(), ()),
            ):
                try:
                    job.step(name, fn, *arguments)
                except LamplighterError as error:
                    said.append(f"{type(error).__name__}: {error}")
            return said
        case "many":
            for n in range(5):
                job.step(f"page-{n}", note, place, f"page-{n}", n)
        case "large":
            job.step("small", lambda: "x" * 50)
            job.step("large", note, place, "large", "x" * 90)
        case "nested":
            return job.step("outer", lambda: job.step("inner", note, place, "inner") + "!")
        case "then":
            try:
                job.step("outer", lambda: (job.step("inner", lambda: 1), job.then(("next", 1))))
            except LamplighterError as error:
                job.then(("next", 2))
                return str(error)
        case "threads":
            with ThreadPoolExecutor(4) as pool:
                return sorted(pool.map(lambda n: job.step(f"page-{n}", note, place, f"page-{n}", n), range(12)))


async def anote(place, line, result=None):
    await asyncio.sleep(0)
    return note(place, line, result)


async def acharge(place) -> Payment:
    return charge(place)


async def afail(place):
    await asyncio.sleep(0)
    fail(place)


async def work_async(job):
    place, what = job.data
    match what:
        case "go on":
            first = await job.astep("first", anote, place, "first", result={"n": (1, 2)})
            payment = await job.astep("charge", acharge, place)
            none = await job.astep("none", asyncio.to_thread, nothing)
            assert (first, payment.cents) == ({"n": [1, 2]}, 100)
            if job.attempt == 1:
                raise RuntimeError("after three steps")
            return [first, payment.cents, none, await job.astep("last", note, place, line="last")]
        case "raises":
            for _ in range(2):
                try:
                    await job.astep("fail", afail, place)
                except ValueError:
                    pass
            return await job.astep("fail", anote, place, "well")
        case "again":
            return await job.astep(lamplighter.Step("again", retries=1, backoff=0), fail_once, place)
        case "refused":
            said = []
            for name, fn, arguments in (
                ("page", anote, (place, "page")),
                ("page", anote, (place, "page")),
                ("", anote, (place, "x")),
                (7, anote, (place, "x")),
                ("x" * 201, anote, (place, "x")),
                ("uncalled", await anote(place, "uncalled"), ()),
                ("set", lambda: object(), ()),
            ):
                try:
                    await job.astep(name, fn, *arguments)
                except LamplighterError as error:
                    said.append(f"{type(error).__name__}: {error}")
            return said
        case "many":
            for n in range(5):
                await job.astep(f"page-{n}", anote, place, f"page-{n}", n)
        case "large":
            await job.astep("small", lambda: "x" * 50)
            await job.astep("large", anote, place, "large", "x" * 90)
        case "nested":

            async def outer():
                return await job.astep("inner", anote, place, "inner") + "!"

            return await job.astep("outer", outer)
        case "then":

            async def outer():
                await job.astep("inner", asyncio.sleep, 0)
                await meanwhile.wait()
                job.then(("next", 1))

            async def beside():
                # Its own task is in no step.
                job.then(("next", 2))
                meanwhile.set()

            meanwhile = asyncio.Event()
            failed, _ = await asyncio.gather(job.astep("outer", outer), beside(), return_exceptions=True)
            return str(failed)
        case "threads":
            return sorted(
                await asyncio.gather(*(job.astep(f"page-{n}", anote, place, f"page-{n}", n) for n in range(12)))
            )
'''


@pytest.fixture(params=["thread", "task"])
def lanes(request, runtime, importable, tmp_path):
    """Has a function of FUNCTIONS do a job, on each kind of lane; gives the runtime, the job as it ended, and what the
    functions of its steps have noted. tests/whole has the lanes in processes.
    """
    return lanes_of(request.param, runtime, importable, tmp_path)


def lanes_of(kind, runtime, importable, tmp_path):
    module = importable("functions_of_steps", FUNCTIONS)

    def ended(what, **limits):
        place = tmp_path / "notes"
        place.touch()
        rt = runtime(workers_max=4, **limits)
        fn = module.work_async if kind == "task" else module.work
        isolation = "process" if kind == "process" else "thread"
        rt.jobs.add_handler("work", fn, isolation=isolation, max_attempts=2, backoff=[0.0])
        with suppress(JobFailed):
            rt.jobs.join(rt.jobs.queue("work", [str(place), what], id="a"), timeout=JOIN_SECONDS_MAX)
        return rt, rt.jobs.get("a"), place.read_text().split()

    return ended


def test_the_next_attempt_goes_on_after_the_steps_that_are_kept(lanes, recorder):
    rt, job, notes = lanes("go on")

    # The payment is a dataclass, as its function is annotated to return, in the attempt that has called that and in the
    # next; what is not annotated is as JSON has it.
    assert job.result == [{"n": [1, 2]}, 100, None, "last"]
    assert notes == ["first", "charge", "last"]
    assert rt.jobs.steps("a") == []


def test_what_raises_is_not_kept_and_may_be_tried_again(lanes):
    _, job, notes = lanes("raises")

    assert (job.result, notes) == ("well", ["fail", "fail", "well"])


def test_a_step_with_retries_is_called_again_wherever_its_handler_runs(lanes):
    _, job, notes = lanes("again")

    assert (job.result, job.attempt, notes) == ("well", 1, ["again", "again"])


def test_what_cannot_be_is_refused_and_the_handler_is_told(lanes):
    _, job, notes = lanes("refused")

    assert [text.partition(": ")[0] for text in job.result] == ["UsageError"] * 6
    said = [text.partition(": ")[2] for text in job.result]
    assert said[0] == "step 'page' was done in this attempt already; give each its own name, as f'page-{n}'"
    assert said[1] == "expected the name of a step to be a str of 1 to 200 characters, got: 0 characters"
    assert said[2] == "expected the name of a step to be a str of 1 to 200 characters, got: 7"
    assert said[3] == "expected the name of a step to be a str of 1 to 200 characters, got: 201 characters"
    assert said[4] == (
        "expected a function for step 'uncalled', got: 'uncalled'; give it uncalled, with its arguments after it"
    )
    assert said[5].startswith("expected a JSON-serializable value at result of step 'set'")
    assert sorted(notes) == ["page", "uncalled"]


def test_the_function_of_a_step_cannot_say_what_follows(lanes):
    # It was queued if no attempt failed after the step, and not at all if one did.
    rt, job, _ = lanes("then")

    assert job.result == (
        "expected job.then outside of the functions of steps, got it in that of step 'outer': the next attempt, which "
        "does not call that again, would not say it; say it after the step"
    )
    assert [one.data for one in rt.jobs.list("next")] == [2]


def test_too_many_steps_are_refused(lanes):
    rt, job, notes = lanes("many", steps_max=3)

    assert (job.state, notes) == ("dead", ["page-0", "page-1", "page-2"])
    assert job.error == (
        "lamplighter.errors.UsageError: expected at most 3 steps of a job, got one more: 'page-3'; do the rest in a "
        "job of its own, as by job.then"
    )
    assert [step.name for step in rt.jobs.steps("a")] == notes


def test_too_large_results_are_refused(lanes):
    rt, job, _ = lanes("large", result_bytes_max=80)

    assert job.error == (
        "lamplighter.errors.UsageError: expected result of step 'large' of at most 80 bytes as JSON, got: 92 bytes; "
        "pass a reference"
    )
    assert [step.name for step in rt.jobs.steps("a")] == ["small"]


def test_results_that_are_too_large_together_are_refused(lanes):
    rt, job, _ = lanes("large", steps_bytes_max=100)

    assert job.error == (
        "lamplighter.errors.UsageError: expected results of the steps of a job of at most 100 bytes together as JSON, "
        "got: 144 bytes with step 'large'; pass references"
    )
    assert [step.name for step in rt.jobs.steps("a")] == ["small"]


@pytest.mark.parametrize("limit", [{"steps_bytes_max": 100}, {"steps_max": 2}], ids=["bytes", "number"])
@pytest.mark.parametrize("fails", ["function", "keeping"])
@pytest.mark.parametrize("kind", ["thread", "task"])
def test_steps_that_are_not_kept_take_no_room_of_those_that_are(runtime, limit, fails, kind):
    """Full, emptied, and full again."""
    points = Failpoints()
    rt = runtime(environment=Environment(failpoints=points), **limit)
    left = [20]

    def page():
        if left[0] and fails == "function":
            left[0] -= 1
            raise OSError("no")
        return "x" * 60

    def work(job):
        for number in range(20):
            with suppress(OSError):
                job.step(f"page-{number}", page)
        return job.step("page", page)

    async def work_async(job):
        for number in range(20):
            with suppress(OSError):
                await job.astep(f"page-{number}", page)
        return await job.astep("page", page)

    if fails == "keeping":
        points.arm("lane.step", "20*raise(OSError)->off")
    rt.jobs.add_handler("work", work_async if kind == "task" else work, max_attempts=1)

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX).result == "x" * 60


@pytest.mark.parametrize("kind", ["thread", "task"])
def test_steps_fill_their_room_to_the_byte_in_each_attempt(runtime, kind):
    rt = runtime(steps_bytes_max=5 * 22)

    def page():
        return "x" * 20

    def work(job):
        for number in range(5):
            job.step(f"page-{number}", page)
        if job.attempt == 1:
            raise ValueError("again")
        job.step("one too many", page)

    async def work_async(job):
        for number in range(5):
            await job.astep(f"page-{number}", page)
        if job.attempt == 1:
            raise ValueError("again")
        await job.astep("one too many", page)

    rt.jobs.add_handler("work", work_async if kind == "task" else work, max_attempts=2, backoff=[0.0])
    with pytest.raises(JobFailed, match="110 bytes together as JSON, got: 132 bytes with step 'one too many'"):
        rt.jobs.join(rt.jobs.queue("work", id="a"), timeout=JOIN_SECONDS_MAX)

    assert [step.name for step in rt.jobs.steps("a")] == [f"page-{number}" for number in range(5)]


def test_a_step_inside_of_a_step_is_kept_too(lanes):
    _, job, notes = lanes("nested")

    assert (job.result, notes) == ("inner!", ["inner"])


def test_steps_of_one_attempt_may_be_taken_side_by_side(lanes):
    _, job, notes = lanes("threads")

    assert job.result == list(range(12))
    assert sorted(notes) == sorted(f"page-{n}" for n in range(12))


class Worker:
    """A handler of two steps, which fails, waits or goes on as its test says."""

    def __init__(self):
        self.calls = []
        self.fails = set()
        self.between = lambda job: None

    def __call__(self, job):
        values = [job.step("one", self.call, "one")]
        self.between(job)
        values.append(job.step("two", self.call, "two"))
        if job.id in self.fails:
            raise ValueError("after both")
        return values

    def call(self, name):
        self.calls.append(name)
        return f"{name}, call {len(self.calls)}"


@pytest.fixture
def worker():
    return Worker()


@pytest.fixture
def inline(worker):
    """The handler in an application in virtual time. No attempt is tried again."""

    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", worker, max_attempts=1)

    with Inline(register) as app:
        yield app


def names_of(app, job="a"):
    return [step.name for step in app.jobs.steps(job)]


def test_what_is_kept_is_there_to_be_looked_at(inline, worker):
    worker.fails.add("a")
    inline.jobs.queue("work", id="a")

    one, two = inline.jobs.steps("a")

    assert one == KeptStep(name="one", result="one, call 1", claim_no=1, at=one.at)
    assert (two.name, two.result) == ("two", "two, call 2")
    assert inline.jobs.get("a").queued_at <= one.at <= two.at <= inline.jobs.get("a").ended_at


@pytest.mark.parametrize("afresh", [False, True])
def test_a_dead_job_that_is_requeued_goes_on_unless_it_is_to_begin_afresh(inline, worker, afresh):
    worker.fails.add("a")
    inline.jobs.queue("work", id="a")
    worker.fails.clear()

    done = inline.jobs.requeue("a", afresh=afresh)

    assert worker.calls == ["one", "two"] * (2 if afresh else 1)
    assert done.result == (["one, call 3", "two, call 4"] if afresh else ["one, call 1", "two, call 2"])


@pytest.mark.parametrize("afresh", [False, True])
def test_dead_jobs_of_a_query_go_on_unless_they_are_to_begin_afresh(inline, worker, afresh):
    worker.fails |= {"a", "b"}
    inline.jobs.queue_many([JobSpec(name="work", id=job_id) for job_id in ("a", "b")])
    worker.fails.clear()

    assert inline.jobs.requeue_many("name:work", afresh=afresh) == 2

    assert worker.calls == ["one", "two"] * (4 if afresh else 2)
    assert [inline.jobs.get(job_id).state for job_id in ("a", "b")] == ["done", "done"]


def test_of_many_that_are_to_begin_afresh_one_that_is_refused_keeps_its_steps(runtime, recorder, worker):
    one = runtime(start=False)
    one.jobs.add_handler("work", worker, max_attempts=1)
    worker.fails |= {"a", "b"}
    with one:
        one.jobs.queue_many([JobSpec(name="work", id="a"), JobSpec(name="work", id="b", unique="key")])
        recorder.wait_for("job.dead", count=2)
        one.jobs.pause("work")
        one.jobs.queue("work", id="c", unique="key")

        count = one.jobs.requeue_many("name:work", afresh=True, by="ada")
        requeued = recorder.wait_for("job.requeued")

        assert count == 1
        assert (requeued["job_id"], requeued["steps"], requeued["by"]) == ("a", 2, "ada")
        assert [len(one.jobs.steps(job_id)) for job_id in ("a", "b")] == [0, 2]
    assert recorder.audit().ok


def test_a_job_that_is_done_begins_anew_when_it_is_requeued(inline, worker):
    inline.jobs.queue("work", id="a")
    assert names_of(inline) == []

    inline.jobs.requeue("a")

    assert worker.calls == ["one", "two"] * 2


def test_a_requeue_that_is_refused_removes_no_steps(inline, worker):
    worker.fails.add("a")
    inline.jobs.queue("work", id="a", unique="key")
    inline.jobs.queue("work", id="b", unique="key", delay=60)

    with pytest.raises(Exception, match="another unfinished work job holds its unique key"):
        inline.jobs.requeue("a", afresh=True)

    assert names_of(inline) == ["one", "two"]


def test_afresh_must_be_true_or_false(inline):
    with pytest.raises(UsageError, match="expected afresh to be True or False, got: 1"):
        inline.jobs.requeue("a", afresh=1)
    with pytest.raises(UsageError, match="expected afresh to be True or False, got: 'no'"):
        inline.jobs.requeue_many("state:dead", afresh="no")


@pytest.mark.parametrize(("act", "why"), [("cancel", "cancelled"), ("requeue", "requeued")])
def test_an_attempt_that_has_lost_its_claim_stops_at_its_next_step(inline, worker, act, why):
    """The function of that step is not called: what it does nobody wants any more."""
    lost = []

    def between(job):
        if lost:
            return
        getattr(inline.jobs, act)(job)
        assert not job.sleep(60)
        try:
            job.step("two", worker.call, "two")
        except StaleClaim as error:
            lost.append(str(error))
            raise

    worker.between = between
    inline.jobs.queue("work", id="a")
    inline.drain()

    assert lost == [f"this attempt of job a no longer holds it: {why}"]
    assert worker.calls == (["one"] if act == "cancel" else ["one", "two"])


class Frozen(Failpoints):
    """Has a HandlerActor read no signal before it thaws, as in a process that is stopped."""

    def __init__(self):
        super().__init__()
        self.thawed = threading.Event()

    def at(self, point, about=None):
        if point == "actor.receive" and isinstance(about.in_hand.body, Revoke):
            self.thawed.wait(JOIN_SECONDS_MAX)


@pytest.mark.parametrize("act", ["cancel", "requeue", "mark_done"])
@pytest.mark.parametrize("kind", ["thread", "task"])
def test_a_step_asks_the_store_where_nobody_has_told_the_attempt_of_its_loss(runtime, kind, act):
    """A process that was stopped for a while had called the function of one more step of a job that was cancelled."""
    frozen, calls, over = Frozen(), [], threading.Event()
    rt = runtime(environment=Environment(failpoints=frozen))

    def lose(job):
        rt.jobs.mark_done(job.token) if act == "mark_done" else getattr(rt.jobs, act)(job)
        assert not job.cancelled

    def work(job):
        job.step("one", calls.append, "one")
        if job.token.endswith(":1"):
            lose(job)
            try:
                job.step("one more", calls.append, "one more")
            finally:
                over.set()

    async def work_async(job):
        await job.astep("one", calls.append, "one")
        if job.token.endswith(":1"):
            await asyncio.to_thread(lose, job)
            try:
                await job.astep("one more", calls.append, "one more")
            finally:
                over.set()

    rt.jobs.add_handler("work", work if kind == "thread" else work_async)
    rt.jobs.queue("work")
    assert over.wait(JOIN_SECONDS_MAX)
    frozen.thawed.set()
    rt.stop()

    assert calls == ["one"]


def side_by_side(rt, kind, slow, **options):
    """A handler with two steps side by side, of which one fails in the first attempt while the other still runs."""
    begun = threading.Event()

    def reserve():
        assert begun.wait(JOIN_SECONDS_MAX)
        raise ConnectionError("once")

    def work(job):
        # Not as a context manager, which would itself wait for what it has begun.
        charged = ThreadPoolExecutor(1).submit(job.step, "charge", slow, begun)
        if job.token.endswith(":1"):
            job.step("reserve", reserve)
        return charged.result()

    async def work_async(job):
        charging = job.astep("charge", slow, begun)
        if job.token.endswith(":1"):
            return await asyncio.gather(charging, job.astep("reserve", asyncio.to_thread, reserve))
        return await charging

    rt.jobs.add_handler("work", work if kind == "thread" else work_async, backoff=[0.0], **options)


@pytest.mark.parametrize("kind", ["thread", "task"])
def test_the_next_attempt_waits_for_the_steps_that_a_failed_one_has_left(runtime, recorder, kind):
    """The function of a step ran twice at the same time, and what the first call returned was refused."""
    rt, calls = runtime(lane_grace_seconds=JOIN_SECONDS_MAX), []

    def slow(begun):
        calls.append("charge")
        begun.set()
        # For as long as the attempt takes to fail, and then some.
        rt.environment.event().wait(0.2)
        return "charged"

    async def slow_async(begun):
        return await asyncio.to_thread(slow, begun)

    side_by_side(rt, kind, slow if kind == "thread" else slow_async)
    done = rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX)

    assert (calls, done.result) == (["charge"], "charged")
    assert recorder.wait_for("job.resumed", job_id=done.id)["steps"] == 1


def test_on_a_loop_a_step_that_is_left_is_cancelled_when_the_grace_is_over(runtime):
    rt, running, most = runtime(lane_grace_seconds=0.0), [], []

    async def slow(begun):
        running.append("charge")
        most.append(len(running))
        try:
            begun.set()
            if len(most) == 1:
                await asyncio.sleep(60)
        finally:
            running.pop()
        return "charged"

    side_by_side(rt, "task", slow)

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX).result == "charged"
    assert most == [1, 1]


def test_a_step_that_still_asks_the_store_when_its_attempt_fails_is_not_begun(runtime, monkeypatch):
    """Its function was called beside the next attempt, which called it too."""
    rt, calls, steps = runtime(), [], []
    asked, go_on, check_claim = threading.Event(), threading.Event(), Submitter.check_claim

    def check(submitter, *about):
        check_claim(submitter, *about)
        # The claim still holds the job, and nobody has heard of it.
        asked.set()
        assert go_on.wait(JOIN_SECONDS_MAX)

    async def work(job):
        if not steps:
            steps.append(asyncio.ensure_future(job.astep("charge", calls.append, "first")))
            while not asked.is_set():
                await asyncio.sleep(0)
            go_on.set()
            raise ConnectionError("once")
        refused = (await asyncio.gather(*steps, return_exceptions=True))[0]
        await job.astep("charge", calls.append, "second")
        return str(refused)

    monkeypatch.setattr(Submitter, "check_claim", check)
    rt.jobs.add_handler("work", work, backoff=[0.0])
    done = rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX)

    assert (done.result, calls) == ("expected a step before the handler has returned, got it after that", ["second"])


def test_a_claim_that_is_over_keeps_nothing_whoever_says_it(runtime):
    """The lane need not know yet that its job was given to another."""
    rt, entered, go_on = runtime(), threading.Event(), threading.Event()

    def work(job):
        entered.set()
        go_on.wait(JOIN_SECONDS_MAX)

    rt.jobs.add_handler("work", work)
    rt.jobs.queue("work", id="a")
    assert entered.wait(JOIN_SECONDS_MAX)
    first = rt.jobs.get("a").record
    rt.jobs.cancel("a")
    for record in (first, first._replace(boot="another"), first._replace(claim_no=2)):
        with pytest.raises(StaleClaim, match="no longer holds it: the job is cancelled, its claim number is 1; step"):
            rt.jobs._submitter.keep_step(KeepStep(Claim(record), "x", "1", 0.0, None))
    gone = Claim(first._replace(id="gone", row_id=first.row_id + 9))
    with pytest.raises(UsageError, match="no job 'gone'"):
        rt.jobs._submitter.keep_step(KeepStep(gone, "x", "1", 0.0, None))
    go_on.set()

    assert rt.jobs.steps("a") == []


def test_the_same_step_said_again_is_kept_and_told_once(runtime, recorder):
    """As after the death of a broker between a commit and its answer."""
    rt, entered, go_on = runtime(), threading.Event(), threading.Event()

    def work(job):
        entered.set()
        go_on.wait(JOIN_SECONDS_MAX)

    rt.jobs.add_handler("work", work)
    rt.jobs.queue("work", id="a")
    assert entered.wait(JOIN_SECONDS_MAX)
    claim = Claim(rt.jobs.get("a").record)

    kept = [rt.jobs._submitter.keep_step(KeepStep(claim, "x", text, 0.5, None)) for text in ("7", "7", "8")]
    go_on.set()
    rt.jobs.join("a", timeout=JOIN_SECONDS_MAX)
    done = recorder.wait_for("job.done", job_id="a")

    assert kept == ["7", "7", "7"]
    (line,) = recorder.of("job.stepped")
    assert (line["job_id"], line["claim_no"], line["step"], line["took"], line["bytes"]) == ("a", 1, "x", 0.5, 1)
    assert done["steps"] == 1
    moves = [move for turn in recorder.of("turn.committed") for move in turn["moves"]]
    (stepped,) = [move for move in moves if move["k"] == "stepped"]
    assert stepped == {"k": "stepped", "j": "a", "n": "work", "r": 2, "c": 1, "d": line["digest"], "step": "x"}
    assert [move["steps"] for move in moves if move["k"] == "done"] == [1]


def test_the_log_says_how_many_steps_an_attempt_goes_on_after(runtime, recorder):
    rt = runtime()

    def work(job):
        for name in ("one", "two"):
            job.step(name, lambda: 1)
            if job.attempt == 1:
                raise ValueError("after the first step")

    rt.jobs.add_handler("work", work, backoff=[0.0], max_attempts=2)
    rt.jobs.join(rt.jobs.queue("work", id="a"), timeout=JOIN_SECONDS_MAX)
    recorder.wait_for("job.done", job_id="a")

    (line,) = recorder.of("job.resumed")
    assert (line["job_id"], line["claim_no"], line["attempt"], line["steps"]) == ("a", 2, 2, 1)


def test_a_snooze_of_days_takes_no_attempt_and_begins_once():
    runs = []

    def register(runtime: Runtime) -> None:
        def order(job):
            runs.append((job.attempt, runtime.environment.clock().now()))
            job.step("pay", lambda: None)
            job.snooze("cool-off", timedelta(days=14))
            return job.attempt

        runtime.jobs.add_handler("order", order, max_attempts=1)

    with Inline(register) as app:
        job = app.jobs.queue("order", id="a")
        assert job.state == "queued"
        app.advance(days=7)
        app.jobs.requeue("a")
        app.advance(days=6, hours=23)
        assert app.jobs.get("a").state == "queued"
        app.advance(hours=2)

        assert app.jobs.get("a").result == 1
    assert len(runs) == 3
    assert 14 * 86400 <= runs[-1][1] - runs[0][1] < 14 * 86400 + 60


def test_a_coroutine_may_snooze_too_and_a_plain_step_is_refused_there():
    said = []

    def register(runtime: Runtime) -> None:
        async def order(job):
            for plain in (job.step, job.snooze):
                try:
                    plain("x", len) if plain == job.step else plain("x", 5)
                except UsageError as error:
                    said.append(str(error))
            await job.asnooze("nap", 3600)
            return "well"

        runtime.jobs.add_handler("order", order)

    with Inline(register) as app:
        assert app.jobs.queue("order", id="a").state == "queued"
        app.advance(hours=1, minutes=1)
        assert app.jobs.get("a").result == "well"

    assert set(said) == {
        "expected a plain step away from an event loop, which it would block; await job.astep(...), "
        "job.asnooze(...), or job.await_signal(...)"
    }


def test_a_coroutine_function_is_no_plain_function():
    async def later():
        return 1

    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", lambda job: job.step("x", later), max_attempts=1)

    with Inline(register) as app:
        app.jobs.queue("work", id="a")

        assert app.jobs.get("a").error == (
            "lamplighter.errors.UsageError: expected a plain function for step 'x', got one that is awaited; await "
            "job.astep(...)"
        )
        assert app.jobs.steps("a") == []


def test_a_snooze_is_refused_where_another_step_has_its_name(inline, worker):
    said = []

    def between(job):
        if job.record.claim_no > 1:
            job.snooze("text", 5)
        for seconds in (-1, "long", True):
            try:
                job.snooze("nap", seconds)
            except UsageError as error:
                said.append(str(error))
        job.snooze("nap", 0)
        job.step("text", lambda: "text")
        raise Snooze(0)

    worker.between = between
    inline.jobs.queue("work", id="a")
    inline.drain()

    assert len(said) == 3
    assert all(text.startswith("expected seconds to be a number of seconds or a timedelta") for text in said)
    assert inline.jobs.get("a").error == (
        "lamplighter.errors.UsageError: expected step 'text' to be a wait, got one that has kept: 'text'; rename either"
    )


def test_no_job_is_looked_for_while_all_lanes_of_its_name_are_taken(runtime, monkeypatch):
    asked, claim = [], TableJobs.claim
    monkeypatch.setattr(TableJobs, "claim", lambda self, wants, **how: asked.append(1) or claim(self, wants, **how))

    def work(job):
        asked.clear()
        job.step("one", int)
        return len(asked)

    rt = runtime()
    jobs = rt.jobs.queue_many([("work", None), ("work", None)])
    rt.jobs.add_handler("work", work)

    assert [rt.jobs.join(job, timeout=JOIN_SECONDS_MAX).result for job in jobs] == [0, 0]


def test_the_type_that_functions_of_steps_return_is_looked_into_once(inline, worker, monkeypatch):
    def fetch(number: int) -> Page:
        return Page(number)

    looked, type_info = [], msgspec.inspect.type_info
    monkeypatch.setattr(msgspec.inspect, "type_info", lambda wanted: looked.append(wanted) or type_info(wanted))
    pages = []
    worker.between = lambda job: pages.extend(job.step(f"page-{number}", fetch, number) for number in range(3))
    inline.jobs.queue("work", id="a")

    assert pages == [Page(0), Page(1), Page(2)]
    assert looked.count(Page) <= 1


def test_a_function_whose_result_nobody_could_keep_is_not_called(inline, worker):
    def connect() -> sqlite3.Connection:
        worker.calls.append("connect")
        return sqlite3.connect(":memory:")

    worker.between = lambda job: job.step("connect", connect)
    inline.jobs.queue("work", id="a")

    assert worker.calls == ["one"]
    assert "expected a JSON-serializable result" in inline.jobs.get("a").error
    assert "which the function of step 'connect' returns" in inline.jobs.get("a").error


def test_a_result_that_is_not_what_its_function_is_annotated_to_return_is_not_kept(inline, worker):
    """No later attempt could read it either."""

    def count() -> int:
        return "many"  # type: ignore[return-value]

    worker.between = lambda job: job.step("count", count)
    inline.jobs.queue("work", id="a")

    assert names_of(inline) == ["one"]
    assert "step 'count': expected a result that fits int: Expected `int`, got `str`" in inline.jobs.get("a").error


def test_what_is_kept_and_does_not_fit_any_more_is_said(inline, worker):
    """A new version of the handler asks for something else."""

    def count() -> int:
        return 7

    worker.between = lambda job: job.step("count", lambda: "many")
    worker.fails.add("a")
    inline.jobs.queue("work", id="a")
    worker.between = lambda job: job.step("count", count)

    inline.jobs.requeue("a")
    error = inline.jobs.get("a").error
    worker.fails.clear()
    inline.jobs.requeue("a", afresh=True)

    assert "step 'count': expected a result that fits int" in error
    assert "jobs.requeue(job, afresh=True) has the job begin without kept steps" in error
    assert inline.jobs.get("a").state == "done"


def test_a_name_that_is_only_like_a_str_is_kept_as_the_text_that_it_is(inline, worker):
    class Name(str):
        __slots__ = ()

    worker.fails.add("a")
    worker.between = lambda job: job.step(Name("mine"), lambda: 1)
    inline.jobs.queue("work", id="a")

    assert names_of(inline) == ["one", "mine", "two"]


def test_after_its_handler_has_returned_an_attempt_takes_no_step(inline, worker):
    jobs = []
    worker.between = jobs.append
    inline.jobs.queue("work", id="a")

    with pytest.raises(UsageError, match="expected a step before the handler has returned, got it after that"):
        jobs[0].step("late", worker.call, "late")

    assert worker.calls == ["one", "two"]


def test_a_handler_that_ends_its_job_in_a_transaction_of_its_own_leaves_no_steps(runtime, tmp_path, recorder):
    rt = runtime(tmp_path / "jobs.db")

    def work(job):
        job.step("one", lambda: 1)
        with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
            rt.jobs.mark_done(job, connection=connection)
            connection.commit()

    rt.jobs.add_handler("work", work, auto_done=False)
    rt.jobs.join(rt.jobs.queue("work", id="a"), timeout=JOIN_SECONDS_MAX)

    assert recorder.wait_for("job.done", job_id="a")["steps"] == 1
    assert rt.jobs.steps("a") == []


def test_only_the_job_of_a_handler_has_steps_to_take(inline):
    job = inline.jobs.queue("work", id="a")

    with pytest.raises(UsageError, match="only the Job that a handler gets can do this"):
        job.step("x", len, "")
    with pytest.raises(UsageError, match="no job 'gone'"):
        inline.jobs.steps("gone")


def test_no_function_is_called_whose_thread_would_wait_for_its_own_transaction(runtime, tmp_path):
    sqlalchemy = pytest.importorskip("sqlalchemy")
    rt, called = runtime(tmp_path / "jobs.db"), []
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'jobs.db'}")

    def work(job):
        with engine.connect() as connection:
            # From its first use on, an engine's transactions are known.
            rt.jobs.queue("nobody", connection=connection)
            connection.commit()
            connection.execute(sqlalchemy.text("update lamplighter_store set one = one"))
            try:
                job.step("one", called.append, "one")
            except UsageError as error:
                return str(error)
        return "kept"

    rt.jobs.add_handler("work", work)
    job = rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX)

    assert job.result.startswith("expected this call before your SQLAlchemy transaction writes to the store's file")
    assert called == []


ENDS = ("done", "error", "timeout", "cancel", "poison", "expired")


@pytest.mark.parametrize("end", ENDS)
def test_a_job_that_waits_for_the_end_of_another_undoes_its_steps_however_that_ended(end):
    """As docs/graphs.md has it under "A saga"."""
    booked = []

    def trip(job):
        job.step("book-flight", lambda: booked.append("flight") or "flight")
        if end == "error":
            raise Discard("no hotel")
        if end != "done":
            job.sleep(1000)

    def undo(job):
        (ended,) = job.parents()
        if ended.state in ("dead", "cancelled"):
            for step in reversed(ended_steps(ended)):
                job.step(f"give-back-{step.result}", booked.remove, step.result)
        return ended.state

    def ended_steps(job):
        return simulation.runtime.jobs.steps(job)

    def register(runtime):
        runtime.jobs.add_handler("trip", trip, timeout=30, max_attempts=1)
        runtime.jobs.add_handler("undo-trip", undo, max_attempts=100)

    with Simulation(register) as simulation:
        if end == "expired":
            simulation.runtime.jobs.pause("trip")
        journey = JobSpec(name="trip", expires=1 if end == "expired" else None)
        queued, undoing = simulation.runtime.jobs.queue_many([journey, JobSpec(name="undo-trip", after_ended=journey)])
        simulation.run(seconds=5)
        for _ in range(3 if end == "poison" else 0):
            simulation.kill()
            simulation.run(seconds=10)
        if end == "cancel":
            simulation.runtime.jobs.cancel(queued)
        simulation.run(seconds=60)

        ended, undone = simulation.runtime.jobs.get(queued), simulation.runtime.jobs.get(undoing)
        assert (undone.state, undone.result) == ("done", ended.state)
        assert booked == (["flight"] if end == "done" else [])
        assert {
            "done": ended.state == "done",
            "error": ended.state == "dead" and "no hotel" in ended.reason,
            "timeout": ended.reason == "timed out in attempt 1 of 1",
            "cancel": ended.state == "cancelled",
            "poison": "poison" in str(ended.reason),
            "expired": ended.reason == "expired",
        }[end]
        simulation.check()


def retrying(kind, step, fn, said=None, **options):
    """The job of a handler with one step, on a thread or as a task; how many seconds after the first its calls began,
    in virtual time; and what is kept.
    """
    began = []

    def register(runtime: Runtime) -> None:
        @wraps(fn)
        def called():
            began.append(runtime.environment.clock().now())
            return fn()

        async def work_async(job):
            return await job.astep(step, called)

        handler = work_async if kind == "task" else lambda job: job.step(step, called)
        runtime.jobs.add_handler("work", handler, max_attempts=1, **options)

    with Inline(register) as app:
        job = app.jobs.get(app.jobs.queue("work", id="a"))
        if said is not None:
            said += [line for line in map(json.loads, app.log.splitlines()) if "tried again" in line["event"]]
        return job, [round(instant - began[0]) for instant in began], app.jobs.steps("a")


def failing(times, error=ConnectionError):
    calls = []

    def fetch() -> str:
        calls.append(1)
        if len(calls) <= times:
            raise error("away")
        return f"call {len(calls)}"

    return fetch, calls


@pytest.mark.parametrize("kind", ["thread", "task"])
def test_a_step_is_called_again_within_its_attempt_and_each_wait_is_logged(kind):
    fetch, _ = failing(3)
    said = []

    job, began, _ = retrying(kind, Step("fetch", retries=3, backoff=[1.0, 10.0]), fetch, said)

    assert (job.result, job.attempt) == ("call 4", 1)
    assert began == [0, 1, 11, 21]
    assert [(line["step"], line["error"], line["tries"], line["wait"]) for line in said] == [
        ("fetch", "ConnectionError: away", tries, wait) for tries, wait in ((1, 1.0), (2, 10.0), (3, 10.0))
    ]


@pytest.mark.parametrize("kind", ["thread", "task"])
def test_after_its_last_retry_the_error_of_a_step_reaches_the_handler(kind):
    fetch, calls = failing(9)

    job, _, kept = retrying(kind, Step("fetch", retries=2, backoff=0), fetch)

    assert (job.state, job.error, len(calls), kept) == ("dead", "ConnectionError: away", 3, [])


@pytest.mark.parametrize("error", [Discard, Cancel, Retry, Snooze, KeyError], ids=lambda error: error.__name__)
def test_a_step_is_not_called_again_after_an_error_that_ends_the_attempt(error):
    calls = []

    def fetch():
        calls.append(1)
        raise error(3600)

    retrying("thread", Step("fetch", retries=5, backoff=0), fetch, discard_on=KeyError)

    assert len(calls) == 1


def test_a_call_of_a_coroutine_function_that_takes_too_long_is_cancelled():
    calls = []

    async def slow() -> str:
        calls.append(1)
        await asyncio.sleep(3600 if len(calls) == 1 else 0.1)
        return "there"

    said = []
    job, began, _ = retrying("task", Step("fetch", retries=1, backoff=1, timeout=5), slow, said)

    assert (job.result, began) == ("there", [0, 6])
    assert said[0]["error"] == "TimeoutError: a call of step 'fetch' took longer than its timeout, 5.0 s"


def test_the_result_of_a_plain_function_with_a_timeout_is_not_kept():
    job, _, kept = retrying("task", Step("fetch", retries=1, backoff=0, timeout=5), lambda: 7)

    assert "expected no timeout of step 'fetch', whose plain function nothing can end" in job.error
    assert kept == []


@pytest.mark.parametrize("what", ["step", "snooze", "wait"])
def test_a_step_with_retries_has_no_step_inside_of_it(inline, worker, what):
    calls = []

    def outer(job):
        calls.append(job.attempt)
        {
            "step": lambda: job.step("inner", int),
            "snooze": lambda: job.snooze("inner", 1),
            "wait": lambda: job.wait("inner"),
        }[what]()

    worker.between = lambda job: job.step(Step("outer", retries=1, backoff=0), outer, job)
    inline.jobs.queue("work", id="a")

    assert (
        "expected no step or wait in the function of step 'outer', which has retries, got: "
        in inline.jobs.get("a").error
    )
    assert names_of(inline) == ["one"]
    assert calls == sorted(set(calls)), "the step itself does not repeat a wrong call"


def test_a_stop_ends_the_wait_of_a_step_and_uses_no_attempt(runtime, recorder):
    fetch, calls = failing(1)
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.step(Step("fetch", retries=1, backoff=3600), fetch), max_attempts=1)
    rt.jobs.queue("work", id="a")
    recorder.until(lambda: calls)

    rt.stop()
    called_by_then = len(calls)
    with rt:
        job = rt.jobs.join("a", timeout=JOIN_SECONDS_MAX)

    assert (job.result, job.attempt, called_by_then, len(calls)) == ("call 2", 1, 1, 2)


@pytest.mark.parametrize("kept", ["many", {"n": 7}])
def test_an_upcast_reads_what_an_older_function_has_kept(inline, worker, kept):
    def count() -> int:
        raise AssertionError("it is kept")

    worker.between = lambda job: job.step("count", lambda: kept)
    worker.fails.add("a")
    inline.jobs.queue("work", id="a")
    worker.fails.clear()
    seen = []
    as_today = {"many": 100}
    worker.between = lambda job: seen.append(
        job.step(Step("count", upcast=lambda old: as_today[old] if isinstance(old, str) else old["n"]), count)
    )

    inline.jobs.requeue("a")

    assert seen == [100 if kept == "many" else 7]


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (Step("x", retries=-1), "expected retries to be a whole number from 0 to 100, got: -1"),
        (Step("x", retries=101), "expected retries to be a whole number from 0 to 100, got: 101"),
        (Step("x", backoff="long"), "expected backoff to be a Backoff, seconds or a sequence of seconds, got: 'long'"),
        (Step("x", timeout=0), "expected timeout to be a number of seconds or a timedelta"),
        (Step("x", timeout=5), "expected no timeout of step 'x', whose plain function nothing can end"),
        (Step("x", upcast=7), "expected upcast of step 'x' to be a function, got: 7"),
        (Step("x", upcast=int), "expected step 'x', which has an upcast, to have a function with an annotated result"),
        (Step(7), "expected the name of a step to be a str"),
        (Step("wait:x"), "expected a step's name that does not begin with 'wait:'"),
    ],
    ids=lambda one: one.split()[1] if isinstance(one, str) else "",
)
def test_an_impossible_option_of_a_step_is_refused_before_a_call(step, error):
    calls = []

    job, _, _ = retrying("thread", step, lambda: calls.append(1))

    assert error in job.error
    assert calls == []
