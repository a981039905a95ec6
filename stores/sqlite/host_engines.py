"""SQLAlchemy's engines that `connection=` has shown to be on a store's file: whether a thread has written there, in a
transaction that is still open. SQLAlchemy is not a dependency.
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import threading
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakSet


class _Begun(NamedTuple):
    """A transaction that has begun, on which thread, and how many rows its connection had changed by then."""

    thread: int
    address: str
    raw: sqlite3.Connection
    changes: int


class HostEngines:
    """Listens to engines from when it has seen a connection of theirs."""

    def __init__(self) -> None:
        self._known: WeakSet[Any] = WeakSet()
        self._begun: dict[int, _Begun] = {}

    def note(self, connection: Any, address: str) -> None:
        """The application has given a connection of its own, which is open on a store's file."""
        event = sys.modules.get("sqlalchemy.event")
        engine = _engine_of(connection)
        if event is None or engine is None or engine in self._known:
            return
        self._known.add(engine)
        event.listen(engine, "begin", partial(self._begins, address))
        for end in ("commit", "rollback"):
            event.listen(engine, end, self._ends)

    def written_here(self, address: str) -> bool:
        """Whether this thread has written to a store's file in a transaction that is open, as far as that is known."""
        here = threading.get_ident()
        return any(
            one.thread == here and one.address == address and _has_written(one) for one in list(self._begun.values())
        )

    def _begins(self, address: str, connection: Any) -> None:
        raw = connection.connection.dbapi_connection
        # One of aiosqlite's is used on a thread of its own.
        if isinstance(raw, sqlite3.Connection):
            # The pool may have given it on from a transaction whose end nobody has told.
            for key in [key for key, one in list(self._begun.items()) if one.raw is raw]:
                self._begun.pop(key, None)
            self._begun[id(connection)] = _Begun(threading.get_ident(), address, raw, raw.total_changes)

    def _ends(self, connection: Any) -> None:
        # Of one that is invalid there is nothing to be asked.
        self._begun.pop(id(connection), None)


engines = HostEngines()
"""Those of this process, whichever stores it has open."""


def _engine_of(connection: Any) -> Any:
    """That of a Session or a Connection of SQLAlchemy's."""
    is_session = callable(getattr(connection, "get_bind", None))
    return getattr(connection.connection() if is_session else connection, "engine", None)


def _has_written(begun: _Begun) -> bool:
    # What has not changed a row may hold no lock: a transaction that has only read holds up nobody.
    with contextlib.suppress(sqlite3.Error):
        return begun.raw.in_transaction and begun.raw.total_changes > begun.changes
    return False
