"""The fold of slots: each one fired or was skipped, once, and none passed unmentioned.

Slots of a schedule are accounted for in order, so between two accounts that follow one another there is no slot.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...cron.when import Rule, parse_when
from ...errors import LamplighterError
from ..log_files.lines import Line
from .report import Findings, many

FIRED_KEPT_MAX = 512
"""Fired slots that are remembered of each schedule, the newest."""

UNORDERED_MAX = 64
"""Accounts of a schedule that wait for others which several processes have written in between."""

PASSED_KEPT_MAX = 200
"""Stretches without an account that are kept until the end, when the log's level is known."""

NAMED_SLOTS_MAX = 100
"""Of one stretch, the first."""

TOLD_KEPT_MAX = 1_000
"""Slots that only recoveries tell, the newest."""

ENDINGS = ("job.done", "job.dead")
"""They name a job's slot too, but in another order than that of the slots."""

SLOT = re.compile(r"\d+(\.\d+)?")
"""What the id of a slot's job ends with."""


@dataclass(frozen=True, slots=True)
class Passed:
    """Slots between two accounts that nothing accounts for."""

    schedule: str
    slots: tuple[float, ...]
    before: Line | None
    after: Line


@dataclass(slots=True)
class Schedule:
    """What is known of a schedule."""

    rules: tuple[Rule, ...] = ()
    added: Line | None = None
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
        self.accounted = 0
        # (schedule, first, last) of what only a recovery tells: it may come long after later slots.
        self.told_late: deque[tuple[str, float, float]] = deque(maxlen=TOLD_KEPT_MAX)
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
                self._flush(known)
                known.rules, known.added = _rules(line), line
                # Slots that were due at the change count to the old rule or to none; from its line on, to the new one.
                known.to, known.line = line.ts, line
            case "schedule.removed":
                self._flush(known)
                known.rules, known.to = (), None
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
        """A recovery tells of a new job: if its id says that it is a slot's, the slot is accounted for."""
        schedule, _, slot = job_id.rpartition("-")
        known = self.schedules.get(schedule)
        if known is None or not SLOT.fullmatch(slot):
            return
        line.schedule = schedule
        self.told_late.append((schedule, float(slot), float(slot)))
        self._fired(known, line, float(slot), job_id)

    def hear_told_skip(self, line: Line) -> None:
        """A recovery tells of slots that a turn let pass, and perhaps had said."""
        if line.schedule is None or line.slot is None:
            return
        last = line.slot if line.last is None else line.last
        known = self.schedules.get(line.schedule)
        if known is None or any(first == line.slot for first, _, _ in known.waiting):
            return
        self.told_late.append((line.schedule, line.slot, last))
        self._account(known, line.slot, last, line)

    def is_told_late(self, schedule: str, slot: float) -> bool:
        """Whether a recovery accounts for a slot."""
        return any(name == schedule and first <= slot <= last for name, first, last in self.told_late)

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

    # --- accounts -------------------------------------------------------------------------------------------

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
            self._check_is_slot(known, line, slot)
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
        counts = {rule.count(math.nextafter(line.slot, -math.inf), last) for rule in known.rules}
        if counts and not min(counts) <= count <= max(counts):
            wanted = many(max(counts), "slot")
            says = f"schedule {line.schedule}: expected {wanted} from {line.slot} to {last}, got: {count}"
            self._findings.say("slot without an account", says, known.added, line)
        for end in {line.slot, last}:
            self._check_is_slot(known, line, end)
        self._account(known, line.slot, last, line)

    def _check_is_slot(self, known: Schedule, line: Line, slot: float) -> None:
        if known.rules and not any(_between(rule, slot, slot) for rule in known.rules):
            says = f"schedule {line.schedule}: {slot} is no slot of {known.added.when!r}" if known.added else ""
            self._findings.say("slot without an account", says, known.added, line)

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
        if known.to is not None and known.rules and len(self.passed) < PASSED_KEPT_MAX:
            certain = _certain_slots(known.rules, known.to, math.nextafter(first, -math.inf))
            if certain:
                self.passed.append(Passed(line.schedule or "", certain, known.line, line))
        known.to = last if known.to is None else max(known.to, last)
        known.line = line


def _certain_slots(rules: tuple[Rule, ...], start: float, end: float) -> tuple[float, ...]:
    """The first few slots after `start` up to `end` that are due whichever of the rules is meant."""
    certain: set[float] | None = None
    for rule in rules:
        slots = {due.slot for due in itertools.islice(rule.between(start, end), NAMED_SLOTS_MAX)}
        certain = slots if certain is None else certain & slots
        if not certain:
            return ()
    return tuple(sorted(certain or ()))


def _between(rule: Rule, first: float, last: float) -> bool:
    return next(iter(rule.between(math.nextafter(first, -math.inf), last)), None) is not None


def _rules(line: Line) -> tuple[Rule, ...]:
    """Every rule that the line may mean: what happens in a gap or a fold of local time is not always said."""
    return tuple(_possible(line))


def _possible(line: Line) -> Iterator[Rule]:
    gaps = [line.dst_gap] if line.dst_gap is not None else ["run_after", "skip"]
    folds = [line.dst_fold] if line.dst_fold is not None else ["first", "second", "both"]
    try:
        first = parse_when(line.when, timezone=line.timezone or "UTC")
        yield first
        if (line.timezone or "UTC") == "UTC" or line.when is None or line.when.startswith("@"):
            return
        for gap, fold in itertools.product(gaps, folds):
            yield parse_when(line.when, timezone=line.timezone or "UTC", dst_gap=gap, dst_fold=fold)
    except LamplighterError:
        # A rule or a zone that is unknown here: nothing can be said about its slots.
        return
