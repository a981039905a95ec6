"""All lanes of one boot. They outlive their actor: its next incarnation finds the running ones and the unread endings
here, and `health()` the hung ones. Running ones are looked at now and then: a dead thread or loop reports no end, and a
run far longer than usual is worth a line.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from math import inf
from typing import Any, NamedTuple, Protocol

from ..environment.clock import Clock, Timer
from ..messages.jobs import Claim, ClaimKey, Seconds
from ..messages.mail import DeadlinePassed, LanesAiling, LanesEnded
from ..messages.outcomes import Outcome, OutcomeKind
from ..rules.limits import Limits
from .handler import Handler, Kind
from .lane import Lane, LaneContext
from .pool import ThreadRunner

RUNS_MIN = 10
"""The median is used after so many runs."""

RUNS_KEPT = 100
"""Only the newest runs are kept."""

WHOLE_RUNS = frozenset({OutcomeKind.SUCCEEDED, OutcomeKind.DEFERRED})
"""Outcomes of functions that ran to their end."""


class DurationBaseline:
    """The durations of recent runs. One thread notes them; others may read meanwhile."""

    def __init__(self) -> None:
        # A ring in a list: unlike a deque, it may be read while it is written to.
        self._recent: list[Seconds] = []
        self._noted = 0

    def note(self, outcome: OutcomeKind, seconds: Seconds) -> None:
        if outcome not in WHOLE_RUNS:
            return
        if len(self._recent) < RUNS_KEPT:
            self._recent.append(seconds)
        else:
            self._recent[self._noted % RUNS_KEPT] = seconds
        self._noted += 1

    def seconds(self) -> Seconds | None:
        """The median, which outliers do not move; None while too few runs are known."""
        recent = sorted(self._recent)
        return recent[len(recent) // 2] if len(recent) >= RUNS_MIN else None


MEMORY_JOBS, TRIP_SECONDS_MAX = 32, 0.5
"""So many recent jobs make the mean: on a busy machine one in dozens takes a hundred times as long. A trip that took
longer counts as this long: the store stood still."""


@dataclass(eq=False)
class PrefetchSizer:
    """Means of recent durations: of jobs, and of trips. A trip goes from the report of an ending to the news that it is
    settled, with which new claims come.
    """

    limits: Limits
    _recent: deque[Seconds] = field(default_factory=lambda: deque(maxlen=MEMORY_JOBS))
    _trip: Seconds = 0.0
    _reported_at: Seconds | None = None

    def note(self, seconds: Seconds) -> None:
        self._recent.append(seconds)

    def note_stuck(self) -> None:
        """The running jobs take longer than the mean: prefetched claims had to go back. The mean begins anew."""
        self._recent.clear()

    def note_trip(self, monotonic: Seconds, *, begins: bool) -> None:
        if begins:
            self._reported_at = self._reported_at or monotonic
        elif self._reported_at is not None:
            self._trip = (self._trip + min(monotonic - self._reported_at, TRIP_SECONDS_MAX)) / 2
            self._reported_at = None

    @property
    def unstarted_seconds(self) -> Seconds:
        """When a prefetched claim goes back. Others would get it no sooner than after a trip."""
        return max(self.limits.unstarted_seconds, 2 * self._trip)

    def prefetch(self, lanes: int) -> int:
        """A few more claims than lanes: at most a few milliseconds of work, or a trip's; in powers of two."""
        limits = self.limits
        if not self._recent or lanes == 0:
            return 0
        mean = max(sum(self._recent) / len(self._recent), 1e-6)
        most = min(limits.prefetch_claims_max, int(lanes * max(limits.prefetch_seconds, self._trip) / mean))
        return 0 if most == 0 else 1 << (most.bit_length() - 1)


LOOP_END_SECONDS_MAX = 2.0
"""How long a stop waits for carriers to leave event loops. `docker stop` gives ten seconds, of which the drain takes
eight.
"""


ENDINGS_SECONDS = 0.002
"""How long an ending waits for others, if its place in a child process is taken, or is taken by a claim that the lane's
own thread has made, as in a chain: a turn or a switch of threads for each would cost more than the jobs. Other lanes on
threads batch by themselves, as each keeps the interpreter for about as long.
"""


class Runner(Protocol):
    def start(self, lane: Lane) -> None:
        """Run it."""

    def is_blocked(self, handler: Handler) -> bool:
        """Whether it takes no lanes for now."""

    def tasks(self) -> Sequence[tuple[str, str]]:
        """(name, stack) of the tasks on its event loop."""

    def close(self) -> None:
        """Let idle threads and children end."""

    def wait(self, seconds: Seconds) -> None:
        """Wait until what was around them is left, for so many seconds at most."""


