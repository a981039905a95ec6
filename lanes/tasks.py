"""Lanes as asyncio tasks: one event loop a handler, on a thread of its own, so that one that blocks harms no other."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections import deque

from ..log import enter_job
from ..messages.outcomes import Outcome, OutcomeKind
from .calls import raised, success
from .lane import Grip, Lane


class TaskRunner:
    """Runs the lanes of one handler."""

    def __init__(self) -> None:
        self._loop: _Loop | None = None

    def start(self, lane: Lane) -> None:
        """Run a lane as a task."""
        if self._loop is None or self._loop.blocked:
            self._loop = _Loop(lane)
        self._loop.start(lane)

    def close(self) -> None:
        """End the loop once its tasks have ended."""
        if self._loop is not None:
            self._loop.close()
            self._loop = None


class _Loop(Grip):
    """An event loop on its own thread."""

    def __init__(self, first: Lane) -> None:
        self.blocked = False
        self._closing = False
        self._loop = first.context.environment.loop()
        self._lanes: dict[int, Lane] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._new: deque[Lane] = deque()
        self._knows = False
        self._thread = first.context.environment.spawn(self._run, f"loop {first.handler.name}")

    def start(self, lane: Lane) -> None:
        self._lanes[lane.id] = lane
        lane.grip = self
        self._new.append(lane)
        if not self._knows:
            self._knows = True
            self._loop.call_soon_threadsafe(self._create_new)

    def close(self) -> None:
        # One that was given up as blocked may have gone on, and ended, since.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._close_when_idle)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            while not self._run_once():
                pass
        finally:
            self._loop.close()

    def _run_once(self) -> bool:
        """Run until stopped (True), or until a task of the host's throws a SystemExit at the loop: it then goes on."""
        try:
            self._loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            return False
        return True

    def _create_new(self) -> None:
        # Whoever comes after this line wakes the loop again; all before it are in the queue.
        self._knows = False
        while self._new:
            self._create(self._new.popleft())

    def _create(self, lane: Lane) -> None:
        self._tasks[lane.id] = self._loop.create_task(self._call(lane))
        if lane.cancelled:
            # After its first step: a task that never began would never say that it has ended.
            self.interrupt(lane)

    async def _call(self, lane: Lane) -> None:
        handler, limits, failpoints = lane.handler, lane.context.limits, lane.context.environment.failpoints
        try:
            # A task has a context of its own.
            enter_job(lane.claim.job.corr, **lane.fields())
            failpoints.at("lane.call", lane)
            result = await handler.fn(lane.job())
            failpoints.at("lane.returned", lane)
            outcome = success(result, auto_done=handler.auto_done, result_bytes_max=limits.result_bytes_max)
        except BaseException as error:
            outcome = raised(error, limits.error_characters_max)
        self._lanes.pop(lane.id, None)
        self._tasks.pop(lane.id, None)
        following = lane.pass_on()
        lane.finish(outcome, following)
        if following is not None:
            self._lanes[following.id] = following
            following.grip = self
            self._create(following)
        self._close_when_idle(asked=False)

    def interrupt(self, lane: Lane) -> None:
        task = self._tasks.get(lane.id)
        if task is not None:
            # A loop that has just been closed has no task left to cancel.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(task.cancel)

    def kill(self, lane: Lane) -> None:
        """The lane was abandoned: if the loop does not answer either, something on it blocks, and all on it is lost."""
        answered = lane.context.environment.event()
        try:
            self._loop.call_soon_threadsafe(answered.set)
        except RuntimeError:
            return
        grace = lane.context.limits.lane_grace_seconds
        lane.context.clock.after(grace, lambda: None if answered.is_set() else self._give_up(lane))

    def _give_up(self, culprit: Lane) -> None:
        self.blocked = True
        reason = f"job {culprit.claim.job.id} blocks their event loop"
        for lane in list(self._lanes.values()):
            if lane is not culprit and lane.close():
                # Cancelled for the moment at which the loop unblocks: what they still do then counts no longer.
                lane.signal(reason)
                lane.finish(Outcome(kind=OutcomeKind.INTERRUPTED, reason=reason))
        self._closing = True

    def _close_when_idle(self, *, asked: bool = True) -> None:
        self._closing = self._closing or asked
        if self._closing and not self._lanes:
            self._loop.stop()

    def stack(self, lane: Lane) -> str:
        task = self._tasks.get(lane.id)
        if task is None:
            # If it has not ended, it waits to be begun, behind whatever the loop does.
            return self._thread.stack() if lane.id in self._lanes else ""
        text = io.StringIO()
        try:
            task.print_stack(file=text)
        except Exception as error:
            # It runs on while its frames are read.
            text.write(f"its stack could not be read: {error!r}")
        return text.getvalue()
