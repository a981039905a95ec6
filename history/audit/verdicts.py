"""What can be said only at the end of a log: what is missing, what is lost, and whether the store agrees."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..log_files.lines import Line
from .boot_replay import BootReplay
from .number_ranges import Revisions
from .report import Findings, many
from .store_check import compare

if TYPE_CHECKING:
    from .file_replay import Fold, Voices
    from .store_view import StoreView


def judge_end(fold: Fold, findings: Findings, store: StoreView | None) -> list[str]:
    """Judge what one store's log has come to; what could not be judged is said in notes."""
    notes: list[str] = []
    agreed = None if store is None else compare(fold, findings, store)
    gaps = _missing_revisions(fold, agreed.explained if agreed else frozenset(), agreed.rev if agreed else 0)
    if fold.is_loud and fold.silences:
        gaps = _untold_aloud(fold, gaps, notes)
    budget = sum(boot.dropped for boot in fold.boots.values())
    if store is not None and fold.jobs.first_own == 0 and store.rev_wanted:
        notes.append(f"the log tells no transition, and the store has come to revision {store.rev_wanted}")
    untold = sum(last - first + 1 for first, last in gaps)
    if fold.copies:
        stand = "line stands" if fold.copies == 1 else "lines stand"
        notes.append(f"{fold.copies:,} {stand} in the log more than once")
    if fold.hushed:
        notes.append("this log is at warning; endings are told at info: what was lost or is missing cannot be said")
    elif fold.is_loud or (store is not None and not fold.jobs.told_endings):
        for first, last in gaps:
            budget = _tell_gap(fold, findings, first, last, budget)
    elif untold and store is None:
        belong = "may belong to jobs that had not ended when the log did, or to missing lines; --store can tell"
        notes.append(f"{many(untold, 'revision')} {belong}")
    elif untold:
        ends = fold.jobs.told_endings
        notes.append(f"{many(untold, 'revision')} may belong to {many(ends, 'job')} whose end only a recovery has told")
    tell_missing_lines(fold, findings, gaps, budget)
    tell_passed_slots(fold, findings, store)
    if store is None and not fold.hushed:
        _tell_lost(fold, findings)
    return notes


def _missing_revisions(fold: Fold, explained: frozenset[int], last_wanted: int) -> list[tuple[int, int]]:
    jobs = fold.jobs
    if jobs.first_own == 0:
        return []
    missing = list(jobs.seen.gaps(jobs.first_own, max(jobs.seen.last, last_wanted)))
    if fold.is_loud:
        # A revision that only a sum has had a line of its own, which is missing. Lines before the log are not.
        missing += [(rev, rev) for rev in jobs.only_summed if rev >= jobs.first_own]
    known = Revisions()
    for rev in sorted(explained):
        known.add(rev)
    return [gap for first, last in _joined(sorted(missing)) for gap in known.gaps(first, last)]


def _untold_aloud(fold: Fold, gaps: list[tuple[int, int]], notes: list[str]) -> list[tuple[int, int]]:
    """Gaps that do not lie where a boot did not log at debug; what does is noted."""
    hidden = Revisions()
    for silence in fold.silences:
        first, last = silence.rev_before + 1, sys.maxsize if silence.rev_after is None else silence.rev_after - 1
        if first <= last:
            hidden.fill(first, last)
    kept = [gap for first, last in gaps for gap in hidden.gaps(first, last)]
    boots = ", ".join(boot.name for boot in fold.boots.values() if boot.silences)
    number = sum(last - first + 1 for first, last in gaps) - sum(last - first + 1 for first, last in kept)
    says = "where only sums tell of steps, nobody can tell whether a line is missing"
    notes.append(f"boot {boots} was not at debug all the time ({many(number, 'revision')}): {says}")
    return kept


