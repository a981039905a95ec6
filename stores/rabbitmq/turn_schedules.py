"""The schedules and slots of a turn, as records that all runtimes add to the shared state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...cron.schedule import recounted, rule_of, set_back
from ...errors import UsageError
from ...messages.jobs import Instant
from ...messages.schedules import ScheduleRecord, SlotEntry, SlotRange
from ...rules.ledger_moves import schedule_move, skipped_move
from ..transitions import skipped_entry
from .ledger_records import declares, retracts, schedule_record, slot_row
from .pending_turn import PendingTurn
from .shared_state import bucket_of, weight_of

SCHEDULES_BYTES_MAX = 128_000_000
"""The limit of all schedules: each runtime has them in memory, and loads them when it starts."""

PART_BYTES_MAX = 12_000_000
"""The limit of the schedules in one part of the sum, which is one message: a server's default limit is 16 MiB."""


class RabbitSchedules:
    """The `ScheduleBook` of a turn: its own changes, before the shared state."""

    def __init__(self, turn: PendingTurn) -> None:
        self._turn = turn
        self._state = turn.state
        self._shared = turn.state.shared
        self._runtime = turn.state.runtime_id
        self._schedules: dict[str, ScheduleRecord | None] = {}
        self._slots: dict[tuple[str, Instant], SlotEntry] = {}
        self._weights = self._shared.weights
        self._changes = 0

    def declare(self, schedules: Sequence[ScheduleRecord]) -> list[tuple[ScheduleRecord, str | None]]:
        self._check_room(schedules)
        news = [self._store(schedule) for schedule in schedules]
        # Write after the present rules: the leader fires by the rule that it has read last.
        self._declare_own([schedule for schedule in schedules if not schedule.durable])
        stored = [self.one(schedule.id) or schedule for schedule in schedules]
        for one, what in zip(stored, news, strict=True):
            if what is not None:
                self._turn.note(schedule_move(what, one, self._turn.now))
        return list(zip(stored, news, strict=True))

    def _declare_own(self, schedules: Sequence[ScheduleRecord]) -> None:
        """A schedule that is not durable lives as long as a runtime that declares it."""
        known = self._shared.runtimes.get(self._runtime, {})
        ids = [schedule.id for schedule in schedules if schedule.id not in known]
        if ids:
            self._turn.ops.records.append(declares(self._runtime, ids))
        for schedule_id in ids:
            stored = self.one(schedule_id)
            if stored is not None and not self._shared.is_declared(schedule_id):
                # The schedule fires again, which is a change.
                self._schedules[schedule_id] = stored._replace(change_no=self._next_change())
        self._turn.ops.done.append(lambda: self._state.declared.update((one.id, one) for one in schedules))

    def refresh(self) -> list[tuple[ScheduleRecord, str]]:
        # Applications have no transactions on a server.
        return []

    def _store(self, schedule: ScheduleRecord) -> str | None:
        """Store a declared schedule; returns `added`, `changed` or None."""
        known = self.one(schedule.id)
        is_new = known is None or schedule.id in self._shared.retired
        if known is not None and not is_new and known.definition == schedule.definition:
            return None
        self._keep(recounted(schedule, None if is_new else known, self._turn.now, self._next_change()))
        return "added" if is_new else "changed"

    def _check_room(self, schedules: Sequence[ScheduleRecord]) -> None:
        """All runtimes keep all schedules, and a part of their sum is one message."""
        weights = list(self._weights)
        for schedule in schedules:
            known = self.one(schedule.id)
            if known is not None and known.definition == schedule.definition:
                continue
            bucket = bucket_of(schedule.id)
            weights[bucket] += weight_of(schedule) - (0 if known is None else weight_of(known))
            if weights[bucket] > PART_BYTES_MAX or sum(weights) > SCHEDULES_BYTES_MAX:
                raise UsageError(
                    f"expected room for {weight_of(schedule):,} bytes more of schedules on this RabbitMQ, for one of "
                    f"{schedule.name!r}; all runtimes together have {sum(self._weights):,} of the "
                    f"{SCHEDULES_BYTES_MAX:,} bytes that there may be: give schedules less data, such as an id by "
                    "which their handler finds the rest, or remove some"
                )
        self._weights = weights

    def _next_change(self) -> int:
        """The number of the next change, unless another runtime writes one at the same time."""
        self._changes += 1
        return self._shared.change_no + self._changes

    def _keep(self, schedule: ScheduleRecord) -> None:
        self._schedules[schedule.id] = schedule
        self._turn.ops.records.append(schedule_record(schedule))

    def one(self, schedule_id: str) -> ScheduleRecord | None:
        if schedule_id in self._schedules:
            return self._schedules[schedule_id]
        return self._shared.schedules.get(schedule_id)

    def forget(self, schedule_id: str) -> bool:
        if self.one(schedule_id) is None:
            return False
        self._schedules[schedule_id] = None
        self._turn.ops.records.append({"is": "schedule gone", "id": schedule_id})
        return True

    def retire(self, schedule_id: str) -> None:
        self._turn.ops.records.append(retracts(self._runtime, schedule_id))
        self._turn.ops.done.append(lambda: self._state.declared.pop(schedule_id, None))

    def forget_abandoned(self, before: Instant, batch: int) -> int:
        """Remove schedules without a declaration for long. Only the leader does."""
        found = self._shared.abandoned(before)[:batch] if self._turn.leads else []
        self._turn.ops.records += [{"is": "schedule gone", "id": schedule_id} for schedule_id in found]
        return len(found)

    def pause(self, schedule_id: str, *, paused: bool) -> ScheduleRecord | None:
        known = self.one(schedule_id)
        if known is not None:
            self._keep(known._replace(paused=int(paused)))
        return self.one(schedule_id)

    def fire(self, entry: SlotEntry) -> bool:
        if self._find(entry.schedule_id, entry.slot) is not None:
            return False
        self._keep_slot(entry)
        return True

    def skip(self, schedule_id: str, gone: SlotRange) -> bool:
        known = self._find(schedule_id, gone.first)
        if known is not None and known.outcome != "skipped":
            return False
        left = self._not_noted(schedule_id, gone)
        if left is not None:
            self._keep_slot(skipped_entry(schedule_id, left))
        self._turn.note(skipped_move(schedule_id, gone))
        return True

    def _not_noted(self, schedule_id: str, gone: SlotRange) -> SlotRange | None:
        """The part of a range without an entry: records that a turn wrote before it lost its connection hold."""
        known, schedule = self._shared.slots.skipped(schedule_id, gone.first), self.one(schedule_id)
        if known is None or schedule is None:
            return gone
        rule = rule_of(schedule)
        following, count = rule.after(known.last), rule.count(known.last, gone.last)
        return replace(gone, first=following.slot, count=count) if following is not None and count else None

    def account(self, schedule_id: str, accounted_to: Instant, last_slot: Instant | None) -> int:
        known, change_no = self.one(schedule_id), self._next_change()
        if known is not None:
            self._schedules[schedule_id] = known._replace(
                accounted_to=max(known.accounted_to, accounted_to),
                last_slot=known.last_slot if last_slot is None else last_slot,
                change_no=change_no,
            )
            self._turn.ops.records.append({"is": "account", "id": schedule_id, "to": accounted_to, "last": last_slot})
        return change_no

    def recount(self) -> int:
        """Let schedules that a wrong clock has accounted for count from now; returns how many. Only the leader does."""
        found = self._shared.beyond(self._turn.now) if self._turn.leads else []
        for schedule in found:
            self._schedules[schedule.id] = set_back(schedule, self._turn.now)._replace(change_no=self._next_change())
        if found:
            self._turn.ops.records.append({"is": "recount", "to": self._turn.now})
        return len(found)

    def _keep_slot(self, entry: SlotEntry) -> None:
        self._slots[entry.schedule_id, entry.slot] = entry
        self._turn.ops.records.append({"is": "slot", "slot": slot_row(entry)})

    def _find(self, schedule_id: str, slot: Instant) -> SlotEntry | None:
        return self._slots.get((schedule_id, slot)) or self._shared.slots.find(schedule_id, slot)
