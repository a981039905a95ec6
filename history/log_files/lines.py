"""Lamplighter's lines among whatever else a log holds: as JSON, logfmt or console lines.

A log may be rotated, compressed, written by several processes and shared with other programs; a line may have a
prefix, be written by another logger, or be torn. Other lines are passed over.
"""

from __future__ import annotations

import ast
import heapq
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Annotated, Any, NoReturn

import msgspec

from ...errors import UsageError
from ...log.events import EVENTS
from .files import LINE_BYTES_MAX, LogEnd, raw_lines

LATEST = 253_402_300_800.0
"""The end of the year 9999: no clock says more."""

UNITS = ((1e17, 1e9), (1e14, 1e6), (LATEST, 1e3))
"""A larger number counts such parts of a second."""

KEYS = ("ts", "timestamp", "@timestamp", "time", "asctime", "datetime", "date", "created")
"""Fields in which loggers say when."""

_NUMBER = re.compile(r"\d+(\.\d*)?")
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)(?: ?(Z|UTC|[+-]\d\d(?::?\d\d)?)(?![\w:]))?", re.ASCII
)

LEADING_CHARACTERS_MAX = 100


def instant_of(value: Any) -> float | None:
    """Seconds since the Unix epoch; None if a value is no instant.

    Text that names no zone means this machine's, as the standard library and structlog write it.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _in_seconds(value)
    if not isinstance(value, str):
        return None
    if _NUMBER.fullmatch(value):
        return _in_seconds(float(value))
    found = _ISO.match(value)
    return None if found is None else _of_match(found)


def time_of(fields: Mapping[str, Any]) -> float | None:
    """When an object was written, by its own fields; None if none of them tells."""
    return next((at for key in KEYS if key in fields and (at := instant_of(fields[key])) is not None), None)


def leading_instant(text: str) -> float | None:
    """The time that a line begins with, perhaps behind the name of whoever wrote it; None if there is none."""
    found = _ISO.search(text[:LEADING_CHARACTERS_MAX])
    return None if found is None else _of_match(found)


def after_instants(text: str) -> str:
    """The rest of a line after its leading times."""
    while found := _ISO.match(text):
        text = text[found.end() :].lstrip()
    return text


def _in_seconds(number: float) -> float | None:
    for least, unit in UNITS:
        if number >= least:
            number /= unit
            break
    return float(number) if 0.0 < number < LATEST else None


def _of_match(found: re.Match[str]) -> float | None:
    day, at, zone = found.groups()
    zone = "+00:00" if zone in ("Z", "UTC") else zone or ""
    try:
        return _in_seconds(datetime.fromisoformat(f"{day}T{at}{zone}").timestamp())
    except (ValueError, OverflowError, OSError):
        return None


Said = dict[str, Any]

TEXTS = """
    event boot actor corr of told_by digest boot_was child job_id job_name from to outcome state reason
    then_of fate_of step rate schedule key when timezone dst_gap dst_fold dead_boot store store_id host message_corr
    rate_per_group group handler
"""
COUNTS = """
    seq incarnation msg cause claim_no claim_no_now attempt rev turn boot_no crc part parts v count rows
    jobs then parents steps lane child_incarnation restarts_in_window pid dead_pid mailbox bytes interrupted
    redeliveries priority concurrency running concurrency_total concurrency_per_group of_group limit change_no
