"""Changes of schedules in applications' own transactions, kept in order until a turn carries them out.

All writers of the file wait for one lock, so the order of the rows is that of the transactions.
"""

from __future__ import annotations

from typing import Any

from ...messages.schedules import HostChange, ScheduleRecord
from ...rules.codec import decode, encode_own
from .database import Database, Statements

HOST_CHANGES_MAX = 500

ALL = 2**62
"""A limit that is none."""

SCHEDULE = ", ".join(f's."{field}"' for field in ScheduleRecord._fields)
"""The columns of `lamplighter_schedules s`."""

LAST_OF_EACH = """
  select schedule_id, record from lamplighter_schedule_changes
  where no in (select max(no) from lamplighter_schedule_changes group by schedule_id)
"""

LAST = "select record from lamplighter_schedule_changes where schedule_id = ? order by no desc limit 1"


def insert_change(cursor: Statements, change: HostChange) -> None:
    """Write a change, in a transaction that is not a turn."""
    record = None if change.record is None else encode_own(change.record._asdict())
    cursor.execute(
        "insert into lamplighter_schedule_changes (schedule_id, at, record) values (?, ?, ?)",
        (change.schedule_id, change.at, record),
    )


def take_changes(connection: Database) -> list[HostChange]:
    rows = connection.execute(
        "select no, schedule_id, at, record from lamplighter_schedule_changes order by no limit ?", (HOST_CHANGES_MAX,)
    ).fetchall()
    if rows:
        # One with a lower number may be committed meanwhile.
        connection.executemany("delete from lamplighter_schedule_changes where no = ?", [row[:1] for row in rows])
    return [HostChange(schedule_id, at, _record(text)) for _, schedule_id, at, text in rows]


def forget_changes(connection: Database, schedule_id: str) -> bool:
    """Discard the changes of a schedule. False if there are none."""
    gone = connection.execute("delete from lamplighter_schedule_changes where schedule_id = ?", (schedule_id,))
    return gone.rowcount > 0


def schedule_as_changed(reader: Statements, schedule_id: str) -> ScheduleRecord | None:
    """A schedule as all pending changes will leave it; None if they remove it."""
    change = reader.execute(LAST, (schedule_id,)).fetchone()
    row = reader.execute(f"select {SCHEDULE} from lamplighter_schedules s where id = ?", (schedule_id,)).fetchone()
    before = None if row is None else ScheduleRecord._make(row)
    return before if change is None else _after(before, _record(change[0]))


def schedules_as_changed(
    reader: Database, name: str | None = None, after: str = "", limit: int | None = None
) -> list[ScheduleRecord]:
    """Schedules as all pending changes will leave them, ordered by id."""
    changed = {schedule_id: _record(text) for schedule_id, text in reader.execute(LAST_OF_EACH) if schedule_id > after}
    query = f"""select {SCHEDULE} from lamplighter_schedules s
               where id > :after and (name = :name or :name is null) order by id limit :limit"""
    most = ALL if limit is None else limit + len(changed)
    rows = reader.execute(query, {"name": name, "after": after, "limit": most})
    found = {record.id: record for record in map(ScheduleRecord._make, rows)}
    for schedule_id, said in changed.items():
        record = _after(found.pop(schedule_id, None), said)
        if record is not None and name in (None, record.name):
            found[schedule_id] = record
    return sorted(found.values(), key=lambda one: one.id)[:limit]


def _after(before: ScheduleRecord | None, record: ScheduleRecord | None) -> ScheduleRecord | None:
    """The schedule after a change, for a reader: an equal one stays as it is."""
    if before is None or record is None:
        return record
    if before.definition == record.definition:
        return before
    return record._replace(paused=before.paused, last_slot=before.last_slot, change_no=before.change_no)


def _record(text: Any) -> ScheduleRecord | None:
    return None if text is None else ScheduleRecord(**decode(text))
