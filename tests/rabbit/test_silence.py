"""A session that does not answer is given up after half a minute; one that is slow is not."""

from __future__ import annotations

import pytest
from lamplighter.rabbit.silence import SILENCE_SECONDS_MAX, Silence
from lamplighter.testing import ManualTime


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


@pytest.fixture
def silence(time: ManualTime) -> Silence:
    return Silence(time.clock().monotonic)


def test_what_is_not_answered_in_time_is_named(silence: Silence, time: ManualTime) -> None:
    silence.asks("to confirm", 1)
    time.advance(SILENCE_SECONDS_MAX)
    silence.asks("to confirm", 1)
    in_time = silence.too_long()
    time.advance(1.0)

    assert (in_time, silence.too_long()) == (None, "to confirm")


def test_whoever_answers_one_after_another_is_slow_and_not_silent(silence: Silence, time: ManualTime) -> None:
    for oldest in range(10):
        silence.asks("to confirm", oldest)
        time.advance(SILENCE_SECONDS_MAX - 1.0)

        assert silence.too_long() is None


def test_one_answer_says_nothing_of_another_question(silence: Silence, time: ManualTime) -> None:
    silence.asks("to confirm", 1)
    silence.asks("to make ready")
    time.advance(SILENCE_SECONDS_MAX + 1.0)
    silence.answers("to confirm")

    assert silence.too_long() == "to make ready"


def test_a_new_session_was_asked_nothing(silence: Silence, time: ManualTime) -> None:
    silence.asks("to confirm", 1)
    time.advance(SILENCE_SECONDS_MAX + 1.0)
    silence.begin()

    assert silence.too_long() is None
