"""Frames that other programs put around each line of output: Docker's json-file, Kubernetes' CRI, the journal.

A frame is taken off as a compression is: whoever reads such a log gets the program's own lines, each behind the time
that its frame gave it. Lines that were cut into pieces are whole again.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import IO, Any, Literal, cast

import msgspec

from .unwrapping import LINE_BYTES_MAX

HEAD_BYTES = 1 << 16
"""So much of a log shows whether it has frames."""

HEAD_LINES = 16
"""The first line may be torn, and others need not be framed."""

READ_BYTES = 1 << 18
"""Read at once: with Python's own 8 KiB, reading line by line takes twice as long."""

CRI = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*) (stdout|stderr) ([FP])(?::\S*)? (.*)", re.DOTALL)

FIELD = re.compile(rb"[A-Z_][A-Z0-9_]*")
"""The name of a field of the journal."""

Piece = tuple[Any, bytes, bytes, bool]
"""Which line it is a piece of, its time, its text, and whether another piece follows."""

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


class _Stream(io.RawIOBase):
    """Lines that are made as they are read."""

    def __init__(self, lines: Iterator[bytes], opened: IO[bytes]) -> None:
        super().__init__()
        self._lines = lines
        self._opened = opened
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = b"".join(islice(self._lines, 64))
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)

    def close(self) -> None:
        self._opened.close()
        super().close()


def _stream(opened: IO[bytes], pieces: Iterator[Piece]) -> IO[bytes]:
    return cast(IO[bytes], io.BufferedReader(_Stream(_whole(pieces), opened), READ_BYTES))


def _whole(pieces: Iterator[Piece]) -> Iterator[bytes]:
    """Pieces put together, each line behind its time."""
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
            # Text that the journal takes for binary is a list of bytes; a field that was given twice, of texts.
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
    """A number of microseconds since the Unix epoch as ISO 8601."""
    try:
        return datetime.fromtimestamp(int(text) / 1e6, UTC).isoformat().encode()
    except (ValueError, OverflowError, OSError):
        return b""
