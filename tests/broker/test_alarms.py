"""An alarm goes off once for each time that it was set, and a poll as long as it is wanted."""

from __future__ import annotations

from typing import Any

import pytest
from lamplighter.broker.alarms import Alarms
from lamplighter.testing import ManualTime


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


@pytest.fixture
def heard() -> list[Any]:
    return []


@pytest.fixture
def alarms(time: ManualTime, heard: list[Any]) -> Alarms:
    clock = time.clock()
    clock.start()
    return Alarms(clock, heard.append, lambda: False)


def test_a_poll_that_is_wanted_no_more_ends_and_one_that_is_wanted_again_is_one(
    alarms: Alarms, time: ManualTime, heard: list[Any]
) -> None:
    def told_in(seconds: int, *, wanted: bool) -> int:
        before = len(heard)
        alarms.poll(1.0, "poll", wanted=wanted)
        for _ in range(seconds):
            time.advance(1.0)
            if wanted:
                alarms.poll(1.0, "poll", wanted=True)
        return len(heard) - before

    assert [told_in(3, wanted=wanted) for wanted in (True, False, True, False)] == [3, 0, 3, 0]


def test_a_poll_that_nobody_has_heard_is_not_told_again(alarms: Alarms, time: ManualTime, heard: list[Any]) -> None:
    alarms.poll(1.0, "poll", wanted=True)
    for _ in range(5):
        time.advance(1.0)

    assert heard == ["poll"]


def test_an_alarm_that_is_set_anew_takes_the_place_of_its_kind_alone(
    alarms: Alarms, time: ManualTime, heard: list[Any]
) -> None:
    alarms.after("one", 10.0, "one")
    alarms.after("other", 10.0, "other")
    alarms.after("one", 20.0, "one, later")

    time.advance(10.0)
    at_ten = list(heard)
    time.advance(10.0)

    assert (at_ten, heard) == (["other"], ["other", "one, later"])


def test_an_instant_that_has_gone_off_is_an_alarm_again_when_it_is_set_again(
    alarms: Alarms, time: ManualTime, heard: list[Any]
) -> None:
    instant = time.clock().now() + 5.0
    for _ in range(3):
        alarms.at(instant, "due")
    time.advance(5.0)
    once = list(heard)
    alarms.at(instant, "due")
    time.advance(1.0)

    assert (once, heard) == (["due"], ["due", "due"])
