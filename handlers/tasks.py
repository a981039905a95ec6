"""Lanes as asyncio tasks: one event loop a handler, on its own thread, so that a blocking one harms no other."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from types import FrameType
from typing import Any

from ..log.log_line import safe_str
from ..messages.jobs import Seconds
from ..messages.mail import Attach
from ..messages.outcomes import Outcome, OutcomeKind
from .carriers import Carriers
from .execute import execute_async
from .handler import Handler
from .lane import Lane, RunHandle
from .outcomes import UNBEGUN, escaped

KINDS = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"))
"""The attributes for the frame and the awaited object of coroutines, and of generator-based ones."""

AWAITS_MAX = 100


def is_running(task: asyncio.Task[Any] | None) -> bool:
    """Whether the loop's thread executes this task at this moment."""
    return bool(task is not None and getattr(task.get_coro(), "cr_running", False))


def task_stack(task: asyncio.Task[Any]) -> str:
    """A task's stack as a traceback, down to the object that its innermost coroutine awaits."""
    try:
        frames = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in _frames(task.get_coro()))
        return f"Stack for {task!r} (most recent call last):\n{''.join(frames.format())}"
    except Exception as error:
        # The task runs on while its frames are read.
        return f"its stack could not be read: {error!r}"


def _frames(awaited: Any) -> Iterator[FrameType]:
    for _ in range(AWAITS_MAX):
        names = next((names for names in KINDS if hasattr(awaited, names[0])), None)
        if names is None:
            # A future, or a step of an asynchronous generator, which cannot be inspected.
            return
        frame = getattr(awaited, names[0])
        if frame is not None:
            yield frame
        awaited = getattr(awaited, names[1])


def patience_with(timeout: Seconds | None, grace: Seconds) -> Seconds:
    """For how long a loop need not answer. A job without a timeout may wait the whole grace."""
    return max(ANSWER_SECONDS_MIN, grace if timeout is None else min(grace, timeout * ANSWER_SHARE))


Opened = Callable[[contextvars.Context], None]


class LoopSurroundings:
    """The carriers around one loop. All of it runs on that loop.

    Args:
        opened: called when entered, with the context that each job gets a copy of.
        refused: called when a carrier has raised, and nothing is entered.
        left: called when it was to end, and has been left.
        say: logs that a carrier has raised while `entered` or `left`.
    """

    def __init__(
        self,
        carriers: Carriers,
        loop: asyncio.AbstractEventLoop,
        *,
        opened: Opened,
        refused: Callable[[str], None],
        left: Callable[[], None],
        say: Callable[[str, str], None],
    ) -> None:
        self._carriers = carriers
        self._opened = opened
        self._refused = refused
        self._left = left
        self._say = say
        self._is_open = False
        self._ending = loop.create_future()
        # A context must be entered and left by the same task.
        self._task = asyncio.Task(self._live())

    def end(self) -> None:
        """Leave the carriers, or stop entering them."""
        if not self._ending.done():
            self._ending.set_result(None)
            if not self._is_open:
                self._task.cancel()

    async def _live(self) -> None:
        entered = AsyncExitStack()
        refusal = await self._enter(entered)
        if refusal is None:
            self._is_open = True
            self._opened(contextvars.copy_context())
            # A job may cancel all tasks of its loop.
            while not self._ending.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([self._ending])
        await self._leave(entered)
        if refusal is None or self._ending.done():
            self._left()
        else:
            self._refused(refusal)

    async def _enter(self, entered: AsyncExitStack) -> str | None:
        for carrier in self._carriers.each:
            try:
                await entered.enter_async_context(carrier.around_loop())
            except BaseException as error:
                reason = f"{type(carrier).__qualname__}: {_shown(error)}"
                if not self._ending.done():
                    self._say("entered", reason)
                return reason
        return None

    async def _leave(self, entered: AsyncExitStack) -> None:
        try:
            await entered.aclose()
        except BaseException as error:
            self._say("left", _shown(error))


def _shown(error: Any) -> str:
    return f"{type(error).__name__}: {safe_str(error)}"[:500]


LOOP_DIED = "its event loop was closed by what ran on it"

ANSWER_SHARE, ANSWER_SECONDS_MIN = 0.25, 0.1
"""A loop unresponsive for this share of its handler's timeout (and at least so long), or for `lane_grace_seconds`, gets
no more jobs.
"""

LOOP_RETRY_SECONDS = 5.0
"""Retry interval while carriers refuse; the loop's jobs wait as long."""


class TaskRunner:
    def __init__(self) -> None:
        self._loop: _Loop | None = None
        self._closed: _Loop | None = None

    def start(self, lane: Lane) -> None:
        if self._loop is None or not self._loop.is_usable:
            self._loop = _Loop(lane)
        self._loop.start(lane)

    def is_blocked(self, handler: Handler) -> bool:
        """Whether the loop is unresponsive: nothing is put on it until it answers, or another replaces it."""
        return self._loop is not None and self._loop.is_usable and self._loop.is_silent(handler)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.close()
            self._closed, self._loop = self._loop, None

    def wait(self, seconds: Seconds) -> None:
        """Wait until the closed loop's carriers are left, for so many seconds at most."""
        if self._closed is not None and self._closed.left is not None:
            self._closed.left.wait(seconds)

    def tasks(self) -> list[tuple[str, str]]:
        """(name, stack) of every task on its loop, including those that jobs have made."""
        return [] if self._loop is None else self._loop.tasks()


