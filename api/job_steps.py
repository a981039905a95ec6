"""The steps and waits of a job, as `Job` calls them."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import KW_ONLY, dataclass, replace
from datetime import timedelta
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from ..errors import AwaitsSignal, Cancel, Discard, Retry, Snooze, UsageError, check_seconds, shown
from ..messages.jobs import SECONDS_MAX, Instant, Seconds
from ..messages.outcomes import Backoff, Policy
from ..messages.steps import SIGNAL, WAIT, NoSignal
from ..rules.codec import decode, digest, encode
from ..rules.lifecycle import backoff_seconds, class_names, is_tried_again
from ..rules.validation import check_backoff, check_name, check_whole

P = ParamSpec("P")
S = TypeVar("S")

STEP_RETRIES_MAX = 100


@dataclass(frozen=True, slots=True)
class Step:
    """A step's name and its options, which `job.step` and `job.astep` take in the place of the name.

    Attributes:
        name: 1 to 200 characters.
        retries: how often the function is called again within the attempt after it has raised an error, 100 at most.
            Errors that the handler's `retry_on` and `discard_on` exclude from retries leave the step at once, and so do
            `Discard`, `Cancel`, `Snooze` and `Retry`.
        backoff: the waits before those calls, as a handler's; from a second, doubling, up to a minute.
        timeout: seconds or a timedelta for each call of a coroutine function, which is cancelled then and has raised a
            `TimeoutError`. Plain functions cannot have one.
        connection: an open connection of yours to the store's database, as `jobs.queue` takes it. The result is kept if
            and only if its transaction commits, with what the function has written there.
        upcast: makes what an earlier version of the function has returned, as JSON has it, into a result of today. It
            is asked when the kept result is not what the function is annotated to return.
    """

    name: str
    _: KW_ONLY
    retries: int = 0
    backoff: Backoff | Seconds | timedelta | Sequence[Seconds | timedelta] = Backoff(max=60.0)  # noqa: RUF009 (frozen)
    timeout: Seconds | timedelta | None = None
    upcast: Callable[[Any], Any] | None = None
    connection: Any = None


_step: ContextVar[tuple[str | None, Step]] = ContextVar("lamplighter_step", default=(None, Step("")))
"""The job and the step whose function runs here."""

TOLD_CHARACTERS_MAX = 1000
"""The most characters of an error in the line about a step that is tried again."""

Read = Callable[[Any], Any]
"""Makes a kept result what the step's function returns."""


