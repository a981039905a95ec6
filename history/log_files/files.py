"""Logs as files: which can be entered anywhere, what must be unpacked from its beginning, and the frames that other
programs put around lines (Docker, Kubernetes, the journal).

A frame is taken off as a compression is: whoever reads such a log gets the program's own lines, each behind the time
that its frame gave it. Lines that were cut into pieces are whole again.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import signal
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import IO, Any, Literal, TypeVar, cast

import msgspec

from ...errors import UsageError

BLOCK_BYTES = 8 << 20
"""Large enough that most jobs begin and end within one, small enough that several are held at once."""

PROCESSES_MAX = 8

LINE_BYTES_MAX = 4 * 1024 * 1024
"""A longer line is none of ours: job data is not logged."""

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Block:
    """The lines of a plain log that begin within a range of its bytes."""

    path: str
    start: int
    end: int

    def within(self, opened: IO[bytes]) -> tuple[int, int]:
        return _line_at(opened, self.start), _line_at(opened, self.end)

    def lines(self) -> Iterator[bytes]:
        with open_plain(self.path) as opened:
            start, end = self.within(opened)
            opened.seek(start)
            yield from chain.from_iterable(_chunks(opened, end - start))


def blocks_of(path: str, start: int = 0, end: int | None = None) -> list[Block]:
    end = os.path.getsize(path) if end is None else end
    return [Block(path, at, min(at + BLOCK_BYTES, end)) for at in range(start, end, BLOCK_BYTES)]


def processes_here() -> int:
    """How many processes a program may use that has no threads and nothing else to do."""
    return min(PROCESSES_MAX, len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)


def each(look: Callable[[Block], Found], blocks: Sequence[Block], processes: int) -> Iterator[Found]:
    """The results of each block, in their order.

    Args:
        look: a function that can be pickled; so can its results.
    """
    if processes < 2 or len(blocks) < 2:
        yield from map(look, blocks)
        return
    # Imported only here, where there is a big log: they take long to load.
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    # A fork starts at once, and needs no second import; elsewhere the platform's own way is the safe one.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    workers = ProcessPoolExecutor(processes, context, signal.signal, (signal.SIGINT, signal.SIG_IGN))
    try:
        yield from workers.map(look, blocks)
    finally:
        workers.shutdown(cancel_futures=True)


def _line_at(opened: IO[bytes], offset: int) -> int:
    """The start of the first line that begins at an offset or after it."""
    if offset == 0:
        return 0
    opened.seek(offset - 1)
    opened.readline()
    return opened.tell()


def _chunks(opened: IO[bytes], size: int) -> Iterator[list[bytes]]:
    """Whole lines in chunks of this size."""
    while size > 0 and (lines := opened.readlines(min(READ_BYTES, size))):
        size -= sum(map(len, lines))
        if size < 0:
            # `readlines` goes on until there is more than it was asked for.
            lines.pop()
        yield lines


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


GZIP = b"\x1f\x8b"

OTHERS = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2", b"\x04\x22\x4d\x18": "lz4"}
"""Other compressions, by their first bytes, and the programs that undo them."""


@dataclass(slots=True)
class LogEnd:
    """How a log ends, once it has been read.

    Attributes:
        is_cut: whether its compression ends in the middle.
        rest: the text behind the last line break.
    """

    is_cut: bool = False
    rest: bytes = b""

    def come_to(self, chunk: bytes) -> None:
        at = chunk.rfind(b"\n")
        if at >= 0:
            self.rest = chunk[at + 1 :]
        elif len(self.rest) <= LINE_BYTES_MAX:
            self.rest += chunk


def open_log(path: str, end: LogEnd | None = None) -> IO[bytes]:
    """Open a log for reading, `-` for standard input; its first bytes show compression and frames.

    Args:
        end: is updated as the log is read, and says at last how the log ends.

    Raises:
        UsageError: it cannot be opened, or is compressed otherwise than by gzip.
    """
    opened = open_plain(path)
    try:
        whole = _unzipped(path, opened, end)
        if whole is None:
            whole = opened if end is None else _buffered(_Watched(opened, end))
        return unframed(whole) or whole
    except OSError as error:
        raise _unreadable(path, error) from error


def end_of(path: str) -> LogEnd:
    """How a log ends that can be entered anywhere."""
    end = LogEnd()
    with contextlib.closing(open_plain(path)) as opened:
        size = opened.seek(0, os.SEEK_END)
        for most in (1, LINE_BYTES_MAX):
            opened.seek(max(0, size - most))
            end.come_to(opened.read(most))
            if not end.rest:
                break
    return end


def open_plain(path: str) -> io.BufferedReader:
    if path == "-":
        taken = sys.stdin.buffer
        return taken if isinstance(taken, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, taken))
    try:
        return io.BufferedReader(io.FileIO(path), READ_BYTES)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def is_plain(path: str) -> bool:
    """Whether a log is a file that can be entered anywhere, and read twice."""
    if path == "-":
        return False
    with contextlib.closing(open_plain(path)) as opened:
        try:
            is_file = stat.S_ISREG(os.fstat(opened.fileno()).st_mode)
            return is_file and _unzipped(path, opened, None) is None and unframed(opened) is None
        except OSError as error:
            raise _unreadable(path, error) from error


def raw_lines(path: str, end: LogEnd | None = None) -> Iterator[bytes]:
    """Every line of one log, whoever wrote it.

    Args:
        end: says, after the last line, how the log ends.
    """
    with contextlib.closing(open_log(path, end)) as opened:
        try:
            yield from opened
        except OSError as error:
            raise _unreadable(path, error) from error


class _Unzipped(Derived):
    """The content of a file compressed by gzip, up to where one that is still being written ends in the middle."""

    def __init__(self, opened: IO[bytes], end: LogEnd) -> None:
        super().__init__(opened)
        self._end = end
        self._file = gzip.GzipFile(fileobj=opened)

    def readinto(self, buffer: Any) -> int:
        try:
            read = self._file.read1(len(buffer))
        except (EOFError, zlib.error):
            self._end.is_cut = True
            return 0
        self._end.come_to(read)
        buffer[: len(read)] = read
        return len(read)


class _Watched(Derived):
    def __init__(self, opened: io.BufferedReader, end: LogEnd) -> None:
        super().__init__(opened)
        self._buffered = opened
        self._end = end

    def readinto(self, buffer: Any) -> int:
        read = self._buffered.readinto1(buffer)
        if read:
            self._end.come_to(bytes(buffer[:read]))
        return read


def _buffered(raw: io.RawIOBase) -> io.BufferedReader:
    return cast(io.BufferedReader, io.BufferedReader(raw, READ_BYTES))


def _unzipped(path: str, opened: io.BufferedReader, end: LogEnd | None) -> io.BufferedReader | None:
    """The content of a log that is compressed by gzip; None if it is not."""
    head = opened.peek(len(GZIP))
    for magic, program in OTHERS.items():
        if head.startswith(magic):
            raise UsageError(
                f"expected a log that is plain or compressed by gzip, got: {path!r}, which is compressed by {program}; "
                f"give it decompressed, as in: {program} -dc {path} | lamplighter audit -"
            )
    return _buffered(_Unzipped(opened, end or LogEnd())) if head.startswith(GZIP) else None


def _unreadable(path: str, error: Exception) -> UsageError:
    why = getattr(error, "strerror", None) or error
    return UsageError(f"expected the path of a log that can be read, got: {path!r} ({why})")
