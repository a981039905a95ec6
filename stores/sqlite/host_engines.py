"""Finds open transactions of SQLAlchemy engines that `connection=` has shown. SQLAlchemy is not a dependency."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import threading
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakSet


class _Begun(NamedTuple):
    """An open transaction: its thread, its task, and the connection's count of changed rows at its begin."""

    thread: int
    task: asyncio.Task[Any] | None
    address: str
    raw: sqlite3.Connection
    changes: int


class HostEngines:
    """Listens to engines once one of their connections was used."""

    def __init__(self) -> None:
        self._known: WeakSet[Any] = WeakSet()
        self.begun: dict[int, _Begun] = {}

    def note(self, connection: Any, address: str) -> None:
        event = sys.modules.get("sqlalchemy.event")
        engine = _engine_of(connection)
        if event is None or engine is None or engine in self._known:
            return
        self._known.add(engine)
        event.listen(engine, "begin", partial(self._begins, address))
        for end in ("commit", "rollback"):
            event.listen(engine, end, self._ends)

    def written_here(self, address: str, *, blocks: bool) -> bool:
        """Whether the caller has written to a store's file in a transaction that is open, as far as known.

        Args:
            blocks: the caller is this thread, with all its tasks; otherwise the running task.
        """
        begun = [one for one in list(self.begun.values()) if one.address == address]
        here, task = threading.get_ident(), _task()
        return any(one.thread == here and (blocks or one.task is task) and _has_written(one) for one in begun)

    def _begins(self, address: str, connection: Any) -> None:
        raw = connection.connection.driver_connection
        # aiosqlite wraps the connection.
        raw = getattr(raw, "_conn", raw)
        if isinstance(raw, sqlite3.Connection):
            # The pool may have reused it after a transaction whose end sent no event.
            for key in [key for key, one in list(self.begun.items()) if one.raw is raw]:
                self.begun.pop(key, None)
            self.begun[id(connection)] = _Begun(threading.get_ident(), _task(), address, raw, raw.total_changes)

    def _ends(self, connection: Any) -> None:
        # An invalidated connection cannot be asked.
        self.begun.pop(id(connection), None)


engines = HostEngines()


def _task() -> asyncio.Task[Any] | None:
    with contextlib.suppress(RuntimeError):
        return asyncio.current_task()
    return None


def _engine_of(connection: Any) -> Any:
    is_session = callable(getattr(connection, "get_bind", None))
    return getattr(connection.connection() if is_session else connection, "engine", None)


def _has_written(begun: _Begun) -> bool:
    # No changed row and perhaps no lock: a transaction that only reads blocks nobody.
    with contextlib.suppress(sqlite3.Error):
        return begun.raw.in_transaction and begun.raw.total_changes > begun.changes
    return False
