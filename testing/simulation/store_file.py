"""Where the store of a simulation lies, and what it is when nobody has opened it yet."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

from ...stores.sqlite.store import SqliteStore


def make_folder() -> Path:
    """A new folder; in memory where there is such a place, for a simulation decides itself what is lost."""
    memory = "/dev/shm"
    is_there = os.path.isdir(memory) and os.access(memory, os.W_OK)
    return Path(tempfile.mkdtemp(prefix="lamplighter-", dir=memory if is_there else None))


@functools.cache
def new_store() -> bytes:
    """The file of a store that has been opened once. To copy it is much cheaper than to make its tables again."""
    folder = make_folder()
    try:
        path = folder / "new.db"
        store = SqliteStore(str(path))
        store.open()
        store.close()
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            # Each simulation gives its store an id by its own chance.
            connection.execute("update lamplighter_store set store_id = null")
            connection.execute("pragma wal_checkpoint(truncate)")
        return path.read_bytes()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
