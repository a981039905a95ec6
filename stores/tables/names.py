"""The rows of names: of those that are paused or have a limit; and the spent part of rates, one row for each name that
has started jobs lately.
"""

from __future__ import annotations

from ...messages.jobs import Instant
from ...messages.names import PauseRecord, Rate
from ...rules.rates import Room, possible, room_of, spent
from .database import Database, upsert

COLUMNS = [f'"{field}"' for field in PauseRecord._fields]

KEEP_PAUSE = upsert("lamplighter_pauses", *COLUMNS)

KEEP_RATE = upsert("lamplighter_rates", "name, group_key", "spent_to")

READ = f"select {', '.join(COLUMNS)} from lamplighter_pauses"

FORGET_NOTHING = 'delete from lamplighter_pauses where since is null and "limit" is null'


def read_pauses(connection: Database) -> list[PauseRecord]:
    return [PauseRecord._make(row) for row in connection.execute(f"{READ} order by name")]


def pause_of(connection: Database, name: str) -> PauseRecord:
    row = connection.execute(f"{READ} where name = ?", (name,)).fetchone()
    return PauseRecord(name) if row is None else PauseRecord._make(row)


def keep_pause(connection: Database, pause: PauseRecord) -> None:
    connection.execute(KEEP_PAUSE, pause)
    connection.execute(FORGET_NOTHING)


def forget_passed_pauses(connection: Database, now: Instant) -> None:
    connection.execute(
        """update lamplighter_pauses set since = null, "by" = null, reason = null, until = null where until <= ?""",
        (now,),
    )
    connection.execute(FORGET_NOTHING)


def rate_room(connection: Database, rate: Rate, name: str, now: Instant, group: str = "") -> Room:
    kept = spent_to(connection, name, group)
    if kept is not None and kept > (can_be := possible(rate, kept, now)):
        # Stored, because the cut depends on now: next time it would be later.
        kept = can_be
        connection.execute(KEEP_RATE, (name, group, kept))
    return room_of(rate, kept, now)


def take_starts(connection: Database, rate: Rate, name: str, now: Instant, starts: int, group: str = "") -> None:
    until = spent(rate, spent_to(connection, name, group), now, starts)
    connection.execute(KEEP_RATE, (name, group, until))


def forget_unspent_rates(connection: Database, now: Instant) -> None:
    """Remove rows that equal a missing row."""
    connection.execute("delete from lamplighter_rates where spent_to <= ?", (now,))


def spent_to(connection: Database, name: str, group: str = "") -> Instant | None:
    query = "select spent_to from lamplighter_rates where name = ? and group_key = ?"
    row = connection.execute(query, (name, group)).fetchone()
    return None if row is None else row[0]
