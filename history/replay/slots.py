"""The replay of slots: each one fired or was skipped, once, and none passed unmentioned.

Slots of a schedule are accounted for in order, so between two accounts that follow one another there is no slot.
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...cron.when import Rule, parse_when
from ...errors import LamplighterError
from ...messages.clock_steps import STEP_SECONDS_MIN
from ...rules.wording import many
from ..log_files.lines import Line, LoggedMove
from .findings import Findings
from .logged_moves import ReplayedMove, slot_named_by

NAMED_SLOTS_MAX = 100
"""The most slots of one stretch that are kept: the first."""


@dataclass(frozen=True, slots=True)
class Change:
    """A schedule from an instant on.

    Attributes:
        number: its number on the store, by which changes follow one another.
        at: when it was stored, or when an application had changed it in a transaction of its own.
        rules: every rule that it may mean; none where its slots are unknown.
    """

    number: int | None
    at: float
    rules: tuple[Rule, ...]
    when: str | None
    line: Line

    @property
    def key(self) -> tuple[int | None, str | None]:
        """The identity of the change among those of its schedule, however often it is logged."""
        return self.number, self.when

    def follows(self, number: int | None) -> bool:
        return number is None or self.number is None or self.number > number

    def has(self, slot: float) -> bool:
        """Whether one of its rules has this slot."""
        just_before = math.nextafter(slot, -math.inf)
        return not self.rules or any(any(rule.between(just_before, slot)) for rule in self.rules)

    def objections(self, first: float, last: float, count: int) -> Iterator[str]:
        """Why these cannot be so many consecutive slots."""
        if not self.rules:
            return
        counts = {rule.count(math.nextafter(first, -math.inf), last) for rule in self.rules} if last > first else {1}
        if not min(counts) <= count <= max(counts):
            yield f"expected {many(max(counts), 'slot')} from {first} to {last}, got: {count}"
        for end in dict.fromkeys((first, last)):
            if not self.has(end):
                yield f"{end} is no slot of {self.when!r}"

    def certain_slots(self, start: float, end: float) -> tuple[float, ...]:
        """The first few slots after `start` up to `end` that are due by each of its rules."""
        certain: set[float] | None = None
        for rule in self.rules:
            slots = {due.slot for due in itertools.islice(rule.between(start, end), NAMED_SLOTS_MAX)}
            certain = slots if certain is None else certain & slots
        return tuple(sorted(certain or ()))


def _rules(move: LoggedMove) -> Iterator[Rule]:
    """Every rule that a move may mean: the treatment of gaps and folds may not be logged."""
    gaps = [move.gap] if move.gap is not None else ["run_after", "skip"]
    folds = [move.fold] if move.fold is not None else ["first", "second", "both"]
    zone = move.tz or "UTC"
    try:
        yield parse_when(move.when, timezone=zone)
        if zone == "UTC" or move.when is None or move.when.startswith("@"):
            return
        for gap, fold in itertools.product(gaps, folds):
            yield parse_when(move.when, timezone=zone, dst_gap=gap, dst_fold=fold)
    except LamplighterError:
        # A rule or a zone that is unknown here: its slots are unknown.
        return


FIRED_KEPT_MAX = 512
"""Fired slots that are remembered of each schedule, the newest."""

UNORDERED_MAX = 64
"""Accounts of a schedule that wait for others which several processes have written in between."""

PASSED_KEPT_MAX = 200
"""Stretches without an account that are kept until the end, when missing parts are known."""

DOUBTS_KEPT_MAX = 1_000
"""Accounts that a schedule's rule does not allow; a change that is logged later may explain them."""

LATE_KEPT_MAX = 10_000
"""Accounts of a schedule that came after those of later slots."""

CHANGES_KEPT_MAX = 64


@dataclass(frozen=True, slots=True)
class Passed:
    """Slots between two accounts, `start` and `end`, without an account."""

    schedule: str
    change: Change
    start: float
    end: float
    slots: tuple[float, ...]
    before: Line | None
    after: Line

    def is_explained_by(self, other: Change, slot: float) -> bool:
        """Whether another change was in force that does not have this slot, or ended the time that it belongs to."""
        if not other.follows(self.change.number):
            return False
        if slot <= other.at:
            # Slots that were due when it was stored belong to the rule before it, or to none.
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
        if not other.follows(self.change.number) or self.first <= other.at:
            return False
        return not any(other.objections(self.first, self.last, self.count))


