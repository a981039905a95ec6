"""Time that a test owns, for a runtime on real threads: it stands still until `advance`.

    time = ManualTime(datetime(2026, 1, 1, tzinfo=UTC))
    runtime = Runtime(":memory:", environment=Environment(clock=time.clock))

Timers that are due are called on the thread that lets time pass. The actors hear of it on their own threads: `drain`
waits for them.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from ..messages.clock_steps import Reading
from ..messages.jobs import Instant, Seconds
from .arguments import check_forward

START = datetime(2026, 1, 1, tzinfo=UTC)


class ManualTime:
    """One flow of time, shared by every clock (that is: every life of a runtime) that is made from it.

    Args:
        now: wall time at the beginning, as an aware datetime or in seconds since the Unix epoch.
    """

    def __init__(self, now: Instant | datetime = START) -> None:
        self.wall = now.timestamp() if isinstance(now, datetime) else now
        self.elapsed = 0.0
        self.asleep = 0.0
        self._count = f"manual {self.wall}"
        self._clocks: list[ManualClock] = []

    def clock(self) -> ManualClock:
        """The clock for `Environment(clock=...)`."""
        clock = ManualClock(self)
        self._clocks.append(clock)
        return clock

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
        for clock in self._clocks:
            clock.make_due_calls()

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
        for clock in self._clocks:
            clock.jumped(seconds)
            clock.make_due_calls()


class ManualCall:
    """A `Timer` of a `ManualClock`."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call: Callable[[], object] | None = call

    def cancel(self) -> None:
        self.call = None


class ManualClock:
    """A `Clock` whose time a test owns. Made by `ManualTime.clock`."""

    def __init__(self, time: ManualTime) -> None:
        self._time = time
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._monotonic: list[tuple[float, int, ManualCall]] = []
        self._wall: list[tuple[float, int, ManualCall]] = []
        self._jump: list[Callable[[Seconds], object]] = []
        self._stopped = False

    def now(self) -> Instant:
        return self._time.wall

    def monotonic(self) -> Seconds:
        return self._time.elapsed

    def reading(self) -> Reading:
        return self._time.reading

    def notice(self) -> None:
        pass

    def after(self, seconds: Seconds, call: Callable[[], object]) -> ManualCall:
        return self._add(self._monotonic, self._time.elapsed + seconds, call)

    def at(self, instant: Instant, call: Callable[[], object]) -> ManualCall:
        return self._add(self._wall, instant, call)

    def on_jump(self, call: Callable[[Seconds], object]) -> None:
        self._jump.append(call)

    def start(self) -> None:
        pass

    def stop(self) -> None:
        self._stopped = True

    def jumped(self, seconds: Seconds) -> None:
        """Tell whoever wants to know that wall time was stepped."""
        for call in () if self._stopped else self._jump:
            call(seconds)

    def make_due_calls(self) -> None:
        """Make the calls whose time has come, on this thread."""
        with self._lock:
            due = []
            for heap, now in ((self._monotonic, self._time.elapsed), (self._wall, self._time.wall)):
                while heap and heap[0][0] <= now:
                    due.append(heapq.heappop(heap)[2])
        for timed in due:
            if timed.call is not None and not self._stopped:
                timed.call()

    def _add(self, heap: list[tuple[float, int, ManualCall]], due: float, call: Callable[[], object]) -> ManualCall:
        timed = ManualCall(call)
        now = self._time.elapsed if heap is self._monotonic else self._time.wall
        if due <= now:
            # A clock's own thread would make it at once; here whoever asks does, because the call is only a message.
            call()
            return timed
        with self._lock:
            heapq.heappush(heap, (due, next(self._order), timed))
        return timed
