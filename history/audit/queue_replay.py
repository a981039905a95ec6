"""What the logs of runtimes on a RabbitMQ come to. Revisions are counted per job there, so each job is judged alone.

A job waits as a message, and the server may deliver one again: to another runtime, which claims it anew. How often it
was delivered before is in the numbers: such a claim passes over as many claim numbers and as many revisions. So a job
may be claimed by two runtimes, and even end twice, where a connection was lost or a process has died; that is counted.
What nothing of the kind excuses is a finding.
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from ...log.events import EVENTS
from ...messages.jobs import ENDED
from ...rules.lifecycle import QUIET
from ..log_files.lines import Line
from .boot_replay import BootReplay
from .file_replay import Voices, stand_in
from .job_replay import AFTER, ENDED_KEPT_MAX, attempt_after, walk
from .report import Findings, Kind, many
from .verdicts import is_silent, tell_missing_lines, tell_passed_slots

CANNOT_TELL = (
    "the log is of a RabbitMQ, where each job counts its own revisions: whether a job is missing of which no line is "
    "left, and whether one that has not ended is still in its queue, cannot be said"
)

MAY_BE_UNTOLD: frozenset[Kind] = frozenset({"missing revisions", "illegal transition", "finished twice"})
"""How a step looks whose predecessor was stored and not logged, or that belongs to another copy of the message."""


@dataclass(slots=True)
class Life:
    """What the log tells of one job.

    Attributes:
        quiet: lines at debug, by revision.
        loud: lines at info and above; each sums up the quiet steps before it.
        is_vague: whether a recovery has told some of it.
    """

    quiet: dict[int, list[Line]] = field(default_factory=dict)
    loud: list[Line] = field(default_factory=list)
    is_vague: bool = False


class QueueFold(Voices):
    """The replay of the logs of runtimes on a RabbitMQ."""

    def __init__(self, findings: Findings) -> None:
        super().__init__(findings)
        self.open: dict[str, Life] = {}
        self.born = 0
        # Whether anything has happened that lets a job run twice, or a turn be stored and not logged.
        self.is_troubled = False
        self.repeated = 0
        self.excused = 0
        self.headless = 0
        self.doubled_slots = 0
        self._ended: OrderedDict[str, Life] = OrderedDict()
        self._leaders: set[str] = set()
        # Up to when there may have been lines that are not in this log: it, or a boot in it, begins in the middle.
        self._begins = 0.0
        # Boots that others were given a job of: when, by the log.
        self._bereft: dict[str, Line] = {}

    @property
    def unfinished(self) -> int:
        """Jobs that had not ended when the log did."""
        return len(self.open)

    @property
    def is_whole(self) -> bool:
        """Whether these are all: at info, a job has no line until it ends or fails."""
        return self.is_loud

    def knows(self, job_id: str) -> bool:
        """Whether the log has a line about a job, and not too long ago."""
        return job_id in self.open or job_id in self._ended

    def hear(self, line: Line) -> None:
        """Take in a line of a boot on this server."""
        boot = self.boots.get(line.boot)
        if boot is None:
            boot = self.boots[line.boot] = BootReplay(line.boot)
            if line.seq > 1 or self._begins == 0.0:
                self._begins = max(self._begins, line.ts)
        if not boot.hear(line):
            self.copies += 1
            return
        if line.event not in EVENTS:
            self._hear_newer(line)
            return
        if line.schedule is not None:
            self.slots.hear(line)
        match line.event:
            case "runtime.stopped":
                boot.ended = "stopped"
            case "turn.recovered":
                self._recovered(line)
            case "actor.crashed" | "store.unavailable":
                self.crashes += line.event == "actor.crashed"
                self.is_troubled = True
            case "log.dropped":
                boot.dropped += line.count or 0
            case "scheduler.leads":
                self._leaders.add(line.boot)
        if line.rev is not None:
            self._transition(line)

    def flush(self) -> None:
        """Judge all jobs: no further line will come."""
        self.slots.finish()
        self.crashes += len(self._dead())
        for lives in (self._ended, self.open):
            for job_id, life in lives.items():
                self._judge(job_id, life)

    def judge_end(self) -> list[str]:
        """What can be said only at the end; what could not be judged is said in notes."""
        notes = [CANNOT_TELL]
        tell_missing_lines(self, self._findings, [], sum(boot.dropped for boot in self.boots.values()))
        if not self.is_troubled:
            tell_passed_slots(self, self._findings, None)
        elif self.slots.passed:
            notes.append(f"slots of a schedule passed of which no line tells, {many(len(self.slots.passed), 'time')}")
        if self.copies:
            notes.append(f"{many(self.copies, 'line')} stood in the log more than once")
        if self.headless:
            notes.append(f"{many(self.headless, 'job')} began before this log, or a line is missing of them")
        if self.repeated:
            notes.append(f"{many(self.repeated, 'job')} ended more than once: the server had delivered them again")
        if self.doubled_slots:
            notes.append(f"{many(self.doubled_slots, 'slot')} fired by two leaders, within a takeover")
        if self.is_troubled:
            notes.append("a connection or a broker was lost: what it had done last need not have been told")
        dead = self._dead()
        if dead:
            notes.append(f"boot {', '.join(dead)} died: a job of it was delivered again, and it said nothing more")
        if self.excused:
            notes.append(
                f"{many(self.excused, 'step')} may belong to boots that were silent by then: they may have been killed"
            )
        return notes

    def _transition(self, line: Line) -> None:
        if not self._is_transition(line):
            return
        assert line.job_id is not None
        self.transitions += 1
        self._check_move(line)
        if line.event == "job.queued" and (line.claim_no or 0, line.attempt or 0, line.rev) != (0, 0, 1):
            says = f"expected a new job with claim 0, attempt 0 and revision 1, got: {line.claim_no}, {line.attempt}"
            self._findings.say("illegal transition", f"job {line.job_id}: {says} and {line.rev}", line)
        if line.event == "job.claimed":
            self._note_holder(line.job_id, line)
        self._enter(line.job_id, line)

    def _dead(self) -> list[str]:
        """Boots whose job the server gave to another one, and that have said nothing since: processes that died."""
        return [
            boot
            for boot, line in self._bereft.items()
            if self.boots[boot].ended is None and is_silent(self.boots[boot], line)
        ]

    def _note_holder(self, job_id: str, line: Line) -> None:
        """A job that is delivered again was taken from the boot that had claimed it last."""
        life = self.open.get(job_id)
        if life is None or not line.redeliveries:
            return
        claims = [one for told in life.quiet.values() for one in told if one.event == "job.claimed"]
        if claims and claims[-1].boot != line.boot:
            self._bereft[claims[-1].boot] = line

    def _hear_newer(self, line: Line) -> None:
        """What a line says whose event is not known here is believed; its job cannot be judged any more."""
        if line.rev is not None and line.job_id is not None:
            life = self.open.get(line.job_id) or self._ended.get(line.job_id)
            if life is None:
                life = self.open[line.job_id] = Life()
            life.is_vague = True

    def _enter(self, job_id: str, line: Line) -> None:
        life = self.open.pop(job_id, None) or self._ended.pop(job_id, None)
        if life is None:
            self.born += 1
            life = Life()
        if line.event in QUIET:
            life.quiet.setdefault(line.rev or 0, []).append(line)
        else:
            life.loud.append(line)
        if not any(one.to in ENDED for one in life.loud):
            self.open[job_id] = life
            return
        self._ended[job_id] = life
        if len(self._ended) > ENDED_KEPT_MAX:
            self._judge(*self._ended.popitem(last=False))

    def _recovered(self, line: Line) -> None:
        """A broker has died and its process lives: the next broker logs the moves that the dead one may not have
        logged.
        """
        self.is_troubled = True
        self._hear_deeds(line, line.boot)

    def _told_step(self, line: Line, holder: str, rev: int, event: str, job_id: str, sums: list[Any]) -> None:
        if not any(one.event == event for one in self._told(job_id, rev)):
            said = stand_in(line, event, holder)
            said.job_id, said.rev, said.to = job_id, rev, AFTER[event]
            self.transitions += 1
            self._enter(job_id, said)
            if event == "job.queued":
                self.slots.hear_told(job_id, said)
        self._life(job_id).is_vague = True

    def _life(self, job_id: str) -> Life:
        return self.open.get(job_id) or self._ended[job_id]

    def _told(self, job_id: str, rev: int) -> list[Line]:
        life = self.open.get(job_id) or self._ended.get(job_id)
        if life is None:
            return []
        return [*life.quiet.get(rev, ()), *(one for one in life.loud if one.rev == rev)]

    def _is_excused(self, line: Line) -> bool:
        """Whether something may have happened before a line that lets a job run twice, or a step have no line."""
        silent = not self.is_troubled and any(is_silent(boot, line) for boot in self.boots.values())
        self.excused += silent
        return self.is_troubled or silent

    def _judge(self, job_id: str, life: Life) -> None:
        life.loud.sort(key=lambda line: (line.rev or 0, line.seq))
        self._judge_queued(job_id, life)
        if life.is_vague:
            self._judge_ends(job_id, life, is_repeated=True)
            return
        is_repeated = False
        for line in life.loud:
            passed = self._judge_sum(job_id, life, line)
            is_repeated = is_repeated or passed > 0
        self._judge_ends(job_id, life, is_repeated=is_repeated)
        if not is_repeated:
            self._judge_quiet(job_id, life)

    def _judge_queued(self, job_id: str, life: Life) -> None:
        """A slot's job that is queued twice is a slot that fired twice."""
        queued = [line for line in life.quiet.get(1, ()) if line.event == "job.queued" and line.slot is not None]
        for earlier, later in itertools.pairwise(queued):
            if earlier.boot != later.boot and {earlier.boot, later.boot} <= self._leaders:
                self.doubled_slots += 1
                continue
            says = f"slot {later.slot} of schedule {later.schedule} fired twice for job {job_id}, with no other leader"
            self._findings.say("fired twice", says, earlier, later)

    def _judge_sum(self, job_id: str, life: Life, line: Line) -> int:
        """Whether a line follows from an earlier one. Returns how many deliveries before it were lost."""
        revs = line.revs or []
        if not revs or revs[-1] != line.rev or any(one >= other for one, other in itertools.pairwise(revs)):
            says = f"job {job_id}: expected the revisions summed up to rise to {line.rev}, got: {line.revs}"
            self._findings.say("illegal transition", says, line)
            return 0
        earlier: list[Line | None] = [one for one in life.loud if (one.rev or 0) < revs[0]]
        if revs[0] == 1:
            earlier = [None]
        found: list[tuple[tuple[Kind, str] | None, int, Line | None]] = [
            (*_follows(one, line), one) for one in reversed(earlier)
        ]
        if not found:
            # The job began before this log, or its beginning is in another log.
            self.headless += 1
            return 0
        for wrong, passed, parent in found:
            if wrong is None:
                self._judge_steps(job_id, life, line, parent, passed)
                return passed
        wrong, _, parent = found[0]
        assert wrong is not None
        if wrong[0] in MAY_BE_UNTOLD and parent is not None and parent.ts <= self._begins:
            # The lines between may be in a part of the log that has been cut off.
            self.headless += 1
            return 0
        if wrong[0] in MAY_BE_UNTOLD and self._is_excused(line):
            return 0
        self._findings.say(wrong[0], f"job {job_id}: {wrong[1]}", parent, line)
        return 0

    def _judge_steps(self, job_id: str, life: Life, line: Line, parent: Line | None, passed: int) -> None:
        """The quiet steps that a line sums up, where they are told: by whom they were claimed, and whether all are."""
        attempt = 0 if parent is None else parent.attempt
        claims: list[Line] = []
        times = dict(zip(line.revs or (), line.times or (), strict=False))
        for rev in (line.revs or [])[:-1]:
            told = life.quiet.get(rev, [])
            before = times.get(rev, math.inf) <= self._begins
            if not told and self.is_loud and not before and not self._is_excused(line):
                self._findings.say(
                    "missing revisions", f"job {job_id}: revision {rev} is told by no line", parent, line
                )
            if passed:
                continue
            if len(told) > 1 and not self._is_excused(told[-1]):
                says = f"job {job_id}: revision {rev} is told twice"
                self._findings.say("revision twice", says, *told[:2])
            if len(told) > 1:
                continue
            claims += [one for one in told if one.event == "job.claimed"]
            for one in told:
                if one.attempt is not None and attempt is not None and one.attempt != attempt:
                    says = f"job {job_id}: expected {one.event} to say attempt {attempt}, got: {one.attempt}"
                    self._findings.say("illegal transition", says, parent, one)
        numbers = [one.claim_no or 0 for one in claims]
        if numbers and (numbers != sorted(set(numbers)) or numbers[-1] != line.claim_no):
            says = f"job {job_id}: expected claims that rise to {line.claim_no}, got: {numbers}"
            self._findings.say("fence going back", says, claims[-1], line)

    def _judge_ends(self, job_id: str, life: Life, *, is_repeated: bool) -> None:
        """A job ends once; again only after a requeue, or if it was delivered again, or queued again in doubt."""
        end: Line | None = None
        twice = False
        for line in life.loud:
            if line.event == "job.requeued":
                end = None
            elif line.to in ENDED:
                if end is not None and not is_repeated and not self._is_excused(line):
                    says = f"job {job_id}: it ended by claim {end.claim_no}, and again by claim {line.claim_no}"
                    self._findings.say("finished twice", says, end, line)
                twice = twice or end is not None
                end = line
        self.repeated += twice

    def _judge_quiet(self, job_id: str, life: Life) -> None:
        """Quiet lines that no sum knows of, though others that came later have been summed up."""
        last = max((line.rev or 0 for line in life.loud), default=0)
        summed = {rev for line in life.loud for rev in line.revs or ()}
        claim_no = 0
        for rev in sorted(life.quiet):
            line = life.quiet[rev][0]
            hidden = line.ts <= self._begins
            if rev < last and rev not in summed and not hidden and not self._is_excused(line):
                says = f"job {job_id}: {line.event} with revision {rev} is summed up by no line"
                self._findings.say("illegal transition", says, line)
            if line.claim_no is not None and line.claim_no < claim_no and not self._is_excused(line):
                says = f"job {job_id}: {line.event} by claim {line.claim_no}, after claim {claim_no}"
                self._findings.say("fence going back", says, line)
            claim_no = max(claim_no, line.claim_no or 0)


