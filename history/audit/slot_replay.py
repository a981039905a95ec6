"""The replay of slots: each one must have fired or been skipped, once, and none may have passed without a line.

Slots of a schedule are accounted for in order, so between two accounts that follow one another there is no slot.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from ..log_files.lines import Line
from .report import Findings, many
from .schedule_changes import Change, change_of

FIRED_KEPT_MAX = 512
"""Fired slots that are remembered of each schedule, the newest."""

UNORDERED_MAX = 64
"""Accounts of a schedule that wait for others which several processes have written in between."""

PASSED_KEPT_MAX = 200
"""Stretches without an account that are kept until the end, when the log's level is known."""

DOUBTS_KEPT_MAX = 1_000
"""Accounts that a schedule's rule does not allow, and that a later line about a change may explain."""

TOLD_KEPT_MAX = 1_000
"""Slots that only recoveries tell, and changes of schedules, the newest."""

CHANGES_KEPT_MAX = 64
"""Changes of a schedule that are known again, the newest."""

ENDINGS = ("job.done", "job.dead")
"""They name a job's slot too, but in another order than that of the slots."""

SLOT = re.compile(r"\d+(\.\d+)?")
"""What the id of a slot's job ends with."""


@dataclass(frozen=True, slots=True)
class Passed:
    """Slots between two accounts, `start` and `end`, that nothing accounts for."""

    schedule: str
    change: Change
    start: float
    end: float
    slots: tuple[float, ...]
    before: Line | None
    after: Line

    def is_explained_by(self, other: Change, slot: float) -> bool:
        """Whether another change was in force that does not have this slot, or ended the time that it belongs to."""
        if not other.follows(self.change.no):
            return False
        if slot <= other.at:
            # What was due when it was stored counts to the rule before it, or to none.
            return self.start <= other.at < self.end
        return not other.has(slot) or not other.rules


@dataclass(frozen=True, slots=True)
class Doubt:
    """An account of slots that the schedule does not have, by the lines so far."""

    schedule: str
    change: Change
    first: float
    last: float
    count: int
    line: Line

    def is_explained_by(self, other: Change) -> bool:
        """Whether another change was in force that has these slots."""
        if not other.follows(self.change.no) or self.first <= other.at:
            return False
        return not any(other.objections(self.first, self.last, self.count))


@dataclass(slots=True)
class Schedule:
    """What is known of a schedule."""

    # What it is now; None when it was removed, or nothing has said it.
    change: Change | None = None
    # The number of the newest change, whether it was removed since or not.
    change_no: int | None = None
    changes: deque[object] = field(default_factory=lambda: deque(maxlen=CHANGES_KEPT_MAX))
    # The instant up to which its slots are accounted for; None until something says so.
    to: float | None = None
    line: Line | None = None
    fired: OrderedDict[float, tuple[str, Line]] = field(default_factory=OrderedDict)
    waiting: list[tuple[float, float, Line]] = field(default_factory=list)
    slot_of: OrderedDict[str, tuple[float, Line]] = field(default_factory=OrderedDict)


