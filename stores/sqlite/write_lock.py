"""The write lock of a file, for which all that write to it wait: boots of this process and of others, and their hosts.

SQLite tells nobody that the lock is free. Who has to wait sleeps and asks again, and sleeps longer each time, up to 100
ms (https://sqlite.org/src/file/src/main.c, sqliteDefaultBusyCallback). So who has waited long asks seldom; a neighbour
that has just let go of it, and wants it again at once, nearly always finds it free. Here the back-off begins anew after
a few steps: all that wait ask equally often, and so get it equally often.
"""

from __future__ import annotations

import sqlite3

ROUND_MS = 18
"""How long SQLite's back-off goes on before it begins anew: it waits 1, 2, 5 and 10 ms. The hosts' own writers have it
whole, so the lock must be free now and then when they ask. Asked for every millisecond, it hardly ever was."""


def be_patient(writer: sqlite3.Connection, busy_ms: int) -> None:
    """Have a connection wait as `begin` wants it."""
    writer.execute(f"pragma busy_timeout = {min(busy_ms, ROUND_MS)}")


def begin(writer: sqlite3.Connection, busy_ms: int) -> None:
    """Begin a transaction that writes.

    Args:
        busy_ms: how long to wait for the lock; with 0 it is asked for once.

    Raises:
        sqlite3.OperationalError: another connection has had it all the while, or the file cannot be used.
    """
    for left_ms in range(max(busy_ms, 1), 0, -ROUND_MS):
        try:
            writer.execute("begin immediate")
            return
        except sqlite3.OperationalError as error:
            if left_ms <= ROUND_MS or "locked" not in str(error):
                raise
