"""How durations are worded."""

from __future__ import annotations

import pytest
from lamplighter.rules.wording import about, attributed, clock, moment, span


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0000004, "0 µs"),
        (0.0123, "12.3 ms"),
        (0.9996, "1 s"),
        (119.4, "119 s"),
        (120.0, "2 min 0 s"),
        (3600.0, "1 h 0 min"),
        (47.9 * 3600, "47 h 54 min"),
        (48 * 3600.0, "2 d 0 h"),
        (100.5 * 86400, "100 d 12 h"),
    ],
)
def test_a_duration_has_the_units_that_somebody_would_say(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 ms"),
        (0.0000004, "0 ms"),
        (0.0123, "12 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (1.49, "1 s"),
        (59.7, "60 s"),
        (119.6, "2 min 0 s"),
        (3600.4, "1 h 0 min"),
    ],
)
def test_who_waits_is_told_no_fractions(seconds: float, words: str) -> None:
    assert about(seconds) == words


def test_an_instant_is_told_to_the_second_where_nobody_compares_it() -> None:
    assert moment(1.9999999) == "1970-01-01T00:00:01Z"
    assert moment(1) == clock(1) == "1970-01-01T00:00:01Z"
    assert clock(1.25) == "1970-01-01T00:00:01.25Z"


def test_who_has_done_something_is_said_as_far_as_it_is_known():
    assert attributed() == ""
    assert attributed(0.000123, by="ada", until=60.75, reason="it fails\nagain") == (
        " since 1970-01-01T00:00:00Z by ada until 1970-01-01T00:01:00Z: it fails"
    )
