"""Data and results as JSON text, strictly: what comes out is what went in, or nothing is stored.

JSON only, never pickle: a job written by one version, process or machine must be readable by any other.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import msgspec

from ..errors import UsageError

_encoder = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_quick = msgspec.json.Encoder()

PLAIN = frozenset({type(None), bool, int, str})
"""Whatever is of just one of these types, JSON can carry."""

DEPTH_MAX = 100
"""How deep data may nest; a cycle is found by it too."""


def encode(value: Any, *, what: str, bytes_max: int) -> str:
    """JSON text of a value.

    Args:
        value: None, bool, int, finite float, str, and lists, tuples and dicts with str keys of them.
        what: how an error names it, such as `data`.
        bytes_max: how long the text may be.

    Raises:
        UsageError: it is something else, or too large.
    """
    text = _quickly(value) or _carefully(value, what)
    # The text is ASCII (lone surrogates stay escaped), so its length is its size.
    if len(text) > bytes_max:
        raise UsageError(
            f"expected {what} of at most {bytes_max} bytes as JSON, got: {len(text)} bytes; pass a reference"
        )
    return text


def encode_own(value: Any) -> str:
    """JSON text of a value that we have made ourselves, and need not check."""
    return _quick.encode(value).decode()


def decode(text: str) -> Any:
    """The value of JSON text from the store."""
    return json.loads(text)


def digest(text: str) -> str:
    """A short hash that lets two log lines be compared without showing the data."""
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _quickly(value: Any) -> str | None:
    """The text of nearly all data, in a tenth of the time. None for a value that must be looked at with care."""
    if not _is_plain(value, 0):
        return None
    try:
        text: bytes = _quick.encode(value)
    except ValueError:
        # A lone surrogate, or an int of thousands of digits.
        return None
    return text.decode() if text.isascii() else None


def _is_plain(value: Any, depth: int) -> bool:
    """Whether JSON can certainly carry it."""
    kind = type(value)
    if kind in PLAIN:
        return True
    if kind is float:
        return math.isfinite(value)
    if depth == DEPTH_MAX:
        return False
    if kind is dict:
        return all(type(key) is str for key in value) and all(_is_plain(item, depth + 1) for item in value.values())
    return (kind is list or kind is tuple) and all(_is_plain(item, depth + 1) for item in value)


def _carefully(value: Any, what: str) -> str:
    _check(value, what, 0)
    try:
        return _encoder.encode(value)
    except ValueError as error:
        # An int of thousands of digits: Python writes none (sys.set_int_max_str_digits), and could not read it back.
        raise UsageError(f"expected {what} that JSON can carry, got: {error}") from None


def _check(value: Any, path: str, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise UsageError(f"expected data nested at most {DEPTH_MAX} deep and without cycles, got more at {path[:200]}")
    match value:
        case None | bool() | int() | str():
            return
        case float():
            if not math.isfinite(value):
                raise UsageError(f"expected a value that JSON can carry at {path}, got: {value!r}")
        case list() | tuple():
            for index, item in enumerate(value):
                _check(item, f"{path}[{index}]", depth + 1)
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise UsageError(f"expected only str keys at {path}, got: {key!r} ({type(key).__name__})")
                _check(item, f"{path}.{key}", depth + 1)
        case _:
            raise UsageError(
                f"expected a value that JSON can carry at {path} (None, bool, int, float, str, list, dict), "
                f"got: {type(value).__name__}; convert it first"
            )
