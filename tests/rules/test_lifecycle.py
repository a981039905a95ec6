"""What becomes of a job: `judge` and the back-off, as pure rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lamplighter import Backoff, JobState
from lamplighter.log.events import EVENTS
from lamplighter.messages.jobs import JobRecord
from lamplighter.messages.outcomes import Outcome, OutcomeKind, Policy
from lamplighter.rules.lifecycle import (
    INTERRUPTION_WINDOW_SECONDS,
    MOVES,
    SUSPECT_INTERRUPTIONS,
    backoff_seconds,
    is_suspect,
    judge,
)

NOW = 1_000_000.0
ENDINGS = [kind for kind in OutcomeKind if kind is not OutcomeKind.DEFERRED]


def running(**changes) -> JobRecord:
    """A job in its first claim."""
    fields = {
        "row_id": 1,
        "id": "j",
        "name": "work",
        "data": "null",
        "state": "running",
        "priority": 0,
        "run_at": NOW - 5,
        "queued_at": NOW - 5,
        "root_id": "j",
        "attempt": 0,
        "claim_no": 1,
        "settled_no": 0,
        "max_attempts": None,
        "timeout": None,
        "expires_at": None,
        "unique_key": None,
        "schedule": None,
        "slot": None,
        "one_at_a_time": 0,
        "boot": "b",
        "incarnation": 1,
        "counts_attempt": 1,
        "deferred": 0,
        "claimed_at": NOW - 1,
        "interruptions": 0,
        "interruptions_max": 3,
        "suspect_until": None,
        "must_begin": 0,
        "result": None,
        "reason": None,
        "error": None,
        "traceback": None,
        "progress": None,
        "ended_at": None,
        "move_no": 2,
    }
    return JobRecord(**{**fields, **changes})


def verdict(job, kind, policy=Policy(), earlier=0, chance=0.0, **outcome):  # noqa: B008 (frozen)
    return judge(job, Outcome(kind=kind, **outcome), policy, NOW, earlier_interruptions=earlier, chance=chance)


@pytest.mark.parametrize(
    ("kind", "state", "attempt"),
    [
        (OutcomeKind.SUCCEEDED, "done", 1),
        (OutcomeKind.FAILED, "queued", 1),
        (OutcomeKind.TIMED_OUT, "queued", 1),
        (OutcomeKind.DISCARDED, "dead", 1),
        (OutcomeKind.CANCELLED, "cancelled", 0),
        (OutcomeKind.SNOOZED, "queued", 0),
        (OutcomeKind.INTERRUPTED, "queued", 0),
    ],
)
def test_each_ending_has_its_state_and_only_what_the_job_did_uses_an_attempt(kind, state, attempt):
    found = verdict(running(), kind)

    assert (found.state, found.attempt) == (state, attempt)


def test_a_deferred_claim_has_not_ended():
    with pytest.raises(ValueError, match="has not ended"):
        verdict(running(), OutcomeKind.DEFERRED)


def test_the_last_failure_is_fatal_and_the_jobs_own_limit_wins():
    assert verdict(running(attempt=2), OutcomeKind.FAILED, Policy(max_attempts=3)).state == "dead"
    assert verdict(running(attempt=1), OutcomeKind.FAILED, Policy(max_attempts=3)).state == "queued"
    assert verdict(running(attempt=1, max_attempts=2), OutcomeKind.FAILED, Policy(max_attempts=9)).state == "dead"


def test_a_snooze_is_due_after_its_seconds_and_keeps_what_is_held_against_the_job():
    found = verdict(running(interruptions=2), OutcomeKind.SNOOZED, seconds=30.0)

    assert (found.run_at, found.interruptions) == (NOW + 30, 2)


@pytest.mark.parametrize(
    ("before", "seconds", "waits"), [("", 0.0, 0.0), ("snoozed for 5 s", 0.0, 0.1), ("snoozed for 5 s", 9.0, 9.0)]
)
def test_a_job_that_snoozes_again_waits_for_a_moment_at_least(before, seconds, waits):
    found = verdict(running(reason=before or None), OutcomeKind.SNOOZED, seconds=seconds)

    assert (found.run_at, found.reason) == (NOW + waits, f"snoozed for {waits:g} s")
    assert verdict(running(), OutcomeKind.SNOOZED, seconds=seconds, reason="busy").reason == "busy"


@pytest.mark.parametrize("kind", [OutcomeKind.SUCCEEDED, OutcomeKind.DISCARDED, OutcomeKind.CANCELLED])
def test_an_end_keeps_its_reason(kind):
    assert verdict(running(), kind, reason="because").reason == "because"


def test_an_error_that_is_not_tried_again_is_named():
    policy = Policy(max_attempts=9, discard_on=frozenset({"LookupError"}))

    found = verdict(running(), OutcomeKind.FAILED, policy, error_classes=("KeyError", "LookupError"))

    assert (found.state, found.attempt) == ("dead", 1)
    assert found.reason == "failed in attempt 1 of 9, and KeyError is not tried again"


def test_a_failure_waits_as_it_asks_or_as_the_back_off_says():
    policy = Policy(max_attempts=9, backoff=(3.0, 7.0))

    assert verdict(running(), OutcomeKind.FAILED, policy).run_at == NOW + 3
    assert verdict(running(attempt=1), OutcomeKind.TIMED_OUT, policy).run_at == NOW + 7
    assert verdict(running(), OutcomeKind.FAILED, policy, wait=0.0).run_at == NOW


def test_only_a_blamed_interruption_makes_a_job_poison():
    policy = Policy(interruptions_max=2)
    blamed, other = (
        verdict(running(), OutcomeKind.INTERRUPTED, policy, earlier=2, blamed=one) for one in (True, False)
    )

    assert (blamed.state, blamed.interruptions, blamed.attempt) == ("dead", 3, 0)
    assert (other.state, other.interruptions, other.suspect_until) == ("queued", 2, None)


def test_a_suspect_is_one_before_its_time_is_up_and_no_longer():
    assert is_suspect(running(suspect_until=NOW + 0.1), NOW)
    assert not is_suspect(running(suspect_until=NOW), NOW)
    assert not is_suspect(running(), NOW)


def test_an_interrupted_job_is_due_at_once_but_never_earlier_than_it_was():
    assert verdict(running(), OutcomeKind.INTERRUPTED).run_at == NOW - 5
    assert verdict(running(run_at=NOW + 60), OutcomeKind.INTERRUPTED).run_at == NOW


def test_unblamed_interruptions_are_never_poison():
    found = verdict(running(), OutcomeKind.INTERRUPTED, Policy(interruptions_max=1), earlier=0, reason="stopped")

    assert (found.state, found.interruptions) == ("queued", 0)


def test_an_interrupted_prefetched_claim_is_unblamed_and_the_next_claim_is_begun():
    found = verdict(running(counts_attempt=0), OutcomeKind.INTERRUPTED, Policy(interruptions_max=1), blamed=True)

    assert (found.state, found.interruptions, found.must_begin) == ("queued", 0, True)


def test_blamed_interruptions_make_a_suspect_and_then_a_dead_job():
    first = verdict(running(), OutcomeKind.INTERRUPTED, earlier=0, blamed=True)
    second = verdict(running(), OutcomeKind.INTERRUPTED, earlier=SUSPECT_INTERRUPTIONS - 1, blamed=True)
    third = verdict(running(), OutcomeKind.INTERRUPTED, earlier=2, blamed=True, reason="killed by SIGSEGV")

    assert (first.state, first.suspect_until, first.must_begin) == ("queued", None, True)
    assert (second.state, second.suspect_until) == ("queued", NOW + INTERRUPTION_WINDOW_SECONDS)
    assert third.state == "dead"
    assert third.reason == "poison: interrupted 3 times within 72 h; last: killed by SIGSEGV"


@pytest.mark.parametrize(
    ("kind", "blamed"),
    [
        (OutcomeKind.FAILED, False),
        (OutcomeKind.TIMED_OUT, False),
        (OutcomeKind.SNOOZED, False),
        (OutcomeKind.INTERRUPTED, False),
        (OutcomeKind.INTERRUPTED, True),
    ],
)
def test_a_suspect_is_one_until_its_time_is_up_however_its_next_run_ends(kind, blamed):
    policy = Policy(max_attempts=9, interruptions_max=9)
    suspect = running(interruptions=2, suspect_until=NOW + 60, must_begin=1)

    found = verdict(suspect, kind, policy, earlier=2, blamed=blamed)

    until = NOW + (INTERRUPTION_WINDOW_SECONDS if blamed else 60)
    assert (found.state, found.suspect_until, found.must_begin) == ("queued", until, True)
    assert found.interruptions == 2 + blamed


@given(
    kind=st.sampled_from(ENDINGS),
    attempt=st.integers(0, 30),
    attempts_max=st.integers(1, 30),
    earlier=st.integers(0, 5),
    counts_attempt=st.integers(0, 1),
    blamed=st.booleans(),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_every_verdict_is_a_legal_move_that_its_event_tells(
    kind, attempt, attempts_max, earlier, counts_attempt, blamed, chance
):
    job = running(attempt=attempt, counts_attempt=counts_attempt)

    found = verdict(job, kind, Policy(max_attempts=attempts_max), earlier, chance, blamed=blamed)

    before, after = MOVES[found.event]
    assert "running" in before
    assert after is found.state
    assert (found.run_at is not None) == (found.state is JobState.QUEUED)
    assert attempt <= found.attempt <= attempt + 1


@given(
    first=st.floats(0, 100),
    factor=st.floats(1, 10),
    most=st.floats(0, 10_000),
    jitter=st.floats(0, 1),
    attempt=st.integers(1, 10**6),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_a_backoff_is_never_negative_and_never_above_its_maximum(first, factor, most, jitter, attempt, chance):
    backoff = Backoff(first=first, factor=factor, max=most, jitter=jitter)

    assert 0 <= backoff_seconds(backoff, attempt, chance) <= most


@given(attempt=st.integers(1, 100))
def test_without_jitter_a_backoff_never_shrinks(attempt):
    backoff = Backoff(jitter=0)

    assert backoff_seconds(backoff, attempt, 0.5) <= backoff_seconds(backoff, attempt + 1, 0.5)


@given(waits=st.lists(st.floats(0, 1e6), min_size=1, max_size=10), attempt=st.integers(1, 50))
def test_of_a_list_of_waits_the_last_repeats(waits, attempt):
    assert backoff_seconds(waits, attempt, 0.9) == waits[min(attempt, len(waits)) - 1]


def test_jitter_takes_off_at_most_its_share():
    backoff = Backoff(first=100, jitter=0.1)

    assert backoff_seconds(backoff, 1, 0.0) == 100
    assert backoff_seconds(backoff, 1, 1.0) == pytest.approx(90)


def test_every_move_has_an_event_and_no_ended_job_moves_but_by_requeue():
    assert MOVES.keys() <= EVENTS.keys()
    for name, (before, _) in MOVES.items():
        if before & {"done", "dead", "cancelled"}:
            assert name == "job.requeued"
