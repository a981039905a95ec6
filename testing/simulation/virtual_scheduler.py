"""One flow of time on one operating-system thread, and a seeded choice of who runs next.

Every thread of the runtimes under test is a greenlet here. It runs until it waits for something (mail, an answer, time)
or passes a point where others may go first; then chance picks the next. When nobody can run, time jumps to the next
thing that is due: so thirty days pass in seconds, blocking code blocks only itself, and the same seed gives the same
run.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from signal import SIG_DFL
from types import FrameType
from typing import Any, TypeAlias

from ...errors import UsageError, missing_extra
from ...messages.clock_steps import Reading
from ...messages.jobs import Instant, Seconds

try:
    from greenlet import GreenletExit, greenlet
except ImportError as error:
    raise missing_extra("greenlet", "simulations", "testing") from error

if sys.version_info >= (3, 14):
    from asyncio.tasks import _swap_current_task
else:

    def _swap_current_task(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any] | None) -> asyncio.Task[Any] | None:
        return None


# All loops of a simulation share one thread. asyncio knows one running loop a thread, and since Python 3.14 one running
# task; before, it knew one a loop.
Left: TypeAlias = "tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None] | None"
"""The loop that ran. None if none did."""


def leave_loop() -> Left:
    """Let another loop run on this thread, in the midst of whatever the one that runs does."""
    loop = asyncio._get_running_loop()
    if loop is None:
        return None
    task = _swap_current_task(loop, None)
    asyncio._set_running_loop(None)
    return loop, task


def enter_loop(left: Left) -> None:
    """Go on with what was left."""
    if left is not None:
        loop, task = left
        asyncio._set_running_loop(loop)
        _swap_current_task(loop, task)


FORKED_PID = 1000
"""Steps between the pids of forked children."""

STEP_SECONDS = 1e-5
"""How long a step takes in virtual time, so that no two things happen at quite the same instant."""


class Deadlock(Exception):
    """Nothing can happen any more, and the test waits for something."""


class WorldOver(GreenletExit):
    """Unwinds a task at the end of its world. It has no traceback: actors write theirs down, and nobody reads it."""

    __traceback__ = None


@dataclass(eq=False)
class Process:
    """A stand-in for one life of an operating-system process: its tasks live and die together.

    Attributes:
        number: 1, 2, ... as its member of the simulation has it in every life.
        pid: the same, and another for a forked child.
        parent: whose death is its own too.
        boots: the runtimes that live in it.
        is_alive: whether it, and whoever started it, has not been killed.
    """

    number: int
    pid: int = 0
    parent: Process | None = None
    is_fork: bool = False
    boots: set[str] = field(default_factory=set)
    signal_handlers: dict[int, Any] = field(default_factory=dict)
    is_alive: bool = True
    _children: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pid = self.pid or self.number
        if self.parent is not None:
            self.is_alive = self.parent.is_alive
            self.parent._children.append(self)

    def signal(self, number: int, call: Any) -> Any:
        before, self.signal_handlers[number] = self.signal_handlers.get(number, SIG_DFL), call
        return before

    def die(self) -> None:
        """Kill the process and all that it has started."""
        self.is_alive = False
        for child in self._children:
            child.die()


class Task:
    """A greenlet that stands for a thread.

    Attributes:
        may_be_struck: whether an error may be raised in it at any moment.
        stands_in: whether it does an actor's work, while that waits.
    """

    __slots__ = (
        "error",
        "greenlet",
        "in_handler",
        "is_idle",
        "is_over",
        "may_be_struck",
        "name",
        "process",
        "signals",
        "stands_in",
        "token",
        "waiting",
        "woken",
    )

    def __init__(self, run: Callable[[], object] | None, name: str, process: Process, hub: Any) -> None:
        self.name = name
        self.process = process
        self.greenlet = greenlet.getcurrent() if run is None else greenlet(run, hub)
        self.token = 0
        self.waiting = False
        self.woken = False
        self.is_over = False
        self.is_idle = False
        self.may_be_struck = False
        self.stands_in = False
        self.error: type[BaseException] | None = None
        self.signals: list[Callable[[], object]] = []
        self.in_handler = 0

    @property
    def is_dead(self) -> bool:
        return self.is_over or not self.process.is_alive


class VirtualScheduler:
    """One flow of time, in which `chance` decides who runs next. `start` is wall time at the beginning.

    Attributes:
        reached: how often each fault struck, and what else a campaign must have come to.
        stepped: how far wall time was moved alone, to and fro.
        on_step: is told of each such step, for as long as it returns true.
    """

    def __init__(self, chance: random.Random, start: Instant) -> None:
        self.chance = chance
        self.reached: Counter[str] = Counter()
        self.stepped = 0.0
        self.on_step: list[Callable[[Seconds], bool]] = []
        self.elapsed = 0.0
        self._thread = threading.get_ident()
        self.offset = start
        self.asleep = 0.0
        # The id of the machine's boot. Without it (None), a step of the clock cannot be told from a sleep.
        self.count: str | None = "world"
        self.steps = 0
        self._tasks: dict[Task, None] = {}
        self._is_over = False
        self._ready: list[Task] = []
        self._timed: list[tuple[float, int, Callable[[], object] | Task, int]] = []
        self._wall: list[tuple[float, int, Callable[[], object]]] = []
        self._order = 0
        self._hub = greenlet(self._run)
        self._beginner: Task | None = None
        self._forks = 0
        self._main = Task(None, "the test", Process(0), None)
        self._clockwork = Task(None, "the clock", Process(0), None)
        self.current = self._main

    @property
    def now(self) -> Instant:
        return self.offset + self.elapsed

    @property
    def is_in_test(self) -> bool:
        """Whether the test itself runs now, and not one of the tasks."""
        return self.current is self._main

    def heed_interrupts(self) -> Callable[[], object]:
        """Have a Ctrl-C, or the alarm of a test that takes too long, come out of what the test waits for, whichever
        task runs then. The result ends that.
        """
        if threading.current_thread() is not threading.main_thread():
            return lambda: None
        ends = [self._heed(number) for number in (signal.SIGINT, signal.SIGALRM)]
        return lambda: [end() for end in ends]

    def _heed(self, number: signal.Signals) -> Callable[[], object]:
        before: Any = signal.getsignal(number)
        if not callable(before):
            return lambda: None

        def heed(number: int, frame: FrameType | None) -> None:
            try:
                before(number, frame)
            except BaseException as error:
                if greenlet.getcurrent() is self._main.greenlet:
                    raise
                # Raised in the task, it would end an actor or a job. Raise it in the test, and leave the task as it is.
                leave_loop()
                self.current, self._main.waiting = self._main, False
                self._main.greenlet.throw(error)

        signal.signal(number, heed)
        return lambda: signal.getsignal(number) is heed and signal.signal(number, before)

    def spawn(self, run: Callable[[], object], name: str, process: Process) -> Task:
        task = Task(lambda: self._live(task, run), name, process, self._hub)
        self._tasks[task] = None
        self._ready.append(task)
        return task

    def _live(self, task: Task, run: Callable[[], object]) -> None:
        try:
            run()
        except (SystemExit, GreenletExit):
            pass
        except BaseException:
            # As for any thread, the error is printed, and does not reach other tasks.
            traceback.print_exc()
        finally:
            task.is_over = True
            self._tasks.pop(task, None)

    def pause(self) -> None:
        """Let others run first, if chance will."""
        if self._ready:
            task = self.current
            self._ready.append(task)
            self._switch(task)
        self.handle_signals()

    def park(self, seconds: Seconds | None = None) -> bool:
        """Wait until woken, or until so many seconds have passed. Whether it was woken."""
        task = self.current
        due = math.inf if seconds is None else self.elapsed + seconds
        while True:
            task.token += 1
            task.waiting, task.woken = True, False
            if seconds is not None:
                self._push(seconds, task, task.token)
            self._switch(task)
            if not task.signals:
                return task.woken
            self.handle_signals()
            if task.woken or self.elapsed >= due:
                return task.woken
            seconds = None if seconds is None else due - self.elapsed

    def sleep(self, seconds: Seconds) -> None:
        until = self.elapsed + seconds
        while self.elapsed < until:
            self.park(until - self.elapsed)

    def wake(self, task: Task | None) -> None:
        if task is not None and task.waiting:
            task.waiting, task.woken = False, True
            self._ready.append(task)
        elif task is not None and (task.signals or task.in_handler):
            # The task handles its signals, and would wait again after that: now it need not.
            task.woken = True

    def strike(self, task: Task, error: type[BaseException] | None) -> None:
        """Raise an error in a task at its next step."""
        task.error = error
        if error is not None:
            self.wake(task)

    def interrupt(self, task: Task, call: Callable[[], object]) -> None:
        """Have a signal's handler called on top of whatever a task does or waits for, which then goes on."""
        task.signals.append(call)
        if task.waiting:
            task.waiting = False
            self._ready.append(task)

    def handle_signals(self) -> None:
        """Let the signals that have come for the current task interrupt it here."""
        task = self.current
        while task.signals:
            call = task.signals.pop(0)
            task.in_handler += 1
            call()
            task.in_handler -= 1

    def kill(self, process: Process) -> None:
        """Let nothing of a process ever run again. A task of it that runs now ends here.

        Its greenlets are kept as they are: to unwind them would run code that a killed process never runs.
        """
        process.die()
        self.leave_if_dead()

    def fork(self) -> Process:
        """Let the current task go on as the only one of a new process, which outlives the one it comes from."""
        self._forks += 1
        number = self.current.process.number
        self.current.process = Process(number, pid=number + FORKED_PID * self._forks, is_fork=True)
        return self.current.process

    def leave_if_dead(self) -> None:
        """Never come back, if the current task's process has been killed."""
        if self.current.is_dead:
            leave_loop()
            self._hub.switch()

    def end(self) -> None:
        """Let go of everything. Tasks that only waited for mail are unwound; whatever was in the middle of something
        is kept as it is, for its `finally` is not for a world that is no more."""
        self._is_over = True
        for task in list(self._tasks):
            if task.is_idle and task.greenlet:
                self.current = task
                task.greenlet.parent = self._main.greenlet
                task.greenlet.throw(WorldOver)
            else:
                _graves.append(task)
        self.current = self._main

    def check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise UsageError(
                "expected a call from the thread that made this simulated runtime, as Inline's is, not another. "
                "A test client runs endpoints on threads of its own: start the runtime on a file of the test's"
            )

    def _switch(self, task: Task) -> None:
        self.check_thread()
        if self._is_over:
            if self.is_in_test:
                raise UsageError("expected this call within the `with` of its simulation, got it after its end")
            raise WorldOver
        following = self._next()
        if following is not task:
            left = leave_loop()
            if following is None or not following.greenlet:
                # Only the hub starts greenlets: started in one another, they would nest ever deeper on the stack.
                self._beginner = following
                self._hub.switch()
            else:
                following.greenlet.switch()
            enter_loop(left)
        if task.error is not None:
            error, task.error = task.error, None
            raise error

    def after(self, seconds: Seconds, call: Callable[[], object]) -> None:
        """Make a short call once so many seconds have passed."""
        self._push(seconds, call, 0)

    def at(self, instant: Instant, call: Callable[[], object]) -> None:
        """Make a short call once wall time has reached an instant."""
        self._order += 1
        heapq.heappush(self._wall, (instant, self._order, call))

    @property
    def reading(self) -> Reading:
        return Reading(self.now, self.count, self.offset - self.asleep)

    def step_clock(self, seconds: Seconds, *, asleep: bool = False) -> None:
        """Move wall time alone, and tell every clock: somebody sets it, or the machine sleeps."""
        self.offset += seconds
        self.stepped += abs(seconds)
        self.asleep += seconds if asleep else 0.0
        self.on_step = [tell for tell in self.on_step if tell(seconds)]

    def _push(self, seconds: Seconds, what: Callable[[], object] | Task, token: int) -> None:
        self._order += 1
        due = self.elapsed + seconds if seconds > 0.0 else self.elapsed
        heapq.heappush(self._timed, (due, self._order, what, token))

    def _run(self) -> None:
        """The hub: lets time pass where nobody can run, makes the calls that are due, and begins new tasks."""
        while True:
            task, self._beginner = self._beginner, None
            while task is None:
                self._make_due_calls()
                if not self._ready and not self._jump():
                    self._main.error = Deadlock
                    self._main.waiting = False
                    self._ready.append(self._main)
                task = self._next()
            task.greenlet.switch()

    def _next(self) -> Task | None:
        """The task that runs next, which chance decides. None if something is due before, or nobody can run."""
        ready, timed, wall, elapsed = self._ready, self._timed, self._wall, self.elapsed
        if (timed and timed[0][0] <= elapsed) or (wall and wall[0][0] <= self.offset + elapsed):
            return None
        while ready:
            task = ready.pop()
            if ready:
                # Draw from all of them, the popped one included: it takes the place of the drawn one.
                index = int(self.chance.random() * (len(ready) + 1))
                if index < len(ready):
                    task, ready[index] = ready[index], task
            if task.is_over or not task.process.is_alive:
                continue
            self.elapsed = elapsed + STEP_SECONDS
            self.steps += 1
            self.current = task
            return task
        return None

    def _jump(self) -> bool:
        """Let time pass until the next thing that is due. False when there is none."""
        timed, wall = self._timed, self._wall
        while timed and self._is_stale(timed[0]):
            heapq.heappop(timed)
        if not timed and not wall:
            return False
        due = timed[0][0] if timed else math.inf
        if wall:
            due = min(due, wall[0][0] - self.offset)
        self.elapsed = max(self.elapsed, due)
        if wall and wall[0][0] - self.offset <= self.elapsed and wall[0][0] > self.now:
            # Sums of floats may fall short by rounding.
            self.elapsed += STEP_SECONDS
        return True

    def _make_due_calls(self) -> None:
        # Timers must not run as the task that ran last: it may be of another process, or of a forked child.
        self.current = self._clockwork
        timed, wall = self._timed, self._wall
        while timed and timed[0][0] <= self.elapsed:
            entry = heapq.heappop(timed)
            what = entry[2]
            if not isinstance(what, Task):
                what()
            elif not self._is_stale(entry):
                what.waiting = False
                self._ready.append(what)
        while wall and wall[0][0] <= self.now:
            heapq.heappop(wall)[2]()

    @staticmethod
    def _is_stale(entry: tuple[float, int, Callable[[], object] | Task, int]) -> bool:
        task = entry[2]
        return isinstance(task, Task) and (task.token != entry[3] or not task.waiting or task.is_dead)


_graves: list[Task] = []
"""Tasks of killed processes. A greenlet that nobody holds any more would be unwound."""
