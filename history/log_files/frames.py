"""The texts of log lines: the frames that other programs put around them (Docker, Kubernetes, the journal), and the
fields and instants in JSON, logfmt and console lines.

A frame is taken off as a compression is: whoever reads such a log gets the program's own lines, each behind the time
that its frame gave it. Lines that were cut into pieces are whole again.
"""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import IO, Any, Literal, cast

import msgspec

from ...log.events import EVENTS

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


LINE_BYTES_MAX = 4 * 1024 * 1024
"""A longer line is none of ours: job data is not logged."""

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


HEAD_BYTES = 1 << 16
"""So much of a log shows whether it has frames."""

HEAD_LINES = 16
"""The first line may be torn, and some lines may have no frame."""

READ_BYTES = 1 << 18
"""Read at once: with Python's own 8 KiB, reading line by line takes twice as long."""

CRI = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*) (stdout|stderr) ([FP])(?::\S*)? (.*)", re.DOTALL)

FIELD = re.compile(rb"[A-Z_][A-Z0-9_]*")
"""The name of a field of the journal."""

Piece = tuple[Any, bytes, bytes, bool]

Read = Callable[[IO[bytes]], Iterator[Piece]]


class DockerLine(msgspec.Struct):
    """A line of Docker's json-file driver; it cuts lines after 16 KiB."""

    log: str
    stream: Literal["stdout", "stderr"]
    time: str = ""


class JournalEntry(
    msgspec.Struct,
    rename={
        "message": "MESSAGE",
        "at": "__REALTIME_TIMESTAMP",
        "cut": "_LINE_BREAK",
        "stream": "_STREAM_ID",
        "pid": "_PID",
    },
):
    """An entry of the journal, which cuts lines of its standard streams after 48 KiB."""

    at: str
    message: str | list[int | str] | None = None
    cut: str | list[str] = ""
    stream: str | list[str] = ""
    pid: str | list[str] = ""


_docker = msgspec.json.Decoder(DockerLine)
_journal = msgspec.json.Decoder(JournalEntry)


def unframed(opened: io.BufferedReader) -> IO[bytes] | None:
    """The program's own lines in a log that has frames; None if it has none."""
    head = opened.peek(HEAD_BYTES)[:HEAD_BYTES]
    if head.startswith(b"__CURSOR="):
        return _stream(opened, _export_pieces(opened))
    for line in islice(head.splitlines(keepends=True), HEAD_LINES):
        for piece in (_docker_piece, _journal_piece, _cri_piece):
            if piece(line) is not None:
                return _stream(opened, _pieces(opened, piece))
    return None


class Derived(io.RawIOBase):
    """A stream that is made of another one, which it closes."""

    def __init__(self, opened: IO[bytes]) -> None:
        super().__init__()
        self._opened = opened

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._opened.close()
        super().close()


class _Stream(Derived):
    def __init__(self, lines: Iterator[bytes], opened: IO[bytes]) -> None:
        super().__init__(opened)
        self._lines = lines
        self._rest = b""

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = b"".join(islice(self._lines, 64))
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def _stream(opened: IO[bytes], pieces: Iterator[Piece]) -> IO[bytes]:
    return cast(IO[bytes], io.BufferedReader(_Stream(_whole(pieces), opened), READ_BYTES))


def _whole(pieces: Iterator[Piece]) -> Iterator[bytes]:
    held: dict[Any, tuple[bytes, list[bytes], int]] = {}
    for key, at, text, goes_on in pieces:
        since, parts, size = held.pop(key, (at, [], 0))
        if goes_on and size + len(text) <= LINE_BYTES_MAX:
            held[key] = since, [*parts, text], size + len(text)
            continue
        yield from _lines(since, b"".join([*parts, text]))
    for since, parts, _ in held.values():
        yield from _lines(since, b"".join(parts))


def _lines(at: bytes, text: bytes) -> Iterator[bytes]:
    behind = at + b" " if at else b""
    for line in text.split(b"\n") if b"\n" in text[:-1] else (text,):
        if line:
            yield behind + line.rstrip(b"\r\n") + b"\n"


def _pieces(opened: IO[bytes], piece: Callable[[bytes], Piece | None]) -> Iterator[Piece]:
    for line in opened:
        found = piece(line)
        # A line without a frame stands for itself.
        yield found if found is not None else (None, b"", line, False)


def _docker_piece(line: bytes) -> Piece | None:
    try:
        said = _docker.decode(line)
        at, text = said.time.encode(), said.log.encode()
    except (msgspec.MsgspecError, UnicodeError):
        return None
    return said.stream, at, text, not text.endswith(b"\n")


def _cri_piece(line: bytes) -> Piece | None:
    found = CRI.match(line)
    if found is None:
        return None
    at, stream, tag, text = found.groups()
    return stream, at, text.rstrip(b"\r\n") if tag == b"P" else text, tag == b"P"


def _journal_piece(line: bytes) -> Piece | None:
    try:
        said = _journal.decode(line)
        text = said.message or ""
        if isinstance(text, list):
            raw = b"\n".join(one.encode() for one in text if isinstance(one, str)) or bytes(cast(list[int], text))
        else:
            raw = text.encode()
    except (msgspec.MsgspecError, UnicodeError, ValueError, TypeError):
        return None
    return str(said.stream or said.pid), _micros(said.at), raw, said.cut == "line-max"


def _export_pieces(opened: IO[bytes]) -> Iterator[Piece]:
    """Entries of `journalctl -o export`: a field a line, or its name, its size in eight bytes and its value."""
    entry: dict[bytes, bytes] = {}
    for line in opened:
        name, equals, value = line.rstrip(b"\n").partition(b"=")
        if not equals and FIELD.fullmatch(name):
            size = int.from_bytes(opened.read(8), "little")
            if size > LINE_BYTES_MAX:
                return
            value = opened.read(size)
            opened.read(1)
        if name:
            entry[name] = value
        elif entry:
            yield _export_piece(entry)
            entry = {}
    if entry:
        yield _export_piece(entry)


def _export_piece(entry: dict[bytes, bytes]) -> Piece:
    key = entry.get(b"_STREAM_ID", b"") or entry.get(b"_PID", b"")
    at = _micros(entry.get(b"__REALTIME_TIMESTAMP", b"").decode(errors="replace"))
    return key, at, entry.get(b"MESSAGE", b""), entry.get(b"_LINE_BREAK") == b"line-max"


def _micros(text: str) -> bytes:
    try:
        return datetime.fromtimestamp(int(text) / 1e6, UTC).isoformat().encode()
    except (ValueError, OverflowError, OSError):
        return b""
