"""A session that does not answer is given up after half a minute; one that is slow is not."""

from __future__ import annotations

import pytest
from lamplighter.stores.rabbitmq.watchdog import HEARING, LOOKS_MIN, SECONDS_MAX, SILENCE_SECONDS_MAX, Silence
from lamplighter.testing import ManualTime


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


@pytest.fixture
def silence(time: ManualTime) -> Silence:
    return Silence(time.clock().monotonic)


def looked_for(silence: Silence) -> str | None:
    """What is named after as many looks as it takes."""
    return [silence.look() for _ in range(LOOKS_MIN)][-1]


def test_what_is_not_answered_in_time_is_named(silence: Silence, time: ManualTime) -> None:
    silence.asks("to confirm", 1)
    time.advance(SILENCE_SECONDS_MAX)
    silence.asks("to confirm", 1)
    in_time = looked_for(silence)
    time.advance(1.0)

    assert (in_time, looked_for(silence)) == (None, "for 30 s it was asked to confirm, and did not")


def test_whoever_answers_one_after_another_is_slow_and_not_silent(silence: Silence, time: ManualTime) -> None:
    for oldest in range(10):
        silence.asks("to confirm", oldest)
        time.advance(SILENCE_SECONDS_MAX - 1.0)

        assert looked_for(silence) is None


def test_one_answer_says_nothing_of_another_question(silence: Silence, time: ManualTime) -> None:
    silence.asks("to confirm", 1)
    silence.asks("to make ready")
    time.advance(SILENCE_SECONDS_MAX + 1.0)
    silence.answers("to confirm")

    assert looked_for(silence) == "for 30 s it was asked to make ready, and did not"


def test_what_the_leader_may_be_to_blame_for_is_waited_for_until_its_heartbeat_tells(
    silence: Silence, time: ManualTime
) -> None:
    silence.asks(HEARING)
    time.advance(SECONDS_MAX[HEARING])
    in_time = looked_for(silence)
    time.advance(1.0)

    assert (in_time, looked_for(silence)) == (None, f"for 180 s it was asked {HEARING}, and did not")


def test_a_new_session_was_asked_nothing(silence: Silence, time: ManualTime) -> None:
    silence.asks("to confirm", 1)
    time.advance(SILENCE_SECONDS_MAX + 1.0)
    silence.begin()

    assert looked_for(silence) is None


def test_a_process_that_stood_still_itself_looks_again_before_it_calls_the_server_silent(
    silence: Silence, time: ManualTime
) -> None:
    silence.asks("to confirm", 1)
    time.advance(SILENCE_SECONDS_MAX * 10)

    assert silence.look() is None
