"""The part of a turn that keeps schedules and slots: as records that all runtimes add to what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...cron.catch_up import recounted, rule_of
from ...errors import UsageError
from ...messages.jobs import Instant, JobRecord, NewJob
from ...messages.ledger import Move
from ...messages.schedules import ScheduleRecord, SlotEntry
from ...messages.slots import SlotRange
from ...rules.capabilities import not_supported
from ...rules.ledger_moves import schedule_move, skipped_move
from .commit import Ops
from .ledger_records import declares, handles, schedule_record, slot_row
from .shared_state import SharedState, bucket_of, weight_of
from .state import RabbitState

SCHEDULES_BYTES_MAX = 128_000_000
"""How many bytes all schedules of all runtimes may take: each runtime has all of them in memory, and gets them when it
starts.
"""

PART_BYTES_MAX = 12_000_000
"""Of those in one part of the sum, which is a message. A server takes 16 MiB, unless told otherwise."""


class RabbitScheduleTurn:
    """The changes of this turn, before the state that all runtimes share."""

    if TYPE_CHECKING:
        now: Instant
        ops: Ops
        leads: bool
        _state: RabbitState

        def note(self, move: Move) -> None:
            """See `Turn`."""

        def insert(self, job: NewJob) -> tuple[JobRecord, bool]:
            """Add a job; `RabbitTurn` does."""

    def begin_slots(self, shared: SharedState, runtime: str) -> None:
        """Nothing is changed yet."""
        self._shared = shared
        self._runtime = runtime
        self._schedules: dict[str, ScheduleRecord | None] = {}
        self._slots: dict[tuple[str, Instant], SlotEntry] = {}
        self._weights = shared.weights
        self._changes = 0

    def declare(self, schedules: Sequence[ScheduleRecord]) -> list[tuple[ScheduleRecord, str | None]]:
        if any(schedule.overlap != "allow" for schedule in schedules):
            raise not_supported("overlap")
        self._check_room(schedules)
        self._declare_own([schedule for schedule in schedules if not schedule.durable])
        return [self._declare(schedule) for schedule in schedules]

    def _declare_own(self, schedules: Sequence[ScheduleRecord]) -> None:
        """What is not durable lives as long as a runtime that declares it."""
        known = self._shared.runtimes.get(self._runtime, {})
        ids = [schedule.id for schedule in schedules if schedule.id not in known]
        if ids:
            self.ops.records.append(declares(self._runtime, ids))
        for schedule_id in ids:
            stored = self.schedule(schedule_id)
            if stored is not None and not self._shared.is_declared(schedule_id):
                # The schedule fires again, which is a change.
                self._schedules[schedule_id] = stored._replace(change_no=self._next_change())
        self.ops.done.append(lambda: self._state.declared.update((one.id, one) for one in schedules))

    def _declare(self, schedule: ScheduleRecord) -> tuple[ScheduleRecord, str | None]:
        known = self.schedule(schedule.id)
        is_new = known is None or schedule.id in self._shared.retired
        if known is not None and not is_new and known.definition == schedule.definition:
            return known, None
        stored = recounted(schedule, known, self.now, self._next_change())
        self._keep(stored)
        news = "added" if is_new else "changed"
        self.note(schedule_move(news, stored))
        return stored, news

    def _check_room(self, schedules: Sequence[ScheduleRecord]) -> None:
        """All runtimes keep all schedules, and a part of their sum is one message."""
        weights = list(self._weights)
        for schedule in schedules:
            known = self.schedule(schedule.id)
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
        """The number that a change will have, unless another runtime writes one at the same time."""
        self._changes += 1
        return self._shared.change_no + self._changes

    def _keep(self, schedule: ScheduleRecord) -> None:
        self._schedules[schedule.id] = schedule
        self.ops.records.append(schedule_record(schedule))

    def schedule(self, schedule_id: str) -> ScheduleRecord | None:
        if schedule_id in self._schedules:
            return self._schedules[schedule_id]
        return self._shared.schedules.get(schedule_id)

    def forget_schedule(self, schedule_id: str) -> bool:
        if self.schedule(schedule_id) is None:
            return False
        self._schedules[schedule_id] = None
        self.ops.records.append({"is": "schedule gone", "id": schedule_id})
        return True

    def retire_schedule(self, schedule_id: str) -> None:
        self.ops.records.append({"is": "retracts", "runtime": self._runtime, "ids": [schedule_id]})
        self.ops.done.append(lambda: self._state.declared.pop(schedule_id, None))

    def say_handled(self, names: Sequence[str]) -> None:
        """This runtime has lanes for these job names now."""
        self.ops.records.append(handles(self._runtime, names))
        self.ops.done.append(lambda: setattr(self._state, "handled", list(names)))

    def forget_runtime(self) -> None:
        """This runtime ends: schedules that it alone declares rest until they are declared again."""
        if self._runtime in self._shared.living():
            self.ops.records.append({"is": "runtime gone", "runtime": self._runtime})
            self.ops.done.append(self._state.declared.clear)
            self.ops.done.append(self._state.handled.clear)

    def forget_abandoned(self, before: Instant, batch: int) -> int:
        """Remove schedules that nobody has declared for long. The leader does."""
        found = self._shared.abandoned(before)[:batch] if self.leads else []
        self.ops.records += [{"is": "schedule gone", "id": schedule_id} for schedule_id in found]
        return len(found)

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
        known = self._find(schedule_id, gone.first)
        if known is not None and known.outcome != "skipped":
            return False
        left = self._not_noted(schedule_id, gone)
        if left is not None:
            self._note(
                SlotEntry(
                    schedule_id=schedule_id,
                    slot=left.first,
                    last=left.last,
                    count=left.count,
                    outcome="skipped",
                    reason=left.reason,
                    job_id=None,
                )
            )
        self.note(skipped_move(schedule_id, gone))
        return True

    def _not_noted(self, schedule_id: str, gone: SlotRange) -> SlotRange | None:
        """What is left of a range. If the connection was lost while a turn wrote its records, those that came through
        hold, and the slots in them must not be counted twice; they were not said.
        """
        known, schedule = self._shared.slots.skipped(schedule_id, gone.first), self.schedule(schedule_id)
        if known is None or schedule is None:
            return gone
        rule = rule_of(schedule)
        following, count = rule.after(known.last), rule.count(known.last, gone.last)
        return replace(gone, first=following.slot, count=count) if following is not None and count else None

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

    def recount(self) -> int:
        """Have schedules count from now that a clock which was wrong has accounted for. How many; the leader does."""
        found = self._shared.beyond(self.now) if self.leads else []
        for schedule in found:
            self._schedules[schedule.id] = schedule._replace(accounted_to=self.now, change_no=self._next_change())
        if found:
            self.ops.records.append({"is": "recount", "to": self.now})
        return len(found)

    def _note(self, entry: SlotEntry) -> None:
        self._slots[entry.schedule_id, entry.slot] = entry
        self.ops.records.append({"is": "slot", "slot": slot_row(entry)})

    def _find(self, schedule_id: str, slot: Instant) -> SlotEntry | None:
        return self._slots.get((schedule_id, slot)) or self._shared.slots.find(schedule_id, slot)
