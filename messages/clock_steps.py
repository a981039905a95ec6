"""The readings of a clock, and the outcome of its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    # A health check loads this, and is to be quick.
    from .jobs import Instant, Seconds

DOUBTFUL_STEP_SECONDS, DOUBT_SECONDS = 3600.0, 3600.0
"""After a step ahead of more than the first, or a start of the machine, nothing is removed for the second: a clock that
is wrong for a moment must not make all that is kept seem old, nor have slots forgotten that would fire again."""


class KnownClock(NamedTuple):
    """The remembered part of a `Reading`.

    Attributes:
        counter, offset: those of the reading; no counter if there was none yet.
        doubted: when the clock was stepped far ahead last, by what it says now; None if it never was.
    """

    counter: str | None = None
    offset: Seconds = 0.0
    doubted: Instant | None = None

    def step(self, reading: Reading) -> Seconds | None:
        """How far wall time was stepped since; None where the readings cannot be compared."""
        is_same = reading.counter is not None and reading.counter == self.counter
        return reading.offset - self.offset if is_same else None

    def after(self, reading: Reading) -> KnownClock:
        """The known clock after a reading that has a counter."""
        step, doubted = self.step(reading), self.doubted
        # The clock of a machine that was just started may be wrong, and so may one that is far ahead at once.
        if step > DOUBTFUL_STEP_SECONDS if step is not None else self.counter is not None:
            doubted = reading.now
        elif doubted is not None and step is not None:
            # A step back need not be the whole way, so as many seconds are left of the doubt as before.
            doubted += step
        return KnownClock(reading.counter, reading.offset, doubted)

    def is_in_doubt(self, now: Instant) -> bool:
        """Whether the clock has been stepped far ahead so lately that it may yet be set back."""
        return self.doubted is not None and 0.0 <= now - self.doubted < DOUBT_SECONDS


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
