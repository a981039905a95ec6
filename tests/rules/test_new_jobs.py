"""The checked arguments of a call that queues jobs: the limits, and the refusals of a store without a table."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from lamplighter import Debounce, JobSpec, NotSupported, UsageError
from lamplighter.messages.jobs import NewJob
from lamplighter.rules.codec import Encoded
from lamplighter.rules.limits import Limits
from lamplighter.rules.new_jobs import FollowUps, JobChecks, Storing, queued_now

NOW = 1_800_000_000.0
AT = datetime.fromtimestamp(NOW + 50, UTC)


def checks(*, has_table: bool = True, **limits: int) -> JobChecks:
    numbers = iter(range(1000))
    limited = replace(Limits(), **limits)  # type: ignore[arg-type]
    return JobChecks(now=NOW, new_id=lambda: f"id-{next(numbers)}", root_id=None, limits=limited, has_table=has_table)


def made(**options: Any) -> NewJob:
    return checks().spec(JobSpec(name="work", **options))


@pytest.mark.parametrize(
    "options",
    [
        {"unique": "u"},
        {"group": "g"},
        {"after": "p"},
        {"after_ended": "p"},
        {"debounce": Debounce("k", quiet=1, at_most=2)},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_needs_a_table_is_refused_where_there_is_none(options):
    assert made(**options)
    with pytest.raises(NotSupported):
        checks(has_table=False).spec(JobSpec(name="work", **options))
    plain = JobSpec(name="work", priority=3, max_attempts=2, timeout=5)
    assert checks(has_table=False).spec(plain)._replace(id="") == made(priority=3, max_attempts=2, timeout=5)._replace(
        id=""
    )


@pytest.mark.parametrize(
    ("options", "due", "late"),
    [
        ({}, (NOW, None), (NOW + 100, None)),
        ({"delay": 5}, (NOW + 5, None), (NOW + 105, None)),
        ({"delay": 5, "expires": 9}, (NOW + 5, NOW + 9), (NOW + 105, NOW + 109)),
        ({"at": AT, "expires": 9}, (NOW + 50, NOW + 9), (NOW + 50, NOW + 109)),
        ({"delay": 5, "expires": AT}, (NOW + 5, NOW + 50), (NOW + 105, NOW + 50)),
    ],
)
def test_seconds_count_from_when_the_job_is_queued_and_an_instant_stays(options, due, late):
    job = made(**options)
    then = queued_now(job, NOW + 100)

    assert (job.run_at, job.expires_at, job.queued_at) == (*due, NOW)
    assert (then.run_at, then.expires_at, then.queued_at) == (*late, NOW + 100)


def test_the_last_instant_of_a_debounced_job_counts_from_when_it_is_queued():
    job = made(debounce=Debounce("k", quiet=5, at_most=60))
    then = queued_now(job, NOW + 100)

    assert (job.run_at, job.debounce_until, job.debounce_key) == (NOW + 5, NOW + 60, "k")
    assert (then.run_at, then.debounce_until) == (NOW + 105, NOW + 160)


@pytest.mark.parametrize(
    ("options", "waits"),
    [({"delay": 5}, "delay"), ({"debounce": Debounce("k", quiet=5, at_most=60)}, "debounce.quiet")],
)
def test_a_job_that_would_expire_before_it_is_due_is_refused(options, waits):
    assert made(**options, expires=5.5)
    with pytest.raises(UsageError, match=f"expected expires to be more than {waits}, got: 5 s"):
        made(**options, expires=5)


def test_data_that_a_handler_has_checked_is_not_checked_again():
    call = checks()
    jobs = [
        *call.all([("work", Encoded("1")), JobSpec(name="work", data=Encoded("2")), ("work", 3), JobSpec(name="work")])
    ]

    assert call.unchecked == jobs[2:]
    assert [json.loads(job.data) for job in jobs] == [1, 2, 3, None]


def test_jobs_have_a_root_and_each_is_its_own_without_one():
    of_root = JobChecks(now=NOW, new_id=lambda: "a", root_id="root", limits=Limits(), has_table=True)

    assert [job.root_id for job in of_root.all([("work", 1), JobSpec(name="work")])] == ["root", "root"]
    assert [job.root_id for job in checks().all([("work", 1), JobSpec(name="work", id="own")])] == ["id-0", "own"]


def test_as_many_links_as_the_limits_say_may_be_made():
    call = checks(parents_max=2, links_max=3)

    assert len(call.spec(JobSpec(name="work", after=["a"], after_ended=["b"])).parents) == 2
    with pytest.raises(UsageError, match="expected at most 2 jobs in after, after_ended and after_failed, got: 3"):
        call.spec(JobSpec(name="work", after=["a", "b"], after_ended=["c"]))
    assert call.spec(JobSpec(name="work", after="a"))
    with pytest.raises(UsageError, match="expected at most 3 links"):
        call.spec(JobSpec(name="work", after="a"))


def test_a_refused_call_adds_no_follow_up_and_what_reaches_a_limit_is_taken():
    then = FollowUps(replace(Limits(), then_jobs_max=3, then_bytes_max=4, links_max=1))
    one, two = made(data=1), made(data=22)
    linked = made(data=1, after="p")

    then.add([one])
    for refused, says in (
        ([one] * 3, "at most 3 jobs"),
        ([two, two], "at most 4 bytes"),
        ([linked, linked], "at most 1 links"),
    ):
        with pytest.raises(UsageError, match=says):
            then.add(refused)
        assert len(then.jobs) == 1
    then.add([linked])
    then.add([two])
    assert [job.data for job in then.jobs] == ["1", "1", "22"]


def test_an_error_from_elsewhere_names_the_jobs_that_may_be_stored():
    jobs = tuple(made(id=f"j{number}") for number in range(102))

    def note(count: int, error: BaseException) -> str:
        with pytest.raises(type(error)) as raised, Storing(jobs[:count]):
            raise error
        return "".join(getattr(raised.value, "__notes__", ()))

    assert note(1, KeyboardInterrupt()).endswith("queue it again with id='j0', which stores it once")
    assert note(2, MemoryError()).endswith("'j0', 'j1'")
    assert note(100, MemoryError()).endswith("'j99'")
    assert note(102, MemoryError()).endswith("'j99' and 2 more")
    assert note(2, UsageError("refused")) == ""
