"""Data of the application's as people see it: what it is like, and itself only for whoever may see it."""

from __future__ import annotations

from typing import Any

from ..rules.codec import decode, valid
from .views import Payload

KEYS_SHOWN_MAX = 12
KEY_CHARACTERS_MAX = 40


def payload(text: str, *, is_shown: bool) -> Payload:
    """The form in which JSON text from a store is shown."""
    try:
        value = decode(text)
    except ValueError:
        # No version of ours has written this.
        return Payload(is_shown=False, value=None, shape="unreadable", bytes=len(text))
    if "\\ud" in text:
        # There may be half of a surrogate pair, which another program has queued.
        value = valid(value)
    return Payload(is_shown=is_shown, value=value if is_shown else None, shape=shape_of(value), bytes=len(text))


def shape_of(value: Any) -> str:
    """The shape of a value without its content: an object is told by its keys, which are the application's own
    words, down to one level.
    """
    if not isinstance(value, dict) or not value:
        return _kind(value)
    items = list(value.items())
    told = [f"{_cut(key)} ({_kind(item)})" for key, item in items[:KEYS_SHOWN_MAX]]
    more = [f"{len(items) - KEYS_SHOWN_MAX} more"] if len(items) > KEYS_SHOWN_MAX else []
    return f"object of {len(items)}: {', '.join([*told, *more])}"


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return f"list of {len(value)}"
    return f"object of {len(value)}"


def _cut(key: str) -> str:
    return key if len(key) <= KEY_CHARACTERS_MAX else f"{key[: KEY_CHARACTERS_MAX - 1]}…"
