"""Which file is at a path."""

from __future__ import annotations

import os

from ..errors import StoreError


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
