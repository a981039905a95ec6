"""A session that does not answer is given up after half a minute; one that is slow is not."""

from __future__ import annotations

import pytest
from lamplighter.stores.rabbitmq.health_issues import (
    ALARM_SECONDS,
    HEARING,
    LOOKS_MIN,
    SECONDS_MAX,
    SILENCE_SECONDS_MAX,
    ResponseWatchdog,
)
from lamplighter.testing import ManualTime


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


@pytest.fixture
def watchdog(time: ManualTime) -> ResponseWatchdog:
    return ResponseWatchdog(time.clock().monotonic)


def looked_for(watchdog: ResponseWatchdog) -> str | None:
    """What is named after as many looks as it takes."""
    return [watchdog.look() for _ in range(LOOKS_MIN)][-1]


def test_what_is_not_answered_in_time_is_named(watchdog: ResponseWatchdog, time: ManualTime) -> None:
    watchdog.asks("to confirm", 1)
    time.advance(SILENCE_SECONDS_MAX)
    watchdog.asks("to confirm", 1)
    in_time = looked_for(watchdog)
    time.advance(1.0)

    assert (in_time, looked_for(watchdog)) == (None, "for 30 s it was asked to confirm, and did not")


def test_whoever_answers_one_after_another_is_slow_and_not_silent(watchdog: ResponseWatchdog, time: ManualTime) -> None:
    for oldest in range(10):
        watchdog.asks("to confirm", oldest)
        time.advance(SILENCE_SECONDS_MAX - 1.0)

        assert looked_for(watchdog) is None


def test_one_answer_says_nothing_of_another_question(watchdog: ResponseWatchdog, time: ManualTime) -> None:
    watchdog.asks("to confirm", 1)
    watchdog.asks("to make ready")
    time.advance(SILENCE_SECONDS_MAX + 1.0)
    watchdog.answers("to confirm")

    assert looked_for(watchdog) == "for 30 s it was asked to make ready, and did not"


def test_what_the_leader_may_be_to_blame_for_is_waited_for_until_its_heartbeat_tells(
    watchdog: ResponseWatchdog, time: ManualTime
) -> None:
    watchdog.asks(HEARING)
    time.advance(SECONDS_MAX[HEARING])
    in_time = looked_for(watchdog)
    time.advance(1.0)

    assert (in_time, looked_for(watchdog)) == (None, f"for 60 s it was asked {HEARING}, and did not")


def test_a_new_session_was_asked_nothing(watchdog: ResponseWatchdog, time: ManualTime) -> None:
    watchdog.asks("to confirm", 1)
    time.advance(SILENCE_SECONDS_MAX + 1.0)
    watchdog.begin()

    assert looked_for(watchdog) is None


def test_a_process_that_stood_still_looks_again_before_it_calls_the_server_silent(
    watchdog: ResponseWatchdog, time: ManualTime
) -> None:
    watchdog.asks("to confirm", 1)
    time.advance(SILENCE_SECONDS_MAX * 10)

    assert watchdog.look() is None


def until_named(watchdog: ResponseWatchdog, time: ManualTime) -> float:
    """How many seconds an alarm lasts before its end is named as what should have been said."""
    for looks in range(1_000):
        watchdog.in_alarm()
        if watchdog.look() is not None:
            return looks * 10.0
        time.advance(10.0)
    raise AssertionError("expected the end of the alarm to be named")


def test_the_end_of_an_alarm_is_waited_for_ever_longer_until_there_is_none(
    watchdog: ResponseWatchdog, time: ManualTime
) -> None:
    seconds = []
    for _ in range(3):
        seconds.append(until_named(watchdog, time))
        watchdog.begin()
    watchdog.calm()

    assert seconds == [ALARM_SECONDS * times + 10.0 for times in (1, 2, 4)]
    assert until_named(watchdog, time) == ALARM_SECONDS + 10.0


def test_in_an_alarm_nothing_else_is_waited_for(watchdog: ResponseWatchdog, time: ManualTime) -> None:
    watchdog.asks(HEARING)
    time.advance(SECONDS_MAX[HEARING] + 1.0)
    watchdog.in_alarm()

    assert looked_for(watchdog) is None
