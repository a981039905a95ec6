"""The meaning of SQLite's errors for a user of the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from types import TracebackType

from ...errors import StoreCorrupt, StoreUnavailable

CLEAN_FAILURES = ("locked", "busy", "full", "i/o", "readonly", "unable to open", "interrupted")
"""Texts of errors after which SQLite has done nothing, and may succeed another time."""

HOST_FAILURES = ("locked", "busy", "full", "i/o")
"""The same on a connection of the application: its rights and its interrupts are the application's own doing."""


class Translation:
    """`with` this, SQLite's errors are raised as those that `Store` names. One serves any number of threads.

    Args:
        address: of the store, for their texts.
        failures: what the text of an error says that heals by itself.
    """

    def __init__(self, address: str, failures: Sequence[str] = CLEAN_FAILURES) -> None:
        self._address = address
        self._failures = failures

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, sqlite3.Error):
            return
        text = str(error).lower()
        if "not a database" in text or "malformed" in text:
            raise StoreCorrupt(
                f"expected {self._address} to be a sound SQLite database, got: {error}; "
                "put back a backup, or give the runtime another file"
            ) from error
        if isinstance(error, sqlite3.OperationalError) and any(sign in text for sign in self._failures):
            raise StoreUnavailable(f"the store {self._address} cannot be used now: {error}") from error
