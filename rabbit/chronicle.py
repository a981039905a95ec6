"""What all runtimes on a RabbitMQ must agree on: schedules, what became of slots, pauses, and what may be poison.

It is the sum of records that everybody adds in the same order: the order in which the leader has read them out of the
ledger (see there).
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..messages.jobs import Instant
from ..messages.schedules import ScheduleRecord, SlotEntry

Record = dict[str, Any]

SLOTS_KEPT_MAX = 1_000
"""Of one schedule, the newest."""

ORDER_MIN = 1_000
"""So many changes of schedules are remembered in their order, whether another came after or not."""

MARKS_KEPT_SECONDS = 72 * 3600.0


@dataclass(slots=True)
class Chronicle:
    """The sum of the records read so far.

    Attributes:
        marks: by job id, when attempts began whose end nobody has told: each may have taken its process with it.
        changes: rises with every record that changes what may be claimed.
        change_no: the number of the last change of any schedule. All runtimes count alike, because all add alike.
        retired: which schedules this runtime has removed, by the change that was their last then. It is told nobody.
    """

    schedules: dict[str, ScheduleRecord] = field(default_factory=dict)
    slots: dict[str, list[SlotEntry]] = field(default_factory=dict)
    pauses: set[str] = field(default_factory=set)
    marks: dict[str, list[Instant]] = field(default_factory=dict)
    changes: int = 0
    change_no: int = 0
    retired: dict[str, int] = field(default_factory=dict)
    _order: list[tuple[int, str]] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Add the next record. One of a newer version's kind is passed over."""
        match record["is"]:
            case "schedule":
                self._keep_schedule(ScheduleRecord(*record["schedule"]))
            case "schedule gone":
                self.schedules.pop(record["id"], None)
            case "account":
                self._account(record["id"], record["to"], record["last"])
            case "slot":
                self._keep(SlotEntry(**record["slot"]))
            case "pause":
                (self.pauses.add if record["paused"] else self.pauses.discard)(record["name"])
                self.changes += 1
            case "began":
                self.marks.setdefault(record["id"], []).append(record["at"])
                self.changes += 1
            case "ended":
                self.marks.pop(record["id"], None)

    def sum(self, now: Instant) -> Record:
        """A record that stands for all before it."""
        marks = {job: kept for job, at in self.marks.items() if (kept := [one for one in at if one > _old(now)])}
        return {
            "is": "sum",
            "schedules": list(self.schedules.values()),
            "change_no": self.change_no,
            "pauses": sorted(self.pauses),
            "marks": marks,
        }

    def load(self, record: Record) -> None:
        """Begin anew with a sum."""
        self.schedules = {one[0]: ScheduleRecord(*one) for one in record["schedules"]}
        self.change_no = record["change_no"]
        self._order = sorted((one.change_no, one.id) for one in self.schedules.values())
        self.pauses = set(record["pauses"])
        self.marks = {job: list(at) for job, at in record["marks"].items()}
        self.changes += 1

    def blamed(self, job_id: str, now: Instant) -> int:
        """How many attempts of a job began, within 72 hours, of whose end nobody has told."""
        return sum(at > _old(now) for at in self.marks.get(job_id, ()))

    def find_slot(self, schedule_id: str, slot: Instant) -> SlotEntry | None:
        """The entry that begins at this slot."""
        entries = self.slots.get(schedule_id, [])
        index = bisect_left(entries, slot, key=_slot)
        return entries[index] if index < len(entries) and entries[index].slot == slot else None

    def slots_between(self, schedule_id: str, start: Instant, end: Instant) -> Sequence[SlotEntry]:
        """Entries that touch [start, end), in order."""
        return [one for one in self.slots.get(schedule_id, ()) if one.last >= start and one.slot < end]

    def forget_slots(self, schedule_id: str, before: Instant) -> int:
        """Drop entries that ended before; how many."""
        entries = self.slots.get(schedule_id, [])
        kept = [one for one in entries if one.last >= before]
        self.slots[schedule_id] = kept
        return len(entries) - len(kept)

    def changed_since(self, since: int, limit: int) -> Sequence[ScheduleRecord]:
        """Schedules whose `change_no` is above `since`, in its order."""
        found: list[ScheduleRecord] = []
        for index in range(bisect_right(self._order, (since, "\U0010ffff")), len(self._order)):
            number, schedule_id = self._order[index]
            schedule = self.schedules.get(schedule_id)
            if schedule is not None and schedule.change_no == number:
                found.append(schedule)
                if len(found) == limit:
                    break
        return found

    def _keep_schedule(self, schedule: ScheduleRecord) -> None:
        known = self.schedules.get(schedule.id)
        if known is None:
            self._put(schedule)
            return
        # Its writer may not have known yet how far the leader had accounted.
        slots = [one for one in (schedule.last_slot, known.last_slot) if one is not None]
        schedule = schedule._replace(
            accounted_to=max(schedule.accounted_to, known.accounted_to), last_slot=max(slots, default=None)
        )
        if schedule.definition == known.definition:
            # It was paused or resumed.
            self.schedules[schedule.id] = schedule._replace(change_no=known.change_no)
            return
        self._put(schedule)

    def _account(self, schedule_id: str, to: Instant, last: Instant | None) -> None:
        known = self.schedules.get(schedule_id)
        if known is not None:
            last_slot = known.last_slot if last is None else last
            self._put(known._replace(accounted_to=max(known.accounted_to, to), last_slot=last_slot))

    def _put(self, schedule: ScheduleRecord) -> None:
        self.change_no += 1
        self.schedules[schedule.id] = schedule._replace(change_no=self.change_no)
        self._order.append((self.change_no, schedule.id))
        if len(self._order) > ORDER_MIN + 2 * len(self.schedules):
            self._order = sorted((one.change_no, one.id) for one in self.schedules.values())

    def _keep(self, entry: SlotEntry) -> None:
        entries = self.slots.setdefault(entry.schedule_id, [])
        if self.find_slot(entry.schedule_id, entry.slot) is not None:
            return
        before = bisect_left(entries, entry.slot, key=_slot) - 1
        if entry.outcome == "skipped" and before >= 0:
            last = entries[before]
            if (last.outcome, last.reason) == ("skipped", entry.reason):
                entries[before] = replace(last, last=max(last.last, entry.last), count=last.count + entry.count)
                return
        insort(entries, entry, key=_slot)
        del entries[:-SLOTS_KEPT_MAX]


def write(record: Record) -> bytes:
    """A record as a message."""
    return json.dumps(record, separators=(",", ":")).encode()


def parse(body: bytes) -> Record | None:
    """A message as a record; None if it is none."""
    try:
        record = json.loads(body)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "is" in record else None


def _slot(entry: SlotEntry) -> Instant:
    return entry.slot


def _old(now: Instant) -> Instant:
    return now - MARKS_KEPT_SECONDS
