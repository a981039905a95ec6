from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

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


REASON_CHARACTERS_MAX = 200


class Unwritten(NamedTuple):
    """The number of lines that could not be written, and the last one's reason."""

    lines: int
    why: Exception

    @property
    def reason(self) -> str:
        return f"{type(self.why).__name__}: {safe_str(self.why)}"[:REASON_CHARACTERS_MAX]


def one_by_one(write: Callable[[dict[str, Any]], object], lines: Sequence[dict[str, Any]]) -> Unwritten | None:
    """Write each line separately. Returns those that could not be written."""
    lost = None
    for line in lines:
        try:
            write(line)
        except Exception as error:
            lost = Unwritten(1 if lost is None else lost.lines + 1, error)
    return lost


class LogLine:
    """The message of a standard record: fields, formatted only when somebody asks for text.

    The text is JSON, but readable where nobody has configured logging: there the standard library itself prints it.

    Attributes:
        fields: begins with `event` and `level`. Nobody changes it.
        is_event: whether it is one of Lamplighter's events, which have the fields of their job already.
        lost: that one of our sinks could not write it.
    """

    __slots__ = ("_logger", "fields", "is_event", "lost")

    def __init__(self, fields: dict[str, Any], *, logger: Any = None, is_event: bool = False) -> None:
        self.fields = fields
        self.is_event = is_event
        self.lost: Unwritten | None = None
        self._logger = logger

    def __str__(self) -> str:
        if isinstance(self._logger, logging.Logger) and not self._logger.hasHandlers() and on_terminal():
            # Imported where it is needed: a worker writes to a file more often than not.
            from .console_text import ConsoleText

            return ConsoleText(for_terminal=True).of(self.fields, self.fields.get("ts"))
        return to_json(self.fields).decode()


def on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def formatted(template: Any, args: Any) -> str:
    """`template % args`; both unformatted, when they do not fit together."""
    if not args:
        return safe_str(template)
    try:
        # Like standard logging and structlog: a single dict is for named fields.
        single = isinstance(args, tuple) and len(args) == 1 and isinstance(args[0], dict) and args[0]
        return str(template % (args[0] if single else args))
    except Exception as error:
        return f"{safe_str(template)} % {safe_repr(args)} ({type(error).__name__})"
