"""The replay of jobs: the state of each one, and whether its transitions lead there.

A line at debug has one step. A line at info or above sums up the steps at debug before it by their revisions. As these
only go to and fro between queued and running, their number alone says which they were.
"""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict

from ...messages.jobs import ENDED
from ...rules.lifecycle import MOVES, QUIET
from ..log_files.lines import Line
from .number_ranges import Revisions
from .report import Findings, Kind

ENDED_KEPT_MAX = 20_000
"""Ended jobs that are remembered. One that is requeued later begins anew with that line."""

ONLY_SUMMED_KEPT_MAX = 100_000
"""Revisions of which only a sum is known, remembered while the log seems to be one at debug."""

AFTER = {event: after.value for event, (_, after) in MOVES.items()}
"""The state that each transition leads to."""

UNKNOWN = "?"
"""The state before a step that only a recovery has logged."""


class Job:
    """Where a job stands."""

    __slots__ = ("attempt", "boot", "claim_no", "doubted", "line", "rev", "state", "trail", "vague")

    def __init__(self) -> None:
        self.state: str | None = None
        self.claim_no = 0
        self.attempt = 0
        self.rev = 0
        self.boot = ""
        self.line: Line | None = None
        # The revisions since the job's last line at info: the next line at info must sum these up, and may sum up the
        # doubted ones.
        self.trail: list[int] = []
        self.doubted: list[int] = []
        # Whether claim and attempt are not known for certain.
        self.vague = False


