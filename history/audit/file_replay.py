"""What the log of one store comes to: its boots, jobs and slots, folded a line at a time."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from typing import Any

from ...log.events import EVENTS
from ...rules.lifecycle import MOVES
from ..log_files.lines import Line
from .boot_replay import BootReplay, Silence
from .job_replay import AFTER, UNKNOWN, JobFold
from .report import Findings
from .slot_replay import SlotFold

UNORDERED_MAX = 4_096
"""Transitions that wait for one with a smaller revision, when several processes write at once."""

JUMPS_KEPT_MAX = 1_000
"""Gaps of revisions whose neighbours are kept."""


class Voices(ABC):
    """The boots of a log, and how much each of them logs, on whatever kind of store."""

    def __init__(self, findings: Findings) -> None:
        self.slots = SlotFold(findings)
        self.boots: dict[str, BootReplay] = {}
        self.transitions = 0
        self.crashes = 0
        self.copies = 0
        self._findings = findings

    @property
    def is_loud(self) -> bool:
        """Whether every boot logs all that it does."""
        return bool(self.boots) and all(boot.loud for boot in self.boots.values())

    @property
    def silences(self) -> list[Silence]:
        """Where boots that log at debug did not."""
        return [silence for boot in self.boots.values() for silence in boot.silences]

    def _is_transition(self, line: Line) -> bool:
        """Whether a line with a revision is a transition of the state machine; one that is not is a finding."""
        if line.event in MOVES and line.job_id is not None and (line.rev or 0) >= 1:
            return True
        self._findings.say("illegal transition", f"{line.event} with revision {line.rev} is no transition", line)
        return False

    def _check_move(self, line: Line) -> None:
        if line.before not in MOVES[line.event][0] or line.to != AFTER[line.event]:
            says = f"job {line.job_id}: {line.event} from {line.before or 'nothing'} to {line.to}"
            self._findings.say("illegal transition", says, line)

    def _hear_deeds(self, line: Line, holder: str) -> None:
        """A move that a recovery has logged in the place of a boot that had died."""
        for deed in line.told or ():
            match deed:
                case [int() as rev, str() as event, str() as job_id, *sums] if rev > 0 and event in MOVES:
                    self._told_step(line, holder, rev, event, job_id, sums)
                case [None, "slot.skipped", str() as schedule, int() | float() as first, int() | float() as last, *_]:
                    said = stand_in(line, "slot.skipped", holder)
                    said.schedule, said.slot, said.last = schedule, first, last
                    self.slots.hear_told_skip(said)
                case [None, "schedule.added" | "schedule.changed", str(), int(), int() | float(), *how] if is_rule(how):
                    self.slots.hear_told_change(told_change(line, deed, holder), line)
                case _:
                    self._findings.say("illegal transition", f"a recovery told what no turn can do: {deed}", line)

    @abstractmethod
    def _told_step(self, line: Line, holder: str, rev: int, event: str, job_id: str, sums: list[Any]) -> None:
        """A step of a job that a recovery has logged."""


class Fold(Voices):
    """What the log of one store comes to."""

    def __init__(self, findings: Findings) -> None:
        super().__init__(findings)
        self.jobs = JobFold(findings)
        # Jobs that have not ended in the store, if there is one to ask.
        self.stored_unfinished: int | None = None
        # Boots that have logged steps of jobs and no line below warning: they do not log how jobs end.
        self.hushed: set[str] = set()
        # Revisions that only a recovery has logged: (event, job id) by revision.
        self.only_told: dict[int, tuple[str, str]] = {}
        self.jumps: list[tuple[int, int, Line | None, Line]] = []
        self._waiting: list[tuple[int, int, Line]] = []
        self._next = 1
        self._latest: Line | None = None
        # The newest transitions, each at the place that its revision gives it.
        self._recent: list[Line | None] = [None] * UNORDERED_MAX

    @property
    def born(self) -> int:
        """Jobs that were seen to be queued, or first seen later."""
        return self.jobs.born

    @property
    def unfinished(self) -> int:
        """Jobs that had not ended when the log did; at info, only the store knows all of them."""
        return len(self.jobs.open) if self.stored_unfinished is None or self.is_loud else self.stored_unfinished

    @property
    def is_whole(self) -> bool:
        """Whether these are all."""
        return self.is_loud or self.stored_unfinished is not None

    @property
    def _is_audible(self) -> bool:
        return any(boot.audible for boot in self.boots.values())

    def might_follow(self, rev: int, near: int) -> bool:
        """Whether a revision could be the next one, or nearly, of this store."""
        seen = self.jobs.seen
        return not seen or (rev not in seen and abs(rev - seen.last) <= near)

    def hear(self, line: Line) -> None:
        """Take in a line of a boot on this store."""
        boot = self.boots.get(line.boot)
        if boot is None:
            boot = self.boots[line.boot] = BootReplay(line.boot)
        is_new = boot.hear(line)
        if boot.quiet and not self.jobs.summed_overflow:
            self.jobs.forget_summed()
        if self._is_copy(line, is_new=is_new):
            self.copies += 1
            return
        if self.hushed and boot.audible:
            self.hushed.discard(boot.name)
        if line.rev is not None:
            if not boot.audible and (line.outcome != "interrupted" or not self._is_audible):
                # A boot logs that it has found another one dead before it logs, at info, that it runs.
                self.hushed.add(boot.name)
            self._transition(line)
        if line.schedule is not None:
            self.slots.hear(line)
        match line.event:
            case "runtime.stopped" | "runtime.renewed":
                boot.ended = "stopped"
            case "runtime.recovered" | "turn.recovered":
                self._recovered(line)
            case "actor.crashed":
                self.crashes += 1
                self.jobs.untellable = True
            case "store.unavailable":
                self.jobs.untellable = True
            case "clock.jumped" if line.schedules:
                self.slots.recount(line)
            case "log.dropped":
                boot.dropped += line.count or 0
            case "retention.pruned":
                self.jobs.pruned += line.rows or 0
            case "job.fenced" if (
                (line.claim_no or 0) > (line.claim_no_now or 0) and boot.loud and not self.jobs.may_be_pruned
            ):
                # Where retention removes jobs, an id may have been used again, and its claims begin anew.
                says = f"job {line.job_id}: claim {line.claim_no} was refused, and the store knows {line.claim_no_now}"
                self._findings.say("fence going back", says, line)

    def _hear_newer(self, line: Line) -> None:
        """Take in a line whose event is not known here: it has its revision, and that of what it sums up."""
        for rev in line.revs or ():
            self.jobs.seen.add(rev)
        if line.rev is not None and (self.jobs.seen.add(line.rev) or line.revs):
            self._enter(line)

    def _is_copy(self, line: Line, *, is_new: bool) -> bool:
        """Whether the log has this very line already: an application may write the events that it subscribes to into it
        again.
        """
        if line.rev is None:
            return not is_new
        known = self._recent[line.rev % UNORDERED_MAX]
        if known is None or known.rev != line.rev or known.seq != line.seq or known.boot != line.boot:
            return False
        return (known.event, known.job_id) == (line.event, line.job_id)

    def flush(self) -> None:
        """Judge what still waits for an earlier revision: none will come."""
        while self._waiting:
            self._release()
        self.slots.finish()

    def _transition(self, line: Line) -> None:
        if line.event not in MOVES and line.event not in EVENTS:
            self._hear_newer(line)
            return
        if not self._is_transition(line):
            return
        rev, jobs = line.rev or 0, self.jobs
        if not jobs.seen.add(rev) and not self._is_first_telling(line):
            return
        self.transitions += 1
        jobs.first_own = rev if jobs.first_own == 0 else min(jobs.first_own, rev)
        self._check_move(line)
        self._enter(line)

    def _is_first_telling(self, line: Line) -> bool:
        """Whether a line is the first of its own for a revision that only a sum had before. If not, it may be a
        finding.
        """
        rev, jobs = line.rev or 0, self.jobs
        if rev in jobs.only_summed:
            jobs.only_summed.discard(rev)
            return True
        told = self.only_told.pop(rev, None)
        if told == (line.event, line.job_id):
            return False
        earlier = self._told_by(rev)
        what = f"{told[0]} of job {told[1]}" if told else f"{earlier.event} of job {earlier.job_id}" if earlier else ""
        says = f"revision {rev} is told twice: {what or 'earlier'}, and {line.event} of job {line.job_id}"
        self._findings.say("revision twice", says, earlier, line)
        return False

    def _told_by(self, rev: int) -> Line | None:
        line = self._recent[rev % UNORDERED_MAX]
        return line if line is not None and line.rev == rev else None

    def _enter(self, line: Line) -> None:
        rev = line.rev or 0
        self._recent[rev % UNORDERED_MAX] = line
        if rev == self._next and not self._waiting:
            self._fold(line)
            return
        heapq.heappush(self._waiting, (rev, line.seq, line))
        while self._waiting and (self._waiting[0][0] <= self._next or len(self._waiting) >= UNORDERED_MAX):
            self._release()

    def _release(self) -> None:
        self._fold(heapq.heappop(self._waiting)[2])

    def _fold(self, line: Line) -> None:
        rev = line.rev or 0
        complete = self.boots[line.boot].loud if line.boot in self.boots else False
        if rev > self._next and complete and len(self.jumps) < JUMPS_KEPT_MAX:
            self.jumps.append((self._next, rev - 1, self._latest, line))
        self._next = max(self._next, rev + 1)
        if line.event in MOVES:
            self.jobs.fold(line, complete=complete or bool(self.hushed))
        else:
            self.jobs.fold_newer(line)
        self._latest = line

    def _recovered(self, line: Line) -> None:
        """Count the moves as logged that a dead boot or broker had committed last and may not have logged."""
        holder = line.dead_boot or line.boot
        self.jobs.untellable = True
        if line.dead_boot is not None:
            self.crashes += 1
            self.boots.setdefault(holder, BootReplay(holder, loud=self.boots[line.boot].loud)).ended = "recovered"
        self._hear_deeds(line, holder)

    def _told_step(self, line: Line, holder: str, rev: int, event: str, job_id: str, sums: list[Any]) -> None:
        if not self._is_news(line, rev, event, job_id):
            return
        said = stand_in(line, event, holder)
        said.job_id, said.rev, said.before = job_id, rev, UNKNOWN
        said.revs = [one for one in sums[0] if isinstance(one, int)] if sums and isinstance(sums[0], list) else None
        self._enter(said)
        if event == "job.queued":
            self.slots.hear_told(job_id, said)

    def _is_news(self, line: Line, rev: int, event: str, job_id: str) -> bool:
        """Whether no line has this step of a turn. A line that contradicts it is a finding."""
        known = self._told_by(rev)
        if self.jobs.seen.add(rev) or rev in self.jobs.only_summed:
            self.jobs.only_summed.discard(rev)
            self.only_told[rev] = (event, job_id)
            self.transitions += 1
            return True
        if known is not None and (known.event, known.job_id) != (event, job_id):
            says = f"revision {rev} is told twice: {known.event} of job {known.job_id}, and {event} of job {job_id}"
            self._findings.say("revision twice", says, known, line)
        return False


def stand_in(line: Line, event: str, boot: str) -> Line:
    """The line that stands for a step which a boot has not logged and a recovery has."""
    said = Line(event=event, boot=boot, seq=0)
    said.raw, said.source, said.number = line.raw, line.source, line.number
    return said


def is_rule(told: list[Any]) -> bool:
    """Whether this can be when a schedule is due, in which zone, and what happens in a gap and a fold of its time."""
    return len(told) >= 4 and all(isinstance(one, str) for one in told[:4])


def told_change(line: Line, deed: list[Any], boot: str) -> Line:
    """The line that stands for a change of a schedule which a boot has not logged and a recovery has."""
    said = stand_in(line, deed[1], boot)
    said.schedule, said.change_no, said.ts = deed[2:5]
    said.when, said.timezone, said.dst_gap, said.dst_fold = deed[5:9]
    return said
