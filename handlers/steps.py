"""The steps of one attempt: those kept by earlier attempts, and those that its function has reached."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..api.job_steps import Read
from ..errors import Discard, StaleClaim, UsageError
from ..messages.jobs import Instant, Seconds
from ..messages.steps import NO_SIGNAL, SIGNAL, KeepStep, NoSignal, StepRecord
from ..rules.codec import Encoded, decode, encode
from .payload import HandlerTypes, checked_type, fit, result_type

if TYPE_CHECKING:
    from .lane import Lane

TOO_LATE = "expected a step before the handler has returned, got it after that"


class AttemptSteps:
    """The `StepContext` of a lane; a child's requests use it too. Several threads of a function may use it at once."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._lock = threading.Lock()
        self._kept: dict[str, str] | None = None
        """The JSON text of kept steps of earlier claims that this attempt has not reached; None before they are read.
        """
        self._under_way: dict[str, Instant] = {}
        """Steps whose functions run, and since when (monotonic)."""
        self._passed: set[str] = set()
        """Steps that this attempt has results of."""
        self._bytes = 0
        """The upper bound of the bytes of all results that are kept or about to be."""
        self._about_to_be: dict[str, int] = {}
        self._tasks: dict[str, asyncio.Task[Any] | None] = {}
        self._is_over = False
        self._when_idle: Callable[[], object] | None = None
        """Called when no step's function runs any more, once the attempt has failed."""

    def begin(self, name: str, connection: Any = None) -> str | None:
        refuse_on_loop()
        # A step with a connection waits for no turn.
        self._check(blocks=connection is None)
        if self._kept is None:
            self._found(self._lane.context.submitter.kept_steps(self._lane.claim.job))
        if self._is_new(name):
            self._lane.context.submitter.check_claim(self._lane.claim, name)
        return self._begin(name)

    async def abegin(self, name: str, connection: Any = None) -> str | None:
        self._check(blocks=False)
        if self._kept is None:
            self._found(await asyncio.to_thread(self._lane.context.submitter.kept_steps, self._lane.claim.job))
        if self._is_new(name):
            await asyncio.to_thread(self._lane.context.submitter.check_claim, self._lane.claim, name)
        kept = self._begin(name)
        if kept is None:
            self._tasks[name] = asyncio.current_task()
        return kept

    def keep(self, name: str, result: str, connection: Any = None) -> str:
        step = KeepStep(self._lane.claim, name, result, self._ended(name, result), None)
        return self._now_kept(name, self._lane.context.submitter.keep_step(step, connection))

    async def akeep(self, name: str, result: str, connection: Any = None) -> str:
        step = KeepStep(self._lane.claim, name, result, self._ended(name, result), None)
        return self._now_kept(name, await self._lane.context.submitter.awaiting.keep_step(step, connection))

    def sent(self, name: str, *, is_over: bool) -> str | NoSignal | None:
        refuse_on_loop()
        self._check(blocks=True)
        step = SIGNAL + name
        with self._lock:
            if step in self._passed:
                raise UsageError(
                    f"signal {name!r} was waited for in this attempt already; give each wait a name, as f'{name}-{{n}}'"
                )
        found = self._lane.context.submitter.sent(self._lane.claim, name, is_over=is_over)
        self._lane.context.environment.failpoints.at("lane.step", self._lane)
        if found is None:
            return None
        with self._lock:
            self._passed.add(step)
        return found.result if found.claim_no <= 0 else NO_SIGNAL

    def leave(self, name: str) -> None:
        with self._lock:
            self._bytes -= self._about_to_be.pop(name, 0)
            self._left(name)

    def wait_for_left(self) -> None:
        """After a failed attempt, wait for its steps in other threads, or the next attempt would run beside them; at
        most for as long as a thread may go on that has lost its job.
        """
        idle = self._lane.context.environment.event()
        if self._end(idle.set):
            idle.wait(self._lane.context.limits.lane_grace_seconds)

    async def await_left(self) -> None:
        """The same on an event loop, where slower steps are cancelled."""
        loop, idle = asyncio.get_running_loop(), asyncio.Event()
        if not self._end(partial(loop.call_soon_threadsafe, idle.set)):
            return
        # The attempt itself may be cancelled meanwhile.
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(idle.wait(), self._lane.context.limits.lane_grace_seconds)
        with self._lock:
            self._when_idle, tasks = None, list(self._tasks.values())
        for task in tasks:
            if task is not None:
                task.cancel()

    def _end(self, when_idle: Callable[[], object]) -> bool:
        """Allow no new step. Return whether a step's function still runs."""
        with self._lock:
            self._is_over = True
            self._when_idle = when_idle if self._under_way else None
            return self._when_idle is not None

    def _left(self, name: str) -> None:
        """A step's function has ended. The caller holds the lock."""
        self._under_way.pop(name, None)
        self._tasks.pop(name, None)
        if self._when_idle is not None and not self._under_way:
            self._when_idle()

    def reader(self, name: str, fn: Callable[..., Any], upcast: Callable[[Any], Any] | None = None) -> Read:
        return reader(name, fn, upcast)

    def signal_reader(self, name: str, wanted: Any) -> Read:
        return signal_reader(name, wanted)

    def now(self) -> Instant:
        return self._lane.context.clock.now()

    def _check(self, *, blocks: bool) -> None:
        """Stop an attempt that has lost its claim at its next step, before it does anything more.

        Raises:
            StaleClaim: it has lost its claim.
            UsageError: its handler has returned, and so has ended it.
        """
        lane = self._lane
        if self._is_over or (lane.is_closed and lane.handler.auto_done):
            raise UsageError(TOO_LATE)
        if lane.cancelled:
            raise StaleClaim(f"this attempt of job {lane.claim.job.id} no longer holds it: {lane.reason}")
        lane.context.submitter.check_step(blocks=blocks)

    def _found(self, steps: Sequence[StepRecord]) -> None:
        # Read without the lock: another thread that gets here finds the same.
        kept = {step.name: step.result for step in steps}
        with self._lock:
            if self._kept is not None:
                return
            self._kept, self._bytes = kept, sum(map(len, kept.values()))
        if kept:
            job = self._lane.claim.job
            self._lane.context.say("job.resumed", corr=job.root_id, **self._lane.fields(), steps=len(kept))

    def _is_new(self, name: str) -> bool:
        """Whether the step's function is about to be called. Then the claim is checked in the store: this process may
        have been frozen while another one took the job away.
        """
        return self._kept is not None and name not in self._kept

    def _begin(self, name: str) -> str | None:
        limit = self._lane.context.limits.steps_max
        with self._lock:
            assert self._kept is not None, "somebody has looked before"
            if self._is_over:
                # The attempt failed during the check in the store: another one may run by now.
                raise UsageError(TOO_LATE)
            if name in self._passed or name in self._under_way:
                was = "was done" if name in self._passed else "is under way"
                raise UsageError(
                    f"step {name!r} {was} in this attempt already; give each its own name, as f'{name}-{{n}}'"
                )
            kept = self._kept.pop(name, None)
            if kept is not None:
                self._passed.add(name)
            elif len(self._kept) + len(self._under_way) + len(self._passed) >= limit:
                raise UsageError(
                    f"expected at most {limit:,} steps of a job, got one more: {name!r}; do the rest in a job of its "
                    "own, as by job.then"
                )
            else:
                self._under_way[name] = self._lane.context.clock.monotonic()
            return kept

    def _ended(self, name: str, result: str) -> Seconds:
        """The function has returned. Return its duration. Raises a UsageError if the result is too large."""
        limits = self._lane.context.limits
        encode(Encoded(result), what=f"result of step {name!r}", bytes_max=limits.result_bytes_max)
        with self._lock:
            together, most = self._bytes + len(result), limits.steps_bytes_max
            if together > most:
                raise UsageError(
                    f"expected results of the steps of a job of at most {most:,} bytes together as JSON, got: "
                    f"{together:,} bytes with step {name!r}; pass references"
                )
            self._bytes, self._about_to_be[name] = together, len(result)
            took = self._lane.context.clock.monotonic() - self._under_way[name]
        self._lane.context.environment.failpoints.at("lane.step", self._lane)
        return took

    def _now_kept(self, name: str, result: str) -> str:
        self._lane.context.environment.failpoints.at("lane.step", self._lane)
        with self._lock:
            self._bytes += len(result) - self._about_to_be.pop(name)
            self._passed.add(name)
            self._left(name)
        return result


