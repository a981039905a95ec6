"""Time that a test owns, for a runtime on real threads: it stands still until `advance`.

    time = ManualTime(datetime(2026, 1, 1, tzinfo=UTC))
    runtime = Runtime(":memory:", environment=Environment(clock=time.clock))

Timers that are due are called on the thread that lets time pass. The actors hear of it on their own threads: `drain`
waits for them.
"""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from ..errors import UsageError
from ..messages.clock_steps import Reading
from ..messages.jobs import Instant, Seconds

START = datetime(2026, 1, 1, tzinfo=UTC)

Calls = list[tuple[float, int, Callable[[], object]]]


def check_forward(seconds: Seconds, what: str, *, may_last: bool = False) -> Seconds:
    """Time that is to pass: none, or some; for ever (`may_last`) only where something else may end it."""
    if not seconds >= 0.0 or (math.isinf(seconds) and not may_last):
        raise UsageError(f"expected {what} to be 0 or more seconds, because time only goes forward, got: {seconds:g}")
    return seconds


class ManualTime:
    """One flow of time, shared by every clock (that is: every life of a runtime) that is made from it.

    Args:
        now: wall time at the beginning, as an aware datetime or in seconds since the Unix epoch.
    """

    def __init__(self, now: Instant | datetime = START) -> None:
        self.wall = now.timestamp() if isinstance(now, datetime) else now
        self.elapsed = 0.0
        self.asleep = 0.0
        self.on_step: list[Callable[[Seconds], bool]] = []
        self._count = f"manual {self.wall}"
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._by_elapsed: Calls = []
        self._by_wall: Calls = []

    def clock(self) -> ManualClock:
        """The clock for `Environment(clock=...)`."""
        return ManualClock(self)

    @property
    def now(self) -> datetime:
        """Wall time."""
        return datetime.fromtimestamp(self.wall, UTC)

    def advance(self, seconds: Seconds) -> None:
        """Let time pass at once; whoever is due is called, with the present that `now` then tells.

        Raises:
            UsageError: it is less than none; `step` can go back.
        """
        check_forward(seconds, "what passes (`step` can go back)")
        self.wall += seconds
        self.elapsed += seconds
        self._make_due_calls()

    @property
    def reading(self) -> Reading:
        """Wall time, and what tells a step of it from time that has passed."""
        return Reading(self.wall, self._count, self.wall - self.elapsed - self.asleep)

    def suspend(self, seconds: Seconds) -> None:
        """Let the machine sleep: wall time goes on, and monotonic time does not.

        Raises:
            UsageError: it is less than no time.
        """
        self.asleep += check_forward(seconds, "what is slept through")
        self.step(seconds)

    def step(self, seconds: Seconds) -> None:
        """Move wall time only, as an administrator does, and say so."""
        self.wall += seconds
        self.on_step = [tell for tell in self.on_step if tell(seconds)]
        self._make_due_calls()

    def after(self, seconds: Seconds, call: Callable[[], object]) -> None:
        self._add(self._by_elapsed, self.elapsed + seconds, self.elapsed, call)

    def at(self, instant: Instant, call: Callable[[], object]) -> None:
        self._add(self._by_wall, instant, self.wall, call)

    def _add(self, calls: Calls, due: float, now: float, call: Callable[[], object]) -> None:
        if due <= now:
            # A clock's own thread would make it at once; here whoever asks does, because the call is only a message.
            call()
            return
        with self._lock:
            heapq.heappush(calls, (due, next(self._order), call))

    def _make_due_calls(self) -> None:
        """Make the calls whose time has come, on this thread. The others stay for later if one raises."""
        for calls, now in ((self._by_elapsed, self.elapsed), (self._by_wall, self.wall)):
            while (call := self._pop(calls, now)) is not None:
                call()

    def _pop(self, calls: Calls, now: float) -> Callable[[], object] | None:
        with self._lock:
            return heapq.heappop(calls)[2] if calls and calls[0][0] <= now else None


class ManualCall:
    """A `Timer` of a `ManualClock`."""

    def __init__(self, clock: ManualClock, call: Callable[[], object]) -> None:
        self._clock = clock
        self._call: Callable[[], object] | None = call

    def cancel(self) -> None:
        self._call = None

    def __call__(self) -> None:
        call, self._call = self._call, None
        if call is not None and self._clock.is_going:
            call()


class ManualClock:
    """A `Clock` whose time a test owns. Made by `ManualTime.clock`."""

    def __init__(self, time: ManualTime) -> None:
        self._time = time
        self._on_jump: list[Callable[[Seconds], object]] = []
        self._stopped = False
        time.on_step.append(self._stepped)

    @property
    def is_going(self) -> bool:
        return not self._stopped

    def now(self) -> Instant:
        return self._time.wall

    def monotonic(self) -> Seconds:
        return self._time.elapsed

    def reading(self) -> Reading:
        return self._time.reading

    def notice(self) -> None:
        pass

    def after(self, seconds: Seconds, call: Callable[[], object]) -> ManualCall:
        timed = ManualCall(self, call)
        self._time.after(seconds, timed)
        return timed

    def at(self, instant: Instant, call: Callable[[], object]) -> ManualCall:
        timed = ManualCall(self, call)
        self._time.at(instant, timed)
        return timed

    def on_jump(self, call: Callable[[Seconds], object]) -> None:
        self._on_jump.append(call)

    def start(self) -> None:
        pass

    def stop(self) -> None:
        self._stopped = True

    def _stepped(self, seconds: Seconds) -> bool:
        for call in self._on_jump if self.is_going else ():
            call(seconds)
        return self.is_going