class SlotFold:
    """Folds what a store's log says of schedules and slots."""

    def __init__(self, findings: Findings) -> None:
        self.schedules: dict[str, Schedule] = {}
        self.passed: list[Passed] = []
        self.doubts: list[Doubt] = []
        self.accounted = 0
        # (schedule, first, last) of accounts that only a recovery has logged, maybe long after later slots.
        self.told_late: deque[tuple[str, float, float]] = deque(maxlen=TOLD_KEPT_MAX)
        # The changes that only a recovery has logged, by schedule: other boots may have fired by them before.
        self._told_changes: deque[tuple[str, Change]] = deque(maxlen=TOLD_KEPT_MAX)
        self._findings = findings

    def hear(self, line: Line) -> None:
        """Take in a line about a schedule or a slot."""
        if line.schedule is None:
            return
        known = self.schedules.get(line.schedule)
        if known is None:
            known = self.schedules[line.schedule] = Schedule()
        match line.event:
            case "schedule.added" | "schedule.changed":
                # Slots that were due at the change count to the old rule or to none; from its line on, to the new one.
                self._change(known, change_of(line), line.ts, line)
            case "schedule.removed":
                self._flush(known)
                known.change, known.to = None, None
            case "slot.skipped" if line.slot is not None:
                self._skipped(known, line)
            case "slot.fired" | "slot.caught_up" if line.slot is not None and line.job_id is not None:
                self._fired(known, line, line.slot, line.job_id)
            case "slot.taken" if line.slot is not None and line.job_id is not None:
                self._account(known, line.slot, line.slot, line)
            case "job.queued" | "job.done" | "job.dead" if line.slot is not None and line.job_id is not None:
                if line.event != "job.queued" and not self._is_named_after_slot(line, line.job_id):
                    return
                self._fired(known, line, line.slot, line.job_id)

    def _is_named_after_slot(self, line: Line, job_id: str) -> bool:
        """Whether a slot's job has the id that its schedule and slot give it; otherwise that is said."""
        schedule, _, slot = job_id.rpartition("-")
        if schedule == line.schedule and SLOT.fullmatch(slot) and float(slot) == line.slot:
            return True
        says = f"job {job_id} is said to be of slot {line.slot} of schedule {line.schedule}, which its id is not"
        self._findings.say("slot without an account", says, line)
        return False

    def hear_told(self, job_id: str, line: Line) -> None:
        """A recovery has logged a new job: if its id says that it is a slot's, the slot is accounted for."""
        schedule, _, slot = job_id.rpartition("-")
        known = self.schedules.get(schedule)
        if known is None or not SLOT.fullmatch(slot):
            return
        line.schedule = schedule
        self.told_late.append((schedule, float(slot), float(slot)))
        self._fired(known, line, float(slot), job_id)

    def hear_told_skip(self, line: Line) -> None:
        """A recovery has logged slots that a turn had skipped, and perhaps had logged."""
        if line.schedule is None or line.slot is None:
            return
        last = line.slot if line.last is None else line.last
        known = self.schedules.get(line.schedule)
        if known is None or any(first == line.slot for first, _, _ in known.waiting):
            return
        self.told_late.append((line.schedule, line.slot, last))
        self._account(known, line.slot, last, line)

    def hear_told_change(self, said: Line, line: Line) -> None:
        """A recovery, which is `line`, has logged that a turn had changed a schedule, and perhaps had logged that."""
        known = self.schedules.get(said.schedule or "")
        change = change_of(said)
        if known is None or change.key in known.changes:
            return
        self._told_changes.append((said.schedule or "", change))
        if known.change_no is None or not change.follows(known.change_no):
            # A later change of the schedule is known, or may be one of those that the log does not have.
            known.changes.append(change.key)
            return
        self._flush(known)
        # It may have been stored in a future that the clock has come back from.
        at = min(change.at, line.ts)
        self._change(known, change, at if known.to is None else max(at, known.to), line)

    def is_told_late(self, passed: Passed, slot: float) -> bool:
        """Whether a recovery accounts for a slot that passed, or explains why nothing does."""
        if any(name == passed.schedule and first <= slot <= last for name, first, last in self.told_late):
            return True
        return any(passed.is_explained_by(change, slot) for change in self._told_of(passed.schedule))

    def _told_of(self, schedule: str) -> list[Change]:
        return [change for name, change in self._told_changes if name == schedule]

    def recount(self, line: Line) -> None:
        """The clock was set back: what was accounted for in what is the future now counts from now."""
        for known in self.schedules.values():
            if known.waiting or (known.to is not None and known.to > line.ts):
                self._flush(known)
                known.to, known.line = line.ts if known.to is None else min(known.to, line.ts), line

    def finish(self) -> None:
        """Judge what still waits."""
        for known in self.schedules.values():
            self._flush(known)
        for doubt in self.doubts:
            if not any(map(doubt.is_explained_by, self._told_of(doubt.schedule))):
                self._say(doubt)
        self.doubts.clear()

    def _change(self, known: Schedule, change: Change, start: float, line: Line) -> None:
        """From now on it is another one, which counts from `start`."""
        self._flush(known)
        known.change, known.change_no = change, change.no
        known.changes.append(change.key)
        known.to, known.line = start, line

    def _fired(self, known: Schedule, line: Line, slot: float, job_id: str) -> None:
        other = known.slot_of.get(job_id)
        if other is not None and other[0] != slot:
            says = f"job {job_id} of schedule {line.schedule} is said to be of slot {other[0]} and of slot {slot}"
            self._findings.say("slot without an account", says, other[1], line)
            return
        earlier = known.fired.get(slot)
        if earlier is not None and earlier[0] != job_id:
            says = f"slot {slot} of schedule {line.schedule} fired for job {earlier[0]} and for job {job_id}"
            self._findings.say("fired twice", says, earlier[1], line)
            return
        # Another host may have ended a job before the one that fired it has said so.
        if earlier is not None and (line.event in ENDINGS or earlier[1].event not in ENDINGS):
            return
        known.fired[slot], known.slot_of[job_id] = (job_id, line), (slot, line)
        self.accounted += earlier is None
        if len(known.fired) > FIRED_KEPT_MAX:
            known.slot_of.pop(known.fired.popitem(last=False)[1][0], None)
        if line.event not in ENDINGS:
            self._check(known, line, slot, slot, 1)
            self._account(known, slot, slot, line)

    def _skipped(self, known: Schedule, line: Line) -> None:
        assert line.slot is not None
        last = line.slot if line.last is None else line.last
        count = 1 if line.count is None else line.count
        self.accounted += count
        if last < line.slot or count < 1 or (count == 1) != (last == line.slot):
            says = f"schedule {line.schedule}: {many(count, 'slot')} cannot lie from {line.slot} to {last}"
            self._findings.say("slot without an account", says, line)
            return
        self._check(known, line, line.slot, last, count)
        self._account(known, line.slot, last, line)

    def _check(self, known: Schedule, line: Line, first: float, last: float, count: int) -> None:
        if known.change is None or not any(known.change.objections(first, last, count)):
            return
        doubt = Doubt(line.schedule or "", known.change, first, last, count, line)
        if len(self.doubts) < DOUBTS_KEPT_MAX:
            self.doubts.append(doubt)
        else:
            self._say(doubt)

    def _say(self, doubt: Doubt) -> None:
        for objection in doubt.change.objections(doubt.first, doubt.last, doubt.count):
            says = f"schedule {doubt.schedule}: {objection}"
            self._findings.say("slot without an account", says, doubt.change.line, doubt.line)

    def _account(self, known: Schedule, first: float, last: float, line: Line) -> None:
        known.waiting.append((first, last, line))
        if len(known.waiting) > UNORDERED_MAX:
            known.waiting.sort(key=lambda account: account[0])
            self._close(known, known.waiting.pop(0))

    def _flush(self, known: Schedule) -> None:
        for account in sorted(known.waiting, key=lambda account: account[0]):
            self._close(known, account)
        known.waiting.clear()

    def _close(self, known: Schedule, account: tuple[float, float, Line]) -> None:
        """The slots between the account before and this one should be none."""
        first, last, line = account
        if known.to is not None and known.change is not None and len(self.passed) < PASSED_KEPT_MAX:
            certain = known.change.certain_slots(known.to, math.nextafter(first, -math.inf))
            if certain:
                name = line.schedule or ""
                self.passed.append(Passed(name, known.change, known.to, first, certain, known.line, line))
        known.to = last if known.to is None else max(known.to, last)
        known.line = line
