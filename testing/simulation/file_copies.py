"""The file of a simulation's store, as somebody sees it who is no runtime: looked at, copied, and replaced."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from .store_file import new_store


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
        """What a backup holds: all that is committed."""
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

    def close(self) -> None:
        """Look no more."""
        for connection in (self.look, *self._replaced):
            connection.close()

    def _open(self) -> sqlite3.Connection:
        look = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, isolation_level=None)
        look.execute("select boots from lamplighter_store").fetchone()
        return look