class StepContext(Protocol):
    """The calls that a Job borrows for its steps while it runs. Threads, tasks and children each have their own."""

    def begin(self, name: str, connection: Any = None) -> str | None:
        """Come to a step: the JSON text that is kept of it, or None if its function is to be called now.

        Args:
            connection: of the step, if it has one.

        Raises:
            UsageError: the attempt has come to it already, or there are too many.
            StaleClaim: the attempt no longer holds the job.
        """

    async def abegin(self, name: str, connection: Any = None) -> str | None: ...

    def keep(self, name: str, result: str, connection: Any = None) -> str:
        """Keep what the function has returned; the JSON text that is kept under the name from now on."""

    async def akeep(self, name: str, result: str, connection: Any = None) -> str: ...

    def leave(self, name: str) -> None:
        """The function has raised, or its result could not be kept: the attempt may come to the step again."""

    def reader(self, name: str, fn: Callable[..., Any], upcast: Callable[[Any], Any] | None = None) -> Read:
        """How what is kept of a step is read, by what its function is annotated to return.

        Raises:
            UsageError: nobody could keep that, or there is an `upcast` and no annotation.
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


class StepLane(Protocol):
    """The part of a `JobContext` that steps need."""

    @property
    def steps(self) -> StepContext: ...

    @property
    def policy(self) -> Policy: ...

    @property
    def cancelled(self) -> bool: ...

    @property
    def stopping(self) -> bool: ...

    @property
    def log(self) -> Any: ...

    def sleep(self, seconds: Seconds) -> bool: ...


def check_outside_steps(job_id: str) -> None:
    """Make sure that the function of no step of a job runs here.

    Raises:
        UsageError: one does.
    """
    of, step = _step.get()
    if of == job_id:
        raise UsageError(
            f"expected job.then outside of the functions of steps, got it in that of step {step.name!r}: the next "
            "attempt, which does not call that again, would not say it; say it after the step"
        )


@contextlib.contextmanager
def in_step(job_id: str, step: Step) -> Iterator[None]:
    before = _step.get()
    _step.set((job_id, step))
    try:
        yield
    finally:
        # A coroutine may be closed in another context than its own, in which nothing can be reset.
        _step.set(before)


def check_not_repeated(job_id: str, name: str) -> None:
    """Make sure that a step, or a wait, is not in the function of a step with retries: the next call of that function
    would come to it again, and an attempt may pass it once.

    Raises:
        UsageError: it is.
    """
    of, around = _step.get()
    if of == job_id and around.retries > 0:
        raise UsageError(
            f"expected no step or wait in the function of step {around.name!r}, which has retries, got: {name!r}; call "
            "it outside of that function, or give the retries to it"
        )


def checked_step(of: str | Step, fn: Callable[..., Any]) -> Step:
    step = of if isinstance(of, Step) else Step(of)
    name = check_name(step.name, "the name of a step")
    if name.startswith((WAIT, SIGNAL)):
        raise UsageError(f"expected a step's name that does not begin with {WAIT!r} or {SIGNAL!r}, got: {name!r}")
    if not callable(fn):
        raise UsageError(
            f"expected a function for step {name!r}, got: {shown(fn)}; give it uncalled, with its arguments after it"
        )
    if of is not step:
        return Step(name)
    check_whole(step.retries, "retries", least=0, most=STEP_RETRIES_MAX)
    if step.upcast is not None and not callable(step.upcast):
        raise UsageError(f"expected upcast of step {name!r} to be a function, got: {shown(step.upcast)}")
    if step.connection is not None and step.retries:
        raise UsageError(
            f"expected no retries of step {step.name!r}, which has a connection: its error has spoilt the "
            "transaction; roll back, and let the attempt fail"
        )
    timeout = None if step.timeout is None else check_seconds(step.timeout, "timeout", least=0.001)
    return replace(step, name=name, backoff=check_backoff(step.backoff), timeout=timeout)


NOT_RETRIED = (Cancel, Discard, Retry, Snooze, UsageError)
"""Ends of an attempt, and wrong calls of Lamplighter, which another call of the function would repeat."""


def wait_to_retry(job_id: str, lane: StepLane, step: Step, error: BaseException, tried: int) -> Seconds | None:
    """Seconds until the function of a step that has raised an error is called again; None if it is not."""
    policy = lane.policy
    if tried > step.retries or not isinstance(error, Exception) or isinstance(error, NOT_RETRIED):
        return None
    if not is_tried_again(class_names(type(error)), policy.retry_on, policy.discard_on):
        return None
    # All chance is of the environment, which a child process does not have.
    chance = int(digest(f"{job_id} {step.name} {tried}", 4), 16) / 16**8
    wait = backoff_seconds(cast(Backoff, step.backoff), tried, chance)
    # An application's logger may raise.
    with contextlib.suppress(Exception):
        told = f"{type(error).__name__}: {error}"[:TOLD_CHARACTERS_MAX]
        lane.log.warning("step is tried again", step=step.name, error=told, tries=tried, wait=round(wait, 3))
    return wait


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


def check_timeout(step: Step, *, is_awaited: bool) -> None:
    """Make sure that a step with a timeout can be ended."""
    if step.timeout is not None and not is_awaited:
        raise UsageError(
            f"expected no timeout of step {step.name!r}, whose plain function nothing can end; give it to what the "
            "function calls, or await job.astep(...) with a coroutine function"
        )


def call_step(job_id: str, lane: StepLane, step: Step, fn: Callable[P, S], /, *args: P.args, **kwargs: P.kwargs) -> S:
    """Call the function of a step, unless its result is kept; see `Job.step`."""
    result: S
    steps, name, tried = lane.steps, step.name, 0
    check_not_repeated(job_id, name)
    read = steps.reader(name, fn, step.upcast)
    check_timeout(step, is_awaited=False)
    while (kept := steps.begin(name, step.connection)) is None:
        called: list[S] = []
        try:
            with in_step(job_id, step):
                called.append(fn(*args, **kwargs))
            text = result_text(name, plain_result(name, called[0]))
            # A result that cannot be read as it is annotated is not kept: no later attempt could read it either.
            result = read(decode(text))
            kept = steps.keep(name, text, step.connection)
            return result if kept == text else read(decode(kept))
        except BaseException as error:
            steps.leave(name)
            tried += 1
            wait = None if called else wait_to_retry(job_id, lane, step, error, tried)
            if wait is None:
                raise
        if not lane.sleep(wait) and lane.stopping and not lane.cancelled:
            # Another process goes on, and this attempt does not count.
            raise Snooze(0)
    result = read_again(read, kept)
    return result


async def in_time(step: Step, awaited: Awaitable[S]) -> S:
    limit = asyncio.timeout(cast("float | None", step.timeout))
    try:
        async with limit:
            return await awaited
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TimeoutError(f"a call of step {step.name!r} took longer than its timeout, {step.timeout} s") from error


async def acall_step(
    job_id: str, lane: StepLane, step: Step, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """`call_step` on an event loop."""
    steps, name, tried = lane.steps, step.name, 0
    check_not_repeated(job_id, name)
    read = steps.reader(name, fn, step.upcast)
    while (kept := await steps.abegin(name, step.connection)) is None:
        called = []
        try:
            with in_step(job_id, step):
                returned = fn(*args, **kwargs)
                # Only the call tells: a decorator may have made a plain function of a coroutine function.
                if is_awaited := inspect.isawaitable(returned):
                    returned = await in_time(step, returned)
                called.append(returned)
            check_timeout(step, is_awaited=is_awaited)
            text = result_text(name, returned)
            result = read(decode(text))
            kept = await steps.akeep(name, text, step.connection)
            return result if kept == text else read(decode(kept))
        except BaseException as error:
            steps.leave(name)
            tried += 1
            wait = None if called else wait_to_retry(job_id, lane, step, error, tried)
            if wait is None:
                raise
        # A stop cancels it when the drain is over.
        await asyncio.sleep(wait)
    return read_again(read, kept)


def wait_for(job_id: str, lane: StepLane, name: Any, wanted: Any, timeout: Any) -> Any:
    """See `Job.wait`."""
    steps = lane.steps
    name = check_name(name, "the name of a signal")
    check_not_repeated(job_id, name)
    read = steps.signal_reader(name, wanted)
    sent = steps.sent(name, is_over=False)
    if sent is None:
        until = call_step(job_id, lane, Step(WAIT + name), end_of_time, steps, timeout)
        if until is None or (left := until - steps.now()) > 0.0:
            raise AwaitsSignal(SECONDS_MAX if until is None else min(left, SECONDS_MAX), name)
        sent = steps.sent(name, is_over=True)
    return sent if isinstance(sent, NoSignal) else read(decode(str(sent)))
