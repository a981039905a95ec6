"""`job.log`: the last lines that a handler has logged are kept, and shown where people look for a job."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import structlog
from lamplighter import JobFailed, Runtime, Snooze
from lamplighter.admin.inspector import inspector_at
from lamplighter.testing import Inline

JOIN_SECONDS_MAX = 20

FUNCTIONS = """
def say(job):
    log = job.log.bind(size=5)
    log.debug("not kept")
    log.info("read %s of %s", 1, 2)
    log.warning("slow", seconds=3.5)
    try:
        1 / 0
    except ZeroDivisionError:
        job.log.error("two\\nlines\\0")
    return "said"


async def say_async(job):
    return say(job)
"""


@pytest.fixture
def output(tmp_path):
    """Gives the lines of a job, as the page has them."""

    def read(job_id="a"):
        with inspector_at(tmp_path / "jobs.db") as inspector:
            return [(line.claim_no, line.level, line.text) for line in inspector.job(job_id).output]

    return read


@pytest.fixture(params=["thread", "task"])
def lane(request):
    return request.param


def test_the_lines_of_a_job_that_is_done_are_kept(runtime, importable, lane, output):
    module = importable("functions_of_output", FUNCTIONS)
    rt = runtime()
    fn, isolation = (module.say_async, "thread") if lane == "task" else (module.say, lane)
    rt.jobs.add_handler("say", fn, isolation=isolation)

    rt.jobs.join(rt.jobs.queue("say", id="a"), timeout=JOIN_SECONDS_MAX)

    assert output() == [
        (1, "info", "read 1 of 2 size=5"),
        (1, "warning", "slow size=5 seconds=3.5"),
        (1, "error", "two lines\ufffd"),
    ]
    assert rt.jobs.attempts("a") == []


def lines(ends, **options):
    """The texts of a job's output, whose handler says one line and then raises what `ends` has for its claim."""
    rest = list(ends)

    def register(runtime: Runtime) -> None:
        def work(job):
            job.log.info(f"run {job.record.claim_no}")
            if rest:
                raise rest.pop(0)

        runtime.jobs.add_handler("work", work, backoff=0, **options)

    with Inline(register) as app:
        with suppress(JobFailed):
            app.jobs.queue("work", id="a")
            app.advance(seconds=5)
        logged = app.jobs._submitter.state.get().store.table.logged("a")
        return [(claim_no, text) for claim_no, kept in logged for _, _, text in json.loads(kept)]


def test_lines_are_kept_of_attempts_that_fail_and_that_wait():
    assert lines([ValueError(), Snooze(1)]) == [(1, "run 1"), (2, "run 2"), (3, "run 3")]


def test_of_claims_that_did_not_fail_the_lines_of_the_last_ten_are_kept():
    ends = [ValueError(), *(Snooze(0.1) for _ in range(12))]

    assert lines(ends) == [(number, f"run {number}") for number in (1, *range(5, 15))]


def test_an_attempt_keeps_its_last_hundred_lines_and_cuts_long_ones(runtime, output):
    rt = runtime()

    def work(job):
        for number in range(150):
            job.log.info("x" * 2_000, number=number)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: job.log.info(f"line {number}"), range(99)))

    rt.jobs.add_handler("work", work)
    rt.jobs.join(rt.jobs.queue("work", id="a"), timeout=JOIN_SECONDS_MAX)

    (first, *rest) = output()
    assert first[2] == "x" * 1_000
    assert sorted(text for _, _, text in rest) == sorted(f"line {number}" for number in range(99))


def test_of_the_lines_of_several_attempts_the_last_are_shown(runtime, output, monkeypatch):
    monkeypatch.setattr("lamplighter.admin.inspector.OUTPUT_MAX", 3)
    rt = runtime()

    def work(job):
        job.log.info(f"begins {job.attempt}")
        job.log.info(f"ends {job.attempt}")
        if job.attempt < 3:
            raise ValueError

    rt.jobs.add_handler("work", work, backoff=[0.0])
    rt.jobs.join(rt.jobs.queue("work", id="a"), timeout=JOIN_SECONDS_MAX)

    assert [text for _, _, text in output()] == ["ends 2", "begins 3", "ends 3"]


def test_what_an_attempt_has_logged_before_its_timeout_is_kept(runtime, output):
    rt = runtime()
    goes = threading.Event()

    def work(job):
        job.log.info("before")
        goes.wait(JOIN_SECONDS_MAX)
        job.log.info("too late")

    rt.jobs.add_handler("work", work, timeout=0.05, max_attempts=1)
    with suppress(JobFailed):
        rt.jobs.join(rt.jobs.queue("work", id="a"), timeout=JOIN_SECONDS_MAX)
    goes.set()
    rt.stop()

    assert output() == [(1, "info", "before")]


