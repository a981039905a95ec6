"""Data and results as JSON text, strictly: JSON values come out as they went in, a value with a text or fields of its
own (a UUID, a date, a dataclass, a model) is stored as these, and nothing else is stored.

Half of a surrogate pair (a text that was cut within an emoji, the name of a file that is not UTF-8) cannot be written
anywhere. New data with it is refused; in results and errors, and in shown jobs of other programs, it becomes U+FFFD.

JSON only, never pickle: a job written by one version, process or machine must be readable by any other.
"""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from pathlib import PurePath
from typing import Any, NamedTuple, get_args, get_type_hints

import msgspec

from ..errors import UsageError, shown
from .models import dump, is_model

_encoder = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_quick = msgspec.json.Encoder()
_own = msgspec.json.Decoder()
_counts = msgspec.json.Decoder(tuple[int, ...])

PLAIN = frozenset({type(None), bool, int, str})
"""A value of exactly one of these types is JSON-serializable."""

LIKE_JSON = (type(None), bool, int, float, str, list, tuple, dict, set, frozenset)
"""Types whose values need no other form in JSON, though their items may."""

CARRIED = "what JSON has; dataclasses, models, enums, UUIDs, dates, Decimals, paths, sets, bytes"

DEPTH_MAX = 100


class Encoded(NamedTuple):
    """JSON text that `encode` has already made of a value."""

    text: str


def encode(value: Any, *, what: str, bytes_max: int, mends: bool = False) -> str:
    """JSON text of a value; an `Encoded` gives its own.

    Args:
        value: None, bool, int, finite float, str; types that msgspec supports (dataclasses, Structs, attrs classes,
            enums, UUIDs, dates and times, Decimals, sets, bytes); paths; pydantic models; and lists, tuples and dicts
            of them. The keys of a dict are text, or become text.
        what: its name in an error, such as `data`.
        bytes_max: the maximum length of the text.
        mends: whether half of a surrogate pair becomes U+FFFD, and is not refused.

    Raises:
        UsageError: it is something else, or too large.
    """
    text = value.text if type(value) is Encoded else _quickly(value) or _carefully(value, what, mends)
    # The text is ASCII, so its length is its size.
    if len(text) > bytes_max:
        raise UsageError(
            f"expected {what} of at most {bytes_max} bytes as JSON, got: {len(text)} bytes; pass a reference"
        )
    return text


def encode_own(value: Any) -> str:
    """JSON text of Lamplighter's own values, which need no check."""
    try:
        return json_of(value).decode()
    except UnicodeEncodeError:
        return json_of(valid(msgspec.to_builtins(value))).decode()


def json_kinds(record: type) -> dict[str, frozenset[type]]:
    """The types that JSON may give each field of a record: a writer may write whole seconds as int or float."""
    found: dict[str, frozenset[type]] = {}
    for name, hint in get_type_hints(record).items():
        kinds = {kind if isinstance(kind, type) else type(kind) for kind in get_args(hint) or (hint,)}
        found[name] = frozenset(kinds | {int} if float in kinds else kinds)
    return found


def json_of(value: Any) -> bytearray:
    """JSON text in UTF-8. When memory is short, msgspec's own `encode` crashes the process (0.23.0).

    Raises:
        ValueError, TypeError, MemoryError: there is no text of it.
    """
    text = bytearray()
    _quick.encode_into(value, text)
    return text


def ready(value: Any) -> msgspec.Raw:
    """An own value as the JSON text of a part of a larger one."""
    return msgspec.Raw(json_of(value))


def decode_own(line: bytes) -> Any:
    return _own.decode(line)


