"""Where the store of a simulation lies."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def make_folder() -> Path:
    """A new folder; in memory where there is such a place, for a simulation decides itself what is lost."""
    memory = "/dev/shm"
    is_there = os.path.isdir(memory) and os.access(memory, os.W_OK)
    return Path(tempfile.mkdtemp(prefix="lamplighter-", dir=memory if is_there else None))
