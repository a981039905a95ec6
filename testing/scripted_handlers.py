"""Scripted handlers: a test says call by call what a handler does, and sees every call.

script = Script("mail", [fail("no route to host"), hang(30), ok({"sent": 1})])
script.add_to(runtime, timeout=10)
...
assert [call.step for call in script.calls] == ["fail", "hang", "ok"]
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from ..api.job import Job
from ..api.runtime import Runtime
from ..errors import Cancel, Discard, Snooze, UsageError
from ..handlers.lane import Lane
from ..messages.jobs import Seconds

RELEASE_SECONDS_MAX = 3600.0
"""The longest that a step without an end of its own hangs."""


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """The behaviour of a handler at one call. `ok`, `fail` and the others make them.

    Attributes:
        name: what `Call.step` says.
        do: called with the job and with a wait that no signal ends; what it returns or raises is the handler's own.
    """

    name: str
    do: Callable[[Job[Any], Callable[[Seconds], object]], Any]


@dataclass(slots=True, kw_only=True)
class Call:
    """One call of a scripted handler. Times are those of the runtime's clock.

    Attributes:
        number: 1 for the script's first call, whatever job it was for.
        ended_at: None while it runs, and for ever if its process was killed meanwhile.
    """

    number: int
    job_id: str
    attempt: int
    claim_no: int
    data: Any
    step: str
    started_at: datetime
    ended_at: datetime | None = None


def ok(result: Any = None) -> ScriptedCall:
    """Return at once."""
    return ScriptedCall("ok", lambda job, wait: result)


def work(seconds: Seconds, result: Any = None) -> ScriptedCall:
    """Take so long, or as long as until the job is signalled to end; then return."""

    def do(job: Job[Any], wait: Callable[[Seconds], object]) -> Any:
        job.sleep(seconds)
        return result

    return ScriptedCall("work", do)


def hang(seconds: Seconds = RELEASE_SECONDS_MAX) -> ScriptedCall:
    """Take so long, whatever asks the job to end; then return, late. `Script.release` ends it."""
    return ScriptedCall("hang", lambda job, wait: wait(seconds) and None)


def fail(error: str | BaseException = "scripted") -> ScriptedCall:
    """Raise a RuntimeError with this text, or this error."""
    return ScriptedCall("fail", lambda job, wait: _throw(RuntimeError(error) if isinstance(error, str) else error))


def snooze(seconds: Seconds) -> ScriptedCall:
    """Raise `Snooze`: again later, and no attempt is used."""
    return ScriptedCall("snooze", lambda job, wait: _throw(Snooze(seconds)))


def discard(reason: str) -> ScriptedCall:
    """Raise `Discard`: dead at once."""
    return ScriptedCall("discard", lambda job, wait: _throw(Discard(reason)))


def cancel(reason: str) -> ScriptedCall:
    """Raise `Cancel`: not needed any more."""
    return ScriptedCall("cancel", lambda job, wait: _throw(Cancel(reason)))


def crash(error: type[BaseException] = SystemExit) -> ScriptedCall:
    """Raise what no handler should: SystemExit, KeyboardInterrupt, MemoryError."""
    return ScriptedCall("crash", lambda job, wait: _throw(error("scripted")))


class Script:
    """A handler that does the n-th thing at its n-th call.

    Args:
        name: of the jobs.
        steps: what it does, call by call, of which the last repeats; or a function of the job and the number of the
            call (1 is the first), which gives a step or the result itself.

    Attributes:
        calls: every call so far, over all jobs, attempts and lives, in order.

    Raises:
        UsageError: there are no steps.
    """

    def __init__(self, name: str, steps: Sequence[ScriptedCall] | Callable[[Job[Any], int], Any]) -> None:
        if not callable(steps) and not (steps and all(isinstance(step, ScriptedCall) for step in steps)):
            raise UsageError(f"expected steps such as [fail('boom'), ok()], or a function, got: {steps!r:.200}")
        self.name = name
        self.calls: list[Call] = []
        self._steps = steps
        self._lock = threading.Lock()
        self._hanging: list[threading.Event] = []

    def add_to(self, runtime: Runtime, **options: Any) -> str:
        """Register it on a runtime, with the options of `jobs.add_handler`. Returns what that returns."""
        return runtime.jobs.add_handler(self.name, self.handle, **options)

    def calls_of(self, job: Job[Any] | str) -> list[Call]:
        """The calls for one job."""
        job_id = job.id if isinstance(job, Job) else job
        return [call for call in list(self.calls) if call.job_id == job_id]

    def release(self) -> None:
        """Let everything that hangs go on now."""
        for event in list(self._hanging):
            event.set()

    def handle(self, job: Job[Any]) -> Any:
        """Runs on a lane, as any handler does."""
        lane = cast(Lane, job._context)
        with self._lock:
            number = len(self.calls) + 1
            call = Call(
                number=number,
                job_id=job.id,
                attempt=job.attempt,
                claim_no=job.record.claim_no,
                data=job.data,
                step="",
                started_at=_now(lane),
            )
            self.calls.append(call)
        step = self._steps(job, number) if callable(self._steps) else self._steps[min(number, len(self._steps)) - 1]
        if not isinstance(step, ScriptedCall):
            step = ok(step)
        call.step = step.name
        try:
            return step.do(job, lambda seconds: self._wait(lane, seconds))
        finally:
            call.ended_at = _now(lane)

    def _wait(self, lane: Lane, seconds: Seconds) -> None:
        event = lane.context.environment.event()
        self._hanging.append(event)
        try:
            event.wait(seconds)
        finally:
            self._hanging.remove(event)


def _now(lane: Lane) -> datetime:
    return datetime.fromtimestamp(lane.context.clock.now(), UTC)


def _throw(error: BaseException) -> Any:
    # An error that is raised again must not keep the frames of its previous traceback.
    raise error.with_traceback(None)
