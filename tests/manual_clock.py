"""Time that a test owns: it stands still until `advance`, which makes the calls that are due on the caller's thread."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable

from lamplighter import Runtime
from lamplighter.actors.scheduler import SchedulerActor


class ManualTime:
    """One flow of time, shared by every clock (that is: every life of a runtime) that is made from it."""

    def __init__(self, now: float) -> None:
        self.wall = now
        self.elapsed = 0.0
        self._clocks: list[ManualClock] = []

    def clock(self) -> ManualClock:
        """What `Environment(clock=...)` wants."""
        clock = ManualClock(self)
        self._clocks.append(clock)
        return clock

    def advance(self, seconds: float) -> None:
        """Let time pass at once; whoever is due is called, with the present that `now` then tells."""
        self.wall += seconds
        self.elapsed += seconds
        for clock in self._clocks:
            clock.make_due_calls()

    def step(self, seconds: float) -> None:
        """Move wall time only, as an administrator does, and say so."""
        self.wall += seconds
        for clock in self._clocks:
            clock.jumped(seconds)
            clock.make_due_calls()


def is_idle(runtime: Runtime) -> bool:
    """Whether every actor of a runtime has handled all that it was told, and every tick that was sent is stored."""
    life = runtime.life
    assert life is not None
    scheduler = life.post.find("scheduler")
    if not isinstance(scheduler, SchedulerActor):
        return False
    actors = [life.post.find(name) for name in life.post.names()]
    return all(active.sent_at is None for active in list(scheduler._active.values())) and not any(
        len(actor.mailbox) or actor.busy_since is not None for actor in actors if actor is not None
    )


class ManualCall:
    """A timed call."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class ManualClock:
    """See lamplighter.clock.Clock."""

    def __init__(self, time: ManualTime) -> None:
        self._time = time
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._monotonic: list[tuple[float, int, ManualCall]] = []
        self._wall: list[tuple[float, int, ManualCall]] = []
        self._jump: list[Callable[[float], None]] = []
        self._stopped = False

    def now(self) -> float:
        return self._time.wall

    def monotonic(self) -> float:
        return self._time.elapsed

    def after(self, seconds: float, call: Callable[[], None]) -> ManualCall:
        return self._add(self._monotonic, self._time.elapsed + seconds, call)

    def at(self, instant: float, call: Callable[[], None]) -> ManualCall:
        return self._add(self._wall, instant, call)

    def on_jump(self, call: Callable[[float], None]) -> None:
        self._jump.append(call)

    def start(self) -> None:
        pass

    def stop(self) -> None:
        self._stopped = True

    def jumped(self, seconds: float) -> None:
        for call in () if self._stopped else self._jump:
            call(seconds)

    def make_due_calls(self) -> None:
        with self._lock:
            due = []
            for heap, now in ((self._monotonic, self._time.elapsed), (self._wall, self._time.wall)):
                while heap and heap[0][0] <= now:
                    due.append(heapq.heappop(heap)[2])
        for timed in due:
            if timed.call is not None and not self._stopped:
                timed.call()

    def _add(self, heap: list[tuple[float, int, ManualCall]], due: float, call: Callable[[], None]) -> ManualCall:
        timed = ManualCall(call)
        now = self._time.elapsed if heap is self._monotonic else self._time.wall
        if due <= now:
            # A clock's own thread would make it at once; here whoever asks does, because the call is only a message.
            call()
            return timed
        with self._lock:
            heapq.heappush(heap, (due, next(self._order), timed))
        return timed