class _Loop(RunHandle):
    """An event loop on its own thread. `left` is set when its carriers are left; None if there are none."""

    def __init__(self, first: Lane) -> None:
        self._is_blocked = False
        self._is_closing = False
        self._is_over = False
        context = self._lent = first.context
        self.left: threading.Event | None = context.environment.event() if context.carriers.are_around_loops else None
        self._surroundings: LoopSurroundings | None = None
        self._context: contextvars.Context | None = None
        """The context that each task gets a copy of; None, and no tasks, before the loop is entered."""
        self._refusal = ""
        self._refused_until = -math.inf
        self._loop = context.environment.loop()
        self._lanes: dict[int, Lane] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._new: deque[Lane] = deque()
        self._asked_at: Seconds | None = None
        """Since when the loop has not answered that it has work."""
        self._is_awaited = False
        """Whether the HandlerActor takes no jobs until the loop answers or is replaced."""
        self._name = first.handler.name
        try:
            self._thread = context.environment.spawn(self._run, f"loop {first.handler.name}")
        except BaseException:
            # Its descriptors would stay open, and the next try takes some more.
            self._loop.close()
            raise

    @property
    def is_usable(self) -> bool:
        return not self._is_blocked and not self._is_over and self._thread.is_alive()

    def start(self, lane: Lane) -> None:
        self._lanes[lane.id] = lane
        lane.handle = self
        self._new.append(lane)
        self._ask()

    def is_silent(self, handler: Handler) -> bool:
        """Whether it is unresponsive for so long that nothing more is put on it."""
        asked_at, patience = self._asked_at, patience_with(handler.timeout, self._lent.limits.lane_grace_seconds)
        if asked_at is None or self._lent.clock.monotonic() - asked_at <= patience:
            return False
        self._is_awaited = True
        # If it has answered meanwhile, it has not seen that it is awaited.
        return self._asked_at is not None

    def _ask(self) -> None:
        if self._asked_at is None:
            self._asked_at = self._lent.clock.monotonic()
            self._loop.call_soon_threadsafe(self._create_new)

    def close(self) -> None:
        # A loop that was given up as blocked may have gone on and ended since.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._close_when_idle)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        if self.left is None:
            self._context = contextvars.copy_context()
        try:
            # Only a job can have stopped the loop otherwise; the other jobs on it need it.
            while not self._is_over:
                self._run_until_stopped()
        except Exception as error:
            # For example, a job has closed the loop.
            self._end_lanes(f"{LOOP_DIED}: {error!r}"[:500])
            if self._surroundings is not None:
                self._say_failed("left", LOOP_DIED)
        finally:
            self._is_over = True
            self._end_lanes(LOOP_DIED)
            self._loop.close()
            if self.left is not None:
                self.left.set()

    def _run_until_stopped(self) -> None:
        # A handler's task may throw these two at the loop, which then goes on.
        with contextlib.suppress(SystemExit, KeyboardInterrupt):
            self._loop.run_forever()

    def _end_lanes(self, error: str) -> None:
        """Nothing on the loop goes on any more."""
        for lane in list(self._lanes.values()):
            lane.finish(Outcome(kind=OutcomeKind.FAILED, error=error))
        self._lanes.clear()

    def _create_new(self) -> None:
        # A caller after this line wakes the loop again; earlier items are in the queue.
        self._asked_at = None
        self._tell_awaited()
        if self._context is None and self._surroundings is None:
            self._enter()
        while self._new and self._context is not None:
            self._create(self._new.popleft(), self._context)

    def _tell_awaited(self) -> None:
        """Have a waiting HandlerActor check again whether it can take jobs."""
        if self._is_awaited:
            self._is_awaited = False
            self._lent.tell(f"handler:{self._name}", Attach())

    def _enter(self) -> None:
        """Enter the loop's carriers. Lanes wait meanwhile."""
        if self._loop.time() < self._refused_until:
            self._refuse()
            return
        self._surroundings = LoopSurroundings(
            self._lent.carriers,
            self._loop,
            opened=self._opened,
            refused=self._refused,
            left=self._stop,
            say=self._say_failed,
        )

    def _opened(self, context: contextvars.Context) -> None:
        self._context = context
        self._create_new()

    def _refused(self, reason: str) -> None:
        self._surroundings = None
        self._refusal = f"its event loop could not be entered: {reason}"
        self._refused_until = self._loop.time() + LOOP_RETRY_SECONDS
        self._refuse()

    def _refuse(self) -> None:
        """Let jobs wait. Their functions were not called, so no attempt counts."""
        snoozed = Outcome(kind=OutcomeKind.SNOOZED, reason=self._refusal, seconds=LOOP_RETRY_SECONDS)
        while self._new:
            lane = self._new.popleft()
            self._drop(lane, snoozed if lane.begin() else UNBEGUN)
        self._close_when_idle(asked=False)

    def _drop(self, lane: Lane, outcome: Outcome) -> None:
        if self._lanes.pop(lane.id, None) is not None:
            lane.finish(outcome)

    def _drop_unbegun(self) -> None:
        """Drop lanes that wait to begin and were given up meanwhile."""
        if self._context is None:
            for lane in [lane for lane in list(self._new) if lane.cancelled or lane.abandoned_because is not None]:
                self._new.remove(lane)
                self._drop(lane, UNBEGUN)
            self._close_when_idle(asked=False)

    def _say_failed(self, where: str, reason: str) -> None:
        self._lent.say("loop.failed", job_name=self._name, where=where, reason=reason)

    def _create(self, lane: Lane, context: contextvars.Context) -> None:
        try:
            # Not by the loop's own method, which a job may have replaced. The caller's context may be that of the job
            # before.
            coroutine = execute_async(lane, self._end)
            task = self._tasks[lane.id] = asyncio.Task(coroutine, loop=self._loop, context=context.copy())
            task.add_done_callback(partial(self._is_done, lane))
        except BaseException as error:
            # For example, no memory.
            self._end(lane, escaped(error, lane.context.limits.error_characters_max))
            return
        if lane.cancelled:
            # After the first step, so that the function sees the cancellation.
            self.interrupt(lane)

    def _is_done(self, lane: Lane, task: asyncio.Task[None]) -> None:
        # A job may cancel all tasks, and asyncio never enters a coroutine that is cancelled before its first step.
        if lane.id in self._lanes:
            error = asyncio.CancelledError() if task.cancelled() else task.exception() or asyncio.CancelledError()
            self._end(lane, escaped(error, lane.context.limits.error_characters_max))

    def _end(self, lane: Lane, outcome: Outcome) -> None:
        """Report a lane's end, and begin the lane that has got its place."""
        if self._lanes.pop(lane.id, None) is None:
            return
        self._tasks.pop(lane.id, None)
        following = None
        try:
            following = lane.pass_on()
            if following is not None:
                self._lanes[following.id] = following
            lane.finish(outcome, following)
        except BaseException as error:
            # A function may have left a profiler on this thread, which raises here.
            lane.finish(escaped(error, lane.context.limits.error_characters_max), following)
        finally:
            if following is not None and self._context is not None:
                self._create(following, self._context)
            self._close_when_idle(asked=False)

    def interrupt(self, lane: Lane) -> None:
        task = self._tasks.get(lane.id)
        # A loop that has just been closed has no task left to cancel.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._drop_unbegun if task is None else task.cancel)

    def unbegun(self, lane: Lane) -> str:
        if self._context is None:
            return "what is around its event loop is still being entered"
        culprit = self._running_lane()
        if culprit is None:
            return "its event loop has not come to it"
        return f"its event loop is blocked by job {culprit.claim.job.id}"

    def _running_lane(self) -> Lane | None:
        return next((lane for lane in list(self._lanes.values()) if is_running(self._tasks.get(lane.id))), None)

    def kill(self, lane: Lane) -> None:
        """The lane is hung: if the loop is unresponsive too, something blocks it, and all its tasks are lost."""
        answered = lane.context.environment.event()
        try:
            self._loop.call_soon_threadsafe(answered.set)
        except RuntimeError:
            return
        grace = lane.context.limits.lane_grace_seconds
        lane.context.clock.after(grace, lambda: None if answered.is_set() else self._give_up(lane))

    def _give_up(self, hung: Lane) -> None:
        self._is_blocked = True
        self._tell_awaited()
        culprit = self._running_lane() or hung
        reason = f"job {culprit.claim.job.id} blocks their event loop"
        for lane in list(self._lanes.values()):
            if lane is not culprit and lane.close():
                # Cancelled for the moment at which the loop unblocks: their results no longer count by then.
                lane.signal(reason)
                lane.finish(Outcome(kind=OutcomeKind.INTERRUPTED, reason=reason))
        self._is_closing = True

    def _close_when_idle(self, *, asked: bool = True) -> None:
        self._is_closing = self._is_closing or asked
        if asked:
            self._drop_unbegun()
        if not self._is_closing or self._lanes:
            return
        if self._surroundings is None:
            self._stop()
        else:
            self._surroundings.end()

    def _stop(self) -> None:
        self._is_over = True
        self._loop.stop()

    def stack(self, lane: Lane) -> str:
        task = self._tasks.get(lane.id)
        if task is None:
            # A lane without a task waits to begin, behind the loop's current work.
            return self._thread.stack() if lane.id in self._lanes else ""
        # A coroutine's call that does not await is on its thread's stack alone.
        return self._thread.stack() if is_running(task) else task_stack(task)

    def tasks(self) -> list[tuple[str, str]]:
        try:
            tasks = asyncio.all_tasks(self._loop)
        except RuntimeError:
            # The loop makes and ends tasks while they are counted.
            tasks = set(self._tasks.values())
        return [(f"{task.get_name()} of {self._name}", task_stack(task)) for task in tasks]
