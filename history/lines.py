"""Lamplighter's lines among whatever else a log holds.

A log may be rotated, compressed, written by several processes and shared with other programs; a line may have a
prefix, be wrapped into the JSON of another logger, or be torn. What is not a line of ours is passed over.
"""

from __future__ import annotations

import contextlib
import gzip
import heapq
import io
import os
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any, cast

import msgspec

from ..errors import UsageError

LINE_BYTES_MAX = 4 * 1024 * 1024
"""A longer line is none of ours: job data is not logged."""

READ_BYTES = 1 << 18
"""Read at once: with Python's own 8 KiB, reading line by line takes twice as long."""

PREFIX_BRACES_MAX = 16
"""A line is looked for behind so many braces: what is before it is a prefix, not a document."""

WRAPPERS = ("message", "msg", "log", "event", "MESSAGE")
"""Fields in which other loggers carry a whole line as text."""


class Line(msgspec.Struct, rename={"before": "from", "raw": "(raw)", "source": "(source)", "number": "(number)"}):
    """What the audit reads of a line, and where the line stands."""

    event: str
    boot: str
    seq: int
    ts: float = 0.0
    job_id: str | None = None
    job_name: str | None = None
    claim_no: int | None = None
    attempt: int | None = None
    before: str | None = None
    to: str | None = None
    rev: int | None = None
    revs: list[int] | None = None
    outcome: str | None = None
    schedule: str | None = None
    slot: float | None = None
    last: float | None = None
    count: int | None = None
    when: str | None = None
    timezone: str | None = None
    dst_gap: str | None = None
    dst_fold: str | None = None
    dead_boot: str | None = None
    told: list[list[Any]] | None = None
    rows: int | None = None
    store: str | None = None
    host: str | None = None
    reason: str | None = None
    claim_no_now: int | None = None
    raw: bytes = b""
    source: str = ""
    number: int = 0

    @property
    def text(self) -> str:
        """The line as it stands in the log, after the place where it stands."""
        said = self.raw.decode(errors="replace").rstrip() if self.raw else _brief(self)
        return f"{self.source}:{self.number}: {said}" if self.source else said


_decoder = msgspec.json.Decoder(Line)
_any = msgspec.json.Decoder()


def line_of(said: dict[str, Any]) -> Line:
    """The line that an event given as a dict would have made."""
    line = msgspec.convert({key: value for key, value in said.items() if value is not None}, Line, strict=False)
    line.raw = msgspec.json.encode(said, enc_hook=repr)
    return line


def parse(raw: bytes) -> Line | None:
    """Read one line of a log; None if it is none of ours, or torn."""
    if raw[:1] == b"{":
        try:
            return _decoder.decode(raw)
        except msgspec.MsgspecError:
            pass
    body = body_of(raw)
    if body is None:
        return None
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError:
        return None


def body_of(raw: bytes) -> bytes | None:
    """The JSON object within a line that carries one of ours; None if there is none."""
    if b"seq" not in raw or b"boot" not in raw or len(raw) > LINE_BYTES_MAX:
        return None
    start = raw.find(b"{")
    for _ in range(PREFIX_BRACES_MAX):
        if start < 0:
            return None
        found = _object_at(raw, start)
        if found is not None:
            return _ours(found, raw[start : raw.rfind(b"}") + 1])
        start = raw.find(b"{", start + 1)
    return None


def fields_of(raw: bytes) -> dict[str, Any] | None:
    """Every field of one of our lines; None if it is none of ours."""
    body = body_of(raw)
    return None if body is None else dict(_any.decode(body))


def host_fields_of(raw: bytes) -> dict[str, Any] | None:
    """Every field of a line that a host wrote inside a job's function; it carries the job's fields."""
    start, end = raw.find(b"{"), raw.rfind(b"}")
    if start < 0 or b"job_id" not in raw:
        return None
    try:
        found = _any.decode(raw[start : end + 1])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) and "job_id" in found and "seq" not in found else None


def _object_at(raw: bytes, start: int) -> dict[str, Any] | None:
    try:
        found = _any.decode(raw[start : raw.rfind(b"}") + 1])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def _ours(found: dict[str, Any], body: bytes) -> bytes | None:
    """The object itself if it is one of our lines, or the one that another logger has wrapped into it as text."""
    if {"event", "boot", "seq"} <= found.keys():
        return body
    for name in WRAPPERS:
        inner = found.get(name)
        if isinstance(inner, str) and '"seq"' in inner:
            return body_of(inner.encode())
    return None


# --- files -------------------------------------------------------------------------------------------------


def open_log(path: str) -> IO[bytes]:
    """Open a log for reading, `-` for standard input; what is compressed is recognised by its first bytes.

    Raises:
        UsageError: it cannot be opened.
    """
    if path == "-":
        return sys.stdin.buffer
    try:
        opened = io.BufferedReader(io.FileIO(path), READ_BYTES)
    except OSError as error:
        raise UsageError(f"expected the path of a log that can be read, got: {path!r} ({error.strerror})") from error
    if opened.peek(2)[:2] == b"\x1f\x8b":
        return cast(IO[bytes], gzip.open(opened))
    return opened


def is_plain(path: str) -> bool:
    """Whether a log is a file that can be entered anywhere, and read twice."""
    if path == "-" or not os.path.isfile(path):
        return False
    with contextlib.closing(open_log(path)) as opened:
        return not isinstance(opened, gzip.GzipFile)


def read(paths: Sequence[str]) -> Iterator[Line]:
    """Our lines in all these logs, as they followed one another.

    Each log is in the order in which it was written; among logs, the line whose time is earlier goes first. A time that
    goes back counts as the latest before it, so that a clock that was set does not tear a log apart.

    Raises:
        UsageError: one of them cannot be read.
    """
    if len(paths) == 1:
        yield from read_one(paths[0])
        return
    yield from (line for _, _, line in heapq.merge(*(_timed(path, index) for index, path in enumerate(paths))))


def read_one(path: str) -> Iterator[Line]:
    """Our lines in one log."""
    name = "stdin" if path == "-" else os.path.basename(path)
    for number, raw in enumerate(raw_lines(path), start=1):
        line = parse(raw)
        if line is not None:
            line.raw, line.source, line.number = raw, name, number
            yield line


def raw_lines(path: str) -> Iterator[bytes]:
    """Every line of one log, whoever wrote it.

    Raises:
        UsageError: it cannot be read.
    """
    with contextlib.closing(open_log(path)) as opened:
        try:
            yield from opened
        except (OSError, EOFError) as error:
            # A compressed file that is still being written ends in the middle: what was read counts.
            if not isinstance(error, EOFError):
                raise UsageError(f"expected a log that can be read to its end, got: {path!r} ({error})") from error


def _timed(path: str, index: int) -> Iterator[tuple[float, tuple[int, int], Line]]:
    latest = 0.0
    for line in read_one(path):
        latest = max(latest, line.ts)
        yield latest, (index, line.number), line


def _brief(line: Line) -> str:
    return f"{line.event} boot={line.boot} seq={line.seq} job_id={line.job_id} rev={line.rev}"
