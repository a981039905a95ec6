"""Finds the line of a runtime or an application within a line, whatever other loggers have made of it.

The runtime writes one JSON object a line. A host's formatter may put that text into an object of its own, rename
fields, write times as text, or write `key=value`. The result is always the same: the fields under their own names,
with `ts` in seconds. When the line itself has no time, that of whoever wrapped it counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from ...log.events import EVENTS
from .fields import Said
from .instants import instant_of, leading_instant, time_of
from .pairs import begins_with_pairs, pairs_in

LINE_BYTES_MAX = 4 * 1024 * 1024
"""A longer line is none of ours: job data is not logged."""

PREFIX_BRACES_MAX = 16
"""A line is looked for behind so many braces: what is before it is a prefix, not a document."""

WRAPS_MAX = 4
"""So many loggers deep."""

WRAPPERS = ("message", "msg", "log", "event", "MESSAGE", "text", "record", "extra", "fields", "jsonPayload", "data")
"""Fields in which other loggers carry a whole line, as text or as an object."""

NAMES = ("event", "message", "msg", "_event", "event_name", "name")
"""Fields in which loggers carry what an event is called."""

NAME = re.compile(r"[a-z]+\.[a-z_]+")

OURS = (re.compile(rb"\bboot\W{0,5}[=:]"), re.compile(rb"\bseq\W{0,5}[=:]"))
"""The fields that each line of ours has in any format."""

Find = Callable[[Said], Said | None]

_any = msgspec.json.Decoder()


def event_in(raw: bytes) -> Said | None:
    """The fields of the event that a line carries; None if it carries none, or is torn."""
    if b"seq" not in raw or b"boot" not in raw or len(raw) > LINE_BYTES_MAX:
        return None
    return _find(raw, _event, 0)


def host_line_in(raw: bytes) -> Said | None:
    """The fields of what a host's function has logged in a job, if it carries the job's fields."""
    if b"job_id" not in raw or len(raw) > LINE_BYTES_MAX:
        return None
    return _find(raw, _host_line, 0)


def is_like_ours(raw: bytes) -> bool:
    """Whether a line that carries no event looks as if it should."""
    return b"boot" in raw and all(field.search(raw) for field in OURS)


def object_at(raw: bytes, start: int) -> Said | None:
    """The JSON object that begins at an offset and ends with the last brace."""
    text = raw[start : raw.rfind(b"}") + 1]
    try:
        found = _any.decode(text)
    except UnicodeDecodeError:
        # Bytes that are no text stand in some value; the rest of the line is as good as any.
        return object_at(text.decode(errors="replace").encode(), 0)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _find(raw: bytes, of: Find, depth: int) -> Said | None:
    """The event in one of the objects of a line, or else in its pairs."""
    start = raw.find(b"{")
    for _ in range(PREFIX_BRACES_MAX):
        if start < 0:
            break
        found = object_at(raw, start)
        if found is not None:
            said = _within(found, of, depth)
            if said is not None:
                return said if "ts" in said else _at(said, leading_instant(_text(raw[:start])))
            # An object may stand in a pair's value, such as an error that quotes what a server has answered.
            if not begins_with_pairs(_text(raw[:start])):
                return None
            break
        start = raw.find(b"{", start + 1)
    if depth:
        # Text within an object may be a user's: only JSON is taken for a line there.
        return None
    text = _text(raw)
    said = of(pairs_in(text))
    return said if said is None or "ts" in said else _at(said, leading_instant(text))


def _within(found: Said, of: Find, depth: int) -> Said | None:
    """The event in an object, or in one that is wrapped into it."""
    said = None
    for name in WRAPPERS if depth < WRAPS_MAX else ():
        inner = found.get(name)
        if isinstance(inner, dict):
            said = _within(inner, of, depth + 1)
        elif isinstance(inner, str) and "{" in inner:
            said = _find(inner.encode(errors="surrogatepass"), of, depth + 1)
        if said is not None:
            return said if "ts" in said else _at(said, time_of(found))
    return of(found)


def _event(found: Said) -> Said | None:
    """An object as an event of ours: under its own name, and at its own time."""
    if not isinstance(found.get("boot"), str) or not isinstance(found.get("seq"), int):
        return None
    named = next((name for name in NAMES if isinstance(found.get(name), str) and found[name] in EVENTS), None)
    if named is None:
        named = next((name for name in NAMES if isinstance(found.get(name), str) and NAME.fullmatch(found[name])), None)
    if named is None:
        return None
    said = {"event": found[named], **found}
    if named != "event":
        said["event"] = said.pop(named)
    return _timed(said)


def _host_line(found: Said) -> Said | None:
    if not isinstance(found.get("job_id"), str) or "seq" in found:
        return None
    return _timed(dict(found))


def _timed(said: Said) -> Said:
    at = instant_of(said.pop("ts", None)) or time_of(said)
    return _at(said, at)


def _at(said: Said, at: float | None) -> Said:
    return said if at is None else {**said, "ts": at}


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
