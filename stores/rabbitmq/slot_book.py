"""The newest slots of each schedule, as a runtime on a RabbitMQ remembers them, and since when they are complete."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...cron.schedule import cut
from ...messages.jobs import Instant
from ...messages.schedules import ScheduleRecord, SlotEntry

SLOTS_KEPT_MAX = 1_000


class SlotBook:
    def __init__(self) -> None:
        self._entries: dict[str, list[SlotEntry]] = {}
        self._since: dict[str, Instant] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._entries))

    def find(self, schedule_id: str, slot: Instant) -> SlotEntry | None:
        entries = self._entries.get(schedule_id, [])
        index = bisect_left(entries, slot, key=_slot)
        return entries[index] if index < len(entries) and entries[index].slot == slot else None

    def skipped(self, schedule_id: str, slot: Instant) -> SlotEntry | None:
        """The entry of skipped slots that includes this one."""
        entries = self._entries.get(schedule_id, [])
        at = bisect_right(entries, slot, key=_slot) - 1
        is_among = at >= 0 and entries[at].outcome == "skipped" and entries[at].last >= slot
        return entries[at] if is_among else None

    def between(self, schedule_id: str, start: Instant, end: Instant) -> Sequence[SlotEntry]:
        """Entries that touch [start, end), in order."""
        return [one for one in self._entries.get(schedule_id, ()) if one.last >= start and one.slot < end]

    def since(self, schedule_id: str) -> Instant:
        """From here on the fate of each accounted slot is known."""
        return self._since.get(schedule_id, 0.0)

    def keep(self, entry: SlotEntry) -> None:
        """Add an entry, unless it is known. Skipped slots join those before, if the reason is the same."""
        entries = self._entries.setdefault(entry.schedule_id, [])
        if self.find(entry.schedule_id, entry.slot) is not None:
            return
        before = bisect_left(entries, entry.slot, key=_slot) - 1
        if entry.outcome == "skipped" and before >= 0:
            last = entries[before]
            if (last.outcome, last.reason) == ("skipped", entry.reason):
                entries[before] = replace(last, last=max(last.last, entry.last), count=last.count + entry.count)
                return
        insort(entries, entry, key=_slot)
        self._cut(entry.schedule_id, max(0, len(entries) - SLOTS_KEPT_MAX))

    def forget(self, schedule_id: str, before: Instant) -> int:
        """Drop entries that ended before; returns how many."""
        entries = self._entries.get(schedule_id, [])
        gone = sum(one.last < before for one in entries)
        self._cut(schedule_id, gone)
        if not entries:
            self._entries.pop(schedule_id, None)
        return gone

    def take_back(self, schedule: ScheduleRecord, now: Instant) -> Instant | None:
        """Forget that future slots were skipped; fired ones stay. Returns the last fired slot that is past."""
        entries = self._entries.get(schedule.id, [])
        kept = [cut(schedule, one, now) if one.outcome == "skipped" and one.last > now else one for one in entries]
        entries[:] = [one for one in kept if one is not None]
        known = [one.slot for one in entries if one.outcome != "skipped" and one.slot <= now]
        if schedule.last_slot is not None and schedule.last_slot <= now:
            known.append(schedule.last_slot)
        return max(known, default=None)

    def newest(self, schedule_id: str, most: int = SLOTS_KEPT_MAX) -> tuple[Sequence[SlotEntry], Instant]:
        """The newest entries, and since when they are complete."""
        entries = self._entries.get(schedule_id, [])
        gone = max(0, len(entries) - most)
        since = self.since(schedule_id)
        return entries[gone:], max(since, entries[gone - 1].last) if gone else since

    def know_since(self, schedule_id: str, since: Instant) -> None:
        self._since[schedule_id] = since

    def join(self, schedule_id: str, entries: Sequence[SlotEntry], since: Instant, known_to: Instant) -> None:
        """Merge another book's entries with those known here up to an instant, unless there is a gap."""
        if since > known_to or schedule_id not in self._entries:
            self._entries[schedule_id] = []
            self._since[schedule_id] = since
        known = {one.slot: one for one in (*self._entries[schedule_id], *entries)}
        self._entries[schedule_id] = sorted(known.values(), key=_slot)
        self._cut(schedule_id, max(0, len(known) - SLOTS_KEPT_MAX))

    def _cut(self, schedule_id: str, count: int) -> None:
        if count:
            entries = self._entries[schedule_id]
            self._since[schedule_id] = max(self.since(schedule_id), entries[count - 1].last)
            del entries[:count]


def _slot(entry: SlotEntry) -> Instant:
    return entry.slot