def _joined(ranges: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    held: tuple[int, int] | None = None
    for first, last in ranges:
        if held is not None and first <= held[1] + 1:
            held = (held[0], max(held[1], last))
            continue
        if held is not None:
            yield held
        held = (first, last)
    if held is not None:
        yield held


def _tell_gap(fold: Fold, findings: Findings, first: int, last: int, budget: int) -> int:
    """Report the revisions that have no line. Return how many more lost lines the log itself has reported."""
    number = last - first + 1
    excused = number <= budget
    what = f"revision {first} is" if number == 1 else f"revisions {first} to {last} are"
    own = fold.is_loud and all(rev in fold.jobs.only_summed for rev in range(first, last + 1))
    says = f"{what} told by no line of its own, only summed up" if own else f"{what} told by no line"
    if excused:
        says += "; log.dropped says that lines were lost"
    elif last > fold.jobs.seen.last:
        says += ", and the store has come so far"
    before, after = next(
        ((before, after) for start, end, before, after in fold.jumps if start <= first and last <= end), (None, None)
    )
    findings.say("missing revisions", says, before, after, excused=excused)
    return budget - number if excused else budget


def tell_missing_lines(fold: Voices, findings: Findings, gaps: list[tuple[int, int]], budget: int) -> None:
    """Report missing lines of a boot that logs everything, though none of their revisions is missing."""
    for boot in fold.boots.values():
        if not boot.loud:
            continue
        for gap in boot.gaps:
            missing = sum(last - first + 1 for first, last in boot.seqs.gaps(gap.first, gap.last))
            after = gap.rev_after
            same = any(last > gap.rev_before and (after is None or first < after) for first, last in gaps)
            if not missing or same:
                continue
            excused = missing <= budget
            budget -= missing if excused else 0
            what = f"line {gap.first} is" if gap.first == gap.last else f"lines {gap.first} to {gap.last} are"
            said = "; log.dropped says that lines were lost" if excused else ""
            says = f"{what} missing of boot {boot.name}{said}"
            findings.say("missing lines", says, gap.before, gap.after, excused=excused)


def tell_passed_slots(fold: Voices, findings: Findings, store: StoreView | None) -> None:
    """Slots between two accounts that nothing accounts for."""
    if not fold.is_loud:
        # Fired slots have lines at debug; at info they are known only once their jobs have ended.
        return
    for passed in fold.slots.passed:
        since = passed.before.ts if passed.before is not None else 0.0
        if any(silence.since <= passed.after.ts and since <= silence.until for silence in fold.silences):
            continue
        slots = tuple(slot for slot in passed.slots if not fold.slots.is_told_late(passed, slot))
        if store is not None:
            slots = tuple(slot for slot in slots if not store.accounts_for(passed.schedule, slot))
        elif any(is_silent(boot, passed.after) for boot in fold.boots.values()):
            # The boot may be dead, and only the boot that finds it dead will log what its last turn has skipped.
            continue
        if slots:
            more = "" if len(slots) == 1 else f" and {len(slots) - 1} after it"
            says = f"slot {slots[0]} of schedule {passed.schedule}{more} neither fired nor was skipped"
            findings.say("slot without an account", says, passed.before, passed.after)


def is_silent(boot: BootReplay, since: Line) -> bool:
    """Whether a boot that has not said that it stopped says nothing any more when a line is written."""
    return boot.ended is None and boot.line is not None and boot.name != since.boot and boot.line.ts < since.ts


def _tell_lost(fold: Fold, findings: Findings) -> None:
    """Without a store: jobs that still ran when their boot had stopped, or had been taken back what it held."""
    for job_id, job in fold.jobs.open.items():
        boot = fold.boots.get(job.boot)
        if job.state == "running" and boot is not None and boot.ended is not None:
            says = f"job {job_id} was running on boot {job.boot}, which {_how(boot.ended)}, and was not given back"
            findings.say("lost", says, job.line)


def _how(ended: str) -> str:
    return "has stopped" if ended == "stopped" else "died and was recovered"
