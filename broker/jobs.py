"""What a host asks for: queue, requeue, mark_done, cancel, pause."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import islice
from typing import Any

from ..errors import KeyTaken, StaleClaim, UnknownJob
from ..messages.clock_steps import STEP_SECONDS_MIN
from ..messages.jobs import Instant, JobRecord, JobState, NewJob, Seconds
from ..messages.mail import Cancel, MarkDone, Pause, Paused, Queue, Requeue, RequeueDead, Revoke
from ..messages.outcomes import Outcome, OutcomeKind, Policy
from .step import PASSED_ON, Step, is_current, names_job

Stored = list[tuple[JobRecord, bool]]
"""Of each job that was asked for, the one that is stored, and whether it is new."""


def queue(step: Step, body: Queue) -> Stored:
    """Store jobs, all in this turn or none."""
    (stored,) = _queue([(step, body)])
    return stored


def queue_together(asked: Sequence[tuple[Step, Queue]]) -> None:
    """`queue` for several who ask one after the other, and their answers: it is the statements that cost.

    A refusal of any of them is raised, and fails the turn; each is then asked for alone.
    """
    for (step, body), stored in zip(asked, _queue(asked), strict=True):
        if body.reply is not None:
            step.out.replies.append((body.reply, stored, None))


def _queue(asked: Sequence[tuple[Step, Queue]]) -> list[Stored]:
    if not asked:
        return []
    first = asked[0][0]
    now, mail_seconds_max = first.turn.now, first.desk.limits.reply_seconds_max
    jobs = [_in_time(job, now, mail_seconds_max) for _, body in asked for job in body.jobs]
    unhandled = {name for name in dict.fromkeys(job.name for job in jobs) if not first.desk.is_handled(name)}
    inserted = iter(first.turn.insert_many(jobs))
    parts = [list(islice(inserted, len(body.jobs))) for _, body in asked]
    for (step, body), stored in zip(asked, parts, strict=True):
        step.collect(sum(fresh for _, fresh in stored))
        for job, (record, fresh) in zip(body.jobs, stored, strict=True):
            if not fresh:
                line = {**names_job(record), "asked_id": job.id, "unique_key": job.unique_key}
                step.out.lines.append(("job.deduplicated", step.speaker, line))
            elif record.name in unhandled:
                step.out.lines.append(("job.parked", step.speaker.about(record.corr), record))
    return parts


def _in_time(job: NewJob, now: Instant, mail_seconds_max: Seconds) -> NewJob:
    """Its host has said by its clock when it is due. If that was stepped before the mail was read, seconds count."""
    if -STEP_SECONDS_MIN <= now - job.queued_at <= mail_seconds_max:
        return job
    run_at = job.run_at if job.due_in is None else now + job.due_in
    expires_at = job.expires_at if job.expires_in is None else now + job.expires_in
    return job._replace(queued_at=now, run_at=run_at, expires_at=expires_at)


def requeue(step: Step, body: Requeue) -> JobRecord:
    """Put a job at the back of the queue. An attempt that still runs loses its claim."""
    job = step.known(body.job_id)
    moved = step.turn.requeue(job, step.turn.now + body.delay)
    _revoke(step, job, "requeued")
    return moved


def requeue_dead(step: Step, body: RequeueDead) -> int:
    """`requeue` those of many jobs that are dead still, and whose unique key nobody has taken; how many."""
    count = 0
    for job_id in body.job_ids:
        with contextlib.suppress(UnknownJob, KeyTaken):
            job = step.known(job_id)
            if job.state == JobState.DEAD:
                step.turn.requeue(job, step.turn.now + body.delay)
                count += 1
    return count


def mark_done(step: Step, body: MarkDone) -> JobRecord:
    """End a job as done: a queued one by its id, a running one by its claim. The same ending twice is one."""
    job = step.known(body.job_id)
    if body.no is not None and job.no != body.no:
        step.fenced(job, body.claim_no or 0, "mark_done")
        raise StaleClaim(f"the job {job.id} that this was is gone; another one has its id now, and decides")
    if job.state == JobState.DONE and (body.claim_no is None or job.settled_no == body.claim_no):
        return job
    if body.claim_no is None:
        if job.state == JobState.QUEUED:
            return step.turn.finish(job, body.result)
        raise StaleClaim(
            f"job {job.id} is {job.state}: an id marks only a queued job done; "
            "use the Job that its handler got, or that Job's token"
        )
    if not is_current(job, (job.no, body.claim_no)):
        step.fenced(job, body.claim_no, "mark_done")
        raise StaleClaim(
            f"claim {body.claim_no} of job {job.id} no longer holds it: the job is {job.state}, its claim number is "
            f"{job.claim_no}; whatever this attempt did, another one decides"
        )
    settled = step.settle(job, Outcome(kind=OutcomeKind.SUCCEEDED, result=body.result), Policy())
    assert settled is not None, "the claim is current in this very transaction"
    return settled


def cancel(step: Step, body: Cancel) -> JobRecord:
    """End a queued or running job as cancelled; one that has ended stays as it is."""
    job = step.known(body.job_id)
    match JobState(job.state):
        case JobState.QUEUED:
            return step.turn.cancel(job, "cancelled by the host")
        case JobState.RUNNING:
            outcome = Outcome(kind=OutcomeKind.CANCELLED, reason="cancelled by the host while it ran")
            settled = step.settle(job, outcome, Policy())
            _revoke(step, job, "cancelled")
            assert settled is not None, "the claim is current in this very transaction"
            return settled
        case _:
            return job


def pause(step: Step, body: Pause) -> Any:
    """Start no job of a name, on any runtime of the store, or start them again."""
    step.turn.pause(body.name, paused=body.paused)
    step.desk.forget_dues()
    step.say("name.paused" if body.paused else "name.resumed", job_name=body.name)
    step.out.hint = True
    if not body.paused:
        return None
    # Answered by the HandlerActor: what was claimed in advance must not start any more when the host goes on.
    step.tell(f"handler:{body.name}", Paused(reply=body.reply))
    return PASSED_ON


def _revoke(step: Step, job: JobRecord, reason: str) -> None:
    """Signal the lane that still runs a job whose claim counts no longer. Another boot learns it by the hint."""
    key = job.key
    step.out.after.append(lambda: step.desk.deferred.pop(key, None))
    if job.state == JobState.RUNNING and job.boot == step.desk.boot:
        step.tell(f"handler:{job.name}", Revoke(key=key, reason=reason))
