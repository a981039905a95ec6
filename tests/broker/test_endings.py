"""Endings that a turn could not store, and ends that are said twice: what becomes of each, as pure rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from lamplighter import UsageError
from lamplighter.broker.claims import UNSTORABLE, failed_instead, one_by_one
from lamplighter.broker.follow_ups import is_said_again
from lamplighter.messages.jobs import Claim, JobRecord, NewJob
from lamplighter.messages.mail import Ended, Ending, Housekeep, Mail
from lamplighter.messages.outcomes import Outcome, OutcomeKind, Policy
from lamplighter.rules.new_jobs import follow_ups
from lamplighter.stores.transitions import born

from support.conformance.kit import NOW, new

TOO_LARGE = UsageError("expected a result of at most 9 bytes")


def mail(body: Any) -> Mail:
    return Mail(message_id=7, cause=3, root_id="r", sent_at=NOW, body=body)


def ended(*outcomes: Outcome) -> Mail:
    endings = (Ending(Claim(born(new(f"j{number}"), number)), one, Policy()) for number, one in enumerate(outcomes))
    return mail(Ended("work", tuple(endings)))


def succeeded(**changes: Any) -> Outcome:
    return Outcome(kind=OutcomeKind.SUCCEEDED, **{"result": "1", **changes})


def test_endings_that_came_together_are_tried_again_one_by_one():
    together, other = ended(succeeded(), succeeded(), succeeded()), mail(Housekeep())

    alone = [*one_by_one(together)]

    assert [one.body.endings for one in alone] == [(ending,) for ending in together.body.endings]
    assert {(one.message_id, one.cause, one.root_id, one.body.name) for one in alone} == {(7, 3, "r", "work")}
    assert [*one_by_one(other)] == [other]


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (succeeded(), ValueError("x" * 900)),
        (succeeded(result=None), TOO_LARGE),
        (Outcome(kind=OutcomeKind.SNOOZED, result="1"), TOO_LARGE),
    ],
)
def test_an_ending_that_cannot_be_stored_is_a_failure(outcome, error):
    instead = failed_instead(ended(outcome), error)

    assert instead is not None
    (ending,) = instead.body.endings
    assert (ending.outcome.kind, ending.outcome.reason) == (OutcomeKind.FAILED, UNSTORABLE)
    assert ending.outcome.error is not None
    assert ending.outcome.error == f"{UNSTORABLE}: {error!r}"[:500]
    assert failed_instead(instead, error) is None


def test_a_result_that_is_too_large_is_lost_and_its_job_is_done_with_what_follows():
    then = (new("next"),)

    instead = failed_instead(ended(succeeded(then=then)), TOO_LARGE)

    assert instead is not None
    outcome = instead.body.endings[0].outcome
    assert (outcome.kind, outcome.result, outcome.then) == (OutcomeKind.SUCCEEDED, None, then)
    assert outcome.reason == f"its result is lost: {TOO_LARGE}"


def test_nothing_takes_the_place_of_another_message():
    assert failed_instead(mail(Housekeep()), ValueError()) is None


DONE = born(new("p"), 5)._replace(state="done", result="1", move_no=3, claim_no=1, ended_at=NOW)
THEN = (new("", name="a", data="1"), new("own", name="b", data="2"))


def again(result: str | None = "1", then: tuple[NewJob, ...] = THEN, **stored: Any) -> bool:
    """Whether this end equals one that has stored two jobs, of which the first is changed so."""
    before = DONE._replace(move_no=DONE.move_no - 1)
    first, own = (born(job, number) for number, job in enumerate(follow_ups(before, THEN, NOW)))
    rows: Mapping[str, JobRecord] = {one.id: one for one in (first._replace(**stored), own)}
    return is_said_again(
        lambda ids: {one: rows[one] for one in ids if one in rows}, lambda job: rows.get(job.id), DONE, result, then
    )


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({}, True),
        ({"result": "2"}, False),
        ({"result": None}, False),
        ({"then": (*THEN, new("", name="c"))}, False),
        ({"then": ()}, False),
        ({"then": (THEN[0]._replace(data="7"), THEN[1])}, False),
        ({"then": (THEN[0]._replace(name="z"), THEN[1])}, False),
        ({"then": (THEN[0], THEN[1]._replace(data="7"))}, True),
        ({"then": (THEN[0], new("another"))}, False),
        ({"id": "p.1.1~5"}, True),
        ({"id": "p.1.1~6"}, False),
    ],
)
def test_a_second_end_equals_the_first_if_its_result_and_its_follow_ups_do(changes, is_same):
    assert again(**changes) is is_same
