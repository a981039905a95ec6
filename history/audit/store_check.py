"""Whether the store and the log say the same."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...messages.jobs import ENDED
from ...stores.sqlite.read_only import StoredJob
from .job_replay import Job
from .report import Findings, Kind, many

if TYPE_CHECKING:
    from .file_replay import Fold
    from .store_view import Stored, StoreView

DISAGREES: Kind = "disagreement with the store"

DISORDER_REVISIONS = 500
"""How far the revisions of several processes may be out of order where a log begins."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What the store explains: revisions that need no line yet, and up to which one there ought to be lines."""

    explained: frozenset[int]
    rev: int


def compare(fold: Fold, findings: Findings, view: StoreView) -> Agreed:
    """Compare each job, each remembered slot and the last revision."""
    with contextlib.closing(view.read()) as stored:
        explained = {rev for rev, _, _ in stored.unsaid}
        if not fold.is_loud:
            explained |= view.open_revs
        found: set[str] = set()
        ended, fold.stored_unfinished = 0, 0
        for row in stored.jobs():
            job = fold.jobs.open.get(row.id) or fold.jobs.ended.get(row.id)
            if row.id in fold.jobs.open:
                found.add(row.id)
            ended += row.state in ENDED
            fold.stored_unfinished += row.state not in ENDED
            if not fold.is_loud:
                # At info, the steps of a job that has not ended are summed up later.
                explained.update(row.trail)
            _compare_job(fold, findings, row, job, explained)
        for job_id, missing in fold.jobs.open.items():
            if job_id not in found and missing.rev <= stored.rev and not _may_have_ended_unheard(fold, missing):
                findings.say("lost", f"job {job_id} was {missing.state}, and the store has no such job", missing.line)
        for job_id, boot in stored.orphans():
            running = fold.jobs.open.get(job_id)
            says = f"job {job_id} is running for boot {boot}, which is not on the store; the next start takes it back"
            findings.say("orphan", says, running.line if running else None)
        _compare_ends(fold, findings, ended)
        _compare_rev(fold, findings, stored)
        _compare_slots(fold, findings, stored)
        return Agreed(frozenset(explained), view.rev_wanted)


def _may_have_ended_unheard(fold: Fold, job: Job) -> bool:
    """Whether the log may tell that a job was open and not how it ended: it is at warning, or begins in the middle."""
    first = fold.jobs.first_own
    begins = first + (DISORDER_REVISIONS if first > DISORDER_REVISIONS else 0)
    return bool(fold.hushed) or (job.vague and job.rev < begins)


def _compare_job(fold: Fold, findings: Findings, row: StoredJob, job: Job | None, explained: set[int]) -> None:
    if row.rev is None or row.rev in explained:
        # An application's own transaction, or the last turn of a boot that is still on the store, may not be logged
        # yet.
        return
    if job is None:
        if row.rev not in fold.jobs.seen or fold.jobs.evicted or row.rev < fold.jobs.first_own:
            # The revision itself is missing, or the job ended long ago, or before the log began.
            return
        says = f"job {row.id} is {row.state} in the store by revision {row.rev}, which the log tells of another job"
        findings.say(DISAGREES, says)
        return
    if row.rev > job.rev and row.rev not in fold.jobs.seen:
        return
    claimed = (row.claim_no, row.attempt)
    told = claimed if job.vague else (job.claim_no, job.attempt)
    if (row.state, row.rev, claimed) == (job.state, job.rev, told):
        return
    says = (
        f"job {row.id}: the store has {row.state}, claim {row.claim_no}, attempt {row.attempt}, revision {row.rev}; "
        f"the log has {job.state}, claim {told[0]}, attempt {told[1]}, revision {job.rev}"
    )
    findings.say(DISAGREES, says, job.line)


def _compare_ends(fold: Fold, findings: Findings, ended_in_store: int) -> None:
    """Only retention removes ended jobs, and logs how many rows. That must add up, unless a turn may not have been
    logged.
    """
    jobs = fold.jobs
    if fold.jobs.untellable or fold.silences or any(boot.ended is None for boot in fold.boots.values()):
        return
    gone = len(jobs.ended) + jobs.evicted - jobs.returned - ended_in_store
    if fold.is_loud and jobs.first_own == 1 and gone > jobs.pruned and not jobs.seen.has_gap(1, jobs.seen.last):
        are, rows = "is" if gone == 1 else "are", many(jobs.pruned, "row")
        says = f"{many(gone, 'ended job')} {are} not in the store any more, and retention has removed {rows}"
        findings.say(DISAGREES, says)


def _compare_rev(fold: Fold, findings: Findings, stored: Stored) -> None:
    last = fold.jobs.seen.last
    if last > stored.rev:
        jobs = (*fold.jobs.open.values(), *fold.jobs.ended.values())
        latest = max(jobs, key=lambda job: job.rev, default=None)
        says = f"the log tells revision {last}, and the store has come to {stored.rev} only"
        findings.say(DISAGREES, says, latest.line if latest else None)


def _compare_slots(fold: Fold, findings: Findings, stored: Stored) -> None:
    """The slots that the log remembers of each schedule, against those that the store does."""
    kept = {name: schedule.fired for name, schedule in fold.slots.schedules.items() if schedule.fired}
    for entry in stored.slots():
        fired = kept.get(entry.schedule)
        if fired is None or entry.job_id is None or entry.slot not in fired:
            continue
        job_id, line = fired[entry.slot]
        if job_id != entry.job_id:
            says = f"slot {entry.slot} of schedule {entry.schedule} has job {entry.job_id} in the store, {job_id} here"
            findings.say(DISAGREES, says, line)
