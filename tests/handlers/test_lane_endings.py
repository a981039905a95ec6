"""Whatever a handler does, its job ends and its lane is there for the next one."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
import threading

import pytest
from lamplighter import Discard, JobFailed, Snooze
from lamplighter.handlers import lanes
from lamplighter.handlers.outcomes import INDESCRIBABLE, raised
from lamplighter.handlers.tasks import LOOP_DIED
from lamplighter.log.job_output import JobOutput
from lamplighter.messages.outcomes import OutcomeKind

SECONDS_MAX = 15.0


class Gone(Discard):
    def __init__(self, what):
        self.what = what


class Silent(Discard):
    def __init__(self):
        pass


class NotYet(Snooze):
    def __init__(self):
        pass


class NoText(Exception):
    def __str__(self):
        raise KeyboardInterrupt

    __repr__ = __str__


class Liar(Exception):
    @property
    def __class__(self):
        raise SystemExit


class NamelessKind(type):
    @property
    def __name__(cls):
        raise RuntimeError("no name")


class Nameless(Exception, metaclass=NamelessKind):
    def __str__(self):
        raise RuntimeError("no text")


class Trap(Discard):
    @property
    def reason(self):
        raise SystemExit("trapped")

    @reason.setter
    def reason(self, value):
        pass


class Foreign(BaseException):
    pass


def with_notes():
    error = ValueError("notes that are none")
    error.__notes__ = 5
    return error


def with_a_deep_cause():
    error = ValueError("the last")
    for _ in range(3000):
        outer = ValueError("one more")
        outer.__cause__ = error
        error = outer
    return error


STRANGE = {
    "a Discard without its __init__": lambda: Gone("file"),
    "a Discard that says nothing": Silent,
    "a Discard whose reason raises": Trap,
    "a Discard whose reason is a dict": lambda: Discard({"missing": "x"}),
    "a Discard whose reason has a lone surrogate": lambda: Discard("caf\udce9.zip"),
    "a Discard whose reason is very long": lambda: Discard("x" * 10_000_000),
    "a Snooze without its __init__": NotYet,
    "an error without text": NoText,
    "an error that lies about its class": Liar,
    "an error whose class has no name": Nameless,
    "an error that is no Exception": Foreign,
    "a group of such errors": lambda: BaseExceptionGroup("all", [Foreign(), SystemExit(1), NoText()]),
    "an error with broken notes": with_notes,
    "an error with a cause without end": with_a_deep_cause,
    "an error whose text has a lone surrogate": lambda: OSError(2, "caf\udce9.zip"),
    "an error from a file that cannot be decoded": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"),
}


def ending(rt, job):
    """How it ended."""
    try:
        return rt.jobs.join(job, timeout=SECONDS_MAX)
    except JobFailed as error:
        return error.job


def on(kind, handle):
    """A function that runs on a thread, or as a task."""

    async def as_task(job):
        return handle(job)

    return handle if kind == "thread" else as_task


def goes_on(rt, recorder, name):
    """The place of the lane is there for the next job, and nobody has died."""
    assert ending(rt, rt.jobs.queue(name, "fine")).result == "fine"
    assert rt.health().status == "green", rt.health()
    assert not recorder.of("actor.crashed")
    assert not recorder.of("message.refused"), "the ending could be stored at once"


@pytest.mark.parametrize("kind", ["thread", "task"])
@pytest.mark.parametrize("name", STRANGE)
def test_whatever_is_raised_ends_the_job_in_its_first_attempt(runtime, recorder, name, kind):
    rt = runtime()

    def handle(job):
        if job.data == "fine":
            return "fine"
        raise STRANGE[name]()

    rt.jobs.add_handler("strange", on(kind, handle), max_attempts=1)

    job = ending(rt, rt.jobs.queue("strange"))

    assert job.state == "dead"
    assert job.attempt == 1
    goes_on(rt, recorder, "strange")


@pytest.mark.parametrize(
    "error, reason",
    [
        (Gone("file"), "file"),
        (Silent(), "discarded by its handler"),
        (Discard({"missing": "x"}), "{'missing': 'x'}"),
        (Discard(ValueError("no archive")), "no archive"),
        (Discard("caf\udce9.zip"), "caf\ufffd.zip"),
        (Discard("a\0b"), "a\ufffdb"),
        (Discard("x" * 5000), "x" * 1000),
    ],
)
def test_a_discard_is_one_whatever_its_reason_is(error, reason):
    outcome = raised(error, 1000)

    assert (outcome.kind, outcome.reason) == (OutcomeKind.DISCARDED, reason)


def test_an_error_with_nul_has_a_text_that_every_store_can_keep():
    outcome = raised(ValueError("a\0b"), 1000)

    assert outcome.error == "ValueError: a\ufffdb"
    assert "\0" not in outcome.traceback and "a\ufffdb" in outcome.traceback


def test_a_snooze_without_seconds_fails_and_says_what_is_missing():
    outcome = raised(NotYet(), 1000)

    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.error.startswith("NotYet: expected Snooze(seconds) to be a number of seconds")
    assert outcome.error.endswith("got: None")


def test_an_error_that_cannot_be_looked_at_is_a_failure_all_the_same():
    assert raised(Trap(), 1000)._replace(error_classes=()) == INDESCRIBABLE


def test_an_error_whose_class_has_no_name_is_a_failure_all_the_same():
    class Nameless(type):
        def __getattribute__(cls, name):
            if name == "__qualname__":
                raise RuntimeError("no")
            return super().__getattribute__(name)

    class Odd(Exception, metaclass=Nameless): ...

    outcome = raised(Odd(), 1000)

    assert (outcome.kind, outcome.error, outcome.error_classes) == (OutcomeKind.FAILED, "Odd", ())


@pytest.mark.parametrize("kind", ["thread", "task"])
def test_a_profiler_that_raises_costs_its_job_and_nobody_else(runtime, recorder, kind):
    rt = runtime()

    def raising(frame, event, arg):
        if event == "call" and frame.f_code.co_name == "pass_on":
            raise SystemExit("from a profiler")

    def handle(job):
        if job.data != "fine":
            sys.setprofile(raising)
        return job.data

    rt.jobs.add_handler("profiled", on(kind, handle), max_attempts=1)

    job = ending(rt, rt.jobs.queue("profiled"))

    assert (job.state, job.error) == ("dead", "SystemExit: from a profiler")
    goes_on(rt, recorder, "profiled")


@pytest.mark.parametrize("kind", ["thread", "task"])
def test_an_end_whose_output_cannot_be_written_is_reported_with_that_error(runtime, recorder, monkeypatch, kind):
    # The end counted as reported before it was: the job ran for ever.
    rt = runtime()
    text, errors = JobOutput.text, [MemoryError("no room")]

    def failing(output):
        if errors:
            raise errors.pop()
        return text(output)

    def handle(job):
        job.log.info("a line")
        return job.data

    rt.jobs.add_handler("logs", on(kind, handle), max_attempts=1)
    monkeypatch.setattr(JobOutput, "text", failing)

    job = ending(rt, rt.jobs.queue("logs"))

    assert (job.state, job.error) == ("dead", "MemoryError: no room")
    goes_on(rt, recorder, "logs")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_is_struck_again_and_again_still_ends_its_jobs(runtime, recorder, monkeypatch):
    monkeypatch.setattr(lanes, "WATCH_SECONDS", 0.1)
    rt = runtime()
    stop, strikers = threading.Event(), []

    def strike(thread_id):
        while not stop.wait(0.001):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(Foreign))

    def handle(job):
        if job.data == "fine":
            return "fine"
        strikers.append(threading.Thread(target=strike, args=[threading.get_ident()], daemon=True))
        strikers[0].start()
        while True:
            pass

    rt.jobs.add_handler("struck", handle, max_attempts=1)
    try:
        assert ending(rt, rt.jobs.queue("struck")).state == "dead"
    finally:
        stop.set()
        strikers[0].join(SECONDS_MAX)
    # A strike that came late may have cost one more job, or the thread itself, never the place.
    for _ in range(5):
        ending(rt, rt.jobs.queue("struck", "fine"))
    goes_on(rt, recorder, "struck")


async def stops_its_loop(job):
    asyncio.get_running_loop().stop()


async def stops_its_loop_again_and_again(job):
    loop = asyncio.get_running_loop()
    for _ in range(100):
        loop.call_soon(loop.stop)


async def closes_its_loop(job):
    loop = asyncio.get_running_loop()
    loop.call_soon(loop.stop)
    loop.close()


async def raises_in_callbacks(job):
    loop = asyncio.get_running_loop()
    for error in (SystemExit(1), KeyboardInterrupt(), Foreign()):
        loop.call_soon(raise_it, error)


async def makes_its_exception_handler_raise(job):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: raise_it(SystemExit(2)))
    loop.call_soon(raise_it, ValueError("for the handler"))


async def breaks_the_task_factory(job):
    asyncio.get_running_loop().set_task_factory(lambda *_, **__: raise_it(RuntimeError("no tasks")))


async def cancels_all_tasks(job):
    for task in asyncio.all_tasks():
        task.cancel()


async def closes_its_own_coroutine(job):
    coroutine = asyncio.current_task().get_coro()
    asyncio.get_running_loop().call_soon(coroutine.close)
    await asyncio.sleep(3600)


def raise_it(error):
    raise error


RUDE = [
    stops_its_loop,
    stops_its_loop_again_and_again,
    closes_its_loop,
    raises_in_callbacks,
    makes_its_exception_handler_raise,
    breaks_the_task_factory,
    cancels_all_tasks,
    closes_its_own_coroutine,
]


@pytest.mark.parametrize("rude", RUDE, ids=lambda rude: rude.__name__)
def test_whatever_a_coroutine_does_to_its_loop_all_of_its_jobs_end(runtime, recorder, rude):
    rt = runtime()
    beside = threading.Event()

    async def handle(job):
        if job.data == "rude":
            await rude(job)
        elif job.data == "beside":
            beside.set()
        await asyncio.sleep(0.02)
        return job.data

    rt.jobs.add_handler("looped", handle, concurrency=3, max_attempts=1)
    jobs = [rt.jobs.queue("looped", data) for data in ("beside", "rude", "after", "after")]

    assert all(ending(rt, job).state in ("done", "dead") for job in jobs)
    goes_on(rt, recorder, "looped")


def test_a_job_beside_one_that_stops_their_loop_is_done(runtime, recorder):
    rt = runtime()
    beside, stopped = threading.Event(), threading.Event()

    async def handle(job):
        if job.data == "stops":
            await stops_its_loop(job)
            stopped.set()
        elif job.data == "beside":
            beside.set()
            while not stopped.is_set():
                await asyncio.sleep(0.01)
        return job.data

    rt.jobs.add_handler("stopped", handle, concurrency=2, max_attempts=1)
    job = rt.jobs.queue("stopped", "beside")
    assert beside.wait(SECONDS_MAX)

    assert ending(rt, rt.jobs.queue("stopped", "stops")).state == "done"
    assert ending(rt, job).result == "beside"
    goes_on(rt, recorder, "stopped")


def test_a_loop_that_was_closed_under_its_jobs_is_replaced(runtime, recorder):
    """The loop itself refuses to be closed while it runs, unless it is made to believe that it does not."""
    rt = runtime()

    async def handle(job):
        if job.data == "closes":
            loop = asyncio.get_running_loop()
            never = loop.create_future()
            loop._thread_id = None
            loop.close()
            await never
        return job.data

    rt.jobs.add_handler("closed", handle, concurrency=2, max_attempts=1)

    job = ending(rt, rt.jobs.queue("closed", "closes"))

    assert job.state == "dead"
    assert job.error.startswith(LOOP_DIED)
    goes_on(rt, recorder, "closed")
    # Here and now: CPython 3.11 fails to parse when a coroutine is collected as it does.
    gc.collect()


def test_a_thread_that_cannot_be_stopped_is_fenced_and_replaced(timed, time, recorder):
    rt = timed(lane_grace_seconds=5)
    inside, never = threading.Event(), threading.Event()
    rt.jobs.add_handler("work", lambda job: job.data or inside.set() or never.wait(30), timeout=1, max_attempts=1)
    job = rt.jobs.queue("work")
    assert inside.wait(15)
    time.advance(1)

    with pytest.raises(JobFailed, match="timed out"):
        rt.jobs.join(job, timeout=10)
    time.advance(5)

    assert rt.jobs.join(rt.jobs.queue("work", "next"), timeout=10).result == "next"
    assert "never.wait" in recorder.wait_for("lane.abandoned")["stack"]
    never.set()
    recorder.wait_for("job.fenced")
