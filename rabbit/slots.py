"""The part of a turn that keeps schedules and slots: as records for the chronicle, which is what all runtimes read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..checks import not_supported
from ..messages.jobs import Instant, JobRecord, NewJob
from ..messages.schedules import ScheduleRecord, SlotEntry
from ..messages.slots import SlotRange
from ..slots import recounted
from ..stores.base import Deed
from .chronicle import Chronicle

if TYPE_CHECKING:
    from .turn import Ops


class SlotTurn:
    """What this turn has changed stands in front of what the chronicle says."""

    if TYPE_CHECKING:
        now: Instant
        ops: Ops

        def insert(self, job: NewJob) -> tuple[JobRecord, bool]:
            """See `RabbitTurn`."""

    def begin_slots(self, chronicle: Chronicle) -> None:
        """Nothing is changed yet."""
        self._chronicle = chronicle
        self._schedules: dict[str, ScheduleRecord | None] = {}
        self._slots: dict[tuple[str, Instant], SlotEntry] = {}
        self.skipped: list[Deed] = []
        self._changes = 0

    def declare(self, schedules: Sequence[ScheduleRecord]) -> list[tuple[ScheduleRecord, str | None]]:
        return [self._declare(schedule) for schedule in schedules]

    def _declare(self, schedule: ScheduleRecord) -> tuple[ScheduleRecord, str | None]:
        if schedule.overlap != "allow":
            raise not_supported("overlap")
        known = self.schedule(schedule.id)
        is_new = known is None or self._chronicle.retired.get(schedule.id) == known.change_no
        if known is not None and known.definition == schedule.definition:
            if is_new:
                self.account(schedule.id, self.now, None)
            return self._schedules.get(schedule.id) or known, "added" if is_new else None
        stored = recounted(schedule, known, self.now, self._next_change())
        self._keep(stored)
        return stored, "added" if is_new else "changed"

    def _next_change(self) -> int:
        """The number that a change will have, unless another runtime writes one at the same time."""
        self._changes += 1
        return self._chronicle.change_no + self._changes

    def _keep(self, schedule: ScheduleRecord) -> None:
        self._schedules[schedule.id] = schedule
        self.ops.records.append({"is": "schedule", "schedule": list(schedule)})

    def schedule(self, schedule_id: str) -> ScheduleRecord | None:
        if schedule_id in self._schedules:
            return self._schedules[schedule_id]
        return self._chronicle.schedules.get(schedule_id)

    def forget_schedule(self, schedule_id: str) -> bool:
        if self.schedule(schedule_id) is None:
            return False
        self._schedules[schedule_id] = None
        self.ops.records.append({"is": "schedule gone", "id": schedule_id})
        return True

    def retire_schedule(self, schedule_id: str) -> None:
        known = self.schedule(schedule_id)
        if known is not None:
            retired, change_no = self._chronicle.retired, known.change_no
            self.ops.done.append(lambda: retired.update({schedule_id: change_no}))

    def pause_schedule(self, schedule_id: str, *, paused: bool) -> ScheduleRecord | None:
        known = self.schedule(schedule_id)
        if known is not None:
            self._keep(known._replace(paused=int(paused)))
        return self.schedule(schedule_id)

    def unfinished_of(self, schedule_id: str) -> list[tuple[str, str]]:
        raise not_supported("overlap")

    def fire(self, entry: SlotEntry, job: NewJob) -> JobRecord | None:
        if self._find(entry.schedule_id, entry.slot) is not None:
            return None
        self._note(entry)
        stored, _ = self.insert(job)
        return stored

    def skip(self, schedule_id: str, gone: SlotRange) -> bool:
        if self._find(schedule_id, gone.first) is not None:
            return False
        self._note(
            SlotEntry(
                schedule_id=schedule_id, slot=gone.first, last=gone.last, count=gone.count,
                outcome="skipped", reason=gone.reason, job_id=None,
            )
        )  # fmt: skip
        self.skipped.append((None, "slot.skipped", schedule_id, gone.first, gone.last, gone.count, gone.reason))
        return True

    def account(self, schedule_id: str, accounted_to: Instant, last_slot: Instant | None) -> int:
        known, change_no = self.schedule(schedule_id), self._next_change()
        if known is not None:
            self._schedules[schedule_id] = known._replace(
                accounted_to=max(known.accounted_to, accounted_to),
                last_slot=known.last_slot if last_slot is None else last_slot,
                change_no=change_no,
            )
            self.ops.records.append({"is": "account", "id": schedule_id, "to": accounted_to, "last": last_slot})
        return change_no

    def _note(self, entry: SlotEntry) -> None:
        self._slots[entry.schedule_id, entry.slot] = entry
        self.ops.records.append({"is": "slot", "slot": asdict(entry)})

    def _find(self, schedule_id: str, slot: Instant) -> SlotEntry | None:
        return self._slots.get((schedule_id, slot)) or self._chronicle.find_slot(schedule_id, slot)