def runner_of(kind: Kind) -> Runner:
    """Imports what runs coroutines and child processes only where a handler needs it."""
    match kind:
        case "thread":
            return ThreadRunner()
        case "task":
            from .tasks import TaskRunner

            return TaskRunner()
        case "process":
            from .processes import ProcessRunner

            return ProcessRunner()


class LaneEnded(NamedTuple):
    """A lane's function has returned or raised, or its process has died. `following` took its place."""

    lane: Lane
    outcome: Outcome
    seconds: Seconds
    following: Lane | None


class Lanes:
    """The open lanes, the endings that no HandlerActor has read, and the runners of all handlers.

    Args:
        left: lanes of the same runtime before it was stopped. While one still runs, its job is not started beside it.
    """

    def __init__(self, make_context: Callable[..., LaneContext], left: Lanes | None = None) -> None:
        self._context = make_context(ended=self.ended)
        self._ids: Iterator[int] = itertools.count(1) if left is None else left._ids
        self._runners: dict[str, Runner] = {}
        self._has_loops = False
        self._open: dict[int, Lane] = {}
        self._newest: dict[str, Lane] = {}
        # A lane may end while the job's next one opens. A finalizer that Python calls in here may open one, too.
        self._newest_lock = threading.RLock()
        self._unread: dict[str, deque[LaneEnded]] = {}
        # A dict, because it keeps its order: a simulation must notify actors of lanes in the same order.
        self._notified: dict[str, None] = {}
        self._soon: set[str] = set()
        for lane in () if left is None else left.open():
            # In a forked child there are none: its parent's threads are not here.
            if lane.handle.is_alive():
                self._note(lane)
                lane.when_ended(partial(self._forget, lane))

    def open_lane(self, handler: Handler, claim: Claim, next_lane: Callable[[Lane], Lane | None]) -> Lane:
        """Make a lane that the caller runs. When it has ended, `next_lane` returns the lane that gets its place."""
        lane = Lane(next(self._ids), handler, claim, self._context, next_lane)
        self._note(lane)
        return lane

    def start(self, handler: Handler, claim: Claim, next_lane: Callable[[Lane], Lane | None]) -> Lane:
        """Run a claim. `LaneContext.ended` is called when it has ended.

        Raises:
            OSError, RuntimeError: the system gives no more threads or processes.
        """
        lane = self.open_lane(handler, claim, next_lane)
        try:
            runner = self._runners.get(handler.id)
            if runner is None:
                if handler.kind == "task":
                    self._has_loops = True
                make = self._context.environment.runners.get(handler.kind, partial(runner_of, handler.kind))
                runner = self._runners[handler.id] = make()
            # `Pool.start` for threads and child processes, `TaskRunner.start` for tasks.
            runner.start(lane)
        except BaseException:
            self._forget(lane)
            raise
        return lane

    def ended(self, lane: Lane, outcome: Outcome, seconds: Seconds, following: Lane | None) -> None:
        """Notify a lane's HandlerActor of its end, unless an unread message already announces endings."""
        name = lane.handler.name
        self._unread.setdefault(name, deque()).append(LaneEnded(lane, outcome, seconds, following))
        self._forget(lane)
        # Where a test has frozen the time, the clock would never make the call.
        waits = following is not None and (lane.handler.kind == "process" or (following.is_own and seconds > 0.0))
        if not waits:
            self._notify(lane)
        elif name not in self._soon:
            self._soon.add(name)
            self._context.clock.after(ENDINGS_SECONDS, partial(self._notify_late, lane))

    def _notify_late(self, lane: Lane) -> None:
        """Notify a lane's HandlerActor if an ending has waited long enough: the first ones may have been read."""
        waited = self._waited(lane.handler.name)
        # No shorter wait: one that a clock cannot tell from none would be over at once, for ever.
        if waited < ENDINGS_SECONDS / 2:
            self._context.clock.after(ENDINGS_SECONDS - waited, partial(self._notify_late, lane))
        else:
            self._notify(lane)

    def _waited(self, name: str) -> Seconds:
        """For how long the oldest unread ending of a name has waited; without limit if there is none."""
        try:
            oldest = self._unread[name][0]
        except (KeyError, IndexError):
            return inf
        return self._context.clock.monotonic() - oldest.lane.started_monotonic - oldest.seconds

    def _notify(self, lane: Lane) -> None:
        name = lane.handler.name
        # First: an ending after this line sets the clock again.
        self._soon.discard(name)
        if name in self._notified or not self._unread[name]:
            return
        self._notified[name], is_told = None, False
        try:
            is_told = self._context.tell(f"handler:{name}", LanesEnded(), root_id=lane.claim.job.root_id)
        finally:
            # The actor is dead, or there was no memory, or an error was raised into the lane's thread. The next lane
            # to end must then report both, unless the actor's next incarnation has read them by then.
            if not is_told:
                self._notified.pop(name, None)

    @property
    def is_news_due(self) -> bool:
        """Whether an unread ending should be read before a thread makes another claim."""
        waited = map(self._waited, tuple(self._soon))
        return bool(self._notified) or any(ENDINGS_SECONDS / 2 < seconds < inf for seconds in waited)

    @property
    def unread(self) -> list[str]:
        """The names with endings that their HandlerActors have not read."""
        return [name for name, unread in list(self._unread.items()) if unread]

    def take_ended(self, name: str) -> list[LaneEnded]:
        # A lane that ends after this line sends a message again; earlier endings are in the queue.
        self._notified.pop(name, None)
        unread = self._unread.get(name, ())
        return [self._unread[name].popleft() for _ in range(len(unread))]

    def begin_stop(self) -> None:
        """The runtime stops: running jobs see it at once, and those that sleep wake up."""
        self._context.stopping.set()
        for lane in self.open():
            lane.begin_stop()

    def usable(self, handlers: Sequence[Handler]) -> Sequence[Handler]:
        """The handlers that take lanes now: an unresponsive event loop takes none."""
        if not self._has_loops:
            return handlers
        get = self._runners.get
        return [one for one in handlers if (runner := get(one.id)) is None or not runner.is_blocked(one)]

    def close(self, handler_id: str) -> None:
        runner = self._runners.pop(handler_id, None)
        if runner is not None:
            runner.close()

    def close_all(self) -> None:
        runners = list(self._runners.values())
        for handler_id in list(self._runners):
            self.close(handler_id)
        clock = self._context.clock
        give_up_at = clock.monotonic() + LOOP_END_SECONDS_MAX
        for runner in runners:
            runner.wait(max(0.0, give_up_at - clock.monotonic()))

    def open(self, name: str | None = None) -> list[Lane]:
        """Open lanes, of one job name or all, in the order they were started."""
        return [lane for lane in list(self._open.values()) if name is None or lane.handler.name == name]

    def runs(self, job: Mapping[str, Any]) -> bool:
        """Whether an open lane runs this job and claim, given the job fields of a handler's context."""
        mine = (job.get("job_id"), job.get("claim_no"))
        return any((lane.claim.job.id, lane.claim.job.claim_no) == mine for lane in self.open())

    def of_job(self, job_id: str) -> Lane | None:
        """The newest open lane of a job, unless it was given up and its grace is over."""
        # An older lane of the job has ended or its grace is over, or this one would not have been opened.
        lane = self._newest.get(job_id)
        return lane if lane is not None and not lane.grace_is_over else None

    def abandoned(self) -> list[Lane]:
        return [lane for lane in self.open() if lane.abandoned_because is not None]

    def tasks(self) -> list[tuple[str, str]]:
        """(name, stack) of the tasks on all handlers' event loops."""
        return [task for runner in list(self._runners.values()) for task in runner.tasks()]

    def _note(self, lane: Lane) -> None:
        with self._newest_lock:
            self._open[lane.id] = self._newest[lane.claim.job.id] = lane

    def _forget(self, lane: Lane) -> None:
        self._open.pop(lane.id, None)
        with self._newest_lock:
            if self._newest.get(lane.claim.job.id) is lane:
                del self._newest[lane.claim.job.id]


