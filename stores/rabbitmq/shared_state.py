"""The state on which all runtimes on a RabbitMQ agree: schedules, slots, pauses, suspects; roles of runtimes.

It is the sum of the ledger's records, which everybody adds in the leader's order. `ledger_sums.py` writes the sum.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal
from zlib import crc32

from ...cron.schedule import SLOT_SECONDS_KEPT_MIN, set_back
from ...messages.boots import BootRecord
from ...messages.jobs import Instant
from ...messages.names import PauseRecord
from ...messages.schedules import ScheduleRecord
from . import ledger_records as records
from .ledger_records import MAPS, NOTHING, NUMBER, TEXT, OperatorAct, Record
from .slot_book import SlotBook

BUCKETS = 64
"""The sum is written and sent in so many parts, by hash of ids."""

ORDER_MIN = 1_000

MARKS_KEPT_SECONDS = 72 * 3600.0

NEVER: Instant = -1.0

SKEW_SECONDS_MAX = 10.0
"""A schedule may be accounted for so far ahead of the leader's clock: the clock of an earlier leader may have been."""

SCHEDULE_BYTES = 440
"""The most bytes of a schedule in a record, besides its texts."""


@dataclass(slots=True)
class SharedState:
    """The sum of the records read so far.

    Attributes:
        store_id: identifies the ledger; None until it is written there.
        unknown: by schedule, fields of a newer version.
        runtimes: by living runtime, the schedules that it declares.
        handled: by living runtime, the job names that it has lanes for.
        boots: by living runtime, its boot.
        names: job names whose queues were ever declared.
        acts: by boot, turns of people without a runtime, until they are logged.
        retired: schedules removed by their last declarer: new when they are declared again.
        marks: by job id, begins of attempts without a known end: each may have killed its process.
        number: at least that of any record added or written here.
        changes: rises with every record that changes what may be claimed.
        change_no: the last change of any schedule. Each runtime counts for itself.
        touched: buckets that differ from the last sum.
        weights: by bucket, the bytes of its schedules in a record.
    """

    store_id: str | None = None
    schedules: dict[str, ScheduleRecord] = field(default_factory=dict)
    unknown: dict[str, Record] = field(default_factory=dict)
    runtimes: dict[str, dict[str, None]] = field(default_factory=dict)
    handled: dict[str, list[str]] = field(default_factory=dict)
    boots: dict[str, Record] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    acts: dict[str, OperatorAct] = field(default_factory=dict)
    retired: set[str] = field(default_factory=set)
    slots: SlotBook = field(default_factory=SlotBook)
    pauses: dict[str, PauseRecord] = field(default_factory=dict)
    marks: dict[str, list[Instant]] = field(default_factory=dict)
    number: int = 0
    changes: int = 0
    change_no: int = 0
    touched: set[int] = field(default_factory=set)
    weights: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    _order: list[tuple[int, str]] = field(default_factory=list)
    _furthest: Instant = NEVER

    def add(self, record: Record) -> None:
        """Add the next record. Unknown kinds are skipped.

        Raises:
            UnreadableRecord: a known kind that makes no sense; nothing of it is added.
        """

        def text(name: str) -> str:
            return str(records.field(record, name, TEXT))

        match record["is"]:
            case "store":
                store_id = text("id")
                if self.store_id is None:
                    self.store_id = store_id
                    self._touch("")
            case "schedule":
                self._keep_schedule(*records.schedule_of(record.get("schedule")))
            case "schedule gone":
                self.drop(text("id"))
            case "declares":
                self.declare(text("runtime"), records.texts(record, "ids"))
            case "retracts":
                self._retract(text("runtime"), records.texts(record, "ids"))
            case "handles":
                self._handle(text("runtime"), records.texts(record, "names"))
            case "boot":
                runtime, boot = text("runtime"), records.field(record, "boot", MAPS)
                records.boot_of(boot, ())
                # Keep the row as it is: a newer version may have more fields.
                self.boots[runtime] = boot
                self._touch(runtime)
            case "name":
                name = text("name")
                self.names.add(name)
                self._touch(name)
            case "act":
                act = records.act_of(text("runtime"), record.get("act"))
                self.acts[act.boot.boot] = act
                self._touch(act.boot.boot)
            case "act done":
                self._end_act(text("boot"), "done")
            case "act told":
                if self.acts.pop(text("boot"), None) is not None:
                    self._touch(text("boot"))
            case "runtime gone":
                self._forget_runtime(text("runtime"))
            case "account":
                last = records.field(record, "last", (*NUMBER, *NOTHING))
                self._account(text("id"), records.field(record, "to", NUMBER), last)
            case "recount":
                self._recount(records.field(record, "to", NUMBER))
            case "slot":
                entry = records.slot_of(record.get("slot"))
                self.slots.keep(entry)
                self._touch(entry.schedule_id)
            case "slots since":
                self.slots.know_since(text("id"), records.field(record, "since", NUMBER))
            case "pause":
                self._pause(records.pause_of(record), paused=records.field(record, "paused", (int,)))
            case "began":
                self._mark(text("id"), records.field(record, "at", NUMBER), begins=True)
            case "excused":
                self._mark(text("id"), records.field(record, "at", NUMBER), begins=False)
            case "ended":
                self.marks.pop(text("id"), None)
                self._touch(text("id"))
        self.see(record)

    def see(self, record: Record) -> None:
        self.number = max(self.number, records.number_of(record))

    def is_declared(self, schedule_id: str, *, beside: str = "") -> bool:
        """Whether a runtime declares a schedule, `beside` one."""
        return any(schedule_id in ids for runtime, ids in list(self.runtimes.items()) if runtime != beside)

    def is_handled(self, name: str) -> bool:
        return any(name in names for names in self.handled.values())

    def living(self) -> set[str]:
        """Runtimes that have introduced themselves, declare or handle something, or act just now."""
        acting = {act.runtime for act in self.acts.values() if not act.is_over}
        return self.boots.keys() | self.runtimes.keys() | self.handled.keys() | acting

    def boot_records(self) -> Sequence[BootRecord]:
        """Boots that have introduced themselves and have not ended; oldest first."""
        boots = list(self.boots.items())
        found = [records.boot_of(row, self.handled.get(runtime, ())) for runtime, row in boots]
        return sorted(found, key=lambda boot: (boot.started_at, boot.boot))

    def blamed(self, job_id: str, now: Instant) -> int:
        """How many attempts of a job began within 72 hours and have no recorded end."""
        return len(self.fresh_marks(job_id, now))

    def fresh_marks(self, job_id: str, now: Instant) -> list[Instant]:
        return [at for at in self.marks.get(job_id, ()) if at > now - MARKS_KEPT_SECONDS]

    def changed_since(self, since: int, limit: int) -> Sequence[ScheduleRecord]:
        found: list[ScheduleRecord] = []
        for index in range(bisect_right(self._order, (since, "\U0010ffff")), len(self._order)):
            number, schedule_id = self._order[index]
            schedule = self.schedules.get(schedule_id)
            if schedule is not None and schedule.change_no == number:
                found.append(schedule)
                if len(found) == limit:
                    break
        return found

    def abandoned(self, before: Instant) -> list[str]:
        """Schedules without a declaring runtime for so long that no slot could be caught up with."""
        return [
            one.id
            for one in self.schedules.values()
            if not self._is_active(one) and one.accounted_to < before - max(one.catch_up_window, SLOT_SECONDS_KEPT_MIN)
        ]

    def beyond(self, instant: Instant) -> list[ScheduleRecord]:
        """Schedules accounted for so far in the future that a wrong clock must have done it."""
        limit = instant + SKEW_SECONDS_MAX
        if self._furthest <= limit:
            return []
        self._furthest = max((one.accounted_to for one in self.schedules.values()), default=NEVER)
        return [one for one in self.schedules.values() if one.accounted_to > limit]

    def become(self, other: SharedState) -> None:
        """Take over the state of a sum. A schedule that is the same in both has not changed."""
        before = {one.id: (one, self._is_active(one)) for one in self.schedules.values()}
        self.store_id = other.store_id or self.store_id
        for schedule_id, schedule in other.schedules.items():
            known_to = before[schedule_id][0].accounted_to if schedule_id in before else NEVER
            self.slots.join(schedule_id, *other.slots.newest(schedule_id), known_to)
            if schedule.accounted_to < known_to:
                # A wrong clock was corrected meanwhile.
                self.slots.take_back(schedule, schedule.accounted_to)
        self.runtimes = other.runtimes
        self.handled, self.retired, self.unknown = other.handled, other.retired, other.unknown
        self.boots, self.acts, self.names = other.boots, other.acts, other.names
        self.pauses, self.marks, self.weights = other.pauses, other.marks, other.weights
        self.schedules, self._order = {}, []
        for schedule in other.schedules.values():
            known, was_active = before.get(schedule.id, (schedule, None))
            if (schedule._replace(change_no=known.change_no), self._is_active(schedule)) == (known, was_active):
                self.schedules[schedule.id] = known
                self._order.append((known.change_no, known.id))
            else:
                self._number(schedule)
        self._order.sort()
        self.changes += 1
        self.touched.clear()

    def drop(self, schedule_id: str) -> None:
        known = self.schedules.pop(schedule_id, None)
        if known is not None:
            self.weights[bucket_of(schedule_id)] -= weight_of(known)
            self.unknown.pop(schedule_id, None)
            self.retired.discard(schedule_id)
            self._touch(schedule_id)

    def declare(self, runtime: str, ids: Iterable[str]) -> None:
        declared = self.runtimes.setdefault(runtime, {})
        for schedule_id in ids:
            if schedule_id not in declared:
                is_first = not self.is_declared(schedule_id)
                declared[schedule_id] = None
                self._heed(schedule_id, may_change=is_first)

    def _retract(self, runtime: str, ids: Iterable[str]) -> None:
        for schedule_id in ids:
            self._undeclare(runtime, schedule_id)
            if schedule_id in self.schedules and not self.is_declared(schedule_id):
                self.retired.add(schedule_id)
                self._touch(schedule_id)

    def _forget_runtime(self, runtime: str) -> None:
        """A runtime has ended. Its schedules stay, with their accounted instants, as it may start again."""
        for schedule_id in list(self.runtimes.get(runtime, ())):
            self._undeclare(runtime, schedule_id)
        self.boots.pop(runtime, None)
        self._handle(runtime, [])
        for boot in [boot for boot, act in self.acts.items() if act.runtime == runtime]:
            self._end_act(boot, "lost")

    def _end_act(self, boot: str, became: Literal["done", "lost"]) -> None:
        act = self.acts.get(boot)
        if act is not None and not act.is_over:
            self.acts[boot] = act._replace(became=became)
            self._touch(boot)

    def _handle(self, runtime: str, names: list[str]) -> None:
        if names:
            self.handled[runtime] = names
        else:
            self.handled.pop(runtime, None)
        self._touch(runtime)

    def _undeclare(self, runtime: str, schedule_id: str) -> None:
        declared = self.runtimes.get(runtime, {})
        if schedule_id in declared:
            del declared[schedule_id]
            if not declared:
                del self.runtimes[runtime]
            self._heed(schedule_id, may_change=not self.is_declared(schedule_id))

    def _heed(self, schedule_id: str, *, may_change: bool) -> None:
        """Note that a schedule may have begun or ceased to fire."""
        self._touch(schedule_id)
        known = self.schedules.get(schedule_id)
        if known is not None and not known.durable and may_change:
            self._number(known)

    def _keep_schedule(self, schedule: ScheduleRecord, unknown: Record) -> None:
        known = self.schedules.get(schedule.id)
        same = known is not None and known.definition == schedule.definition
        if known is not None:
            # The record's writer may not have known yet how far the leader had accounted.
            slots = [one for one in (schedule.last_slot, known.last_slot) if one is not None]
            schedule = schedule._replace(
                accounted_to=max(schedule.accounted_to, known.accounted_to),
                last_slot=max(slots, default=None),
                change_no=known.change_no,
            )
        if same:
            # The runtime that paused or resumed the schedule may be older and not know all its fields.
            unknown = {**self.unknown.get(schedule.id, {}), **unknown}
        self.drop(schedule.id)
        self.schedules[schedule.id] = schedule
        self.weights[bucket_of(schedule.id)] += weight_of(schedule)
        if unknown:
            self.unknown[schedule.id] = unknown
        self._touch(schedule.id)
        if not same or (known is not None and known.accounted_to != schedule.accounted_to):
            self._number(schedule)

    def _account(self, schedule_id: str, to: Instant, last: Instant | None) -> None:
        known = self.schedules.get(schedule_id)
        if known is not None:
            last_slot = known.last_slot if last is None else last
            self._number(known._replace(accounted_to=max(known.accounted_to, to), last_slot=last_slot))
            self.retired.discard(schedule_id)
            self._touch(schedule_id)

    def _recount(self, to: Instant) -> None:
        for schedule in self.beyond(to):
            last_slot = self.slots.take_back(schedule, to)
            self._number(set_back(schedule, to)._replace(last_slot=last_slot))
            self._touch(schedule.id)

    def _pause(self, pause: PauseRecord, *, paused: bool) -> None:
        self.pauses.pop(pause.name, None)
        if paused:
            self.pauses[pause.name] = pause
        self.changes += 1
        self._touch(pause.name)

    def _mark(self, job_id: str, at: Instant, *, begins: bool) -> None:
        """Note the begin of an attempt that may kill its process, or that it is not to blame."""
        marks = [mark for mark in self.marks.pop(job_id, ()) if mark != at] + [at] * begins
        if marks:
            self.marks[job_id] = marks
        self.changes += 1
        self._touch(job_id)

    def _is_active(self, schedule: ScheduleRecord) -> bool:
        return bool(schedule.durable) or self.is_declared(schedule.id)

    def _number(self, schedule: ScheduleRecord) -> None:
        self.change_no += 1
        self.schedules[schedule.id] = schedule._replace(change_no=self.change_no)
        self._furthest = max(self._furthest, schedule.accounted_to)
        self._order.append((self.change_no, schedule.id))
        if len(self._order) > ORDER_MIN + 2 * len(self.schedules):
            self._order = sorted((one.change_no, one.id) for one in self.schedules.values())

    def _touch(self, key: str) -> None:
        self.touched.add(bucket_of(key))


def bucket_of(key: str) -> int:
    return crc32(key.encode("utf-8", "surrogatepass")) % BUCKETS


def weight_of(schedule: ScheduleRecord) -> int:
    """An upper bound, close in most cases, of a schedule's bytes in a record."""
    texts = (schedule.name, schedule.when, schedule.data)
    # A quote takes a second character, and a non-ASCII one up to six.
    return SCHEDULE_BYTES + sum(len(text) * (2 if text.isascii() else 6) for text in texts)
