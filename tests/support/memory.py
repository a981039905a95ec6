"""Where servers of the tests keep what they store."""

from __future__ import annotations

import os
import shutil

MEMORY, BYTES_MIN = "/dev/shm", 1 << 30
"""Each process of the tests has servers of some 40 MB each, and what the tests store there."""


def in_memory() -> str | None:
    """A folder in memory, where a commit does not wait for a disk; None if there is none with room."""
    try:
        room = shutil.disk_usage(MEMORY)
    except OSError:
        return None
    return MEMORY if room.free >= BYTES_MIN and os.access(MEMORY, os.W_OK | os.X_OK) else None
