"""Which file is at a path, and locks on open files.

A lock ends with the last descriptor of its open file; any process can ask for it.
Open-file-description locks (https://man7.org/linux/man-pages/man2/fcntl_locking.2.html): unlike a POSIX record lock,
such a lock is not dropped when the process closes another descriptor of the file, as a backup of the folder does.
`flock` stands in where a system has none. A fork inherits both through the descriptor.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ..errors import StoreError


@dataclass(slots=True)
class OpenFile:
    """A descriptor, and the file that it was opened on."""

    descriptor: int
    file: os.stat_result

    def is_open(self) -> bool:
        """Whether the descriptor is still this file's: a daemon closes all, and the number may be reused."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), self.file)
        except OSError:
            return False

    def close(self) -> None:
        """Release the locks, unless the descriptor number is another file's by now."""
        if self.is_open():
            os.close(self.descriptor)


def identity(path: int | str | os.PathLike[str]) -> tuple[int, int] | None:
    """The device and number of the file at a path, or of an open one; None when nothing can be found there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def check_is_file(path: str) -> None:
    """Refuse a path at which there can be no store. Raises a StoreError."""
    if not os.path.isfile(path):
        raise StoreError(f"expected the path of a store's file, got: {path!r}, which is no file")


class Closable(Protocol):
    def close(self) -> object: ...


Key = TypeVar("Key")
Opened = TypeVar("Opened", bound=Closable)


class ClosedInChild(dict[Key, Opened]):
    """Open files that a forked child closes: a longer-lived child would keep what its parent has locked.

    Attributes:
        lock: held from the opening of a file until it is in here, and during a fork.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.RLock()
        os.register_at_fork(before=self.lock.acquire, after_in_parent=self.lock.release, after_in_child=self._let_go)

    def _let_go(self) -> None:
        for opened in self.values():
            opened.close()
        self.clear()
        self.lock.release()


_FLOCK = "hhqqi0q"
"""`struct flock`: l_type, l_whence, l_start, l_len (0: to the end), l_pid (0, as these locks want it)."""


def take(descriptor: int) -> bool:
    """Take the lock, for as long as any copy of this descriptor is open. False if another open file has it."""
    try:
        if _ask("F_OFD_SETLK", descriptor) is None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def is_taken(descriptor: int) -> bool:
    found = _ask("F_OFD_GETLK", descriptor)
    if found is not None:
        return found != fcntl.F_UNLCK
    try:
        # Ask by a shared lock: two processes that ask must not take each other for the owner.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except BlockingIOError:
        return True
    return False


def is_byte_taken(descriptor: int, byte: int) -> bool | None:
    """Whether another descriptor has any lock on a byte; None where the system cannot tell."""
    found = _ask("F_OFD_GETLK", descriptor, first=byte, size=1)
    return None if found is None else found != fcntl.F_UNLCK


def share(descriptor: int, first: int, size: int) -> bool:
    """Take a shared lock on bytes. False if the system has none, or another open file has an exclusive lock."""
    try:
        return _ask("F_OFD_SETLK", descriptor, fcntl.F_RDLCK, first, size) is not None
    except (BlockingIOError, PermissionError):
        return False


def give_back(descriptor: int, first: int, size: int) -> None:
    _ask("F_OFD_SETLK", descriptor, fcntl.F_UNLCK, first, size)


def _ask(command: str, descriptor: int, kind: int = fcntl.F_WRLCK, first: int = 0, size: int = 0) -> int | None:
    number = getattr(fcntl, command, None)
    if number is None:
        return None
    try:
        answer = fcntl.fcntl(descriptor, number, struct.pack(_FLOCK, kind, 0, first, size, 0))
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise
    return int(struct.unpack(_FLOCK, answer)[0])
