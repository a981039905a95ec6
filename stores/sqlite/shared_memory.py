"""The shared memory of a database: how far its log is copied, and who holds which locks.

It is read through a descriptor that is never closed: closing one would drop this process's locks on the file.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ...messages.jobs import Seconds
from .. import locks
from ..places import LOOK_SECONDS, LOOKS
from . import posix_lock_guard

WRITER_BYTE = 120
"""The byte of `-shm` that the writer locks (`WAL_WRITE_LOCK` in https://sqlite.org/walformat.html#locks)."""

LOCKS = Path("/proc/locks")
"""Where Linux lists who holds which bytes of which file (https://man7.org/linux/man-pages/man5/proc_locks.5.html)."""


def write_lock_holder(path: str) -> int | None:
    """The process that has the write lock of a database now; None if there is none, or the system does not tell.

    The file is not opened: closing it again would drop this process's locks on it.
    """
    return next(iter(holders_of(path, WRITER_BYTE, kind="WRITE")), None)


def lock_kept_by(path: str, wait: Callable[[Seconds], object]) -> int | None:
    """The process that holds the write lock of a file for the whole look, without committing."""
    holder = write_lock_holder(path)
    before = written_at(path)
    for _ in range(LOOKS if holder is not None else 0):
        wait(LOOK_SECONDS)
        if write_lock_holder(path) != holder or written_at(path) != before:
            return None
    return holder


def written_at(path: str) -> int:
    """When the log of a database was last written to, in nanoseconds."""
    try:
        return os.stat(f"{path}-wal").st_mtime_ns
    except OSError:
        return 0


def holders_of(path: str, byte: int, *, kind: str = "READ") -> tuple[int, ...]:
    """The processes with a lock on a byte of a database's `-shm`; empty where the system does not tell."""
    try:
        found = os.stat(f"{path}-shm")
        lines = LOCKS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return ()
    file = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    pids: list[int] = []
    for line in lines:
        # 1: POSIX  ADVISORY  WRITE 4711 08:01:1234 120 120
        match line.split():
            case [_, "POSIX", _, has, pid, at, first, last] if (has, at) == (kind, file):
                if _number(first) <= byte <= _number(last) and int(pid) > 0:
                    pids.append(int(pid))
    return tuple(dict.fromkeys(pids))


def _number(text: str) -> float:
    return float("inf") if text == "EOF" else int(text)


READER_BYTE = 123
"""The first of five bytes that readers lock (`WAL_READ_LOCK` in https://sqlite.org/walformat.html#locks)."""

HEADER_BYTES = 136
"""Length of the log index header (https://sqlite.org/walformat.html#the_wal_index_file_format)."""

FRAMES, COPIED, MARKS = 16, 96, 100
"""Offsets of the number of frames in the log, of copied frames, and of each reader's frames."""


class LogReader(NamedTuple):
    """A reader.

    Attributes:
        frames: how much of the log it sees: no more can be copied while it reads.
        pids: the possible processes; empty where the system does not tell.
    """

    frames: int
    pids: tuple[int, ...]


class LogState(NamedTuple):
    """The log beside a database.

    Attributes:
        frames: pages written to it, of which `copied` are in the database too.
        is_write_locked: None where the system cannot tell.
    """

    frames: int
    copied: int
    readers: Sequence[LogReader]
    is_write_locked: bool | None


def log_state(path: str) -> LogState | None:
    """The present log of the database at a path; None where nobody has it open, or it cannot be read."""
    kept = posix_lock_guard.kept_open(f"{path}-shm", posix_lock_guard.DEAD_MAN)
    if kept is None:
        return None
    try:
        head = os.pread(kept.descriptor, HEADER_BYTES, 0)
        if len(head) < HEADER_BYTES:
            return None
        readers = [
            LogReader(
                frames=struct.unpack_from("=I", head, MARKS + 4 * slot)[0], pids=holders_of(path, READER_BYTE + slot)
            )
            for slot in range(5)
            if locks.is_byte_taken(kept.descriptor, READER_BYTE + slot)
        ]
        return LogState(
            frames=struct.unpack_from("=I", head, FRAMES)[0],
            copied=struct.unpack_from("=I", head, COPIED)[0],
            readers=readers,
            is_write_locked=locks.is_byte_taken(kept.descriptor, WRITER_BYTE),
        )
    except OSError:
        return None
