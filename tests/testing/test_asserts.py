"""`assert_queued` and `assert_not_queued`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from lamplighter import Runtime, UsageError
from lamplighter.testing import Inline, Script, Simulation, assert_not_queued, assert_queued, asserts, fail, ok, snooze
from lamplighter.testing.scripted_handlers import ScriptedCall


def nothing(runtime: Runtime) -> None:
    """A host without handlers."""


@pytest.fixture
def app() -> Iterator[Inline]:
    with Inline(nothing) as one:
        one.jobs.queue("mail", {"to": "ada", "parts": {"head": 1, "body": 2}}, unique="ada-1", delay=60, priority=2)
        one.jobs.queue("mail", {"to": "eve"})
        one.jobs.queue("price", [1, 2])
        yield one


def test_the_job_that_was_queued_last_is_returned(app: Inline) -> None:
    assert assert_queued(app, "mail").data == {"to": "eve"}


def test_a_dict_is_a_part_of_what_was_queued_and_so_are_dicts_in_it(app: Inline) -> None:
    job = assert_queued(app, "mail", {"parts": {"body": 2}})

    assert job.data["to"] == "ada"
    assert_not_queued(app, "mail", {"parts": {"body": 3}})
    assert_not_queued(app, "mail", {"parts": {"tail": None}})


def test_a_predicate_sees_the_data(app: Inline) -> None:
    assert assert_queued(app, "mail", lambda data: data["to"].startswith("a")).unique == "ada-1"
    assert_queued(app, "mail", {"to": lambda to: len(to) == 3})


def test_other_data_is_compared_as_json_would_carry_it(app: Inline) -> None:
    assert_queued(app, "price", [1, 2])
    assert_queued(app, "price", (1, 2))
    assert_not_queued(app, "price", [1])


def test_count_is_exact_and_gives_all_of_them_in_the_order_of_the_queue(app: Inline) -> None:
    assert [job.data["to"] for job in assert_queued(app, "mail", count=2)] == ["ada", "eve"]
    assert assert_queued(app, "mail", {"to": "bob"}, count=0) == []
    with pytest.raises(AssertionError, match="expected 1 of the jobs mail"):
        assert_queued(app, "mail", count=1)


def test_nothing_is_said_of_jobs_that_retention_may_have_removed() -> None:
    with Inline(lambda runtime: runtime.jobs.add_handler("mail", lambda job: None)) as app:
        app.jobs.queue("mail", "ada")
        app.advance(days=4)

        with pytest.raises(UsageError, match="retention has removed ended ones"):
            assert_not_queued(app, "mail")
        with pytest.raises(UsageError, match="retention has removed ended ones"):
            assert_queued(app, "mail", count=1)


def test_jobs_beyond_a_page_of_the_list_are_found(app: Inline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asserts, "LIST_JOBS_MAX", 2)
    app.jobs.queue_many([("mail", number) for number in range(4)])

    assert len(assert_queued(app, "mail", count=6)) == 6
    with pytest.raises(AssertionError):
        assert_not_queued(app, "mail", {"to": "ada"})


def test_fields_are_those_of_the_call_and_of_the_job(app: Inline) -> None:
    job = assert_queued(app, "mail", unique="ada-1", priority=2, delay=timedelta(minutes=1), state="queued")

    assert_queued(app, "mail", at=job.run_at, id=job.id, schedule=None, timeout=None, max_attempts=None)
    assert_queued(app, "mail", priority=lambda priority: priority > 1, run_at=job.run_at)
    assert_not_queued(app, "mail", unique="ada-1", priority=1)


def test_the_error_lists_what_was_queued_instead(app: Inline) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_queued(app, "mail", {"to": "bob"}, priority=5)

    said = str(caught.value)
    assert "expected a job mail, data={'to': 'bob'}, priority=5 to have been queued, got 0 among:" in said
    assert "mail data={'to': 'eve'} state=queued priority=0 unique=None delay=0" in said
    assert "price data=[1, 2]" in said


def test_the_error_says_so_when_nothing_was_queued() -> None:
    with Inline(nothing) as app, pytest.raises(AssertionError, match="nothing: no job was queued"):
        assert_queued(app, "mail")


def test_what_should_not_have_been_queued_is_listed(app: Inline) -> None:
    with pytest.raises(AssertionError, match="expected no job price to have been queued, got 1 among"):
        assert_not_queued(app, "price")


def test_a_job_that_has_ended_was_queued_and_does_not_wait() -> None:
    with Inline(lambda runtime: runtime.jobs.add_handler("mail", lambda job: 7)) as app:
        app.jobs.queue("mail")

        assert assert_queued(app, "mail", result=7).state == "done"
        assert_not_queued(app, "mail", state="queued")


def test_the_delay_of_a_job_at_its_first_attempt_is_the_one_it_was_queued_with() -> None:
    with Inline(lambda runtime: runtime.jobs.add_handler("mail", lambda job: 7)) as app:
        app.jobs.queue("mail", delay=60)
        app.advance(minutes=2)

        assert assert_queued(app, "mail", delay=60).state == "done"


@pytest.mark.parametrize("steps", [[fail("away"), ok()], [snooze(30), ok()]])
def test_a_delay_is_unknown_and_not_taken_for_another_once_the_job_was_put_off_since(steps: list[ScriptedCall]) -> None:
    mail = Script("mail", steps)
    with Inline(lambda runtime: mail.add_to(runtime, backoff=[30])) as app:
        app.jobs.queue("mail")
        for state in ("queued", "done"):
            for delay in (0, 30, timedelta(seconds=30), lambda delay: True):
                assert_not_queued(app, "mail", delay=delay)
            assert assert_queued(app, "mail").state == state
            with pytest.raises(AssertionError, match="delay=unknown"):
                assert_queued(app, "mail", delay=0)
            app.advance(minutes=2)


def test_a_runtime_a_simulation_and_an_inline_can_be_asked() -> None:
    runtime = Runtime(":memory:")
    with runtime:
        runtime.jobs.queue("mail")
        assert_queued(runtime, "mail")
    with Simulation(nothing) as sim:
        sim.runtime.jobs.queue("mail")
        assert_queued(sim, "mail")


def test_a_field_that_no_job_has_is_refused(app: Inline) -> None:
    with pytest.raises(UsageError, match=r"expected fields of a job .* got: uniqe"):
        assert_queued(app, "mail", uniqe="ada-1")
    with pytest.raises(UsageError, match="expected a Runtime"):
        assert_queued(app.jobs, "mail")  # type: ignore[arg-type]