def _follows(parent: Line | None, line: Line) -> tuple[tuple[Kind, str] | None, int]:
    """What is wrong if a line comes after another, with nothing louder between; and how many deliveries were lost."""
    revs = line.revs or []
    start = None if parent is None else AFTER[parent.event]
    before, number, attempt = (
        (0, 0, 0) if parent is None else (parent.rev or 0, parent.claim_no or 0, parent.attempt or 0)
    )
    state, claims = walk(start, len(revs) - 1)
    if line.before != state:
        again = start in ENDED and line.to in ENDED
        says = f"it was {state or 'not there'}, and {line.event} says from {line.before}"
        return ("finished twice" if again else "illegal transition", says), 0
    passed = (line.rev or 0) - before - len(revs)
    claimed = (line.claim_no or 0) - number - claims
    if claimed < 0:
        says = f"expected {line.event} by claim {number + claims} or a later one, got: claim {line.claim_no}"
        return ("fence going back", says), 0
    if passed > claimed:
        return ("missing revisions", f"{many(passed - claimed, 'revision')} before {revs[0]} told by no line"), 0
    if passed < claimed:
        says = f"expected {line.event} by claim {number + claims + passed}, got: claim {line.claim_no}"
        return ("illegal transition", says), 0
    expected = attempt_after(attempt, line)
    if line.attempt is not None and line.attempt != expected:
        return ("illegal transition", f"expected {line.event} to say attempt {expected}, got: {line.attempt}"), 0
    return None, passed
