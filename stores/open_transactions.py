"""Which thread of this process has a transaction open on a SQLite file: the likely cause when a write waits."""

from __future__ import annotations

import contextlib
import gc
import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence

CREATED_IN = re.compile(r"created in thread id (\d+)")
"""Part of sqlite3's error for a thread that may not use a connection."""


class OwnConnection(sqlite3.Connection):
    """Lamplighter's own connection, as opposed to the application's.

    Attributes:
        files: which files were at the store's paths before it was opened, if it only reads.
    """

    files: object = None


def likely_holder() -> str:
    """The likely holder of a file's write lock that none of our own connections holds, for error texts.

    It walks all objects of the process (some 10 ms): not for frequent calls.
    """
    owners = open_transactions()
    if not owners:
        return "another process has a transaction open that has written"
    return (
        f"this process has a transaction open ({', '.join(owners)}): if it has written, end it before the runtime is "
        "called, or pass connection="
    )


def open_transactions() -> Sequence[str]:
    """Names of threads with an open SQLite transaction; `a connection` where any thread may use it."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return sorted({_owner(one, names) for one in _connections() if _is_in_transaction(one)})


def _connections() -> Iterator[sqlite3.Connection]:
    # By its type: what a lazy object says of its class would make it.
    for one in gc.get_objects():
        if issubclass(type(one), sqlite3.Connection) and not isinstance(one, OwnConnection):
            yield one


def _is_in_transaction(connection: sqlite3.Connection) -> bool:
    with contextlib.suppress(sqlite3.Error):
        return connection.in_transaction
    # The connection is closed.
    return False


def _owner(connection: sqlite3.Connection, names: dict[int | None, str]) -> str:
    try:
        connection.cursor().close()
    except sqlite3.Error as error:
        created = CREATED_IN.search(str(error))
        if created is not None:
            return names.get(int(created[1]), "a thread that has ended")
    return "a connection"
