"""The rows of names that are paused, or have a limit."""

from __future__ import annotations

from ...messages.jobs import Instant
from ...messages.names import PauseRecord
from .database import Database, upsert

COLUMNS = [f'"{field}"' for field in PauseRecord._fields]

KEEP = upsert("lamplighter_pauses", *COLUMNS)

READ = f"select {', '.join(COLUMNS)} from lamplighter_pauses"

FORGET_NOTHING = 'delete from lamplighter_pauses where since is null and "limit" is null'


def read(connection: Database) -> list[PauseRecord]:
    return [PauseRecord._make(row) for row in connection.execute(f"{READ} order by name")]


def of(connection: Database, name: str) -> PauseRecord:
    row = connection.execute(f"{READ} where name = ?", (name,)).fetchone()
    return PauseRecord(name) if row is None else PauseRecord._make(row)


def keep(connection: Database, pause: PauseRecord) -> None:
    connection.execute(KEEP, pause)
    connection.execute(FORGET_NOTHING)


def forget_passed(connection: Database, now: Instant) -> None:
    connection.execute(
        """update lamplighter_pauses set since = null, "by" = null, reason = null, until = null where until <= ?""",
        (now,),
    )
    connection.execute(FORGET_NOTHING)
