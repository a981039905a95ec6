"""The write lock of a file, for which all its writers wait: boots of this process and of others, and their hosts.

SQLite announces no release. A waiting connection sleeps and asks again, each time after a longer sleep, up to 100 ms
(https://sqlite.org/src/file/src/main.c, sqliteDefaultBusyCallback). So a long waiter asks seldom, and a process that
wants the lock again right after its release nearly always gets it. Here the back-off restarts after a few steps: all
waiters ask equally often, and so get the lock equally often.
"""

from __future__ import annotations

import sqlite3

ROUND_MS = 18
"""Waits of 1, 2, 5 and 10 ms. Hosts' writers have SQLite's whole back-off, so they need gaps in which they ask."""


def be_patient(writer: sqlite3.Connection, busy_ms: int) -> None:
    writer.execute(f"pragma busy_timeout = {min(busy_ms, ROUND_MS)}")


def begin(writer: sqlite3.Connection, busy_ms: int) -> None:
    """Begin a transaction that writes.

    Args:
        busy_ms: how long to wait for the lock; 0: ask once.

    Raises:
        sqlite3.OperationalError: no lock in time, or the file cannot be used.
    """
    for left_ms in range(max(busy_ms, 1), 0, -ROUND_MS):
        try:
            writer.execute("begin immediate")
            return
        except sqlite3.OperationalError as error:
            if left_ms <= ROUND_MS or "locked" not in str(error):
                raise