@dataclass(slots=True)
class ToldSchedule:
    name: str
    # The rule now; None when it was removed, or no line has it.
    change: Change | None = None
    # The number of the newest change, whether it was removed since or not.
    change_no: int | None = None
    changes: deque[Change] = field(default_factory=lambda: deque(maxlen=CHANGES_KEPT_MAX))
    # The instant up to which its slots are accounted for; None until something says so.
    to: float | None = None
    line: Line | None = None
    fired: OrderedDict[float, tuple[str, ReplayedMove]] = field(default_factory=OrderedDict)
    waiting: list[tuple[float, float, Line]] = field(default_factory=list)
    # Accounts of slots that come after accounts of later ones, and changes that were logged after others: logs may be
    # read in any order, and the boot that buries another logs late what that one did.
    late: list[tuple[float, float]] = field(default_factory=list)
    late_changes: list[Change] = field(default_factory=list)


class SlotReplay:
    """Replays what a store's ledger says of schedules and slots."""

    def __init__(self, findings: Findings) -> None:
        self.schedules: dict[str, ToldSchedule] = {}
        self.passed: list[Passed] = []
        self.doubts: list[Doubt] = []
        # Slots with two jobs, or on a server with one job that was born twice.
        self.doubled: list[tuple[str, ReplayedMove, ReplayedMove]] = []
        self.accounted = 0
        self.redelivers = False
        self._findings = findings

    def hear(self, step: ReplayedMove) -> None:
        move = step.move
        if move.k == "recounted":
            self._recount(step)
        if move.s is None:
            return
        known = self._schedule(move.s)
        match move.k:
            case "schedule.added" | "schedule.changed":
                # Slots that were due at the change count to the old rule or to none; from then on, to the new one.
                since = step.at if move.since is None else move.since
                self._changed(known, Change(move.number, since, tuple(_rules(move)), move.when, step.line), step)
            case "schedule.removed":
                self._flush(known)
                known.change, known.to = None, None
            case "skipped" if move.t is not None:
                self._skipped(known, step, move.t)
            case "taken" if move.t is not None:
                self._account(known, move.t, move.t, step)

    def fired(self, step: ReplayedMove) -> None:
        """A job was born that may be a slot's."""
        move = step.move
        if move.s is None or move.t is None:
            return
        known, slot = self._schedule(move.s), move.t
        if slot_named_by(move.j, move.s) != slot:
            says = f"job {move.j} is said to be of slot {slot} of schedule {move.s}, which its id is not"
            self._findings.say("slot without an account", says, step.line)
        earlier = known.fired.get(slot)
        if earlier is not None:
            says = f"slot {slot} of schedule {move.s} fired for job {earlier[0]} and for job {move.j}"
            self.doubled.append((says, earlier[1], step))
            return
        known.fired[slot] = (move.j, step)
        self.accounted += 1
        if len(known.fired) > FIRED_KEPT_MAX:
            known.fired.popitem(last=False)
        self._check(known, step, slot, slot, 1)
        self._account(known, slot, slot, step)

    def is_told_late(self, passed: Passed, slot: float) -> bool:
        """Whether late lines account for a passed slot, or explain why nothing does."""
        known = self.schedules[passed.schedule]
        if any(first <= slot <= last for first, last in known.late):
            return True
        return any(passed.is_explained_by(change, slot) for change in known.late_changes)

    def finish(self) -> None:
        for known in self.schedules.values():
            self._flush(known)
        for doubt in self.doubts:
            if not any(map(doubt.is_explained_by, self.schedules[doubt.schedule].late_changes)):
                self._say(doubt)

    def _schedule(self, name: str) -> ToldSchedule:
        known = self.schedules.get(name)
        if known is None:
            known = self.schedules[name] = ToldSchedule(name)
        return known

    def _recount(self, step: ReplayedMove) -> None:
        """The clock was set back: accounts of the future count from now."""
        # By another boot, or by a clock that was set forward since.
        is_late = step.line.told_by is not None or step.line.ts >= step.at + STEP_SECONDS_MIN
        for known in self.schedules.values():
            if known.waiting or (known.to is not None and known.to > step.at):
                self._flush(known)
                if is_late and known.to is not None:
                    # Others may have accounted for these slots once more since.
                    self._keep_late(known, step.at, known.to)
                known.to, known.line = step.at if known.to is None else min(known.to, step.at), step.line

    def _changed(self, known: ToldSchedule, change: Change, step: ReplayedMove) -> None:
        """The schedule is another one from now on, unless it was changed again since."""
        if any(change.key == other.key for other in known.changes):
            return
        known.changes.append(change)
        is_late = step.line.told_by is not None
        if not change.follows(known.change_no) or (is_late and known.change_no is None):
            known.late_changes.append(change)
            return
        self._flush(known)
        start = change.at
        if is_late:
            known.late_changes.append(change)
            # It may have been stored in a future before the clock was set back, and others may have fired by it.
            start = min(start, step.line.ts)
            start = start if known.to is None else max(start, known.to)
        known.change, known.change_no, known.to, known.line = change, change.number, start, step.line

    def _skipped(self, known: ToldSchedule, step: ReplayedMove, slot: float) -> None:
        move = step.move
        last = slot if move.l is None else move.l
        count = 1 if move.x is None else move.x
        self.accounted += count
        if last < slot or count < 1 or (count == 1) != (last == slot):
            says = f"schedule {move.s}: {many(count, 'slot')} cannot lie from {slot} to {last}"
            self._findings.say("slot without an account", says, step.line)
            return
        self._check(known, step, slot, last, count)
        self._account(known, slot, last, step)

    def _check(self, known: ToldSchedule, step: ReplayedMove, first: float, last: float, count: int) -> None:
        change = known.change
        if change is None or not any(change.objections(first, last, count)):
            return
        is_older = step.line.told_by is not None or step.at < change.at
        if is_older and any(not any(other.objections(first, last, count)) for other in known.changes):
            # A late turn has used a rule that has changed since.
            return
        doubt = Doubt(known.name, change, first, last, count, step.line)
        if len(self.doubts) < DOUBTS_KEPT_MAX:
            self.doubts.append(doubt)
        else:
            self._say(doubt)

    def _say(self, doubt: Doubt) -> None:
        for objection in doubt.change.objections(doubt.first, doubt.last, doubt.count):
            says = f"schedule {doubt.schedule}: {objection}"
            self._findings.say("slot without an account", says, doubt.change.line, doubt.line)

    def _account(self, known: ToldSchedule, first: float, last: float, step: ReplayedMove) -> None:
        if step.line.told_by is not None and step.at > step.line.ts:
            # It was stored before the clock was set back, and is logged after: the slots count anew from the step on.
            self._keep_late(known, first, last)
            return
        known.waiting.append((first, last, step.line))
        if len(known.waiting) > UNORDERED_MAX:
            known.waiting.sort(key=lambda account: account[0])
            self._close(known, known.waiting.pop(0))

    def _flush(self, known: ToldSchedule) -> None:
        for account in sorted(known.waiting, key=lambda account: account[0]):
            self._close(known, account)
        known.waiting.clear()

    def _close(self, known: ToldSchedule, account: tuple[float, float, Line]) -> None:
        """The slots between the account before and this one should be none."""
        first, last, line = account
        if known.to is not None and known.change is not None and len(self.passed) < PASSED_KEPT_MAX:
            certain = known.change.certain_slots(known.to, math.nextafter(first, -math.inf))
            if certain:
                self.passed.append(Passed(known.name, known.change, known.to, first, certain, known.line, line))
        if known.change is None or (known.to is not None and last <= known.to):
            self._keep_late(known, first, last)
        known.to = last if known.to is None else max(known.to, last)
        known.line = line

    def _keep_late(self, known: ToldSchedule, first: float, last: float) -> None:
        if len(known.late) < LATE_KEPT_MAX:
            known.late.append((first, last))
