"""What a handler raises to end its job on purpose: `Cancel`, because it is not needed any more, and `Discard`, because
trying again would not help. Whatever the function runs on.
"""

from __future__ import annotations

import pytest
from lamplighter import JobFailed

FUNCTIONS = """
from lamplighter import Cancel, Discard


def read(number):
    return int(number)


def end(job):
    match job.data:
        case "not needed":
            raise Cancel("the order was deleted")
        case "not needed, after an error":
            try:
                read("seven")
            except ValueError as error:
                raise Cancel("there is no such order") from error
        case "from an error":
            try:
                read("seven")
            except ValueError as error:
                raise Discard("not a number") from error
        case "while an error is handled":
            try:
                read("seven")
            except ValueError:
                raise Discard("not a number")
        case "from no error":
            try:
                read("seven")
            except ValueError:
                raise Discard("not a number") from None
        case "by itself":
            raise Discard("not a number")


async def end_async(job):
    end(job)
"""


@pytest.fixture(params=["thread", "task", "process"])
def ends(request, runtime, importable):
    """Has a job end as its data says, and gives it as it ended."""
    module = importable("purposeful", FUNCTIONS)
    rt = runtime()
    options = {"isolation": "process"} if request.param == "process" else {}
    rt.jobs.add_handler("work", module.end_async if request.param == "task" else module.end, **options)

    def ended(data):
        with pytest.raises(JobFailed) as caught:
            rt.jobs.join(rt.jobs.queue("work", data, unique="one"), timeout=15)
        return rt, caught.value.job

    return ended


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("not needed", "the order was deleted"),
        ("not needed, after an error", "there is no such order"),
    ],
)
def test_a_job_that_is_not_needed_any_more_ends_quietly(ends, recorder, data, reason):
    rt, job = ends(data)

    assert (job.state, job.reason, job.attempt) == ("cancelled", reason, 0)
    assert (job.error, job.traceback, job.result) == (None, None, None)
    assert job.ended_at is not None
    said = recorder.wait_for("job.cancelled", job_id=job.id)
    assert (said["level"], said["outcome"], said["reason"]) == ("info", "cancelled", reason)
    assert not {"error", "traceback"} & said.keys()
    assert [one["event"] for one in recorder.events if one["level"] in ("warning", "error")] == []
    (attempt,) = rt.jobs.attempts(job)
    assert (attempt.outcome, attempt.error, attempt.traceback) == ("cancelled", reason, None)
    assert not rt.jobs.queue("work", "not needed", unique="one").deduplicated, "its unique key is free"


@pytest.mark.parametrize("data", ["from an error", "while an error is handled"])
def test_what_a_discard_was_raised_over_is_kept_with_its_traceback(ends, recorder, data):
    rt, job = ends(data)

    assert (job.state, job.reason, job.error) == ("dead", "not a number", "Discard: not a number")
    assert "return int(number)" in job.traceback, "where the first error came from"
    assert "ValueError: invalid literal for int() with base 10: 'seven'" in job.traceback
    assert job.traceback.endswith("Discard: not a number\n")
    assert recorder.wait_for("job.dead", job_id=job.id)["traceback"] == job.traceback
    assert rt.jobs.attempts(job)[0].traceback == rt.jobs.get(job).traceback == job.traceback


@pytest.mark.parametrize("data", ["by itself", "from no error"])
def test_a_discard_over_nothing_has_no_traceback(ends, recorder, data):
    _, job = ends(data)

    assert (job.state, job.reason, job.traceback) == ("dead", "not a number", None)
    assert "traceback" not in recorder.wait_for("job.dead", job_id=job.id)
