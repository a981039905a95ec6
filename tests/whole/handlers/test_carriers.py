"""Carriers: what goes along with a job, and what is put around its run."""

from __future__ import annotations

import contextlib

import pytest
from lamplighter import Carrier, ChildEnded, JobFailed

CHILD = """
import contextlib, os

entered = []


@contextlib.contextmanager
def noted(job):
    entered.append(job.carried["place"])
    yield
    entered.append("left")


def refuse(job):
    raise OSError("no such tenant")


def look(job):
    seen, entered[:] = list(entered), []
    return [seen, job.carried]


def fail(job):
    raise KeyError("nobody")


def die(job):
    os._exit(7)
"""


class Outside(Carrier):
    """Notes what it is told of attempts in child processes, and sends something along."""

    in_child = "functions_in_children:noted"

    def __init__(self):
        self.ended = []

    def inject(self):
        return {"place": "queued", "kept": "yes"}

    @contextlib.contextmanager
    def around_child(self, job):
        try:
            yield {"place": f"attempt {job.attempt}"}
        except ChildEnded as ended:
            self.ended.append((ended.outcome.kind.value, str(ended)))
            raise
        self.ended.append("succeeded")


@pytest.fixture
def outside(runtime, importable):
    """A carrier, and what runs one of the functions above in a child."""
    functions, carrier = importable("functions_in_children", CHILD), Outside()
    rt = runtime(carriers=[carrier])

    def run(function):
        handler = rt.jobs.add_handler(function, getattr(functions, function), isolation="process", max_attempts=1)
        try:
            return rt.jobs.join(rt.jobs.queue(function), timeout=30)
        finally:
            rt.jobs.remove_handler(handler)

    return carrier, run


def test_a_child_process_gets_what_a_carrier_gives_and_puts_around_what_it_says(outside):
    carrier, run = outside

    job = run("look")

    assert job.result == [["attempt 1"], {"place": "attempt 1", "kept": "yes"}]
    assert (job.carried, carrier.ended) == ({"place": "queued", "kept": "yes"}, ["succeeded"])


def test_a_carrier_is_told_how_an_attempt_in_a_child_process_has_ended(outside):
    carrier, run = outside

    for function in ("fail", "die"):
        with contextlib.suppress(JobFailed, TimeoutError):
            run(function)

    assert carrier.ended[0] == ("failed", "KeyError: 'nobody'")
    assert carrier.ended[1] == ("interrupted", "its process exited with code 7")


@pytest.mark.parametrize("broken", ["in the child", "outside", "no dict"])
def test_a_carrier_that_raises_around_a_child_process_fails_the_attempt(outside, monkeypatch, broken):
    carrier, run = outside
    match broken:
        case "in the child":
            carrier.in_child = "functions_in_children:refuse"
        case "outside":
            monkeypatch.setattr(carrier, "around_child", lambda job: 1 / 0)
        case "no dict":
            monkeypatch.setattr(carrier, "around_child", lambda job: contextlib.nullcontext({"place": 7}))
    errors = {
        "in the child": "OSError: no such tenant",
        "outside": "ZeroDivisionError: division by zero",
        "no dict": "lamplighter.errors.UsageError: expected around_child to give a dict of str to str",
    }

    with pytest.raises(JobFailed) as failed:
        run("look")

    assert failed.value.job.error.startswith(errors[broken])