class Waiting(NamedTuple):
    """A claim without a lane. `by`: the thread that has put it here."""

    claim: Claim
    since: Seconds
    by: int = 0


SERVING = threading.local()
"""`here`: whether the calling thread opens a lane, and holds the lock of a backlog."""


class Backlog:
    """Claims without a lane, in order. No two threads take the same claim. Once closed, lanes take none.
    Any thread may look at `waiting`; only this class changes it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.waiting: deque[Waiting] = deque()
        self.closed = False

    def add(self, claims: Sequence[Claim], now: Seconds, by: int = 0) -> None:
        with self._lock:
            self.waiting.extend(map(Waiting, claims, repeat(now), repeat(by)))

    def put_first(self, claim: Claim, now: Seconds) -> None:
        with self._lock:
            self.waiting.appendleft(Waiting(claim, now))

    def take(self) -> Claim | None:
        with self._lock:
            return self.waiting.popleft().claim if self.waiting else None

    def serve(self, open_lane: Callable[[Waiting], Lane | None]) -> Lane | None:
        """Open a lane for the first claim, and only then remove it: at every moment it is here or on a lane."""
        try:
            # A finalizer that Python calls in here must not wait for an actor, which may wait for the lock.
            SERVING.here = True
            with self._lock:
                lane = open_lane(self.waiting[0]) if self.waiting and not self.closed else None
                if lane is not None:
                    self.waiting.popleft()
                return lane
        finally:
            SERVING.here = False

    def remove(self, goes: Callable[[Waiting], bool]) -> list[Claim]:
        with self._lock:
            gone = [waiting.claim for waiting in self.waiting if goes(waiting)]
            if gone:
                self.waiting = deque(waiting for waiting in self.waiting if not goes(waiting))
            return gone

    def keys(self) -> list[ClaimKey]:
        with self._lock:
            return [waiting.claim.key for waiting in self.waiting]

    def close(self) -> None:
        with self._lock:
            self.closed = True


LOOK_SECONDS = 0.05
"""The shortest interval between checks whether a function with a short timeout has begun."""


@dataclass(eq=False)
class Deadlines:
    """The deadlines of one HandlerActor's lanes. `later` sends the actor a message after so many seconds."""

    clock: Clock
    later: Callable[[Seconds, DeadlinePassed], Timer]
    _timers: dict[int, Timer] = field(default_factory=dict)

    def begin(self, lane: Lane, timeout: Seconds) -> None:
        """Set a running lane's deadline."""
        if not lane.is_closed:
            self._wake(lane, self._left(lane, timeout))

    def is_over(self, lane: Lane) -> bool:
        """Whether a lane's time is up. If not, its deadline is set again."""
        left = self._left(lane, lane.timeout or 0.0)
        if left > 0.0:
            self._wake(lane, max(left, LOOK_SECONDS) if lane.unbegun else left)
        return left <= 0.0

    def _left(self, lane: Lane, timeout: Seconds) -> Seconds:
        if lane.unbegun:
            return timeout
        return lane.started_monotonic + timeout - self.clock.monotonic()

    def _wake(self, lane: Lane, seconds: Seconds) -> None:
        self._timers[lane.id] = self.later(max(0.0, seconds), DeadlinePassed(lane_id=lane.id))

    def forget(self, lane_id: int) -> None:
        # Without this a deadline of an hour would stay in the clock's heap for an hour after its job.
        timer = self._timers.pop(lane_id, None)
        if timer is not None:
            timer.cancel()