def refuse_on_loop() -> None:
    """Raise a UsageError on an event loop, which a plain step would block, with every job there."""
    if asyncio._get_running_loop() is not None:
        raise UsageError(
            "expected a plain step away from an event loop, which it would block; await job.astep(...), "
            "job.asnooze(...), or job.await_signal(...)"
        )


def reader(name: str, fn: Callable[..., Any], upcast: Callable[[Any], Any] | None = None) -> Read:
    """See `StepContext.reader`."""
    types = HandlerTypes(None, result_type(fn, f"the function of step {name!r}"))
    if upcast is not None and types.returned is None:
        raise UsageError(f"expected step {name!r}, which has an upcast, to have a function with an annotated result")

    def read(stored: Any) -> Any:
        try:
            return types.result(stored)
        except UsageError as error:
            if upcast is not None:
                return types.result(decode(encode(upcast(stored), what="upcast", bytes_max=sys.maxsize)))
            raise UsageError(f"step {name!r}: {error}") from None

    return read


def signal_reader(name: str, wanted: Any) -> Read:
    """See `StepContext.signal_reader`."""
    kind = None if wanted is Any else checked_type(wanted)

    def read(stored: Any) -> Any:
        try:
            return fit(stored, kind)
        except Discard as error:
            raise Discard(f"signal {name!r}: {error}; queue a new job, and signal that one") from None

    return read
