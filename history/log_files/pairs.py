"""Lines of `key=value`: logfmt, structlog's key-value and console renderers, and the console of `configure_logging`."""

from __future__ import annotations

import ast
import re

from .fields import Said, from_text
from .instants import after_instants

ANSI = re.compile(r"\x1b\[[\d;]*m")

PAIR = re.compile(
    r"""(?:^|(?<=\s))([A-Za-z_@][\w.@-]*)=
    ("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\[.*?\](?=\s+[A-Za-z_@][\w.@-]*=|\s*$)|\S*)""",
    re.VERBOSE,
)

HEAD = re.compile(r"(?:(?:\d\d:\d\d:\d\d\S*\s+)?\[\s*\w+\s*\]\s*)?(.*?)(?:\s+\[([\w.-]+)\])?\s*")
"""The console's text before the first pair: perhaps a time of day; level, event, and speaker."""

CHARACTERS_MAX = 64 * 1024
"""A longer line is none of these: the pairs of ours are short."""


def pairs_in(text: str) -> Said:
    """The fields of a line; what stands before the first pair is its `event` unless a pair says it. Empty if none."""
    if len(text) > CHARACTERS_MAX or "=" not in text:
        return {}
    text = ANSI.sub("", text)
    found = list(PAIR.finditer(text))
    if not found:
        return {}
    said: Said = {name: from_text(name, _value(raw)) for name, raw in (one.groups() for one in found)}
    head = HEAD.fullmatch(after_instants(text[: found[0].start()].strip()))
    if head is not None and head[1]:
        said.setdefault("event", head[1])
    return said


def begins_with_pairs(text: str) -> bool:
    """Whether there is a pair in what a line begins with."""
    return PAIR.search(ANSI.sub("", text[:CHARACTERS_MAX])) is not None


def _value(raw: str) -> str:
    if raw[:1] not in ("'", '"') or len(raw) < 2:
        return raw
    try:
        value = ast.literal_eval(raw)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return raw[1:-1]
    return value if isinstance(value, str) else raw
