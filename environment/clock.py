"""The time of day, and the one thread that waits for all timers.

Nothing else reads a clock. Waits are monotonic and in bounded steps, and after each step wall time is compared with
monotonic time: so a suspended laptop or a stepped clock is noticed, logged and corrected within one step. Suspension
and clock steps are told apart where the system counts the seconds since its start, including those of its sleep.
"""

from __future__ import annotations

import heapq
import itertools
import math
import threading
import time
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..messages.clock_steps import STEP_SECONDS_MIN, Reading

if TYPE_CHECKING:
    from ..messages.jobs import Instant, Seconds

STEP_SECONDS_MAX = 1.0
"""The longest single wait: a clock step is noticed within it."""

CANCELLED_CALLS_MIN = 64
"""Fewer cancelled calls than this are not worth clearing."""

COMPARED_SECONDS_MAX, COMPARISONS_MAX = 0.01, 5
"""Two clock readings further apart than this are repeated, so many times: a thread may be preempted in between."""

SYSTEM = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/time")
"""Linux' id of the machine's start, and a container's offset against its count of seconds."""

_count_clock = getattr(time, "CLOCK_BOOTTIME", None)
_counted = None if _count_clock is None else partial(time.clock_gettime, _count_clock)
"""Seconds since the machine was started, including sleep."""


class Timer(Protocol):
    """A call that will be made, unless it is cancelled before."""

    def cancel(self) -> None:
        """Do not make the call. Harmless when it has been made."""


class Clock(Protocol):
    """Where time comes from. The test kit has a virtual one."""

    def now(self) -> Instant:
        """Wall time, in seconds since the Unix epoch."""

    def monotonic(self) -> Seconds:
        """Seconds that never go back, from an arbitrary start."""

    def reading(self) -> Reading:
        """Wall time, with the values that tell a clock step from time that has passed. Notices a jump first."""

    def notice(self) -> None:
        """Look at once whether wall time has jumped, and make the calls of `on_jump` if it has."""

    def after(self, seconds: Seconds, call: Callable[[], object]) -> Timer:
        """Call once, so many monotonic seconds from now, on the clock's thread. The call must be short."""

    def at(self, instant: Instant, call: Callable[[], object]) -> Timer:
        """Call once wall time has reached `instant`, on the clock's thread. The call must be short."""

    def on_jump(self, call: Callable[[Seconds], object]) -> None:
        """Call with the number of seconds whenever wall time jumps."""

    def start(self) -> None:
        """Begin to make calls."""

    def stop(self) -> None:
        """Make no more calls."""


class _Call:
    """One timed call, by monotonic or by wall time."""

    __slots__ = ("call", "cancelled", "due")

    def __init__(self, due: float, call: Callable[[], object], cancelled: Callable[[], None]) -> None:
        self.due = due
        self.call: Callable[[], object] | None = call
        self.cancelled = cancelled

    def cancel(self) -> None:
        if self.call is not None:
            self.call = None
            self.cancelled()


class SystemClock:
    def __init__(self) -> None:
        # Entered directly: an error raised inside of a Condition's `__enter__` would leave the lock taken.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._monotonic: list[tuple[float, int, _Call]] = []
        self._wall: list[tuple[float, int, _Call]] = []
        self._order = itertools.count()
        self._jumped: list[Callable[[Seconds], object]] = []
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._cancelled = 0
        self._waits_until = -math.inf
        self._offset = _compared(time.monotonic)[1]

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    def reading(self) -> Reading:
        count = _count_name()
        now, offset = _compared(time.monotonic)
        if abs(offset - self._offset) > STEP_SECONDS_MIN:
            self.notice()
        if count is not None and _counted is not None:
            now, offset = _compared(_counted)
        return Reading(now, count, offset)

    def notice(self) -> None:
        offset = _compared(time.monotonic)[1]
        with self._lock:
            moved = offset - self._offset
            if abs(moved) <= STEP_SECONDS_MIN:
                return
            self._offset = offset
        for call in self._jumped:
            _make(_Call(0, partial(call, moved), self._count_cancelled))

    def after(self, seconds: Seconds, call: Callable[[], object]) -> Timer:
        timed = _Call(time.monotonic() + seconds, call, self._count_cancelled)
        return self._add(self._monotonic, timed, timed.due)

    def at(self, instant: Instant, call: Callable[[], object]) -> Timer:
        timed = _Call(instant, call, self._count_cancelled)
        return self._add(self._wall, timed, time.monotonic() + instant - time.time())

    def on_jump(self, call: Callable[[Seconds], object]) -> None:
        self._jumped.append(call)

    def start(self) -> None:
        # Imported only here: reading the time does not need it.
        from .threads import spawn

        self._thread = spawn(self._wait, "clock")

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(STEP_SECONDS_MAX)

    def _add(self, heap: list[tuple[float, int, _Call]], timed: _Call, monotonic: float) -> Timer:
        with self._lock:
            heapq.heappush(heap, (timed.due, next(self._order), timed))
            # Wake the thread only for calls before the end of its wait: most timers are later, and each wake-up costs.
            if monotonic < self._waits_until:
                self._changed.notify()
        return timed

    def _count_cancelled(self) -> None:
        """Drop cancelled calls once they are the majority: a deadline of an hour would else outlive its job."""
        with self._lock:
            self._cancelled += 1
            if self._cancelled > max(CANCELLED_CALLS_MIN, (len(self._monotonic) + len(self._wall)) // 2):
                for heap in (self._monotonic, self._wall):
                    heap[:] = [entry for entry in heap if entry[2].call is not None]
                    heapq.heapify(heap)
                self._cancelled = 0

    def _wait(self) -> None:
        while True:
            with self._lock:
                if self._stopped:
                    return
                due = self._take_due()
                if not due:
                    step = self._step()
                    self._waits_until = time.monotonic() + step
                    self._changed.wait(step)
                    self._waits_until = -math.inf
                    due = self._take_due()
            self.notice()
            for timed in due:
                _make(timed)

    def _step(self) -> Seconds:
        waits = [STEP_SECONDS_MAX]
        if self._monotonic:
            waits.append(self._monotonic[0][0] - time.monotonic())
        if self._wall:
            waits.append(self._wall[0][0] - time.time())
        return max(0.0, min(waits))

    def _take_due(self) -> list[_Call]:
        due: list[_Call] = []
        for heap, now in ((self._monotonic, time.monotonic()), (self._wall, time.time())):
            while heap and (heap[0][0] <= now or heap[0][2].call is None):
                timed = heapq.heappop(heap)[2]
                self._cancelled -= timed.call is None and self._cancelled > 0
                due.append(timed)
        return due


@lru_cache(maxsize=1)
def _count_name() -> str | None:
    """The name of the clock for the seconds since the machine was started; None where there is none."""
    if _count_clock is None:
        return None
    try:
        start, offset = SYSTEM
        return f"{start.read_text().strip()} {offset.readlink() if offset.exists() else ''}".strip()
    except OSError:
        return None


def _compared(count: Callable[[], Seconds]) -> tuple[Instant, Seconds]:
    """Wall time, and its offset from a count of seconds."""
    tries_left = COMPARISONS_MAX
    while True:
        before, now = count(), time.time()
        width, tries_left = count() - before, tries_left - 1
        if width <= COMPARED_SECONDS_MAX or tries_left == 0:
            return now, now - before - width / 2


def _make(timed: _Call) -> None:
    call, timed.call = timed.call, None
    if call is None:
        return
    try:
        call()
    except Exception as error:
        # Calls only put a message into a mailbox; one that fails must not take every other timer with it.
        threading.excepthook(
            threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread()))
        )
