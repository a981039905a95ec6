"""Results: what cannot be kept is refused when the handler is added, and afterwards it costs nobody the work."""

from __future__ import annotations

import collections.abc
import datetime
import pathlib
import typing
import uuid
from dataclasses import dataclass

import pytest
from lamplighter import ResultLost, UsageError
from lamplighter.handlers.payload import result_type

UNKEPT = {"nan": float("nan"), "object": object(), "iterator": iter("x"), "deep": {"a": [1j]}}


class Plain:
    pass


class Number(int):
    pass


@dataclass
class Sized:
    width: int


@dataclass
class Taken:
    at: datetime.datetime


@dataclass
class Holds:
    what: Plain


def returning(returned):
    def handle(job):
        return None

    handle.__annotations__ = {"return": returned}
    return handle


@pytest.mark.parametrize(
    "returned", [Plain, list[Plain], Plain | None, int | list[Plain], Holds, collections.abc.Iterator[int]]
)
def test_a_handler_is_refused_whose_annotation_returns_what_nobody_can_keep(runtime, returned):
    rt = runtime(start=False)

    with pytest.raises(UsageError, match=r"expected a JSON-serializable result .* the handler for work returns"):
        rt.jobs.add_handler("work", returning(returned))

    rt.jobs.add_handler("work", returning(returned), auto_done=False)


@pytest.mark.parametrize(
    "returned",
    [
        None,
        int,
        object,
        typing.Any,
        Number,
        Sized,
        Sized | Taken,
        list[Sized | Taken],
        datetime.datetime | datetime.date,
        pathlib.Path | None,
        dict[uuid.UUID, pathlib.Path],
        collections.abc.Iterable[int],
        collections.abc.Mapping[str, Sized],
        typing.NoReturn,
        typing.TypedDict("T", {"n": int}),
        "Unresolvable",
    ],
    ids=str,
)
def test_a_handler_is_taken_whose_results_may_be_kept(returned):
    result_type(returning(returned), "the handler for work")


@pytest.mark.parametrize("result", UNKEPT.values(), ids=UNKEPT)
def test_a_job_whose_result_cannot_be_kept_is_done_and_says_so(runtime, recorder, result):
    rt, calls = runtime(), []
    rt.jobs.add_handler("work", lambda job: calls.append(job.id) or result)
    job = rt.jobs.queue("work")

    done = rt.jobs.join(job, timeout=10)

    assert (done.state, done.attempt, calls) == ("done", 1, [job.id])
    assert done.reason.startswith("its result is lost: expected a JSON-serializable value at result")
    with pytest.raises(ResultLost, match=f"job {job.id} .* is done, but its result is lost"):
        _ = rt.jobs.get(job).result
    lost = recorder.wait_for("job.result_lost")
    assert (lost["job_id"], lost["reason"], lost["level"]) == (job.id, done.reason, "warning")


def test_a_result_that_is_too_large_is_lost_and_its_work_is_not(runtime):
    rt = runtime(result_bytes_max=100)
    rt.jobs.add_handler("work", lambda job: "x" * 200)

    done = rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    assert done.state == "done"
    with pytest.raises(ResultLost, match="result of at most 100 bytes"):
        _ = done.result


def test_a_job_that_lost_its_result_and_is_requeued_can_give_one(runtime):
    rt, results = runtime(), [object(), "kept"]
    rt.jobs.add_handler("work", lambda job: results.pop(0))
    job = rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    rt.jobs.requeue(job)

    assert rt.jobs.join(job, timeout=10).result == "kept"
    assert rt.jobs.get(job).reason is None
