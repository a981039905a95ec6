"""Which file is at a path."""

from __future__ import annotations

import os


def identity(path: int | str | os.PathLike[str]) -> tuple[int, int] | None:
    """The device and number of the file at a path, or of an open one; None when nothing can be found there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
