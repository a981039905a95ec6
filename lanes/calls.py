"""Making an outcome of whatever comes out of a host's function.

Nothing escapes: SystemExit, KeyboardInterrupt, MemoryError, RecursionError end the job, not the thread they came from.
"""

from __future__ import annotations

import contextlib
import contextvars
import traceback as tracebacks
from collections.abc import Iterator
from typing import Any

from ..codec import encode
from ..errors import Discard, Snooze, UsageError
from ..log import enter_job
from ..messages.outcomes import Outcome, OutcomeKind
from .lane import Lane


def call(lane: Lane) -> Outcome:
    """Call a lane's plain function on this thread. No context variable that it sets is seen by the next job's."""
    return contextvars.copy_context().run(_call, lane)


def _call(lane: Lane) -> Outcome:
    context, handler, ending = lane.context, lane.handler, Ending()
    with caught(ending, error_characters_max=context.limits.error_characters_max):
        enter_job(lane.claim.job.corr, **lane.fields())
        context.environment.failpoints.at("lane.call", lane)
        result = handler.fn(lane.job())
        context.environment.failpoints.at("lane.returned", lane)
        ending.outcome = success(result, auto_done=handler.auto_done, result_bytes_max=context.limits.result_bytes_max)
    return ending.outcome


class Ending:
    """Where `caught` puts the outcome."""

    outcome: Outcome = Outcome(kind=OutcomeKind.FAILED, error="it did not end")


@contextlib.contextmanager
def caught(ending: Ending, *, error_characters_max: int) -> Iterator[None]:
    """Turn whatever the block raises into an outcome."""
    try:
        yield
    except Discard as discard:
        ending.outcome = Outcome(kind=OutcomeKind.DISCARDED, reason=discard.reason, error=f"Discard: {discard.reason}")
    except Snooze as snooze:
        ending.outcome = Outcome(kind=OutcomeKind.SNOOZED, seconds=snooze.seconds)
    except BaseException as error:
        ending.outcome = failure(error, error_characters_max)


def success(result: Any, *, auto_done: bool, result_bytes_max: int) -> Outcome:
    """What a returned value means. One that JSON cannot carry kills the job: trying again would not help."""
    if not auto_done:
        return Outcome(kind=OutcomeKind.DEFERRED)
    try:
        text = encode(result, what="result", bytes_max=result_bytes_max)
    except UsageError as error:
        return Outcome(kind=OutcomeKind.DISCARDED, reason=str(error), error=f"UsageError: {error}")
    return Outcome(kind=OutcomeKind.SUCCEEDED, result=text)


def failure(error: BaseException, characters_max: int) -> Outcome:
    """A raised error as text, at once: an error object would keep every frame of the handler alive."""
    try:
        line = "".join(tracebacks.format_exception_only(error)).strip()
        whole = "".join(tracebacks.format_exception(error))
    except Exception:
        # An error whose own __str__ raises, or no memory left to format it in.
        line = whole = type(error).__name__
    return Outcome(kind=OutcomeKind.FAILED, error=line[:1000], traceback=whole[-characters_max:])
