from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .json_line import safe_repr, safe_str, to_json

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
