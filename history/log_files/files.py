"""Logs as files: which can be entered anywhere, and what must be unpacked from its beginning."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import signal
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any, TypeVar, cast

from ...errors import UsageError
from .frames import LINE_BYTES_MAX, READ_BYTES, Derived, unframed

BLOCK_BYTES = 8 << 20
"""Large enough that most jobs begin and end within one, small enough that several are held at once."""

PROCESSES_MAX = 8

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
        """These lines."""
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
    """Open a log as it is."""
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