@pytest.mark.parametrize("end", ["cancelled", "done"])
def test_the_lines_of_a_job_that_ends_before_its_handler_are_kept(runtime, output, recorder, end):
    rt = runtime()
    began, goes = threading.Event(), threading.Event()

    def work(job):
        job.log.info("before")
        if end == "done":
            rt.jobs.mark_done(job)
        began.set()
        goes.wait(JOIN_SECONDS_MAX)
        job.log.info("after")

    rt.jobs.add_handler("work", work, auto_done=end == "cancelled")
    rt.jobs.queue("work", id="a")
    assert began.wait(JOIN_SECONDS_MAX)
    rt.jobs.cancel("a")
    goes.set()
    recorder.until(output)

    assert rt.jobs.get("a").state == end
    assert output() == [(1, "info", "before"), (1, "info", "after")]


WAITING_FUNCTIONS = """
def say(job):
    job.log.info("begun", attempt=job.attempt)
    job.sleep(60)


async def say_async(job):
    import asyncio

    job.log.info("begun", attempt=job.attempt)
    await asyncio.Event().wait()
"""


def test_the_lines_of_a_job_that_runs_are_shown_and_none_is_stored(runtime, importable, recorder, output, lane, capsys):
    from lamplighter.cli.main import main

    module = importable("functions_that_wait", WAITING_FUNCTIONS)
    rt = runtime()
    fn, isolation = (module.say_async, "thread") if lane == "task" else (module.say, lane)
    rt.jobs.add_handler("say", fn, isolation=isolation)
    rt.jobs.queue("say", id="a")

    recorder.until(output, "the first line")

    assert output() == [(1, "info", "begun")]
    assert rt.jobs._submitter.state.get().store.table.logged("a") == []
    main(["jobs", "show", "a", "--store", str(rt.boot.store.path)])
    assert "begun" in capsys.readouterr().out
    rt.jobs.cancel("a")
    recorder.until(lambda: rt.jobs._submitter.state.get().store.table.logged("a"))
    assert output() == [(1, "info", "begun")]


def test_lines_of_a_hung_attempt_are_not_those_of_the_claim_that_waits_for_it(runtime, recorder, output):
    rt = runtime()
    goes = threading.Event()

    def work(job):
        job.log.info(f"of claim {job.record.claim_no}")
        goes.wait(JOIN_SECONDS_MAX)

    rt.jobs.add_handler("work", work, timeout=0.1, max_attempts=2, backoff=0)
    rt.jobs.queue("work", id="a")
    recorder.until(lambda: rt.jobs.get("a").record.claim_no == 2)

    assert output() == [(1, "info", "of claim 1")]
    goes.set()


def test_a_line_with_its_level_as_a_number_is_kept(runtime, output):
    rt = runtime()

    def work(job):
        for level in (logging.DEBUG, logging.INFO, logging.ERROR):
            job.log.log(level, "level %s", level)
        job.log.info(event="by name")

    rt.jobs.add_handler("work", work)
    rt.jobs.join(rt.jobs.queue("work", id="a"), timeout=JOIN_SECONDS_MAX)

    assert output() == [(1, "info", "level 20"), (1, "error", "level 40"), (1, "info", "by name")]


def test_a_logger_that_raises_raises_in_the_handler_as_before(runtime):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.log.no_such_level("x"), max_attempts=1)

    with suppress(JobFailed):
        rt.jobs.join(rt.jobs.queue("work", id="a"), timeout=JOIN_SECONDS_MAX)

    assert "no_such_level" in rt.jobs.get("a").error


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda log: pickle.loads(pickle.dumps(log))])
def test_a_copy_of_the_logger_is_the_application_s_alone(runtime, output, copied):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: copied(job.log).warning("of the copy"), max_attempts=1)

    rt.jobs.join(rt.jobs.queue("work", id="a"), timeout=JOIN_SECONDS_MAX)

    assert output() == []


def test_a_call_site_is_the_handler_s_where_lamplighter_is_passed_over(runtime):
    sites, adder = [], structlog.processors.CallsiteParameterAdder(additional_ignores=["lamplighter"])
    structlog.configure([adder, lambda logger, method, said: sites.append(said["func_name"]) or "line"])
    rt = runtime()

    def work(job):
        job.log.warning("here")

    rt.jobs.add_handler("work", work)
    rt.jobs.join(rt.jobs.queue("work", id="a"), timeout=JOIN_SECONDS_MAX)

    assert "work" in sites


def test_jobs_show_has_the_lines_of_a_job(runtime, importable, capsys, tmp_path):
    from lamplighter.cli.main import main

    module = importable("functions_of_output", FUNCTIONS)
    rt = runtime()
    rt.jobs.add_handler("say", module.say)
    rt.jobs.join(rt.jobs.queue("say", id="a"), timeout=JOIN_SECONDS_MAX)

    main(["jobs", "show", "a", "--store", str(tmp_path / "jobs.db")])

    assert "read 1 of 2 size=5" in capsys.readouterr().out
