"""Reading connections: each lent to one reader at a time, and never more than a few open."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator

from ..errors import StoreUnavailable

READERS_MAX = 16
"""So many read at once; each has two files open. More would be no faster: they share one interpreter."""

IDLE_MAX = 8
"""Connections that are kept while nobody reads."""

READ_SECONDS_MAX = 10.0
"""How long a reader waits for those before it."""


class Readers:
    """See the module.

    Args:
        connect: opens a connection.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._idle: list[sqlite3.Connection] = []
        self._lent = 0
        self._frozen = False
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def lend(self) -> Iterator[sqlite3.Connection]:
        """A connection for as long as the block lasts.

        Raises:
            StoreUnavailable: so many read all the while that none was free.
        """
        with self._changed:
            if not self._changed.wait_for(self._may_lend, READ_SECONDS_MAX):
                says = f"no connection to read by was free within {READ_SECONDS_MAX:g} s: {self._lent} threads read"
                raise StoreUnavailable(says)
            self._lent += 1
            reader = self._idle.pop() if self._idle else None
        keep = False
        try:
            reader = reader or self._connect()
            yield reader
            keep = True
        finally:
            with self._changed:
                self._lent -= 1
                if reader is not None and keep and not self._frozen and len(self._idle) < IDLE_MAX:
                    self._idle.append(reader)
                    reader = None
                self._changed.notify()
            if reader is not None:
                reader.close()

    def freeze(self, seconds_max: float) -> None:
        """Lend none from now on; wait until all are back."""
        with self._changed:
            self._frozen = True
            self._changed.wait_for(lambda: self._lent == 0, seconds_max)

    def thaw(self) -> None:
        """Lend again."""
        with self._changed:
            self._frozen = False
            self._changed.notify_all()

    def close(self) -> None:
        """Close those that nobody reads by."""
        with self._changed:
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()

    def _may_lend(self) -> bool:
        return not self._frozen and self._lent < READERS_MAX
