"""Outcomes: the meaning of a function's returned value or raised error.

Nothing escapes: SystemExit, KeyboardInterrupt, MemoryError, RecursionError end the job, not the thread they came from.
Nor does an error that cannot even be inspected.
"""

from __future__ import annotations

import traceback as tracebacks
from types import TracebackType
from typing import Any, NamedTuple

from ..errors import (
    CANCELLED,
    DISCARDED,
    RETRIED,
    AwaitsSignal,
    Cancel,
    Discard,
    Retry,
    Snooze,
    UsageError,
    check_seconds,
)
from ..log.log_line import safe_str
from ..messages.outcomes import Outcome, OutcomeKind
from ..rules.codec import encode, valid_text
from ..rules.lifecycle import class_names, done_without_result
from .lane import Lane

UNENDED = Outcome(kind=OutcomeKind.FAILED, error="it did not end")
"""The outcome of a lane that was given up before it had another."""

UNBEGUN = Outcome(kind=OutcomeKind.INTERRUPTED, reason="not started")
"""The outcome of a lane that was given up, or taken back, before its function was called."""

INDESCRIBABLE = Outcome(kind=OutcomeKind.FAILED, error="it raised an error that cannot be described")
"""For an error whose class lies about itself, whose attributes raise, or for which there is no memory."""

LINE_CHARACTERS_MAX = 1000
"""The most characters of a reason, and of an error's summary line."""


class Rules(NamedTuple):
    auto_done: bool
    result_bytes_max: int
    error_characters_max: int

    @classmethod
    def of(cls, lane: Lane) -> Rules:
        limits = lane.context.limits
        return cls(lane.handler.auto_done, limits.result_bytes_max, limits.error_characters_max)


def raised(error: BaseException, characters_max: int) -> Outcome:
    """The outcome of an error raised by a job's function. Its class counts."""
    outcome = escaped(error, characters_max)
    if outcome.wait is not None:
        # A handler that asks for another attempt gets it: no class of errors decides.
        return outcome
    try:
        return outcome._replace(error_classes=class_names(type(error)))
    except BaseException:
        # A class may have a metaclass that raises.
        return outcome


def escaped(error: BaseException, characters_max: int) -> Outcome:
    """The outcome of an error from around a job's function. Its class says nothing about the job."""
    try:
        if isinstance(error, Discard):
            return _discarded(error, characters_max)
        if isinstance(error, Cancel):
            return Outcome(kind=OutcomeKind.CANCELLED, reason=_reason(error, CANCELLED))
        if isinstance(error, Snooze):
            return _snoozed(error, characters_max)
        if isinstance(error, Retry):
            return _retried(error, characters_max)
        return failure(error, characters_max)
    except BaseException:
        return INDESCRIBABLE


def _discarded(error: Discard, characters_max: int) -> Outcome:
    text = _reason(error, DISCARDED)
    return Outcome(
        kind=OutcomeKind.DISCARDED,
        reason=text,
        error=f"Discard: {text}",
        traceback=_formatted(error, characters_max) if _has_cause(error) else None,
    )


def _reason(error: Discard | Cancel | Retry, unsaid: str) -> str:
    # A subclass of Discard or Cancel need not have called its __init__, and a reason may be anything.
    reason = getattr(error, "reason", None)
    return text_of(reason if reason is not None else safe_str(error) or unsaid, LINE_CHARACTERS_MAX)


def _has_cause(error: BaseException) -> bool:
    """Whether an error has a cause or context. Without one, a Discard's reason says everything."""
    return error.__cause__ is not None or (error.__context__ is not None and not error.__suppress_context__)


def _snoozed(error: Snooze, characters_max: int) -> Outcome:
    try:
        seconds = check_seconds(getattr(error, "seconds", None), "Snooze(seconds)")
        signal = error.signal if isinstance(error, AwaitsSignal) else None
        return Outcome(kind=OutcomeKind.SNOOZED, seconds=seconds, signal=signal)
    except UsageError as wrong:
        return _waits_wrongly(error, wrong, characters_max)


def _retried(error: Retry, characters_max: int) -> Outcome:
    try:
        wait = check_seconds(getattr(error, "seconds", None), "Retry(seconds)")
    except UsageError as wrong:
        return _waits_wrongly(error, wrong, characters_max)
    return Outcome(
        kind=OutcomeKind.FAILED,
        error=f"Retry: {_reason(error, RETRIED)}",
        traceback=None if not _has_cause(error) else _formatted(error, characters_max),
        wait=wait,
    )


def _waits_wrongly(error: Snooze | Retry, wrong: UsageError, characters_max: int) -> Outcome:
    """The error's arguments are invalid: a bug of the application, which fails like one."""
    said = failure(error, characters_max)
    return said._replace(error=text_of(f"{type(error).__name__}: {wrong}", LINE_CHARACTERS_MAX))


def success(result: Any, rules: Rules) -> Outcome:
    """The outcome of a returned value. If it is not JSON-serializable, only the result is lost: another attempt would
    do the same work again, and end like this one.
    """
    if not rules.auto_done:
        return Outcome(kind=OutcomeKind.DEFERRED)
    try:
        text = encode(result, what="result", bytes_max=rules.result_bytes_max, mends=True)
    except UsageError as error:
        return done_without_result(text_of(error, LINE_CHARACTERS_MAX))
    return Outcome(OutcomeKind.SUCCEEDED, text)


def failure(error: BaseException, characters_max: int) -> Outcome:
    """Format a raised error at once: an error object would keep every frame of the handler alive."""
    try:
        line = "".join(tracebacks.format_exception_only(error)).strip()
    except BaseException:
        line = type(error).__name__
    return Outcome(
        kind=OutcomeKind.FAILED,
        error=text_of(line, LINE_CHARACTERS_MAX),
        traceback=_formatted(error, characters_max),
    )


def _formatted(error: BaseException, characters_max: int) -> str:
    try:
        whole = "".join(tracebacks.format_exception(type(error), error, _of_the_function(error)))
    except BaseException:
        # An error whose own attributes raise, or no memory left to format it in.
        whole = type(error).__name__
    return text_of(whole[-characters_max:], characters_max)


def _of_the_function(error: BaseException) -> TracebackType | None:
    """The traceback from the application's function on, without the package's frames."""
    within = error.__traceback__
    while within is not None and within.tb_frame.f_globals.get("__package__") == __package__:
        within = within.tb_next
    return error.__traceback__ if within is None else within


def not_started(what: str, error: Exception) -> str:
    """Why a job's function was not called: the system gives no thread or child process."""
    # Not by `text_of`, which may have to import a codec: that fails where there are no more descriptors.
    return f"no {what} could be started: {safe_str(error)}"[:LINE_CHARACTERS_MAX]


def text_of(value: object, characters_max: int) -> str:
    """A value as text that every store and every log can carry: PostgreSQL cannot keep NUL."""
    return valid_text(safe_str(value)[:characters_max]).replace("\0", "\ufffd")[:characters_max]
