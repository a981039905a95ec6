"""How durations are worded."""

from __future__ import annotations

import pytest
from lamplighter.rules.wording import attributed, span


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


def test_who_has_done_something_is_said_as_far_as_it_is_known():
    assert attributed() == ""
    assert attributed(0.0, by="ada", until=60.0, reason="it fails\nagain") == (
        " since 1970-01-01T00:00:00Z by ada until 1970-01-01T00:01:00Z: it fails"
    )
