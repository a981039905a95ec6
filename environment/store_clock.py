"""The time of day by the clock of a store. Imported where a store has one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..messages.clock_steps import STEP_SECONDS_MIN, Reading
from .clock import STEP_SECONDS_MAX, Clock, Timer

if TYPE_CHECKING:
    from ..messages.jobs import Instant, Seconds


class StoreClock:
    """The clock of a store that tells the time of day: the jobs of many machines are due by one clock.

    Args:
        machine: counts the seconds of all waits.
        wall: the store's time of day.
    """

    def __init__(self, machine: Clock, wall: Callable[[], Instant]) -> None:
        self.now = wall
        self.monotonic, self.after = machine.monotonic, machine.after
        self.start, self.stop = machine.start, machine.stop
        self._lock = threading.Lock()
        self._offset: Seconds | None = None
        self._jumped: list[Callable[[Seconds], object]] = []

    def reading(self) -> Reading:
        self.notice()
        # The counter of this machine says nothing about the clock of another.
        return Reading(self.now(), None, 0.0)

    def notice(self) -> None:
        with self._lock:
            offset = self.now() - self.monotonic()
            moved = 0.0 if self._offset is None else offset - self._offset
            # Replaced also after a small difference: two clocks drift apart, and that is no step.
            self._offset = offset
        if abs(moved) > STEP_SECONDS_MIN:
            for call in self._jumped:
                call(moved)

    def at(self, instant: Instant, call: Callable[[], object]) -> Timer:
        return _StoreCall(self, instant, call)

    def on_jump(self, call: Callable[[Seconds], object]) -> None:
        self._jumped.append(call)


class _StoreCall:
    """One call at an instant of a store's clock, which may be stepped meanwhile: so the wait is in bounded steps."""

    __slots__ = ("_call", "_clock", "_instant", "_is_cancelled", "_timer")

    def __init__(self, clock: StoreClock, instant: Instant, call: Callable[[], object]) -> None:
        self._clock, self._instant, self._call, self._is_cancelled = clock, instant, call, False
        self._timer = self._next()

    def cancel(self) -> None:
        self._is_cancelled = True
        self._timer.cancel()

    def _next(self) -> Timer:
        left = self._instant - self._clock.now()
        return self._clock.after(min(max(left, 0.0), STEP_SECONDS_MAX), self._look)

    def _look(self) -> None:
        self._clock.notice()
        if self._is_cancelled:
            return
        if self._clock.now() >= self._instant:
            self._call()
        else:
            self._timer = self._next()