class JobFold:
    """Folds the transitions of one store, in the order of their revisions."""

    def __init__(self, findings: Findings) -> None:
        self.open: dict[str, Job] = {}
        self.ended: OrderedDict[str, Job] = OrderedDict()
        self.seen = Revisions()
        self.only_summed: set[int] = set()
        self.summed_overflow = False
        self.first_own = 0
        self.born = 0
        self.evicted = 0
        # Ended jobs that were forgotten, and came back by a requeue.
        self.returned = 0
        self.pruned = 0
        # A turn may have been stored and not logged, and no recovery logs what retention has removed in it.
        self.untellable = False
        self.told_endings = 0
        self._findings = findings

    def fold(self, line: Line, *, complete: bool) -> None:
        """Take a transition in.

        Args:
            line: a transition whose own revision is in `seen` already.
            complete: whether its boot logs all that it does, so that a gap of revisions is a missing line.
        """
        assert line.job_id is not None and line.rev is not None
        job = self._find(line)
        if job is None:
            job = self._first_sight(line, complete=complete)
        elif line.rev <= job.rev:
            # A recovery has logged this step later. The steps after it were judged without it, and its revision counted
            # as missing.
            insort(job.trail, line.rev)
            return
        else:
            self._step(job, line, complete=complete)
        self._put(job, line)

    def fold_newer(self, line: Line) -> None:
        """Take in a step whose event is not known here: it is believed, and where its job stands may be unknown."""
        if line.job_id is None:
            return
        job = self.open.pop(line.job_id, None) or self.ended.pop(line.job_id, None) or Job()
        job.state, job.rev, job.line, job.vague = line.to or UNKNOWN, line.rev or 0, line, True
        job.trail, job.doubted = [], [*job.doubted, *job.trail, job.rev]
        (self.ended if job.state in ENDED else self.open)[line.job_id] = job

    @property
    def may_be_pruned(self) -> bool:
        """Whether retention has removed jobs, or may have."""
        return self.pruned > 0 or self.untellable

    def knows(self, job_id: str) -> bool:
        """Whether the log has a line about a job, and not too long ago."""
        return job_id in self.open or job_id in self.ended

    def _find(self, line: Line) -> Job | None:
        job = self.open.get(line.job_id or "")
        if job is None:
            job = self.ended.pop(line.job_id or "", None)
            if job is not None and line.event == "job.queued" and self.may_be_pruned:
                # Retention had removed it: the id was free again.
                return None
        return job

    def _put(self, job: Job, line: Line) -> None:
        job_id = line.job_id or ""
        job.state, job.rev, job.line = AFTER[line.event], line.rev or 0, line
        job.vague = line.before == UNKNOWN
        if line.claim_no is not None and not job.vague:
            job.claim_no, job.attempt = line.claim_no, line.attempt or 0
        if line.event == "job.claimed":
            job.boot = line.boot
            job.claim_no += job.vague
        if line.event in QUIET:
            job.trail.append(job.rev)
        else:
            job.trail, job.doubted = [], []
        if job.state not in ENDED:
            self.open[job_id] = job
            return
        self.open.pop(job_id, None)
        self.ended[job_id] = job
        if len(self.ended) > ENDED_KEPT_MAX:
            self.ended.popitem(last=False)
            self.evicted += 1

    def _step(self, job: Job, line: Line, *, complete: bool) -> None:
        assert line.rev is not None
        if line.before == UNKNOWN:
            self._step_untold(job, line)
            return
        hidden, odd = self._sum(job, line)
        later = sum(1 for rev in hidden if rev > job.rev)
        if job.state in ENDED and hidden and odd is None and walk(None, later) == (line.before, line.claim_no):
            # Retention had removed it, and its id was used again.
            return
        state, claims = walk(job.state, later)
        if line.event == "job.claimed":
            claims += 1
        wrong = self._wrong(job, line, state, job.claim_no + claims)
        if (wrong is None and odd is None) or job.state == UNKNOWN:
            return
        if complete and self.seen.has_gap(job.rev + 1, line.rev - 1):
            # A line is missing, perhaps of this very job: begin anew here.
            job.doubted, job.trail = [*job.doubted, *job.trail], []
            return
        if wrong is not None and not (job.vague and wrong[0] == "fence going back"):
            again = job.state in ENDED and AFTER[line.event] in ENDED
            self._findings.say(
                "finished twice" if again else wrong[0], f"job {line.job_id}: {wrong[1]}", job.line, line
            )
        elif odd is not None:
            self._findings.say("illegal transition", f"job {line.job_id}: {odd}", job.line, line)

    def _step_untold(self, job: Job, line: Line) -> None:
        legal = MOVES[line.event][0]
        if job.state not in legal and not self.seen.has_gap(job.rev + 1, (line.rev or 0) - 1):
            says = f"job {line.job_id}: a recovery told {line.event} of a job that was {job.state}"
            self._findings.say("illegal transition", says, job.line, line)
        self._sum_untold(job, line)

    def _sum_untold(self, job: Job, line: Line) -> None:
        """A job's end that a recovery has logged sums up the steps before it, if the recovery says so."""
        if line.event in QUIET:
            return
        if line.revs is None:
            self.told_endings += 1
            return
        for rev in line.revs[:-1]:
            if rev not in job.trail and self.seen.add(rev):
                self._note_summed(rev)

    def _wrong(self, job: Job, line: Line, state: str | None, claim_no: int) -> tuple[Kind, str] | None:
        if line.before != state:
            return "illegal transition", f"it was {state or 'not there'}, and {line.event} says from {line.before}"
        if line.claim_no is None or (job.vague and line.claim_no >= job.claim_no):
            return None
        if line.claim_no != claim_no:
            kind: Kind = "fence going back" if line.claim_no < claim_no else "illegal transition"
            return kind, f"expected {line.event} by claim {claim_no}, got: claim {line.claim_no}"
        attempt = attempt_after(job.attempt, line)
        if line.attempt is not None and line.attempt != attempt:
            return "illegal transition", f"expected {line.event} to say attempt {attempt}, got: {line.attempt}"
        return None

    def _sum(self, job: Job, line: Line) -> tuple[list[int], str | None]:
        """The revisions that a line sums up and that had no line, and what is wrong with the sum."""
        assert line.rev is not None
        if line.revs is None or line.event in QUIET:
            return [], None if line.event in QUIET else "a line that ought to sum up revisions has none"
        if not line.revs or line.revs[-1] != line.rev:
            return [], f"expected the revisions summed up to end with {line.rev}, got: {line.revs}"
        hidden: list[int] = []
        for rev in line.revs[:-1]:
            if rev in job.trail or rev in job.doubted:
                continue
            if self.seen.add(rev):
                hidden.append(rev)
                self._note_summed(rev)
            else:
                return hidden, f"{line.event} sums up revision {rev}, which another line has told already"
        unsaid = [rev for rev in job.trail if rev not in line.revs]
        if unsaid:
            return hidden, f"{line.event} does not sum up {unsaid}"
        if line.before == "running" and len(line.revs) < 2:
            return hidden, f"{line.event} ends a claim that was never taken"
        return hidden, None

    def _note_summed(self, rev: int) -> None:
        if self.summed_overflow:
            return
        self.only_summed.add(rev)
        if len(self.only_summed) > ONLY_SUMMED_KEPT_MAX:
            self.forget_summed()

    def forget_summed(self) -> None:
        """The log is not one at debug: revisions that only sums have are no findings."""
        self.only_summed.clear()
        self.summed_overflow = True

    def _first_sight(self, line: Line, *, complete: bool) -> Job:
        assert line.rev is not None
        job = Job()
        self.born += 1
        if line.event == "job.queued":
            if (line.claim_no or 0, line.attempt or 0) != (0, 0):
                says = f"expected a new job with claim 0 and attempt 0, got: {line.claim_no} and {line.attempt}"
                self._findings.say("illegal transition", f"job {line.job_id}: {says}", line)
            return job
        if line.before == UNKNOWN:
            self._sum_untold(job, line)
            return job
        hidden, odd = self._sum(job, line)
        if odd is not None and not (complete and self.seen.has_gap(max(1, self.first_own), line.rev - 1)):
            # The job may have been known before it ended and was forgotten, so only the sum of a new job is certain.
            self._findings.say("illegal transition", f"job {line.job_id}: {odd}", line)
            return job
        whole = complete and self.first_own == 1 and not self.seen.has_gap(1, line.rev - 1)
        known_before = line.before in ENDED and self.evicted > self.returned
        if whole and known_before:
            self.returned += 1
            self.born -= 1
        if whole and not hidden and not known_before:
            says = f"job {line.job_id}: {line.event} of a job that was never queued"
            self._findings.say("illegal transition", says, line)
        elif odd is None:
            self._check_birth(line)
        return job

    def _check_birth(self, line: Line) -> None:
        """What sums up the first steps of a life says by its length how many claims there were.

        Quiet steps take turns, so whether their number is odd says if the first of them was the birth. If it was not,
        there may have been claims before, and of these no more than one attempt each.
        """
        steps, counted = len(line.revs or ()) - 1, attempt_after(0, line)
        if line.before not in ("queued", "running") or line.claim_no is None or line.attempt is None or steps < 0:
            return
        state, claims = walk(None, steps)
        if steps and state == line.before:
            if (line.claim_no, line.attempt) == (claims, counted):
                return
            says = f"expected claim {claims} and attempt {counted}"
        else:
            _, claims = walk("queued", steps)
            if 0 <= line.attempt - counted <= line.claim_no - claims:
                return
            says = f"expected {claims} claims at the least, and no more attempts than claims"
        says = f"job {line.job_id}: {line.event}: {says}, got: {line.claim_no} and {line.attempt}"
        self._findings.say("illegal transition", says, line)


def walk(state: str | None, steps: int) -> tuple[str | None, int]:
    """The state to which so many steps at debug lead, and how many of them were claims."""
    if steps == 0:
        return state, 0
    if state is None:
        state, steps = "queued", steps - 1
    if steps and state in ENDED:
        return UNKNOWN, 0
    claims = (steps + (state == "queued")) // 2
    if steps % 2:
        state = "running" if state == "queued" else "queued"
    return state, claims


def attempt_after(attempt: int, line: Line) -> int:
    """The attempts that a line must tell, after so many."""
    match line.event:
        case "job.requeued":
            return 0
        case "job.done":
            return attempt + (line.before == "running")
        case "job.retried" | "job.dead":
            return attempt + (line.outcome != "interrupted")
    return attempt
