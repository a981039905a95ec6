"""The steps of a handler's `Job`: results that are kept, so that the next attempt goes on from there."""

from __future__ import annotations

import contextlib
import inspect
import sys
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from ..errors import Snooze, UsageError, shown
from ..messages.jobs import Instant, Seconds
from ..rules.codec import decode, encode
from ..rules.validation import check_name, check_seconds

P = ParamSpec("P")
S = TypeVar("S")

_step: ContextVar[tuple[str | None, str]] = ContextVar("lamplighter_step", default=(None, ""))
"""The job and the name of the step whose function runs here."""

Read = Callable[[Any], Any]
"""Makes a kept result what the step's function returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptStep:
    """A step of a job, as the store keeps it until the job is done.

    Attributes:
        name: of the step.
        result: what its function has returned, as JSON has it.
        claim_no: by which claim of the job it was kept.
        at: when, in UTC.
    """

    name: str
    result: Any
    claim_no: int
    at: datetime


class StepContext(Protocol):
    """The calls that a Job borrows for its steps while it runs. Threads, tasks and children each have their own."""

    def begin(self, name: str) -> str | None:
        """Come to a step: the JSON text that is kept of it, or None if its function is to be called now.

        Raises:
            UsageError: the attempt has come to it already, or there are too many.
            StaleClaim: the attempt no longer holds the job.
        """

    async def abegin(self, name: str) -> str | None:
        """The same, without blocking the event loop."""

    def keep(self, name: str, result: str) -> str:
        """Keep what the function has returned; the JSON text that is kept under the name from now on."""

    async def akeep(self, name: str, result: str) -> str:
        """The same, without blocking the event loop."""

    def leave(self, name: str) -> None:
        """The function has raised, or its result could not be kept: the attempt may come to the step again."""

    def reader(self, name: str, fn: Callable[..., Any]) -> Read:
        """How what is kept of a step is read, by what its function is annotated to return.

        Raises:
            UsageError: nobody could keep that.
        """

    def now(self) -> Instant:
        """Wall time by the runtime's clock."""


