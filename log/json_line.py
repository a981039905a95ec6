"""One line of JSON for any logged values. Unserializable values are shown as well as possible; nothing is raised."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

LINE_BYTES_MAX = 1024 * 1024
"""A longer line keeps only `NAMING` and its length."""

DEPTH_MAX = 20
"""How deep an unserializable value is shown; a cycle ends here too."""

ITEMS_MAX = 1000
NAMING = ("event", "level", "ts", "logger", "boot", "seq", "job_id")
"""The fields that an overlong line keeps."""


def to_json(fields: Mapping[str, Any]) -> bytes:
    """The fields as JSON text in UTF-8, without a line break."""
    written = bytearray()
    try:
        # Not its own `encode`: see `json_of`.
        _encoder.encode_into(fields, written)
        text = bytes(written)
    except Exception:
        # A lone surrogate, a cycle, a dict that changes meanwhile, no memory: the slow path handles them all.
        text = json.dumps(_plain(fields, 0)).encode()
    if len(text) <= LINE_BYTES_MAX:
        return text
    kept = {name: str(fields[name])[:1000] for name in NAMING if name in fields}
    return json.dumps({**kept, "cut_bytes": len(text)}).encode()


def safe_repr(value: Any) -> str:
    try:
        return repr(value)
    except BaseException as error:
        return f"<{type(value).__name__}: repr raised {type(error).__name__}>"


def safe_str(value: Any) -> str:
    """`str`, or the best substitute."""
    try:
        return str(value)
    except BaseException:
        return safe_repr(value)


def _plain(value: Any, depth: int) -> Any:
    """A value that `json.dumps` takes. Its text is ASCII, so that a lone surrogate stays an escape."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        # An int of thousands of digits has no text in Python.
        return int(value) if value.bit_length() <= 1024 else hex(value)
    if depth >= DEPTH_MAX:
        return "..."
    try:
        if isinstance(value, Mapping):
            return {safe_str(key): _plain(value[key], depth + 1) for key in list(value)[:ITEMS_MAX]}
        if isinstance(value, (list, tuple)):
            return [_plain(item, depth + 1) for item in list(value)[:ITEMS_MAX]]
    except Exception:
        # A container of the application's own that cannot be walked.
        return safe_repr(value)
    return safe_repr(value)


_encoder = msgspec.json.Encoder(enc_hook=safe_repr)
