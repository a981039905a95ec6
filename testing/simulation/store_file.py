"""The file of a simulation's store: where it lies, how it begins, and what whoever is no runtime does with it."""

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


class StoredFile:
    """A file that is made anew.

    Attributes:
        look: reads it. Open for as long as this is: the last connection that is closed would copy the whole of the
            write-ahead log into the file, which the death of a process does not.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._replaced: list[sqlite3.Connection] = []
        path.write_bytes(new_store())
        self.look = self._open()

    def copy(self) -> bytes:
        """The content of a backup: all that is committed."""
        return self.look.serialize()

    def replace(self, copy: bytes) -> None:
        """Put a copy in the place of the file, as whoever restores a backup does; what lay beside it is removed."""
        older = self._path.with_suffix(".older")
        older.write_bytes(copy)
        for beside in ("-wal", "-shm"):
            Path(f"{self._path}{beside}").unlink(missing_ok=True)
        os.replace(older, self._path)
        # Kept open: the last one to close the old file would remove by its name what lies beside the new one.
        self._replaced.append(self.look)
        self.look = self._open()

    def write(self, copy: bytes) -> bool:
        """Put a copy into the file, as SQLite's backup API does; False while somebody writes to the file."""
        older = self._path.with_suffix(".older")
        older.write_bytes(copy)
        with (
            contextlib.closing(sqlite3.connect(older)) as source,
            contextlib.closing(sqlite3.connect(self._path, timeout=0.0)) as file,
        ):
            try:
                # A backup that meets a lock would wait for it in real time.
                file.execute("begin immediate").execute("rollback")
            except sqlite3.OperationalError:
                return False
            source.backup(file)
        return True

    def close(self) -> None:
        """Look no more."""
        for connection in (self.look, *self._replaced):
            connection.close()

    def _open(self) -> sqlite3.Connection:
        look = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, isolation_level=None)
        look.execute("select boots from lamplighter_store").fetchone()
        return look
