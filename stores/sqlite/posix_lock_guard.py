"""Locks on the files of a database that no close elsewhere in the process can drop.

The last process to close a SQLite file copies the log into it and deletes the log; the first to open it truncates the
shared memory. SQLite detects others by POSIX locks, which a process loses as soon as it closes *any* descriptor of the
file, as a host does that copies its own database (https://sqlite.org/howtocorrupt.html, 2.2). The next program that
opens the file would then do either to a file in use. So an open file description locks the same bytes while a store has
the file open.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from .. import locks

SHARED = (0x40000002, 510)
"""First and count: users of a database share these bytes; the last locks them alone
(https://sqlite.org/src/file/src/os.h).
"""

DEAD_MAN = (128, 1)
"""The first user of `-shm` locks these alone (`UNIX_SHM_DMS`, https://sqlite.org/src/file/src/os_unix.c)."""

KEPT_MAX = 64
"""Released files whose descriptors stay open."""


@dataclass(slots=True)
class PosixLockGuard(locks.OpenFile):
    """A descriptor of a database file, kept open, because closing it would drop the locks of the host's connections."""

    held: tuple[int, int]
    holders: int = 0


_kept: locks.ClosedInChild[tuple[int, int], PosixLockGuard] = locks.ClosedInChild()
"""By device and inode, which cannot be reused while the descriptor is open."""


def take(path: str, held: tuple[int, int]) -> PosixLockGuard | None:
    with _kept.lock:
        try:
            found = os.stat(path)
            kept = _kept.get((found.st_dev, found.st_ino))
            if kept is None or not kept.is_open():
                kept = _opened(path, held)
            locks.share(kept.descriptor, *held)
        except OSError:
            return None
        kept.holders += 1
        return kept


def kept_open(path: str, held: tuple[int, int]) -> PosixLockGuard | None:
    """The file at a path, for reading only, without locks on these bytes. None where that is impossible."""
    with _kept.lock:
        try:
            found = os.stat(path)
            kept = _kept.get((found.st_dev, found.st_ino))
            return kept if kept is not None and kept.is_open() else _opened(path, held)
        except OSError:
            return None


def release(kept: PosixLockGuard) -> None:
    """Release the file, so that SQLite's last close of it may copy and delete the log."""
    with _kept.lock:
        kept.holders -= 1
        if kept.holders == 0 and kept.is_open():
            locks.give_back(kept.descriptor, *kept.held)


def _opened(path: str, held: tuple[int, int]) -> PosixLockGuard:
    unheld = [key for key, kept in _kept.items() if kept.holders == 0]
    deleted = [key for key in unheld if not _kept[key].is_open() or os.fstat(_kept[key].descriptor).st_nlink == 0]
    for key in {*deleted, *unheld[: max(0, len(unheld) - KEPT_MAX + 1)]}:
        _kept.pop(key).close()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    file = os.fstat(descriptor)
    kept = _kept[file.st_dev, file.st_ino] = PosixLockGuard(descriptor, file, held)
    return kept
