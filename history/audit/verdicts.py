"""Findings that can be made only at the end of a log: missing numbers, lost jobs, and the parts before and after it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...rules.wording import many
from ..log_files.lines import Line
from ..replay.boots import BootReplay
from ..replay.findings import GIVEN_UP, Kind, named, stretch
from ..replay.logged_moves import ANY_BOOT, DoubtfulMove
from ..replay.replay import Replay, StoreReplay
from .store_check import Kept

if TYPE_CHECKING:
    from .store_check import StoreView

STARTING_SECONDS_MAX = 60.0
"""A boot has a number before it says its first line, and does so within this time, or is hung."""

ON_A_SERVER = (
    "the log is of a store that may deliver a job again, as a RabbitMQ, where each job is judged by itself: whether "
    "one is missing of which no line is left, and whether one that has not ended is still in its queue, cannot be said"
)


class Verdicts:
    """Judges the final state of a replay."""

    def __init__(self, replay: Replay) -> None:
        self.notes: list[str] = []
        self.kept = Kept()
        self.crashes = replay.crashes
        self._replay = replay
        self._findings = replay.findings
        self._dropped = sum(boot.dropped for boot in replay.boots.values())
        self.hushed = [boot for boot in replay.boots.values() if _is_hushed(boot)]

    def judge(self, compared: StoreReplay | None, view: StoreView | None) -> None:
        replay = self._replay
        self._say_dropped([boot for boot in replay.boots.values() if boot.dropped])
        if self.hushed:
            self.notes.append(
                f"boot {_named(self.hushed)} tells no turns (at info, each is one line): what they did, and whether it "
                "was well, cannot be said"
            )
        for store in replay.stores.values():
            store.slots.finish()
            self._judge_store(store, view if store is compared else None)
        self._say_uncompared([store for store in replay.stores.values() if store is not compared])
        if replay.copies:
            stand = "line stands" if replay.copies == 1 else "lines stand"
            self.notes.append(f"{replay.copies:,} {stand} in the log more than once")
        self._judge_lines()

    def _judge_store(self, store: StoreReplay, view: StoreView | None) -> None:
        boots = [boot for boot in store.boots.values() if boot not in self.hushed]
        missing = [gap for boot in boots for gap in self._missing_turns(boot)]
        is_missing_boot = not store.redelivers and self._judge_numbers(store)
        headless = [boot for boot in boots if boot.is_headless]
        # Anything may have happened before the first line.
        begins_later = bool(headless) or (not store.redelivers and min(store.numbers, default=1) > 1)
        may_be_missing = begins_later or bool(missing) or is_missing_boot or bool(self.hushed)
        is_doubtful = may_be_missing or (store.redelivers and self._replay.is_troubled)
        store.jobs.settle(may_be_missing=is_doubtful, kept=self.kept.moves)
        self._say_ends(store, headless, view)
        if store.jobs.headless:
            self.notes.append(_whence(store, may_be_missing))
        if store.redelivers:
            self._judge_server(store)
        else:
            for says, earlier, later in store.slots.doubled:
                self._findings.say("fired twice", says, earlier.line, later.line)
            for doubt in () if missing or is_missing_boot else store.jobs.doubtful:
                self._say_doubt(doubt)
            if not (missing or is_missing_boot):
                store.steps.finish()
            if view is None and not (missing or is_missing_boot):
                # Where a turn is missing, it may have given them back.
                self._say_lost(store)
        if not is_doubtful:
            self._judge_slots(store, view)
        elif store.slots.passed:
            times = many(len(store.slots.passed), "time")
            self.notes.append(f"slots of a schedule passed of which no line tells, {times}")
        self._judge_limits(store, is_doubtful=is_doubtful)

    def _missing_turns(self, boot: BootReplay) -> list[tuple[int, int]]:
        """Turns of a boot that no line tells, though what lies around them is there."""
        last = max(boot.turns.last, boot.last_turn)
        # A boot that began before the log, or has no line in it, misses no earlier turn.
        first = 1 if boot.begins or boot.is_operator else boot.turns.first or last + 1
        gaps = [
            gap
            for gap in boot.turns.gaps(first, last)
            if not all((boot.name, turn) in self.kept.turns for turn in _some(*gap))
        ]
        for start, end in gaps:
            says = f"{stretch('turn', start, end, f' of boot {boot.name}')} told by no line"
            if end > boot.turns.last:
                says += ", and it is said to have come so far"
            shown = boot.last_said if end > boot.turns.last else boot.line
            is_counted = boot.is_counted and end < boot.turns.last
            self._say("missing turns", says, end - start + 1, shown, is_counted=is_counted)
        return gaps

    def _say_dropped(self, boots: list[BootReplay]) -> None:
        if boots:
            lines = named(f"{many(boot.dropped, 'line')} of boot {boot.name}" for boot in boots)
            self.notes.append(
                f"log.dropped says that {lines} could not be written ({boots[-1].dropped_because}): what is missing "
                "may be no more than these"
            )

    def _say_uncompared(self, stores: list[StoreReplay]) -> None:
        """Report open jobs that were not compared: their store may be gone, and they with it."""
        left = [store for store in stores if store.jobs.open and not store.redelivers]
        if left:
            number, ids = sum(len(store.jobs.open) for store in left), named(store.store_id for store in left)
            are = "is" if number == 1 else "are"
            self.notes.append(f"{many(number, 'unfinished job')} {are} in a store that was not compared: {ids}")

    def _judge_numbers(self, store: StoreReplay) -> bool:
        """Whether the whole log of a boot is missing: those of a store are numbered."""
        numbers = store.numbers
        beginnings = [number for number, boot in numbers.items() if boot.begins]
        if not beginnings:
            return False
        least, found = min(beginnings), False
        for number in range(least, max(numbers)):
            if number in numbers:
                continue
            burial = store.buried.get(number)
            turns = range(0) if burial is None else _some(1, burial.last_turn)
            if burial is not None and burial.last_turn == 0:
                self.notes.append(f"boot {burial.boot} (number {number}) died before it had changed anything")
            elif burial is not None and all((burial.boot, turn) in self.kept.turns for turn in turns):
                continue
            elif burial is None and _may_be_starting(store, number):
                self.notes.append(f"boot number {number} was there, and nothing in this log is of it yet")
            else:
                after = next(boot for other, boot in sorted(numbers.items()) if other > number)
                says = f"the log of boot number {number} of store {store.store_id} is missing"
                self._findings.say("missing boot", says, burial.line if burial is not None else after.line)
                found = True
        return found

    def _say_ends(self, store: StoreReplay, headless: list[BootReplay], view: StoreView | None) -> None:
        """Note the parts that are missing before and after the log. A boot that lived then need not have logged
        anything since.
        """
        least = min(store.numbers, default=1)
        if headless:
            turns = named(f"{boot.name} at turn {boot.turns.first}" for boot in headless)
            self.notes.append(f"the log begins in the middle: boot {turns}")
        if least > 1:
            beside = sorted({number for boot in store.boots.values() for number in boot.beside or () if number < least})
            numbers = named(map(str, beside))
            known = f", and nothing in it is of number {numbers}, which lived then: give its log too" if beside else ""
            self.notes.append(f"the log begins with boot number {least} of store {store.store_id}{known}")
        if view is not None and view.boots_wanted > max(store.numbers, default=0):
            boots = many(view.boots_wanted, "boot")
            self.notes.append(f"the store has had {boots}: nothing in this log is of the last; give its log too")

    def _say_lost(self, store: StoreReplay) -> None:
        """Report jobs that still ran when their boot had stopped, or had its claims taken back."""
        for job_id, job in store.jobs.open.items():
            boot = self._replay.boots.get(job.boot)
            if job.state == "running" and not job.is_deferred and boot is not None and boot.ended is not None:
                how = "has stopped" if boot.ended == "stopped" else "died and was recovered"
                says = f"job {job_id} was running on boot {job.boot}, which {how}, and was not given back"
                self._findings.say("lost", says, job.step.line)

    def _judge_slots(self, store: StoreReplay, view: StoreView | None) -> None:
        """Slots between two accounts that nothing accounts for."""
        for passed in store.slots.passed:
            slots = tuple(slot for slot in passed.slots if not store.slots.is_told_late(passed, slot))
            if view is not None:
                slots = tuple(slot for slot in slots if not view.accounts_for(passed.schedule, slot))
            elif any(is_silent(boot, passed.after) for boot in store.boots.values()):
                # The boot may be dead, and only its burial will tell what its last turn has skipped.
                continue
            if slots:
                more = "" if len(slots) == 1 else f" and {len(slots) - 1} after it"
                says = f"slot {slots[0]} of schedule {passed.schedule}{more} neither fired nor was skipped"
                self._findings.say("slot without an account", says, passed.before, passed.after)

    def _judge_limits(self, store: StoreReplay, *, is_doubtful: bool) -> None:
        """Report more than limits allow, judged by instants. Where a turn is missing, groups are not judged."""
        if any(boot.has_jumped or boot.turned_back for boot in store.boots.values()):
            # A clock was set while the store was used: then the instants of its turns have no order, and a step ahead
            # makes starts look further apart than they were.
            if any(store.rates.rates.values()):
                self.notes.append("the clock was set: whether jobs were started faster than their rate cannot be said")
            return
        store.groups.finish()
        for one in store.rates.too_fast:
            self._findings.say("too fast", one.says, one.line)
        for one in store.jobs.put_off:
            self._findings.say("put off too long", one.says, one.line)
        for many_of in () if is_doubtful else store.groups.too_many:
            self._findings.say("too many of a group", many_of.says, many_of.line)

    def _judge_server(self, store: StoreReplay) -> None:
        jobs, replay = store.jobs, self._replay
        self.notes.append(ON_A_SERVER)
        excused = 0
        for doubt in jobs.doubtful:
            if self._is_excused(doubt):
                excused += 1
            else:
                self._say_doubt(doubt)
        doubled = 0
        for says, earlier, later in store.slots.doubled:
            if earlier.boot != later.boot and {earlier.boot, later.boot} <= replay.leaders:
                doubled += 1
            else:
                self._findings.say("fired twice", f"{says}, with no other leader", earlier.line, later.line)
        dead = [
            name
            for name, step in jobs.bereft.items()
            if (boot := replay.boots.get(name)) is not None and boot.ended is None and is_silent(boot, step.line)
        ]
        self.crashes += len(dead)
        if jobs.repeated:
            ended = many(len(jobs.repeated), "job")
            self.notes.append(f"{ended} ended more than once: the server had delivered them again")
        if doubled:
            self.notes.append(f"{many(doubled, 'slot')} fired by two leaders, within a takeover")
        if replay.is_troubled:
            self.notes.append("a connection or a broker was lost: what it had done last need not have been told")
        if replay.lost_operators:
            who = named(sorted(replay.lost_operators))
            self.notes.append(f"operator {who} was lost while it acted: what was done by then need not have been told")
        if dead:
            self.notes.append(f"boot {named(dead)} died: a job of it was delivered again, and it said nothing more")
        if excused:
            self.notes.append(
                f"{many(excused, 'move')} may follow one that no line tells: a process was dead that may have made it"
            )

    def _say_doubt(self, doubt: DoubtfulMove) -> None:
        before = doubt.before
        self._findings.say(doubt.kind, doubt.says, None if before is None else before.line, doubt.step.line)

    def _is_excused(self, doubt: DoubtfulMove) -> bool:
        """Whether a crash or lost connection lets a job run twice, or a move go unlogged."""
        if self._replay.is_troubled:
            return True
        boots = self._replay.boots
        if doubt.by == ANY_BOOT and self._replay.lost_operators:
            return True
        suspects = boots.values() if doubt.by == ANY_BOOT else [boots[doubt.by]] if doubt.by in boots else []
        return any(is_silent(boot, doubt.step.line) for boot in suspects)

    def _judge_lines(self) -> None:
        replay = self._replay
        for name, lines in replay.lines_of.items():
            boot = replay.boots[name]
            for turn, kind, job_id, line in lines.finish(boot.turns.last, is_over=boot.ended == "stopped"):
                if boot.is_counted:
                    # The numbers of its lines show the missing ones.
                    continue
                says = f"turn {turn} of boot {name} tells that job {job_id} was {kind}, and no line of its own does"
                self._say("missing lines", says, 1, line)
            if boot.turns and (stray := lines.of_no_turn) is not None:
                says = f"{stray.event} of {stray.job_id}: expected the number of its turn, got none"
                self._findings.say("told otherwise", says, stray)
            if boot.turns and not boot.is_disordered:
                for turn, line in lines.waiting():
                    if turn < 1 or turn in boot.turns:
                        says = f"it is said to be of turn {turn} of boot {name}, which is none or was long before it"
                        self._findings.say("told otherwise", says, line)
        kinds = sorted({kind for lines in replay.lines_of.values() for kind in lines.unheard})
        if kinds:
            self.notes.append(f"lines that are left out of this log: {', '.join(kinds)}")
        quiet = [boot for boot in replay.boots.values() if boot.silences]
        if quiet:
            self.notes.append(f"boot {_named(quiet)} was not at debug all the time")
        back = [boot for boot in replay.boots.values() if boot.went_back and not boot.has_jumped]
        if back:
            self.notes.append(f"the times of boot {_named(back)} go back, and no clock.jumped of it says so")
        for boot in replay.boots.values():
            self._judge_gaps(boot)

    def _judge_gaps(self, boot: BootReplay) -> None:
        if not boot.loud:
            return
        for gap in boot.gaps:
            missing = sum(last - first + 1 for first, last in boot.seqs.gaps(gap.first, gap.last))
            if missing:
                says = f"{stretch('line', gap.first, gap.last)} missing of boot {boot.name}"
                self._say("missing lines", says, missing, *gap.lines)

    def _say(self, kind: Kind, says: str, number: int, *lines: Line | None, is_counted: bool = False) -> None:
        """Report what is missing, excused where `log.dropped` announced it.

        Args:
            number: how many lines are missing.
            is_counted: whether other findings count these lines already.
        """
        excused = number <= self._dropped
        self._dropped -= number if excused and not is_counted else 0
        self._findings.say(kind, says + (GIVEN_UP if excused else ""), *lines, excused=excused)


def _whence(store: StoreReplay, may_be_missing: bool) -> str:
    """The possible origins of jobs whose birth no line tells."""
    jobs = many(store.jobs.headless, "job")
    if may_be_missing or store.redelivers:
        return f"{jobs} began before this log, or in the log of another process"
    return (
        f"no line tells who queued {jobs}: another process, most likely; give the audit the logs of all processes on "
        "the store, of those that only queue too"
    )


def is_silent(boot: BootReplay, since: Line) -> bool:
    """Whether a boot that has not logged its stop is silent by the time of a line."""
    return boot.ended is None and boot.line is not None and boot.name != since.boot and boot.line.ts < since.ts


def _may_be_starting(store: StoreReplay, number: int) -> bool:
    """Whether a boot may not have logged anything yet: its successor lives beside it, and not for long."""
    after = [boot for boot in store.boots.values() if boot.number is not None and boot.number > number]
    return all(
        (boot.beside is None or number in boot.beside)
        and boot.ended is None
        and (boot.line is None or abs(boot.line.ts - boot.first) < STARTING_SECONDS_MAX)
        for boot in after
    )


def _is_hushed(boot: BootReplay) -> bool:
    """Whether a boot logs, but never its moves: at warning, or on a console that shows no moves."""
    return not boot.turns and boot.line is not None and (not boot.audible or boot.tells_moves)


def _named(boots: Iterable[BootReplay]) -> str:
    return named(boot.name for boot in boots)


def _some(first: int, last: int) -> range:
    """The turns of a gap, as many as a boot keeps at the most."""
    return range(max(first, last - 100), last + 1)
