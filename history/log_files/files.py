"""Logs as files: which can be entered anywhere, and what must be unpacked from its beginning."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from ...errors import UsageError
from .frames import READ_BYTES, unframed

GZIP = b"\x1f\x8b"

OTHERS = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2", b"\x04\x22\x4d\x18": "lz4"}
"""Other compressions, by their first bytes, and the programs that undo them."""


def open_log(path: str, on_cut: Callable[[], None] | None = None) -> IO[bytes]:
    """Open a log for reading, `-` for standard input; what is compressed or framed shows in its first bytes.

    Raises:
        UsageError: it cannot be opened, or is compressed otherwise than by gzip.
    """
    opened = open_plain(path)
    try:
        return _unpacked(path, opened, on_cut) or opened
    except OSError as error:
        raise _unreadable(path, error) from error


def open_plain(path: str) -> io.BufferedReader:
    """Open a log as it is.

    Raises:
        UsageError: it cannot be opened.
    """
    if path == "-":
        taken = sys.stdin.buffer
        return taken if isinstance(taken, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, taken))
    try:
        return io.BufferedReader(io.FileIO(path), READ_BYTES)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def is_plain(path: str) -> bool:
    """Whether a log is a file that can be entered anywhere, and read twice.

    Raises:
        UsageError: it cannot be opened, or is compressed otherwise than by gzip.
    """
    if path == "-":
        return False
    with contextlib.closing(open_plain(path)) as opened:
        try:
            return stat.S_ISREG(os.fstat(opened.fileno()).st_mode) and _unpacked(path, opened) is None
        except OSError as error:
            raise _unreadable(path, error) from error


def raw_lines(path: str, on_cut: Callable[[], None] | None = None) -> Iterator[bytes]:
    """Every line of one log, whoever wrote it.

    Args:
        on_cut: is called if it is compressed, and ends in the middle.

    Raises:
        UsageError: it cannot be read.
    """
    with contextlib.closing(open_log(path, on_cut)) as opened:
        try:
            yield from opened
        except OSError as error:
            raise _unreadable(path, error) from error


class _Unzipped(io.RawIOBase):
    """What a file compressed by gzip holds, up to where one that is still being written ends in the middle."""

    def __init__(self, opened: IO[bytes], on_cut: Callable[[], None] | None) -> None:
        super().__init__()
        self._on_cut = on_cut
        self._file = gzip.GzipFile(fileobj=opened)
        self._opened = opened

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            read = self._file.read1(len(buffer))
        except (EOFError, zlib.error):
            if self._on_cut is not None:
                self._on_cut()
            return 0
        buffer[: len(read)] = read
        return len(read)

    def close(self) -> None:
        self._opened.close()
        super().close()


def _unpacked(path: str, opened: io.BufferedReader, on_cut: Callable[[], None] | None = None) -> IO[bytes] | None:
    """The lines of a log that is compressed or framed, or both; None of one that is neither."""
    head = opened.peek(len(GZIP))
    for magic, program in OTHERS.items():
        if head.startswith(magic):
            raise UsageError(
                f"expected a log that is plain or compressed by gzip, got: {path!r}, which is compressed by {program}; "
                f"give it decompressed, as in: {program} -dc {path} | lamplighter audit -"
            )
    if not head.startswith(GZIP):
        return unframed(opened)
    whole = cast(io.BufferedReader, io.BufferedReader(_Unzipped(opened, on_cut), READ_BYTES))
    return unframed(whole) or whole


def _unreadable(path: str, error: Exception) -> UsageError:
    why = getattr(error, "strerror", None) or error
    return UsageError(f"expected the path of a log that can be read, got: {path!r} ({why})")
