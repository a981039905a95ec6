"""The readings of a clock, and the outcome of its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .jobs import Instant, Seconds

STEP_SECONDS_MIN: Seconds = 1.0
"""Wall time that moves by more than this against time that passes has been stepped."""


class Reading(NamedTuple):
    """Wall time, and what tells a step of it from time that has passed.

    Attributes:
        now: wall time.
        counter: names what seconds were counted by that go on while the machine sleeps, and that nobody can step: one
            start of one machine. Every process on it counts alike. None where there is no such count.
        offset: how far wall time was ahead of that count.
    """

    now: Instant
    counter: str | None
    offset: Seconds


class Stepped(NamedTuple):
    """The corrections that a store has made after a step of the clock.

    Attributes:
        seconds: how far wall time was stepped; None where only its effects show.
        jobs: whose waits, or expiry, were set right.
        schedules: that are counted from now on again, because they were accounted for in what is the future now.
    """

    seconds: Seconds | None
    jobs: int
    schedules: int
