"""The rows of names that are paused, or have a limit."""

from __future__ import annotations

import sqlite3

from ...messages.jobs import Instant
from ...messages.names import PauseRecord

FORGET_NOTHING = 'delete from lamplighter_pauses where since is null and "limit" is null'


def read(connection: sqlite3.Connection) -> list[PauseRecord]:
    return [PauseRecord._make(row) for row in connection.execute("select * from lamplighter_pauses order by name")]


def of(connection: sqlite3.Connection, name: str) -> PauseRecord:
    row = connection.execute("select * from lamplighter_pauses where name = ?", (name,)).fetchone()
    return PauseRecord(name) if row is None else PauseRecord._make(row)


def keep(connection: sqlite3.Connection, pause: PauseRecord) -> None:
    places = ", ".join("?" * len(PauseRecord._fields))
    connection.execute(f"insert or replace into lamplighter_pauses values ({places})", pause)
    connection.execute(FORGET_NOTHING)


def forget_passed(connection: sqlite3.Connection, now: Instant) -> None:
    connection.execute(
        """update lamplighter_pauses set since = null, "by" = null, reason = null, until = null where until <= ?""",
        (now,),
    )
    connection.execute(FORGET_NOTHING)
