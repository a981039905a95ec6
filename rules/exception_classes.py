"""Which errors of a handler are worth another attempt: `retry_on=` and `discard_on=`.

Classes are compared by their qualified names, because an error that was raised in a child process stays there: what its
parent hears of it is text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import Cancel, Discard, Retry, Snooze, UsageError, shown
from .codec import valid_text


def class_names(cls: type) -> tuple[str, ...]:
    """The qualified names of an error's class and of those that it extends, the nearest first."""
    return tuple(map(_name, cls.__mro__))


def is_tried_again(error_classes: Sequence[str], retry_on: frozenset[str] | None, discard_on: frozenset[str]) -> bool:
    """Whether an error may be gone by the next attempt, as its handler has it. An error without a class was not raised
    by the
    handler: its thread has died, say.

    Args:
        error_classes: as `class_names` has them. The nearest that stands in one of the other two decides.
        retry_on: None for all that `discard_on` does not name.
        discard_on: what no other attempt would mend.
    """
    for name in error_classes:
        if name in discard_on:
            return False
        if retry_on is not None and name in retry_on:
            return True
    return retry_on is None or not error_classes


def check_exceptions(value: Any, what: str) -> frozenset[str] | None:
    """The names of one exception class, or of several; None for None.

    Raises:
        UsageError: it is something else.
    """
    if value is None:
        return None
    classes = value if isinstance(value, (tuple, list, set, frozenset)) else (value,)
    for cls in classes:
        if not isinstance(cls, type) or not issubclass(cls, BaseException):
            raise UsageError(f"expected {what} to be an exception class, or a tuple of some, got: {shown(value)}")
        if issubclass(cls, (Cancel, Discard, Retry, Snooze)):
            raise UsageError(
                f"expected {what} to name errors, got: {cls.__name__}, which says itself what becomes of its job"
            )
    return frozenset(map(_name, classes))


def _name(cls: type) -> str:
    module = cls.__module__
    return valid_text(cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}")
