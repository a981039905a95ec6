"""The readings of a clock, and the outcome of its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    # A health check loads this, and must be quick.
    from .jobs import Instant, Seconds

DOUBTFUL_STEP_SECONDS, DOUBT_SECONDS = 3600.0, 3600.0
"""After a step ahead of more than the first, or a start of the machine, nothing is removed for the second: a clock that
is wrong for a moment must not make everything seem old, nor make slots forgotten that would fire again.
"""


class KnownClock(NamedTuple):
    """The remembered part of a `Reading`.

    Attributes:
        counter, offset: those of the reading; no counter if there was none yet.
        doubted: the time of the last big step ahead, by the present clock; None if there was none.
    """

    counter: str | None = None
    offset: Seconds = 0.0
    doubted: Instant | None = None

    def step(self, reading: Reading) -> Seconds | None:
        """How far wall time was stepped since; None where the readings cannot be compared."""
        is_same = reading.counter is not None and reading.counter == self.counter
        return reading.offset - self.offset if is_same else None

    def has_stepped(self, reading: Reading) -> bool:
        """Whether the store is to be corrected: after a step, and where there is a counter for the first time."""
        step = self.step(reading)
        return reading.counter is not None if step is None else abs(step) > STEP_SECONDS_MIN

    def after(self, reading: Reading) -> KnownClock:
        step, doubted = self.step(reading), self.doubted
        # The clock of a machine that was just started may be wrong, and so may one that suddenly is far ahead.
        if step > DOUBTFUL_STEP_SECONDS if step is not None else self.counter is not None:
            doubted = reading.now
        elif doubted is not None and step is not None:
            # A step back may be partial, so the remaining doubt keeps its length.
            doubted += step
        return KnownClock(reading.counter, reading.offset, doubted)

    def is_in_doubt(self, now: Instant) -> bool:
        """Whether the clock was stepped far ahead so recently that it may yet be set back."""
        return self.doubted is not None and 0.0 <= now - self.doubted < DOUBT_SECONDS


STEP_SECONDS_MIN: Seconds = 1.0


class Reading(NamedTuple):
    """Wall time, with a counter that distinguishes a step from elapsed time.

    Attributes:
        counter: the identity of the counter that goes on while the machine sleeps, and that nobody can step: one per
            start of a machine, the same for all its processes. None where there is no such counter.
        offset: wall time minus the counter.
    """

    now: Instant
    counter: str | None
    offset: Seconds


class Stepped(NamedTuple):
    """The corrections of a store after a step of the clock.

    Attributes:
        seconds: how far wall time was stepped; None where only its effects show.
        jobs: how many waits or expiries of jobs were corrected.
        schedules: how many schedules count from now again, because they were accounted for in the future.
    """

    seconds: Seconds | None
    jobs: int
    schedules: int