WATCH_SECONDS = 2.0


@dataclass(eq=False)
class LaneWatch:
    """Checks at intervals, as long as a job name has lanes.

    Args:
        tell: called on the clock's thread with a message for the HandlerActor, when a lane is lost, unbegun or slow.
        is_over: whether nobody needs to know any more.
    """

    lanes: Lanes
    job_name: str
    clock: Clock
    limits: Limits
    tell: Callable[[LanesAiling], object]
    is_over: Callable[[], bool]
    usual: DurationBaseline = field(default_factory=DurationBaseline)
    is_watching: bool = False

    def begin(self) -> None:
        """Start checking, if there are lanes. Any thread may call this."""
        if not self.is_watching and self.lanes.open(self.job_name):
            self.is_watching = True
            self.clock.after(WATCH_SECONDS, self._look)

    def lost(self) -> list[Lane]:
        """Lanes whose thread or loop is dead, so that nobody reports their end."""
        return [lane for lane in self.lanes.open(self.job_name) if lane.is_lost]

    def unbegun(self) -> list[tuple[Lane, str]]:
        """Lanes whose functions have not begun in time, and why."""
        most = self.limits.begin_seconds_max
        lanes = [lane for lane in self.lanes.open(self.job_name) if lane.abandoned_because is None]
        old = [lane for lane in lanes if lane.started_monotonic <= self.clock.monotonic() - most]
        return [(lane, f"not begun within {most:g} s: {why}") for lane in old if (why := lane.unbegun) is not None]

    def slow(self) -> list[tuple[Lane, Seconds, Seconds]]:
        """Lanes that run far longer than usual, and were not logged as slow yet: each, for how long, and the usual."""
        now, limits = self.clock.monotonic(), self.limits
        running = [(lane, now - lane.started_monotonic) for lane in self.lanes.open(self.job_name) if _counts(lane)]
        old = [(lane, seconds) for lane, seconds in running if seconds >= limits.slow_seconds_min]
        usual = self.usual.seconds() if old else None
        if usual is None:
            return []
        return [(lane, seconds, usual) for lane, seconds in old if seconds >= limits.slow_factor * usual]

    def _look(self) -> None:
        # No message is sent while all is well: in a simulation each one is an occasion for faults.
        self.is_watching = False
        if self.lost() or self.unbegun() or (not self.is_over() and self.slow()):
            self.tell(LanesAiling())
        elif not self.is_over():
            self.begin()


def _counts(lane: Lane) -> bool:
    return not (lane.is_said_slow or lane.cancelled or lane.is_closed)
