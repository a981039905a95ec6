"""Running a job: the way from its claim to its outcome, whatever it runs on.

1. The lane begins, unless it was given up or taken back.
2. Lines that the function logs get the job's fields.
3. The application's context around its jobs is entered; it is left when the function has ended.
4. The job's data becomes the handler's payload type.
5. The application's function is called; a coroutine function is awaited.
6. A child that the function has forked ends here: only its parent reports how the job ended.
7. Its result, or its error, becomes an outcome.

Then the lane ends: `Lane.pass_on` gives its place to the next claim, and `Lane.finish` notifies its HandlerActor.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import sys
import threading
import traceback as tracebacks
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from ..api.job import Job, JobContext
from ..environment.failpoints import Failpoints
from ..log.job_context import enter_job
from ..messages.jobs import JobRecord
from ..messages.outcomes import Outcome
from ..rules.codec import decode
from .carriers import NO_CARRIERS, Carriers
from .lane import Lane
from .outcomes import UNBEGUN, UNENDED, Rules, raised, success
from .payload import HandlerTypes, fit

FLUSH_SECONDS_MAX = 1.0
"""How long a forked child waits for its streams: a thread that the fork did not copy may have held their locks."""


def execute(lane: Lane) -> Outcome:
    """Run a lane's plain function on this thread, in a fresh copy of the context variables."""
    return contextvars.copy_context().run(_execute, lane) if lane.begin() else UNBEGUN


def _execute(lane: Lane) -> Outcome:
    with Execution.of(lane) as run:
        run.returned(lane.handler.fn(run.job(lane.handler.types)))
    if (steps := lane.left_steps(run.outcome)) is not None:
        steps.wait_for_left()
    return run.outcome


async def execute_async(lane: Lane, end: Callable[[Lane, Outcome], None]) -> None:
    """Run a lane's coroutine function, as the coroutine of a task, and call `end` with its outcome.

    The outcome is not the coroutine's result, because the function may close the coroutine of its own task.
    """
    outcome = UNBEGUN
    if lane.begin():
        # A task has a context of its own.
        with Execution.of(lane) as run:
            run.returned(await lane.handler.fn(run.job(lane.handler.types)))
        outcome = run.outcome
        if (steps := lane.left_steps(outcome)) is not None:
            await steps.await_left()
    end(lane, outcome)


@dataclass(slots=True, eq=False)
class Execution:
    """One call of an application's function: `with Execution(...) as run: run.returned(fn(run.job(types)))`.

    The block raises nothing; the result is `outcome`. A forked child never leaves the block.

    Args:
        context: the calls that the job lends its function.
        leave: ends a process at once.
    """

    record: JobRecord
    context: JobContext
    rules: Rules
    failpoints: Failpoints = field(default_factory=Failpoints)
    carriers: Carriers = NO_CARRIERS
    pid: Callable[[], int] = os.getpid
    leave: Callable[[int], None] = os._exit
    outcome: Outcome = UNENDED
    _around: ExitStack | None = None
    _parent: int = field(init=False)

    def __post_init__(self) -> None:
        self._parent = self.pid()

    @classmethod
    def of(cls, lane: Lane) -> Execution:
        environment = lane.context.environment
        return cls(
            lane.claim.job,
            lane,
            Rules.of(lane),
            failpoints=environment.failpoints,
            carriers=lane.context.carriers,
            pid=environment.pid,
            leave=environment.leave,
        )

    def job(self, types: HandlerTypes) -> Job[Any]:
        """The argument of the function, its data converted to the handler's payload type if it has one.

        Raises:
            Discard: the data does not fit.
        """
        job: Job[Any] = Job(self.record, context=self.context)
        enter_job(
            self.record.root_id,
            job_id=self.record.id,
            job_name=self.record.name,
            claim_no=self.record.claim_no,
            attempt=job.attempt,
        )
        if self.failpoints.is_live:
            self.failpoints.at("lane.call", self.context)
        if self.carriers.each:
            self._around = self.carriers.around(job)
        if types.wanted is None:
            return job
        data = fit(decode(types.as_today(self.record).data), types.wanted)
        return Job(self.record, context=self.context, data=data)

    def returned(self, result: Any) -> None:
        if self.failpoints.is_live:
            self.failpoints.at("lane.returned", self.context)
        self._end_if_forked(None)
        self.outcome = success(result, self.rules)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self._end_if_forked(error)
            self.outcome = raised(error, self.rules.error_characters_max)
        if self._around is not None:
            try:
                self._around.__exit__(kind, error, trace)
            except BaseException as worse:
                self.outcome = raised(worse, self.rules.error_characters_max)
        return True

    def _end_if_forked(self, error: BaseException | None) -> None:
        if self.pid() != self._parent:
            _end_fork(error, self.leave)


def _end_fork(error: BaseException | None, leave: Callable[[int], None]) -> None:
    """End a forked child that has returned from a handler's function, or raised an error out of it. `leave` ends the
    process with an exit code, running nothing else of it.
    """
    code, words = _meaning(error)
    with contextlib.suppress(BaseException):
        # It does not write to sys.stderr, whose lock a thread may have held at the fork.
        os.write(2, words.encode(errors="backslashreplace"))
    with contextlib.suppress(BaseException):
        flushing = threading.Thread(target=_flush, daemon=True)
        flushing.start()
        flushing.join(FLUSH_SECONDS_MAX)
    leave(code)


def _meaning(error: BaseException | None) -> tuple[int, str]:
    """The exit code, and the text that a program prints that ends so."""
    match error:
        case None | SystemExit(code=None):
            return 0, ""
        case SystemExit(code=int(code)):
            return code & 0xFF, ""
        case SystemExit(code=said):
            return 1, f"{said}\n"
    try:
        return 1, "".join(tracebacks.format_exception(error))
    except BaseException:
        return 1, "a forked child of a handler ended by an error that cannot be described\n"


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
