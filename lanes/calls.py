"""Making an outcome of whatever comes out of a host's function.

Nothing escapes: SystemExit, KeyboardInterrupt, MemoryError, RecursionError end the job, not the thread they came from.
"""

from __future__ import annotations

import contextvars
import traceback as tracebacks
from typing import Any

from ..codec import encode
from ..errors import Discard, Snooze, UsageError
from ..log import enter_job
from ..messages.outcomes import Outcome, OutcomeKind
from .lane import Lane

UNENDED = Outcome(kind=OutcomeKind.FAILED, error="it did not end")
"""Of a lane that was given up before anything else could be said."""


def call(lane: Lane) -> Outcome:
    """Call a lane's plain function on this thread. No context variable that it sets is seen by the next job's."""
    return contextvars.copy_context().run(_call, lane)


def _call(lane: Lane) -> Outcome:
    handler, limits, failpoints = lane.handler, lane.context.limits, lane.context.environment.failpoints
    try:
        enter_job(lane.claim.job.corr, **lane.fields())
        failpoints.at("lane.call", lane)
        result = handler.fn(lane.job())
        failpoints.at("lane.returned", lane)
        return success(result, auto_done=handler.auto_done, result_bytes_max=limits.result_bytes_max)
    except BaseException as error:
        return raised(error, limits.error_characters_max)


def raised(error: BaseException, characters_max: int) -> Outcome:
    """What an error means that came out of a job's call, whatever it is."""
    if isinstance(error, Discard):
        return Outcome(kind=OutcomeKind.DISCARDED, reason=error.reason, error=f"Discard: {error.reason}")
    if isinstance(error, Snooze):
        return Outcome(kind=OutcomeKind.SNOOZED, seconds=error.seconds)
    return failure(error, characters_max)


def success(result: Any, *, auto_done: bool, result_bytes_max: int) -> Outcome:
    """What a returned value means. One that JSON cannot carry kills the job: trying again would not help."""
    if not auto_done:
        return Outcome(kind=OutcomeKind.DEFERRED)
    try:
        text = encode(result, what="result", bytes_max=result_bytes_max)
    except UsageError as error:
        return Outcome(kind=OutcomeKind.DISCARDED, reason=str(error), error=f"UsageError: {error}")
    return Outcome(OutcomeKind.SUCCEEDED, text)


def failure(error: BaseException, characters_max: int) -> Outcome:
    """A raised error as text, at once: an error object would keep every frame of the handler alive."""
    try:
        line = "".join(tracebacks.format_exception_only(error)).strip()
        whole = "".join(tracebacks.format_exception(error))
    except Exception:
        # An error whose own __str__ raises, or no memory left to format it in.
        line = whole = type(error).__name__
    return Outcome(kind=OutcomeKind.FAILED, error=line[:1000], traceback=whole[-characters_max:])