"""
SECONDS = "ts at slot last run_at until late took waited after mail_seconds delta drain left"

KINDS: dict[str, Any] = {
    **dict.fromkeys(TEXTS.split(), str),
    **dict.fromkeys(COUNTS.split(), int),
    **dict.fromkeys(SECONDS.split(), float),
    **dict.fromkeys(("begun", "durable"), bool),
    "beside": list[int],
    "waits_for": list[str],
    "moves": list[dict[str, Any]],
}
"""Another field may hold anything: it is only ever shown."""

INSTANTS = ("ts", "at", "slot", "last", "run_at")

WHOLE_MAX = 1 << 62
"""No count of anything comes so far."""


def typed(said: Said) -> Said:
    """The fields whose values have the expected type; the reader needs no further check."""
    return {name: value for name, value in said.items() if name not in KINDS or _fits(name, value)}


def from_text(name: str, value: str) -> Any:
    """Text as a value of the field's type; the text itself where it cannot be one."""
    kind = KINDS.get(name)
    if kind is None or kind is str:
        return value
    try:
        if kind in (int, float, bool):
            return msgspec.convert(value, kind, strict=False)
        try:
            return msgspec.json.decode(value, type=kind)
        except msgspec.MsgspecError:
            # As Python writes a list, with tuples and None.
            return msgspec.json.decode(msgspec.json.encode(ast.literal_eval(value)), type=kind)
    except (msgspec.MsgspecError, ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return value


def _fits(name: str, value: Any) -> bool:
    try:
        value = msgspec.convert(value, KINDS[name])
    except msgspec.MsgspecError:
        return False
    match value:
        case bool() | str():
            return True
        case int():
            return -WHOLE_MAX < value < WHOLE_MAX
        case float():
            return -LATEST < value < LATEST and (value >= 0.0 or name not in INSTANTS)
    return all(not isinstance(one, int | float) or -WHOLE_MAX < one < WHOLE_MAX for one in value)


ANSI = re.compile(r"\x1b\[[\d;]*m")

PAIR = re.compile(
    r"""(?:^|(?<=\s))([A-Za-z_@][\w.@-]*)=
    ("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\[.*?\](?=\s+[A-Za-z_@][\w.@-]*=|\s*$)|\S*)""",
    re.VERBOSE,
)

HEAD = re.compile(r"(?:(?:\d\d:\d\d:\d\d\S*\s+)?\[\s*\w+\s*\]\s*)?(.*?)(?:\s+\[([\w.-]+)\])?\s*")

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
    return PAIR.search(ANSI.sub("", text[:CHARACTERS_MAX])) is not None


def _value(raw: str) -> str:
    if raw[:1] not in ("'", '"') or len(raw) < 2:
        return raw
    try:
        value = ast.literal_eval(raw)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return raw[1:-1]
    return value if isinstance(value, str) else raw


PREFIX_BRACES_MAX = 16
"""A line is searched behind so many braces: the text before it is a prefix, not a document."""

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
    """The fields of the event in a line; None if there is none, or it is torn."""
    if b"seq" not in raw or b"boot" not in raw or len(raw) > LINE_BYTES_MAX:
        return None
    return _find(raw, _event, 0)


def host_line_in(raw: bytes) -> Said | None:
    """The fields of a line that a host's function has logged in a job, if it carries the job's fields."""
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
        # Invalid UTF-8 stands in some value; the rest of the line is usable.
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
            # A pair's value may contain an object, such as an error that quotes a server's answer.
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
    return _dated(said)


def _host_line(found: Said) -> Said | None:
    if not isinstance(found.get("job_id"), str) or "seq" in found:
        return None
    return _dated(dict(found))


def _dated(said: Said) -> Said:
    at = instant_of(said.pop("ts", None)) or time_of(said)
    return _at(said, at)


def _at(said: Said, at: float | None) -> Said:
    return said if at is None else {**said, "ts": at}


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


SHOWN_BYTES_MAX = 300
"""How much of a line that cannot be read is shown."""


ToldEnd = Annotated[list[str | int], msgspec.Meta(min_length=2)]
"""The end of a job that another has waited for: its id and the number of its move, and perhaps more."""


class LoggedMove(msgspec.Struct, gc=False, omit_defaults=True):
    """One of the moves that a line of the ledger tells; `log.events.MOVE_KEYS` says what each key means. Its JSON
    is the writer's, whatever the line has gone through.
    """

    k: str
    j: str = ""
    n: str = ""
    r: int = 0
    f: str | None = None
    c: int = 0
    a: int = 0
    b: str | None = None
    o: str | None = None
    u: float | None = None
    p: int = 0
    d: str | None = None
    s: str | None = None
    t: float | None = None
    l: float | None = None  # noqa: E741 - the ledger's own key
    x: int | None = None
    w: float | None = None
    q: str | None = None
    m: int | None = None
    y: list[ToldEnd] | None = None
    g: str | None = None
    z: int | None = None
    e: int | None = None
    rate: str | None = None
    priority: int = 0
    step: str | None = None
    steps: int | None = None
    until: float | None = None
    number: int | None = msgspec.field(default=None, name="no")
    when: str | None = None
    tz: str | None = None
    gap: str | None = None
    fold: str | None = None
    key: str | None = None
    since: float | None = None
    by: str | None = None
    via: str | None = None
    why: str | None = None


class Line(msgspec.Struct, rename={"raw": "(raw)", "source": "(source)", "number": "(number)"}):
    """The fields of a line that the audit reads, and the line's place."""

    event: str
    boot: str
    seq: int
    ts: float = 0.0
    level: Any = None
    actor: str | None = None
    v: int = 1
    store_id: str | None = None
    boot_no: int | None = None
    turn: int | None = None
    at: float | None = None
    crc: int | None = None
    moves: list[LoggedMove] | None = None
    part: int | None = None
    parts: int | None = None
    of: str | None = None
    told_by: str | None = None
    beside: list[int] | None = None
    redelivers: bool = False
    overlaps: bool = False
    job_id: str | None = None
    job_name: str | None = None
    claim_no: int | None = None
    attempt: int | None = None
    outcome: str | None = None
    run_at: float | None = None
    digest: str | None = None
    redeliveries: int | None = None
    boot_was: str | None = None
    schedule: str | None = None
    slot: float | None = None
    last: float | None = None
    count: int | None = None
    when: str | None = None
    timezone: str | None = None
    dead_boot: str | None = None
    operator: str | None = None
    store: str | None = None
    until: float | None = None
    limit: int | None = None
    priority: int = 0
    then: int | None = None
    then_of: str | None = None
    parents: int | None = None
    fate_of: str | None = None
    group: str | None = None
    of_group: int | None = None
    rate: str | None = None
    step: str | None = None
    steps: int | None = None
    reason: str | None = None
    by: str | None = None
    via: str | None = None
    claim_no_now: int | None = None
    pid: int | None = None
    lane: int | None = None
    incarnation: int | None = None
    child: str | None = None
    child_incarnation: int | None = None
    restarts_in_window: int | None = None
    raw: bytes = b""
    source: str = ""
    number: int = 0

    @property
    def text(self) -> str:
        """The line as it stands in the log, after the place where it stands."""
        raw = self.raw or _brief(self).encode()
        return _placed(self.source, self.number, raw) if self.source else raw.decode(errors="replace").rstrip()


_decoder = msgspec.json.Decoder(Line)


def line_of(said: dict[str, Any]) -> Line:
    """The line that an event given as a dict would have made."""
    line = msgspec.convert({key: value for key, value in said.items() if value is not None}, Line, strict=False)
    line.raw = msgspec.json.encode(said, enc_hook=repr)
    return line


def parse(raw: bytes) -> Line | None:
    """Read one line of a log; None if it is none of ours, or torn."""
    if b"seq" not in raw:
        # Checking first costs a tenth of a decoder's failure.
        return None
    if raw[:1] == b"{":
        try:
            line = _decoder.decode(raw)
            if line.ts > 0.0:
                return line
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass
    said = event_in(raw)
    try:
        return None if said is None else msgspec.convert(said, Line)
    except msgspec.MsgspecError:
        return None


def fields_of(raw: bytes, *, hosts_too: bool = False) -> Said | None:
    """Every field of a line of ours, or of one that a host's function has logged in a job; None otherwise."""
    said = event_in(raw)
    if said is None and hosts_too:
        said = host_line_in(raw)
    return None if said is None else typed(said)


class Unread:
    """Lines and logs that could not be read: lines that look like ours, and logs that are cut short.

    Attributes:
        cut: logs whose compression ends in the middle.
        torn: what stands at the end of logs that do not end with a line break, and may be a part of a line.
        other: the first line of all that is none of ours.
    """

    def __init__(self) -> None:
        self.cut: dict[str, None] = {}
        self.torn: dict[str, str] = {}
        self.count = 0
        self.first = ""
        self.other = ""

    @property
    def notes(self) -> tuple[str, ...]:
        cut = (f"{name} ends in the middle of what was compressed: the rest was not read" for name in self.cut)
        torn = (
            f"{name} ends without a line break, and its last line may be cut: {text}"
            for name, text in self.torn.items()
        )
        look = "line looks" if self.count == 1 else "lines look"
        others = (f"{self.count:,} {look} like Lamplighter's and cannot be read; the first is {self.first}",)
        return (*cut, *torn, *(others if self.count else ()))

    def refuse(self) -> NoReturn:
        """Say that there was no line of ours at all.

        Raises:
            UsageError: always.
        """
        first = self.first or self.other or next(iter(self.torn.values()), "")
        got = f"no line that is one; the first is {first}" if first else "no line at all"
        raise UsageError(f"expected a log of Lamplighter's, in one of the formats of docs/debugging.md, got: {got}")

    def note(self, raw: bytes, source: str, number: int, rest: bytes) -> None:
        """Note a line that carries no event.

        Args:
            rest: the text behind the last line break of all that was read. A cut line is noted as that alone.
        """
        if not self.other and not raw.isspace():
            self.other = _placed(source, number, raw[:SHOWN_BYTES_MAX])
        if is_like_ours(raw) and not (raw.rstrip(b"\n") == rest and is_torn(rest)):
            self.count += 1
            self.first = self.first or _placed(source, number, raw[:SHOWN_BYTES_MAX])

    def ended(self, source: str, end: LogEnd) -> None:
        if end.is_cut:
            self.cut[source] = None
        elif is_torn(end.rest):
            self.torn[source] = end.rest[:SHOWN_BYTES_MAX].decode(errors="replace")


def is_torn(rest: bytes) -> bool:
    """Whether the text behind a log's last line break may be a part of a line: it is no JSON object."""
    start = rest.find(b'{"')
    return bool(rest.strip()) and (start < 0 or object_at(rest, start) is None)


def read(paths: Sequence[str], unread: Unread | None = None) -> Iterator[Line]:
    """Our lines in all these logs, as they followed one another.

    Each log is in the order in which it was written; among logs, the line whose time is earlier goes first, and at one
    time, which all lines of a turn have, the one with the lower `seq`. A time that goes back counts as the latest
    before it, so that a clock that was set does not tear a log apart.

    Args:
        unread: is told of the lines that are none of ours.
    """
    if len(paths) == 1:
        yield from read_one(paths[0], unread)
        return
    merged = heapq.merge(*(_timed(path, index, unread) for index, path in enumerate(paths)))
    yield from (line for *_, line in merged)


def read_one(path: str, unread: Unread | None = None) -> Iterator[Line]:
    name = "stdin" if path == "-" else os.path.basename(path)
    end = None if unread is None else LogEnd()
    for number, raw in enumerate(raw_lines(path, end), start=1):
        line = parse(raw)
        if line is not None:
            line.raw, line.source, line.number = raw, name, number
            yield line
        elif unread is not None and end is not None and (b"boot" in raw or not unread.other):
            unread.note(raw, name, number, end.rest)
    if unread is not None and end is not None:
        unread.ended(name, end)


def _timed(path: str, index: int, unread: Unread | None) -> Iterator[tuple[float, int, int, int, Line]]:
    latest = 0.0
    for line in read_one(path, unread):
        latest = max(latest, line.ts)
        yield latest, line.seq, index, line.number, line


def check_readable(paths: Sequence[str]) -> None:
    """Whether any of these logs that can be read twice has a line of ours; a UsageError if none has."""
    unread = Unread()
    again = [path for path in paths if path != "-"]
    if len(again) == len(paths) and next(chain.from_iterable(read_one(path, unread) for path in again), None) is None:
        unread.refuse()


def may_have(paths: Sequence[str], is_wanted: Callable[[Line], bool]) -> bool:
    """Whether any line of these logs is wanted, as far as they can be read again."""
    again = [path for path in paths if path != "-"]
    return len(again) < len(paths) or any(is_wanted(line) for path in again for line in read_one(path))


def _placed(source: str, number: int, raw: bytes) -> str:
    return f"{source}:{number}: {raw.decode(errors='replace').rstrip()}"


def _brief(line: Line) -> str:
    return f"{line.event} boot={line.boot} seq={line.seq} turn={line.turn} job_id={line.job_id}"
