"""The part of a turn that keeps schedules, and what became of their slots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...cron.schedule import SLOT_SECONDS_KEPT_MIN, recounted
from ...messages.jobs import Instant
from ...messages.schedules import HostChange, ScheduleRecord, SlotEntry, SlotRange
from ...rules.ledger_moves import schedule_move, skipped_move
from ..transitions import skipped_entry
from .database import upsert
from .job_rows import in_batches
from .open_turn import TurnPart
from .rows import SLOT
from .schedule_changes import HOST_CHANGES_MAX, SCHEDULE, forget_changes, take_changes

REPLACE_SCHEDULE = upsert("lamplighter_schedules", "id", *(f'"{field}"' for field in ScheduleRecord._fields[1:]))

RETIRE = upsert("lamplighter_retired", "schedule_id", "change_no")


class TableSchedules(TurnPart):
    def refresh(self) -> list[tuple[ScheduleRecord, str]]:
        if not self._turn.has_host_changes:
            return []
        changes = take_changes(self._connection)
        self._turn.has_host_changes = len(changes) == HOST_CHANGES_MAX
        told = [self._carry_out(change) for change in changes]
        return [(record, news) for record, news in told if record is not None and news is not None]

    def _carry_out(self, change: HostChange) -> tuple[ScheduleRecord | None, str | None]:
        """The schedule after the change, or before its removal, and its fate; None if there is neither."""
        before = self.one(change.schedule_id)
        if change.record is None:
            if before is not None:
                self._remove(before.id)
                self._turn.note({"k": "schedule.removed", "s": before.id})
            return before, "removed"
        # Slots accounted by the old rule are not the new rule's.
        since = change.at if before is None else max(change.at, before.accounted_to)
        return self._declare((change.record,), min(since, self._turn.now))[0]

    def declare(self, schedules: Sequence[ScheduleRecord]) -> list[tuple[ScheduleRecord, str | None]]:
        return self._declare(schedules, self._turn.now)

    def _declare(self, schedules: Sequence[ScheduleRecord], since: Instant) -> list[tuple[ScheduleRecord, str | None]]:
        known, retired = self._known(schedule.id for schedule in schedules)
        told: list[tuple[ScheduleRecord, str | None]] = []
        changed: list[ScheduleRecord] = []
        for schedule in schedules:
            before, is_new = known.get(schedule.id), schedule.id in retired or schedule.id not in known
            if before is not None and before.definition == schedule.definition and not is_new:
                told.append((before, None))
                continue
            change_no = self._turn.next_change()
            stored = known[schedule.id] = recounted(schedule, None if is_new else before, since, change_no)
            retired.discard(schedule.id)
            changed.append(stored)
            news = "added" if is_new else "changed"
            told.append((stored, news))
            self._turn.note(schedule_move(news, stored, self._turn.now))
        if changed:
            self._connection.executemany(REPLACE_SCHEDULE, changed)
        return told

    def _known(self, ids: Iterable[str]) -> tuple[dict[str, ScheduleRecord], set[str]]:
        known: dict[str, ScheduleRecord] = {}
        retired: set[str] = set()
        query = f"""select {SCHEDULE}, r.change_no = s.change_no from lamplighter_schedules s
                   left join lamplighter_retired r on r.schedule_id = s.id where s.id in ({{places}})"""
        for *fields, is_retired in in_batches(self._connection, query, dict.fromkeys(ids)):
            record = known[fields[0]] = ScheduleRecord._make(fields)
            if is_retired:
                retired.add(record.id)
        return known, retired

    def one(self, schedule_id: str) -> ScheduleRecord | None:
        row = self._connection.execute(
            f"select {SCHEDULE} from lamplighter_schedules s where id = ?", (schedule_id,)
        ).fetchone()
        return None if row is None else ScheduleRecord._make(row)

    def forget(self, schedule_id: str) -> bool:
        is_changed = self._turn.has_host_changes and forget_changes(self._connection, schedule_id)
        return self._remove(schedule_id) or is_changed

    def _remove(self, schedule_id: str) -> bool:
        return self._connection.execute("delete from lamplighter_schedules where id = ?", (schedule_id,)).rowcount == 1

    def retire(self, schedule_id: str) -> None:
        # This counts as a change, so that another runtime that was about to account for slots reads the schedule again.
        change_no = self._turn.next_change()
        self._connection.execute(
            "update lamplighter_schedules set change_no = ? where id = ?", (change_no, schedule_id)
        )
        self._connection.execute(RETIRE, (schedule_id, change_no))

    def pause(self, schedule_id: str, *, paused: bool) -> ScheduleRecord | None:
        self._connection.execute("update lamplighter_schedules set paused = ? where id = ?", (int(paused), schedule_id))
        return self.one(schedule_id)

    def fire(self, entry: SlotEntry) -> bool:
        done = self._connection.execute(
            f"insert into lamplighter_slots ({SLOT}) values (?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
            (entry.schedule_id, entry.slot, entry.last, entry.count, entry.outcome, entry.reason, entry.job_id),
        )
        return done.rowcount == 1

    def skip(self, schedule_id: str, gone: SlotRange) -> bool:
        if not self._skip(schedule_id, gone):
            return False
        self._turn.note(skipped_move(schedule_id, gone))
        return True

    def _skip(self, schedule_id: str, gone: SlotRange) -> bool:
        before = self._connection.execute(
            """select slot, outcome, reason from lamplighter_slots
               where schedule_id = ? and slot <= ? order by slot desc limit 1""",
            (schedule_id, gone.first),
        ).fetchone()
        if before is not None and before[0] == gone.first:
            # The slot comes again because the clock was set back.
            self._connection.execute(
                """update lamplighter_slots set last = max(last, ?), count = max(count, ?)
                   where schedule_id = ? and slot = ? and outcome = 'skipped'""",
                (gone.last, gone.count, schedule_id, gone.first),
            )
            return bool(before[1] == "skipped")
        if before is not None and before[1:] == ("skipped", gone.reason):
            self._connection.execute(
                """update lamplighter_slots set last = max(last, ?), count = count + ?
                   where schedule_id = ? and slot = ? and last < ?""",
                (gone.last, gone.count, schedule_id, before[0], gone.first),
            )
            return True
        return self.fire(skipped_entry(schedule_id, gone))

    def account(self, schedule_id: str, accounted_to: Instant, last_slot: Instant | None) -> int:
        change_no = self._turn.next_change()
        self._connection.execute(
            """update lamplighter_schedules
               set accounted_to = max(accounted_to, ?), last_slot = coalesce(?, last_slot), change_no = ?
               where id = ?""",
            (accounted_to, last_slot, change_no, schedule_id),
        )
        return change_no

    def prune(self, before: Instant, batch: int) -> int:
        """Remove obsolete slots, and schedules that nobody has declared for as long."""
        gone = self._connection.execute(
            """delete from lamplighter_slots where (schedule_id, slot) in (
                 select s.schedule_id, s.slot from lamplighter_slots s
                 left join lamplighter_schedules d on d.id = s.schedule_id
                 where s.last < ? - max(coalesce(d.catch_up_window, 0), ?) limit ?)""",
            (before, SLOT_SECONDS_KEPT_MIN, max(batch, 0)),
        ).rowcount
        self._connection.execute(
            """delete from lamplighter_schedules
               where durable = 0 and accounted_to < ? - max(catch_up_window, ?)""",
            (before, SLOT_SECONDS_KEPT_MIN),
        )
        self._connection.execute(
            "delete from lamplighter_retired where schedule_id not in (select id from lamplighter_schedules)"
        )
        return gone
