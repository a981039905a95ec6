"""What follows a job, from the end that its HandlerActor keeps to the turn that stores it."""

from __future__ import annotations

from lamplighter import UsageError
from lamplighter.broker.claims import failed_instead
from lamplighter.broker.follow_ups import store_follow_ups
from lamplighter.messages.jobs import Claim, JobRecord, NewJob
from lamplighter.messages.mail import Ended, Ending, Mail
from lamplighter.messages.outcomes import Outcome, OutcomeKind, Policy
from lamplighter.stores.transitions import born

PART = NewJob("", "part", "1", 0, 5.0, 5.0, "")
WHOLE = born(NewJob("a", "whole", "null", 0, 0.0, 0.0, "root"), 7)._replace(state="running", move_no=2, claim_no=1)


def mail_of(outcome: Outcome) -> Mail:
    return Mail(1, None, None, 0.0, Ended("whole", (Ending(Claim(WHOLE), outcome, Policy()),)))


def outcome_of(mail: Mail | None) -> Outcome:
    assert mail is not None
    outcome: Outcome = mail.body.endings[0].outcome
    return outcome


def test_what_follows_stays_where_the_result_is_more_than_the_store_takes():
    done = Outcome(OutcomeKind.SUCCEEDED, "7", then=(PART,))

    instead = outcome_of(failed_instead(mail_of(done), UsageError("too large")))

    assert (instead.kind, instead.result, instead.then) == (OutcomeKind.SUCCEEDED, None, (PART,))


def test_an_attempt_fails_if_the_store_does_not_take_what_follows():
    done = Outcome(OutcomeKind.SUCCEEDED, "7", then=(PART,))

    first = failed_instead(mail_of(done), UsageError("too large"))
    assert first is not None
    instead = outcome_of(failed_instead(first, UsageError("expected data of at most 10 bytes")))

    assert (instead.kind, instead.then) == (OutcomeKind.FAILED, ())
    assert "expected data of at most 10 bytes" in (instead.error or "")


def test_an_end_that_is_settled_again_gives_what_follows_the_same_ids():
    """On a server the first try may have been published although its turn failed, and then the same end is settled."""
    queued: dict[str, NewJob] = {}

    def insert(jobs: list[NewJob]) -> list[tuple[JobRecord, bool]]:
        stored = []
        for job in jobs:
            stored.append((born(job, 0), job.id not in queued))
            queued.setdefault(job.id, job)
        return stored

    for now in (9.0, 10.0):
        asked, _ = store_follow_ups(insert, WHOLE, (PART, PART), now, has_table=False)

    assert [job.id for job in asked] == ["a.1.1", "a.1.2"] == [*queued]
    assert {job.root_id for job in asked} == {"root"}


def test_what_follows_gets_another_id_where_an_earlier_job_of_the_same_id_had_it():
    known = {"a.1.2": born(PART._replace(id="a.1.2"), 0), "own": born(PART._replace(id="own"), 0)}

    def insert(jobs: list[NewJob]) -> list[tuple[JobRecord, bool]]:
        return [(known[job.id], False) if job.id in known else (born(job, 0), True) for job in jobs]

    asked, stored = store_follow_ups(insert, WHOLE, (PART, PART, PART._replace(id="own")), 9.0, has_table=True)

    ids = [job.id for job in asked]
    assert ids == ["a.1.1", ids[1], "own"]
    assert ids[1].startswith("a.1.2~")
    assert [(record.id, fresh) for record, fresh in stored] == [("a.1.1", True), (ids[1], True), ("own", False)]
