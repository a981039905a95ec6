"""Which file the log is, asked so that the next commit costs no more than any other.

Who asks a file for its times has the next write give it new ones
(https://docs.kernel.org/filesystems/multigrain-ts.html). They lie in a block of their own, and a sync may write that as
well, and wait for it. `os.stat` asks for everything, so on Linux the log is asked for its number alone.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from typing import Any

from ..file_identity import identity

AT_FDCWD, STATX_INO = -100, 0x100
"""Paths begin in the current folder; what is asked for (https://man7.org/linux/man-pages/man2/statx.2.html)."""

_Found = ctypes.c_char * 256
_parts = struct.Struct("=I 28x Q 96x II").unpack_from
"""The fields of the answer: the number of the file, and the device in two parts."""


def _system_call() -> Any:
    statx = getattr(ctypes.CDLL(None), "statx", None) if sys.platform == "linux" else None
    if statx is not None:
        statx.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, _Found)
    return statx


_statx = _system_call()


def identity_of_log(path: str) -> tuple[int, int] | None:
    """The result of `identity`, for a file that every commit writes to."""
    if _statx is not None:
        found = _Found()
        if _statx(AT_FDCWD, os.fsencode(path), 0, STATX_INO, found) == 0:
            known, number, major, minor = _parts(found)
            if known & STATX_INO:
                return os.makedev(major, minor), number
    # Where that is forbidden, as in some containers, or there is no such call.
    return identity(path)
