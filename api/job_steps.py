"""The steps and waits of a job, as `Job` calls them."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, ParamSpec, Protocol, TypeVar

from ..errors import AwaitsSignal, Snooze, UsageError, shown
from ..messages.jobs import SECONDS_MAX, Instant
from ..messages.steps import SIGNAL, WAIT, NoSignal
from ..rules.codec import decode, encode
from ..rules.validation import check_name, check_seconds

P = ParamSpec("P")
S = TypeVar("S")

_step: ContextVar[tuple[str | None, str]] = ContextVar("lamplighter_step", default=(None, ""))
"""The job and the name of the step whose function runs here."""

Read = Callable[[Any], Any]
"""Makes a kept result what the step's function returns."""


class StepContext(Protocol):
    """The calls that a Job borrows for its steps while it runs. Threads, tasks and children each have their own."""

    def begin(self, name: str) -> str | None:
        """Come to a step: the JSON text that is kept of it, or None if its function is to be called now.

        Raises:
            UsageError: the attempt has come to it already, or there are too many.
            StaleClaim: the attempt no longer holds the job.
        """

    async def abegin(self, name: str) -> str | None: ...

    def keep(self, name: str, result: str) -> str:
        """Keep what the function has returned; the JSON text that is kept under the name from now on."""

    async def akeep(self, name: str, result: str) -> str: ...

    def leave(self, name: str) -> None:
        """The function has raised, or its result could not be kept: the attempt may come to the step again."""

    def reader(self, name: str, fn: Callable[..., Any]) -> Read:
        """How what is kept of a step is read, by what its function is annotated to return.

        Raises:
            UsageError: nobody could keep that.
        """

    def sent(self, name: str, *, is_over: bool) -> str | NoSignal | None:
        """The end of the wait for a signal: the JSON text of its data, or `NO_SIGNAL` if the time was over, which
        is kept here if it is `is_over` and no signal was sent; None if nothing has.

        Raises:
            UsageError: the attempt has waited for it already.
            StaleClaim: the attempt no longer holds the job.
        """

    def signal_reader(self, name: str, wanted: Any) -> Read:
        """How a signal's data are read, as a type. Raises a UsageError if no data can be."""

    def now(self) -> Instant:
        """Wall time by the runtime's clock."""


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
def in_step(job_id: str, name: str) -> Iterator[None]:
    before = _step.get()
    _step.set((job_id, name))
    try:
        yield
    finally:
        # A coroutine may be closed in another context than its own, in which nothing can be reset.
        _step.set(before)


def checked_step(steps: StepContext, name: str, fn: Callable[..., Any]) -> tuple[str, Read]:
    name = check_name(name, "the name of a step")
    if name.startswith((WAIT, SIGNAL)):
        raise UsageError(f"expected a step's name that does not begin with {WAIT!r} or {SIGNAL!r}, got: {name!r}")
    if not callable(fn):
        raise UsageError(
            f"expected a function for step {name!r}, got: {shown(fn)}; give it uncalled, with its arguments after it"
        )
    return name, steps.reader(name, fn)


def read_again(read: Read, kept: str) -> Any:
    try:
        return read(decode(kept))
    except UsageError as error:
        raise UsageError(
            f"{error}; an earlier attempt kept it: jobs.requeue(job, afresh=True) has the job begin without kept steps"
        ) from None


def plain_result(name: str, result: Any) -> Any:
    if not inspect.isawaitable(result):
        return result
    if inspect.iscoroutine(result):
        result.close()
    raise UsageError(f"expected a plain function for step {name!r}, got one that is awaited; await job.astep(...)")


def result_text(name: str, result: Any) -> str:
    return encode(result, what=f"result of step {name!r}", bytes_max=sys.maxsize, mends=True)


def end_of_wait(steps: StepContext, seconds: Any) -> Any:
    return steps.now() + check_seconds(seconds, "seconds")


def end_of_time(steps: StepContext, timeout: Any) -> Any:
    return None if timeout is None else steps.now() + check_seconds(timeout, "timeout")


def wait_until(steps: StepContext, name: str, until: Any) -> None:
    if isinstance(until, bool) or not isinstance(until, int | float):
        raise UsageError(f"expected step {name!r} to be a wait, got one that has kept: {shown(until)}; rename either")
    if (left := until - steps.now()) > 0.0:
        raise Snooze(left)


def call_step(
    job_id: str, steps: StepContext, name: str, read: Read, fn: Callable[P, S], /, *args: P.args, **kwargs: P.kwargs
) -> S:
    """Call the function of a step, unless its result is kept; see `Job.step`."""
    result: S
    kept = steps.begin(name)
    if kept is not None:
        result = read_again(read, kept)
        return result
    try:
        with in_step(job_id, name):
            returned = fn(*args, **kwargs)
        text = result_text(name, plain_result(name, returned))
        # A result that cannot be read as it is annotated is not kept: no later attempt could read it either.
        result = read(decode(text))
        kept = steps.keep(name, text)
    except BaseException:
        steps.leave(name)
        raise
    return result if kept == text else read(decode(kept))


async def acall_step(
    job_id: str, steps: StepContext, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """`call_step` on an event loop."""
    name, read = checked_step(steps, name, fn)
    kept = await steps.abegin(name)
    if kept is not None:
        return read_again(read, kept)
    try:
        with in_step(job_id, name):
            returned = fn(*args, **kwargs)
            if inspect.isawaitable(returned):
                returned = await returned
        text = result_text(name, returned)
        result = read(decode(text))
        kept = await steps.akeep(name, text)
    except BaseException:
        steps.leave(name)
        raise
    return result if kept == text else read(decode(kept))


def wait_for(job_id: str, steps: StepContext, name: Any, wanted: Any, timeout: Any) -> Any:
    """See `Job.wait`."""
    name = check_name(name, "the name of a signal")
    read = steps.signal_reader(name, wanted)
    sent = steps.sent(name, is_over=False)
    if sent is None:
        until = call_step(job_id, steps, WAIT + name, steps.reader(name, end_of_time), end_of_time, steps, timeout)
        if until is None or (left := until - steps.now()) > 0.0:
            raise AwaitsSignal(SECONDS_MAX if until is None else min(left, SECONDS_MAX), name)
        sent = steps.sent(name, is_over=True)
    return sent if isinstance(sent, NoSignal) else read(decode(str(sent)))
