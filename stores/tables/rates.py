"""The spent part of rates: one row for each name that has started jobs lately."""

from __future__ import annotations

from ...messages.jobs import Instant
from ...messages.names import Rate
from ...rules.rates import Room, possible, room_of, spent
from .database import Database, upsert

KEEP = upsert("lamplighter_rates", "name, group_key", "spent_to")


def room(connection: Database, rate: Rate, name: str, now: Instant, group: str = "") -> Room:
    kept = spent_to(connection, name, group)
    if kept is not None and kept > (can_be := possible(rate, kept, now)):
        # Stored, because the cut depends on now: next time it would be later.
        kept = can_be
        _keep(connection, name, group, kept)
    return room_of(rate, kept, now)


def take(connection: Database, rate: Rate, name: str, now: Instant, starts: int, group: str = "") -> None:
    until = spent(rate, spent_to(connection, name, group), now, starts)
    _keep(connection, name, group, until)


def _keep(connection: Database, name: str, group: str, until: Instant) -> None:
    connection.execute(KEEP, (name, group, until))


def forget_unspent(connection: Database, now: Instant) -> None:
    """Remove rows that equal a missing row."""
    connection.execute("delete from lamplighter_rates where spent_to <= ?", (now,))


def spent_to(connection: Database, name: str, group: str = "") -> Instant | None:
    query = "select spent_to from lamplighter_rates where name = ? and group_key = ?"
    row = connection.execute(query, (name, group)).fetchone()
    return None if row is None else row[0]