class JobSteps:
    """The part of a `Job` that is about its steps."""

    __slots__ = ()

    @property
    @abstractmethod
    def id(self) -> str:
        """The job's id."""

    @abstractmethod
    def _steps(self) -> StepContext:
        """The calls that the running job borrows."""

    def step(self, name: str, fn: Callable[P, S], /, *args: P.args, **kwargs: P.kwargs) -> S:
        """Call a function once, and keep what it returns: whoever runs this job again gets the same, without a call.

        The result is returned only once it is durable, read back from JSON also the first time, as the type that the
        function is annotated to return. A crash between the function's return and that moment repeats the function:
        give it a key that says what it is for. Its errors are not kept. Kept steps are found by their names, in
        whatever order the attempt comes to them, and are removed when the job is done. Works in child processes, and
        in several threads of a handler side by side. After a timeout, a cancel or the death of its process an attempt
        takes no more steps: what must be undone then is for a job that waits with `after_ended=` this one.

        Args:
            name: of the step, 1 to 200 characters; each step of a job has its own.
            fn: called with the other arguments.

        Raises:
            StaleClaim: the attempt no longer holds the job; nothing is kept.
            UsageError: the attempt has come to this name already, or has ended; the result is not JSON-serializable,
                too large, or not what the function is annotated to return; or this is an event loop, where `astep`
                belongs.
            NotSupported: the store is a RabbitMQ.
            StoreUnavailable: no answer in time; the result may have been kept.
        """
        steps = self._steps()
        name, read = _checked(steps, name, fn)
        result: S
        kept = steps.begin(name)
        if kept is not None:
            result = _read_again(read, kept)
            return result
        try:
            with _in_step(self.id, name):
                returned = fn(*args, **kwargs)
            text = _text(name, _plain(name, returned))
            # A result that cannot be read as it is annotated is not kept: no later attempt could read it either.
            result = read(decode(text))
            kept = steps.keep(name, text)
        except BaseException:
            steps.leave(name)
            raise
        return result if kept == text else read(decode(kept))

    @overload
    async def astep(
        self, name: str, fn: Callable[P, Coroutine[Any, Any, S]], /, *args: P.args, **kwargs: P.kwargs
    ) -> S: ...

    @overload
    async def astep(self, name: str, fn: Callable[P, S], /, *args: P.args, **kwargs: P.kwargs) -> S: ...

    async def astep(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """`step` for a handler that is a coroutine function. `fn` may be one too; a plain function is called on the
        event loop, so give one that blocks as `asyncio.to_thread, fn`.
        """
        steps = self._steps()
        name, read = _checked(steps, name, fn)
        kept = await steps.abegin(name)
        if kept is not None:
            return _read_again(read, kept)
        try:
            with _in_step(self.id, name):
                returned = fn(*args, **kwargs)
                if inspect.isawaitable(returned):
                    returned = await returned
            text = _text(name, returned)
            result = read(decode(text))
            kept = await steps.akeep(name, text)
        except BaseException:
            steps.leave(name)
            raise
        return result if kept == text else read(decode(kept))

    def snooze(self, name: str, seconds: Seconds | timedelta) -> None:
        """Have the rest of this job wait: for days, without a thread and without an attempt.

        At first it keeps, as a step, the instant at which the wait is over, and raises `Snooze`. The job is then run
        again from its beginning, and this call raises `Snooze` until that instant has come.

        Args:
            name: of the step.
            seconds: a number or a timedelta, counted from the first call.

        Raises:
            Snooze: the wait is not over.
            UsageError, StaleClaim, NotSupported, StoreUnavailable: as `step`.
        """
        _wait_until(self._steps(), name, self.step(name, _end_of_wait, self._steps(), seconds))

    async def asnooze(self, name: str, seconds: Seconds | timedelta) -> None:
        """`snooze` for a handler that is a coroutine function."""
        _wait_until(self._steps(), name, await self.astep(name, _end_of_wait, self._steps(), seconds))


def check_outside_steps(job_id: str) -> None:
    """Make sure that the function of no step of a job runs here.

    Raises:
        UsageError: one does.
    """
    of, name = _step.get()
    if of == job_id:
        raise UsageError(
            f"expected job.then outside of the functions of steps, got it in that of step {name!r}: the next attempt, "
            "which does not call that again, would not say it; say it after the step"
        )


@contextlib.contextmanager
def _in_step(job_id: str, name: str) -> Iterator[None]:
    before = _step.get()
    _step.set((job_id, name))
    try:
        yield
    finally:
        # A coroutine may be closed in another context than its own, in which nothing can be reset.
        _step.set(before)


def _checked(steps: StepContext, name: str, fn: Callable[..., Any]) -> tuple[str, Read]:
    name = check_name(name, "the name of a step")
    if not callable(fn):
        raise UsageError(
            f"expected a function for step {name!r}, got: {shown(fn)}; give it uncalled, with its arguments after it"
        )
    return name, steps.reader(name, fn)


def _read_again(read: Read, kept: str) -> Any:
    """The result that an earlier attempt has kept, maybe with other code."""
    try:
        return read(decode(kept))
    except UsageError as error:
        raise UsageError(
            f"{error}; an earlier attempt kept it: jobs.requeue(job, afresh=True) has the job begin without kept steps"
        ) from None


def _plain(name: str, result: Any) -> Any:
    if not inspect.isawaitable(result):
        return result
    if inspect.iscoroutine(result):
        result.close()
    raise UsageError(f"expected a plain function for step {name!r}, got one that is awaited; await job.astep(...)")


def _text(name: str, result: Any) -> str:
    return encode(result, what=f"result of step {name!r}", bytes_max=sys.maxsize, mends=True)


def _end_of_wait(steps: StepContext, seconds: Any) -> Any:
    return steps.now() + check_seconds(seconds, "seconds")


def _wait_until(steps: StepContext, name: str, until: Any) -> None:
    if isinstance(until, bool) or not isinstance(until, int | float):
        raise UsageError(f"expected step {name!r} to be a wait, got one that has kept: {shown(until)}; rename either")
    left = until - steps.now()
    if left > 0.0:
        raise Snooze(left)