def valid_text(text: str) -> str:
    """The text, with U+FFFD in the place of half of a surrogate pair."""
    # Not its own method: the object may be of a subclass of the application's.
    return str.encode(text, "utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def valid(value: Any) -> Any:
    """The value with `valid_text` applied to every text in it."""
    match value:
        case str():
            return valid_text(value)
        case dict():
            return {valid(key): valid(item) for key, item in value.items()}
        case list() | tuple():
            return [valid(item) for item in value]
        case _:
            return value


def decode(text: str) -> Any:
    return json.loads(text)


def decode_counts(text: str) -> tuple[int, ...]:
    """Counts of Lamplighter's own: tens of thousands of rows have some, and this takes a fifth of `decode`'s time."""
    return _counts.decode(text)


def digest(text: str, size: int = 6) -> str:
    """A hash of `size` bytes, in hex; a short one lets two log lines be compared without showing the data."""
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()


def checksum(value: Any, before: int = 0) -> int:
    """The CRC-32 of an own value as JSON text, continuing from `before`: it shows that the value was changed, not who
    did it.
    """
    text = bytearray()
    _quick.encode_into(value, text)
    return zlib.crc32(text, before)


def _quickly(value: Any) -> str | None:
    """The text of nearly all data, in a tenth of the time. None for a value that needs `_carefully`."""
    if type(value) not in PLAIN and not _is_plain(value, 0):
        return None
    text = bytearray()
    try:
        _quick.encode_into(value, text)
    except ValueError:
        # A lone surrogate, or an int of thousands of digits.
        return None
    return text.decode() if text.isascii() else None


def _is_plain(value: Any, depth: int) -> bool:
    """Whether it certainly is JSON-serializable."""
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


def _carefully(value: Any, what: str, mends: bool) -> str:
    if not isinstance(value, LIKE_JSON):
        # A dataclass, for instance: its JSON form is plain more often than not.
        value = _stand_in(value, what)
        if (text := _quickly(value)) is not None:
            return text
    plain = _plain(value, what, 0, mends)
    try:
        return _encoder.encode(plain)
    except ValueError as error:
        # An int of thousands of digits: Python writes none (sys.set_int_max_str_digits), and could not read it back.
        raise UsageError(f"expected JSON-serializable {what}, got: {error}") from None


def _plain(value: Any, path: str, depth: int, mends: bool) -> Any:
    """The value with everything that JSON lacks replaced by its JSON form."""
    if depth > DEPTH_MAX:
        raise UsageError(f"expected data nested at most {DEPTH_MAX} deep and without cycles, got more at {path[:200]}")
    match value:
        case str():
            return _text(value, path, mends)
        case None | bool() | int():
            return value
        case float():
            if not math.isfinite(value):
                raise UsageError(f"expected a JSON-serializable value at {path}, got: {value!r}")
            return value
        case list() | tuple():
            return [_plain(item, f"{path}[{index}]", depth + 1, mends) for index, item in enumerate(value)]
        case dict():
            return _plain_dict(value, path, depth, mends)
        case set() | frozenset():
            # The order is the same in every process: the id of a schedule is made of its data.
            return sorted((_plain(item, f"{path}[...]", depth + 1, mends) for item in value), key=_encoder.encode)
        case _:
            return _plain(_stand_in(value, path), path, depth + 1, mends)


def _plain_dict(value: dict[Any, Any], path: str, depth: int, mends: bool) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, item in value.items():
        text = key if isinstance(key, str | None | int | float) else _stand_in(key, path)
        if not isinstance(text, str):
            # A number would come back as text, which looks like it but is a different key.
            raise UsageError(f"expected only str keys at {path}, got: {shown(key)} ({type(key).__name__})")
        text = _text(text, path, mends)
        if text in plain:
            raise UsageError(f"expected keys that differ as text at {path}, got: {shown(key)} twice")
        plain[text] = _plain(item, f"{path}.{text}", depth + 1, mends)
    return plain


def _text(text: str, path: str, mends: bool) -> str:
    try:
        str.encode(text)
    except UnicodeEncodeError:
        if not mends:
            raise UsageError(f"expected text of valid Unicode at {path}, got: {shown(text)}") from None
        return valid_text(text)
    return text


def _stand_in(value: Any, path: str) -> Any:
    """The form of a value in JSON: text, a number, a list or a dict, whose items may need the same.

    Raises:
        UsageError: it has none.
    """
    try:
        return dump(value) if is_model(type(value)) else _builtins(value)
    except UsageError:
        raise
    except RecursionError:
        raise UsageError(f"expected data without cycles, got one at {path[:200]}") from None
    except _NoStandIn as error:
        got = str(error)
    except Exception as error:
        got = f"{type(value).__name__}, which raised {type(error).__name__}"
    raise UsageError(f"expected a JSON-serializable value at {path} ({CARRIED}), got: {got}; convert it first")


class _NoStandIn(Exception):
    """The type of a value that is not JSON-serializable."""


def _builtins(value: Any) -> Any:
    try:
        return msgspec.to_builtins(value, str_keys=True, order="deterministic", enc_hook=_unknown)
    except TypeError:
        # It contains a set whose items cannot be compared with one another.
        return msgspec.to_builtins(value, str_keys=True, enc_hook=_unknown)


def _unknown(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if is_model(type(value)):
        return dump(value)
    raise _NoStandIn(type(value).__name__)
