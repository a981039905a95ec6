"""All lanes of one boot. They cannot die with their actor, so they are kept outside of it: the next incarnation finds
here which still run and which have ended unread, and `health()` finds the hung ones.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from ..messages.jobs import Claim, Seconds
from ..messages.mail import LanesEnded
from ..messages.outcomes import Outcome
from .handler import Handler, Kind
from .lane import Lane, LaneContext
from .processes import ProcessRunner
from .tasks import TaskRunner
from .threads import ThreadRunner

LOOP_END_SECONDS_MAX = 2.0
"""How long a stop waits until what is around event loops is left. `docker stop` gives ten seconds, of which the drain
takes eight.
"""


ENDINGS_SECONDS = 0.002
"""How long the end of a job in a child process waits for others, if its place is taken: a turn for each would cost more
than the jobs. Lanes on threads end together by themselves, as one keeps the interpreter for about as long.
"""


class Runner(Protocol):
    """Something that lanes of one handler run on."""

    def start(self, lane: Lane) -> None:
        """Run it."""

    def is_blocked(self, handler: Handler) -> bool:
        """Whether it takes no lanes for now."""

    def close(self) -> None:
        """Let idle threads and children end."""

    def wait(self, seconds: Seconds) -> None:
        """Wait until what was around them is left, for so many seconds at most."""


RUNNERS: dict[Kind, type[ThreadRunner | TaskRunner | ProcessRunner]] = {
    "thread": ThreadRunner,
    "task": TaskRunner,
    "process": ProcessRunner,
}


class LaneEnded(NamedTuple):
    """A lane's function has returned or raised, or its process has died.

    Attributes:
        following: the lane that has got its place already.
    """

    lane: Lane
    outcome: Outcome
    seconds: Seconds
    following: Lane | None


class Lanes:
    """The lanes that have not ended, the endings that no HandlerActor has read, and the runners of all handlers.

    Args:
        make_context: what the runtime lends to every lane, as soon as it gets `ended`.
        left: those of the same runtime before it was stopped. Where one still runs, its job is not started beside it.
    """

    def __init__(self, make_context: Callable[..., LaneContext], left: Lanes | None = None) -> None:
        self._context = make_context(ended=self.ended)
        self._ids: Iterator[int] = itertools.count(1) if left is None else left._ids
        self._runners: dict[str, Runner] = {}
        self._open: dict[int, Lane] = {}
        self._newest: dict[str, Lane] = {}
        self._unread: dict[str, deque[LaneEnded]] = {}
        # A dict, because it keeps its order: a simulation must tell actors of their lanes in the same one each time.
        self._notified: dict[str, None] = {}
        self._soon: set[str] = set()
        for lane in () if left is None else left.open():
            # In a forked child there are none: its parent's threads are not here.
            if lane.handle.is_alive():
                self._note(lane)
                lane.when_ended(partial(self._forget, lane))

    def open_lane(self, handler: Handler, claim: Claim, next_lane: Callable[[Lane], Lane | None]) -> Lane:
        """Make a lane that the caller runs. When it has ended, `next_lane` says which lane gets its place."""
        lane = Lane(next(self._ids), handler, claim, self._context, next_lane)
        self._note(lane)
        return lane

    def start(self, handler: Handler, claim: Claim, next_lane: Callable[[Lane], Lane | None]) -> Lane:
        """Run a claim. `LaneContext.ended` is called when it has ended.

        Raises:
            OSError, RuntimeError: the system gives no more threads or processes.
        """
        lane = self.open_lane(handler, claim, next_lane)
        runner = self._runners.get(handler.id)
        if runner is None:
            make = self._context.environment.runners.get(handler.kind, RUNNERS[handler.kind])
            runner = self._runners[handler.id] = make()
        try:
            # `Pool.start` for threads and child processes, `TaskRunner.start` for tasks.
            runner.start(lane)
        except BaseException:
            self._forget(lane)
            raise
        return lane

    def ended(self, lane: Lane, outcome: Outcome, seconds: Seconds, following: Lane | None) -> None:
        """A lane has ended: send its HandlerActor a message, unless one that it has not read says already that endings
        wait.
        """
        name = lane.handler.name
        self._unread.setdefault(name, deque()).append(LaneEnded(lane, outcome, seconds, following))
        self._forget(lane)
        if following is None or lane.handler.kind != "process":
            self._notify(lane)
        elif name not in self._soon:
            self._soon.add(name)
            self._context.clock.after(ENDINGS_SECONDS, partial(self._notify, lane))

    def _notify(self, lane: Lane) -> None:
        name = lane.handler.name
        # First: what ends after this line sets the clock again.
        self._soon.discard(name)
        if name in self._notified or not self._unread[name]:
            return
        self._notified[name] = None
        try:
            self._context.tell(f"handler:{name}", LanesEnded(), corr=lane.claim.job.corr)
        except BaseException:
            # There was no memory, say, or an error was raised into the lane's thread. The next lane to end must then
            # report both.
            self._notified.pop(name, None)
            raise

    @property
    def unread(self) -> list[str]:
        """The names of which lanes have ended, and their HandlerActors have not read that."""
        return list(self._notified)

    def take_ended(self, name: str) -> list[LaneEnded]:
        """The endings since the last call, in order."""
        # A lane that ends after this line sends a message again; all that ended before it are in the queue.
        self._notified.pop(name, None)
        unread = self._unread.get(name, ())
        return [self._unread[name].popleft() for _ in range(len(unread))]

    def begin_stop(self) -> None:
        """The runtime stops: running jobs see it at once, and those that sleep wake up."""
        self._context.stopping.set()
        for lane in self.open():
            lane.begin_stop()

    def usable(self, handlers: Sequence[Handler]) -> Sequence[Handler]:
        """Those that take lanes now: an event loop that does not answer takes none."""
        get = self._runners.get
        return [one for one in handlers if (runner := get(one.id)) is None or not runner.is_blocked(one)]

    def close(self, handler_id: str) -> None:
        """A handler was removed: let its idle threads, loop and children end."""
        runner = self._runners.pop(handler_id, None)
        if runner is not None:
            runner.close()

    def close_all(self) -> None:
        """The boot ends."""
        runners = list(self._runners.values())
        for handler_id in list(self._runners):
            self.close(handler_id)
        clock = self._context.clock
        give_up_at = clock.monotonic() + LOOP_END_SECONDS_MAX
        for runner in runners:
            runner.wait(max(0.0, give_up_at - clock.monotonic()))

    def open(self, name: str | None = None) -> list[Lane]:
        """Lanes that have not ended, those of one job name or all, in the order they were started."""
        return [lane for lane in list(self._open.values()) if name is None or lane.handler.name == name]

    def runs(self, job: Mapping[str, Any]) -> bool:
        """Whether one of them that has not ended is of this job and claim, as a handler's context has them."""
        mine = (job.get("job_id"), job.get("claim_no"))
        return any((lane.claim.job.id, lane.claim.job.claim_no) == mine for lane in self.open())

    def of_job(self, job_id: str) -> Lane | None:
        """An open lane of a job, its newest, unless it was given up and has had its time."""
        # An older lane of the job has ended, or its grace is over, or this one would not have been opened.
        lane = self._newest.get(job_id)
        return lane if lane is not None and not lane.grace_is_over else None

    def abandoned(self) -> list[Lane]:
        """The hung lanes: given up, and still running."""
        return [lane for lane in self.open() if lane.abandoned_because is not None]

    def tasks(self) -> list[tuple[str, str]]:
        """The tasks on the event loops of all handlers: what each is called, and where it is."""
        runners = [runner for runner in list(self._runners.values()) if isinstance(runner, TaskRunner)]
        return [task for runner in runners for task in runner.tasks()]

    def _note(self, lane: Lane) -> None:
        self._open[lane.id] = self._newest[lane.claim.job.id] = lane

    def _forget(self, lane: Lane) -> None:
        self._open.pop(lane.id, None)
        if self._newest.get(lane.claim.job.id) is lane:
            del self._newest[lane.claim.job.id]
