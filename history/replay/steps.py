"""The replay of steps that are kept: each once, by the claim that runs, until its job is done or begins afresh."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from ...messages.jobs import ENDED
from ...rules.wording import many
from .findings import Findings
from .jobs import ENDED_KEPT_MAX, JobReplay
from .logged_moves import DoubtfulMove, ReplayedMove

NOTHING: Mapping[str, ReplayedMove] = {}


@dataclass(slots=True)
class Shortfall:
    """A move that names more kept steps than were logged by then.

    Attributes:
        said: how many it names.
        told: how many were logged.
    """

    move: ReplayedMove
    said: int
    told: int


class StepReplay:
    def __init__(self, findings: Findings, jobs: JobReplay) -> None:
        self._findings = findings
        self._jobs = jobs
        # By job, the steps that are kept now.
        self._kept: dict[str, dict[str, ReplayedMove]] = {}
        # Jobs of which a step was told before the moves that it follows.
        self._unsure: set[str] = set()
        self._short: defaultdict[str, list[Shortfall]] = defaultdict(list)

    def hear(self, told: ReplayedMove) -> None:
        """Replay a step, or a signal, which no claim keeps. One that is logged before its claim, or after its end, is
        not judged; an impossible one is doubtful, because where turns are missing the job may have been removed and
        born again.
        """
        move = told.move
        if len(self._kept) + len(self._unsure) > 2 * (ENDED_KEPT_MAX + len(self._jobs.open)):
            self._forget_the_forgotten()
        job = self._jobs.get(move.j)
        is_of_holder = job is not None and (job.state, job.claim_no, job.boot) == ("running", move.c, told.boot)
        if job is None or move.step is None or not (is_of_holder or job.move_no == move.r):
            self._misplaced(told, is_late=job is not None and move.r < job.move_no)
            return
        if move.k == "signalled":
            if job.state in ENDED:
                says = f"job {move.j}: {move.step!r} is sent after move {move.r}, by which it is {job.state}"
                self._jobs.doubtful.append(DoubtfulMove("step by a stale claim", says, told, job.step, None))
        elif not is_of_holder or (job.move_no, job.name) != (move.r, move.n):
            says = (
                f"job {move.j}: step {move.step!r} is kept by claim {move.c} of boot {told.boot} after move {move.r} "
                f"of a job of {move.n}, and the job of {job.name} is {job.state} by move {job.move_no}, "
                f"claim {job.claim_no}"
            )
            self._jobs.doubtful.append(DoubtfulMove("step by a stale claim", says, told, job.step, None))
        kept = self._kept.setdefault(move.j, {})
        earlier = kept.setdefault(move.step, told)
        if earlier is not told:
            says = f"job {move.j}: step {move.step!r} is kept by claim {earlier.move.c}, and again by claim {move.c}"
            self._jobs.doubtful.append(DoubtfulMove("step twice", says, told, earlier, None))

    def move(self, told: ReplayedMove) -> None:
        """Replay a move of a job, before the replay of jobs does: steps go with an end as done, and begin anew with a
        birth or with a requeue that says so.
        """
        move = told.move
        if move.k == "woken" and self.is_sure(move.j) and move.step not in self._kept.get(move.j, NOTHING):
            says = f"job {move.j}: it was woken by {move.step!r}, which nobody has sent"
            self._jobs.doubtful.append(DoubtfulMove("step by a stale claim", says, told, None, None))
        if not (move.k == "done" or move.k == "queued" or (move.k == "requeued" and move.steps)):
            return
        job, removed = self._jobs.get(move.j), move.steps or 0
        is_sure = job is not None and job.move_no == move.r - 1 and self.is_sure(move.j)
        kept = self._kept.pop(move.j, NOTHING)
        if move.k != "queued" and is_sure and removed != len(kept):
            self._short[move.j].append(Shortfall(told, removed, len(kept)))

    def finish(self) -> None:
        for job_id, shortfalls in self._short.items():
            for short in shortfalls:
                if short.told != short.said:
                    steps, are = many(short.said, "step"), "is" if short.told == 1 else "are"
                    what = f"job {job_id} is {short.move.move.k}, which says that {steps} went with it"
                    self._findings.say("lost step", f"{what}, and {short.told} {are} told", short.move.line)

    def forget(self, job_id: str) -> None:
        self._kept.pop(job_id, None)
        self._unsure.discard(job_id)

    def is_sure(self, job_id: str) -> bool:
        """Whether all logged steps of a job were read: those of a job that began before the log may be missing."""
        job = self._jobs.get(job_id)
        return job is not None and job.digest is not None and job_id not in self._unsure

    def kept(self, job_id: str) -> Mapping[str, ReplayedMove]:
        return self._kept.get(job_id, NOTHING)

    def _misplaced(self, told: ReplayedMove, *, is_late: bool) -> None:
        job_id = told.move.j
        for short in self._short.get(job_id, ()) if is_late else ():
            if short.move.move.r > told.move.r:
                short.told += 1
                return
        self._unsure.add(job_id)

    def _forget_the_forgotten(self) -> None:
        """Forget jobs that have ended long ago, so that memory follows the number of open ones."""
        self._kept = {job_id: kept for job_id, kept in self._kept.items() if self._jobs.get(job_id) is not None}
        self._unsure = {job_id for job_id in self._unsure if self._jobs.get(job_id) is not None}
