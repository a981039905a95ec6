"""Which errors of a handler are tried again, whatever it runs on."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from lamplighter import JobFailed
from lamplighter.testing import Simulation

from support.rabbitmq.simulated import SimulatedRabbitMQ

FUNCTIONS = """
import asyncio

from lamplighter import Discard, Snooze


class Busy(ConnectionError): ...


class Gone(Exception): ...


ERRORS = {"busy": Busy, "gone": Gone, "key": KeyError, "exit": SystemExit, "discard": Discard}


def fails(job):
    if job.attempt > 1:
        return "at last"
    if job.data == "snooze" and job.token.endswith(":1"):
        raise Snooze(0)
    if job.data != "snooze":
        raise ERRORS[job.data]("no")


async def fails_async(job):
    return fails(job)
"""

KINDS = ["thread", "task", "process"]


@pytest.fixture
def functions(importable):
    return importable("failing_functions", FUNCTIONS)


@pytest.fixture(params=KINDS)
def ends(request, runtime, functions):
    """How a job ends whose function fails as `data` says: its state, its reason, its attempts."""
    rt = runtime()

    def end(data, **options):
        fn = functions.fails_async if request.param == "task" else functions.fails
        isolation = "process" if request.param == "process" else "thread"
        rt.jobs.add_handler("work", fn, isolation=isolation, max_attempts=3, backoff=[0], **options)
        job = rt.jobs.queue("work", data)
        try:
            done = rt.jobs.join(job, timeout=20)
        except JobFailed as error:
            done = error.job
        return done.state, done.reason, [attempt.outcome for attempt in rt.jobs.attempts(job)], done

    return end


def test_an_error_that_retry_on_names_is_tried_again(ends):
    assert ends("busy", retry_on=OSError)[:3] == ("done", None, ["failed"])


def test_an_error_that_retry_on_does_not_name_is_dead_at_once(ends, functions):
    state, reason, outcomes, job = ends("key", retry_on=(functions.Busy, functions.Gone))

    assert (state, outcomes) == ("dead", ["failed"])
    assert reason == "failed in attempt 1 of 3, and KeyError is not tried again"
    assert job.error == "KeyError: 'no'"
    assert "raise ERRORS" in job.traceback


def test_an_error_that_discard_on_names_is_dead_at_once(ends, functions):
    state, reason, outcomes, job = ends("gone", discard_on=functions.Gone)

    assert (state, outcomes) == ("dead", ["failed"])
    assert reason == "failed in attempt 1 of 3, and failing_functions.Gone is not tried again"
    assert job.error == "failing_functions.Gone: no"


def test_an_error_that_discard_on_does_not_name_is_tried_again(ends, functions):
    assert ends("busy", discard_on=[functions.Gone])[0] == "done"


def test_a_discard_and_a_snooze_mean_what_they_always_do(ends):
    assert ends("discard", retry_on=Exception)[:2] == ("dead", "no")


def test_a_snooze_is_no_error_that_could_be_discarded(ends):
    assert ends("snooze", discard_on=Exception)[:3] == ("done", None, [])


@pytest.mark.parametrize("on_timeout", ["signal", "raise"])
def test_a_timeout_is_tried_again_whatever_retry_on_names(runtime, on_timeout):
    rt = runtime()
    never = threading.Event()
    rt.jobs.add_handler(
        "work",
        lambda job: "at last" if job.attempt > 1 else [job.sleep(10), never.wait(0.01)],
        timeout=0.1,
        on_timeout=on_timeout,
        backoff=[0],
        retry_on=KeyError,
    )

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=15).result == "at last"


def test_a_task_that_is_cancelled_from_outside_of_its_function_is_tried_again(runtime):
    rt = runtime()
    seen = []

    async def work(job):
        seen.append(job.data)
        if job.data == "canceller" and len(seen) == 1:
            # The other's task is there before it has begun.
            while not (others := asyncio.all_tasks() - {asyncio.current_task()}):
                await asyncio.sleep(0)
            for task in others:
                task.cancel()

    rt.jobs.add_handler("work", work, concurrency=2, backoff=[0], retry_on=KeyError)

    for job in rt.jobs.queue_many([("work", "canceller"), ("work", "other")]):
        assert rt.jobs.join(job, timeout=10).state == "done"


def test_a_child_process_that_dies_is_tried_again(runtime, importable):
    rt = runtime()
    module = importable("dying_functions", "import os\ndef work(job):\n    os._exit(1)\n")
    rt.jobs.add_handler("work", module.work, isolation="process", retry_on=KeyError, interruptions_max=2)

    with pytest.raises(JobFailed) as caught:
        rt.jobs.join(rt.jobs.queue("work"), timeout=20)

    assert caught.value.job.reason.startswith("poison: interrupted 2 times")


@pytest.mark.parametrize("server", [None, SimulatedRabbitMQ], ids=["file", "rabbitmq"])
def test_a_simulation_judges_errors_as_production_does(functions, server):
    def register(rt):
        rt.jobs.add_handler("thread", functions.fails, discard_on=functions.Gone)
        rt.jobs.add_handler("process", functions.fails, isolation="process", discard_on=functions.Gone)

    def host(rt):
        rt.jobs.queue_many([("thread", "gone"), ("process", "gone")])

    with Simulation(register, seed=1, host=host, server=server) as simulation:
        simulation.run(seconds=60)
        simulation.check()
    ended = [
        line for line in map(json.loads, simulation.log.splitlines()) if line["event"] in ("job.dead", "job.failed")
    ]

    assert [(line["event"], line["reason"]) for line in ended] == [
        ("job.dead", "failed in attempt 1 of 20, and failing_functions.Gone is not tried again")
    ] * 2


ASKS = """
from lamplighter import Cancel, Discard, Snooze


def asks(job):
    errors = [KeyError(), ConnectionError(), ValueError(), Discard(), Cancel(), Snooze(0)]
    raise ConnectionError("".join("ny"[job.is_tried_again(error)] for error in errors))


async def asks_async(job):
    asks(job)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_handler_can_ask_whether_an_error_is_tried_again(runtime, recorder, importable, kind):
    asking = importable("asking", ASKS)
    rt = runtime()
    fn = asking.asks_async if kind == "task" else asking.asks
    isolation = "process" if kind == "process" else "thread"
    options = {"retry_on": OSError, "discard_on": KeyError, "backoff": [0]}
    rt.jobs.add_handler("work", fn, isolation=isolation, max_attempts=3, **options)
    job = rt.jobs.queue("work", max_attempts=2)

    assert recorder.wait_for("job.failed", job_id=job.id)["error"] == "ConnectionError: nynnny"
    assert recorder.wait_for("job.dead", job_id=job.id)["error"] == "ConnectionError: nnnnny", "it was the last attempt"
