"""`testing.job`: a job for the unit test of one handler."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta

import pytest
from lamplighter import NO_SIGNAL, Discard, JobSpec, Snooze, UsageError, testing
from lamplighter.messages.outcomes import Policy


@dataclasses.dataclass
class Order:
    items: list[int]


def test_a_handler_gets_its_data_attempt_and_options():
    job = testing.job(Order([1, 2]), name="price", attempt=3, group="customer-7", policy=Policy(max_attempts=3))

    assert (job.data, job.name, job.attempt, job.group) == (Order([1, 2]), "price", 3, "customer-7")
    assert (job.state, job.max_attempts, job.cancelled, job.stopping) == ("running", 3, False, False)
    assert not job.is_tried_again(OSError()) and job.is_tried_again(Snooze(1))
    assert testing.job(max_attempts=2).max_attempts == 2
    assert job.token


def test_what_a_handler_asks_for_is_remembered_in_order():
    def work(job):
        job.progress(1, 2)
        job.queue("mail", {"to": "a"}, delay=60)
        job.queue_many([("mail", {"to": "b"}), JobSpec("mail", {"to": "c"}, priority=5)])
        job.then(("bill", None))
        job.log.info("worked")
        return job.sleep(30), [parent.data for parent in job.parents()]

    job = testing.job(parents=[testing.job("of a parent")])

    assert work(job) == (True, ["of a parent"])
    assert [(new.name, new.data["to"], new.priority) for new in job.asked.queued] == [
        ("mail", "a", 0),
        ("mail", "b", 0),
        ("mail", "c", 5),
    ]
    assert job.asked.queued[0].run_at - job.asked.queued[0].queued_at == timedelta(minutes=1)
    assert len({job.id, *(new.id for new in job.asked.queued)}) == 4
    assert [(new.name, new.data) for new in job.asked.followers] == [("bill", None)]
    assert job.asked.reports == [{"done": 1, "total": 2, "note": None}]
    assert job.asked.slept == [30.0]


def test_a_second_call_goes_on_after_the_steps_of_the_first():
    def work(job):
        called = job.step("charge", charge)
        job.snooze("cool down", timedelta(days=1))
        return called

    job, charged = testing.job(), []

    def charge() -> int:
        charged.append(1)
        return len(charged)

    with pytest.raises(Snooze) as waits:
        work(job)
    assert waits.value.seconds == 86_400

    job.asked.wall += 86_400
    assert (work(job), charged) == (1, [1])


def test_a_handler_may_be_told_to_end():
    job = testing.job()
    job.asked.reason = "timed out"

    assert (job.cancelled, job.cancel_reason, job.sleep(5)) == (True, "timed out", False)


def test_a_coroutine_handler_has_the_same():
    async def work(job):
        await job.aqueue("mail", None)
        return await job.astep("charge", charge)

    async def charge():
        return 7

    job = testing.job()

    assert asyncio.run(work(job)) == 7
    assert [new.name for new in job.asked.queued] == ["mail"]


@pytest.mark.parametrize(
    "options", [{"data": object()}, {"attempt": 0}, {"name": ""}, {"priority": "high"}, {"no_such": 1}]
)
def test_a_job_that_could_not_be_queued_is_refused(options):
    with pytest.raises(UsageError, match=r"expected|unknown"):
        testing.job(**options)


def test_what_a_handler_asks_for_is_checked_as_in_a_runtime():
    job = testing.job()

    with pytest.raises(UsageError, match="expected name"):
        job.queue("")
    with pytest.raises(UsageError, match="then outside of the functions of steps"):
        job.step("s", job.then, ("bill", None))
    assert (job.asked.queued, job.asked.followers) == ([], [])
    with pytest.raises(Discard):
        job.step("s", _discards)


def _discards() -> None:
    raise Discard("no")


def test_a_job_gets_the_signals_that_the_test_has_for_it():
    def work(job):
        decision = job.wait("approval", timeout=60)
        return "none" if decision is NO_SIGNAL else decision

    told, late = testing.job(), testing.job()
    told.asked.signals["approval"] = {"approved": True}

    assert work(told) == {"approved": True}
    with pytest.raises(Snooze):
        work(late)
    late.asked.wall += 61
    assert work(late) == "none"

    unanswered = testing.job()
    unanswered.asked.signals["approval"] = NO_SIGNAL
    assert work(unanswered) == "none"
