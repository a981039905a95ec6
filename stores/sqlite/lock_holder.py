"""Which process has a store's write lock, where the system tells."""

from __future__ import annotations

import os
from pathlib import Path

WRITER_BYTE = 120
"""The byte of `-shm` that the writer locks (`WAL_WRITE_LOCK` in https://sqlite.org/walformat.html#locks)."""

LOCKS = Path("/proc/locks")
"""Where Linux lists who holds which bytes of which file (https://man7.org/linux/man-pages/man5/proc_locks.5.html)."""


def write_lock_holder(path: str) -> int | None:
    """The process that has the write lock of a database now; None if none has, or if the system does not tell.

    The file is not opened: to close it again would drop the locks that this process has on it.
    """
    return next(iter(holders_of(path, WRITER_BYTE, kind="WRITE")), None)


def holders_of(path: str, byte: int, *, kind: str = "READ") -> tuple[int, ...]:
    """The processes that have a lock on a byte of a database's `-shm`; none too if the system does not tell."""
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
