"""The requests of a host: queue, requeue, mark_done, cancel, forget, pause, limit, keep a step. And the dependencies of
jobs, resolved when a job is born or when its parents have ended.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Any, TypeVar

from ..errors import KeyTaken, LamplighterError, StaleClaim, UsageError
from ..messages.clock_steps import STEP_SECONDS_MIN
from ..messages.jobs import ENDED, Attribution, ClaimKey, JobRecord, JobState, NewJob
from ..messages.mail import (
    CancelJob,
    CancelMany,
    CheckDue,
    ForgetJob,
    Limit,
    MarkDone,
    Pause,
    Paused,
    Queue,
    Reprioritize,
    Requeue,
    RequeueMany,
    Revoke,
)
from ..messages.outcomes import Outcome, OutcomeKind, Policy
from ..messages.queries import JobQuery
from ..messages.steps import KeepStep
from ..rules.capabilities import needed, not_supported
from ..rules.new_jobs import queued_now
from ..rules.validation import unknown_job
from ..stores.turn_ports import JobLinks, Turn
from .follow_ups import Stored, check_parents, insert_in_order, is_said_again
from .turn_context import PASSED_ON, TurnContext, is_current, only_queued

NAME, IS_FRESH = attrgetter("name"), itemgetter(1)

T = TypeVar("T")


def queue(context: TurnContext, body: Queue) -> Stored:
    return queue_all([(context, body)])[0]


def queue_together(asked: Sequence[tuple[TurnContext, Queue]]) -> None:
    """`queue_all`, and answer each call."""
    for (context, body), stored in zip(asked, queue_all(asked), strict=True):
        if body.reply is not None:
            context.out.replies.append((body.reply, stored, None))


def queue_all(asked: Sequence[tuple[TurnContext, Queue]]) -> Sequence[Stored]:
    """Store the jobs of one or several consecutive calls, all in this turn or none: in one statement, because
    statements cost most. A refusal of one call is raised and fails the turn; each is then tried alone.
    """
    if not asked:
        return []
    first = asked[0][0]
    now, mail_seconds_max = first.turn.now, first.state.limits.reply_seconds_max
    jobs, sizes, is_linked = list[NewJob](), list[int](), False
    for _, body in asked:
        sizes.append(len(body.jobs))
        for job in body.jobs:
            # If the clock was stepped since the call, the delay in seconds counts.
            is_in_time = -STEP_SECONDS_MIN <= now - job.queued_at <= mail_seconds_max
            jobs.append(job if is_in_time else queued_now(job, now))
            is_linked = is_linked or bool(job.parents)
    unhandled = first.unhandled(set(map(NAME, jobs)))
    parts: Sequence[Stored]
    if is_linked:
        parts = _inserted_in_order(first.turn, jobs, sizes)
    else:
        inserted = first.turn.jobs.insert(jobs)
        parts = [inserted] if len(asked) == 1 else _cut(inserted, sizes)
    parked: list[JobRecord] = []
    for (context, body), stored in zip(asked, parts, strict=True):
        born = sum(map(IS_FRESH, stored))
        context.collect(born, body.who)
        if unhandled or born < len(stored):
            parked += context.say_stored(body.jobs, stored, unhandled)
    if parked:
        first.say_parked(parked)
    return judged_at_birth(first.turn.links, parts) if first.turn.has_ripe else parts


def _cut(whole: list[T], sizes: Sequence[int]) -> list[list[T]]:
    """Consecutive parts of these sizes."""
    rest = iter(whole)
    return [list(islice(rest, size)) for size in sizes]


def _inserted_in_order(turn: Turn, jobs: list[NewJob], sizes: Sequence[int]) -> Sequence[Stored]:
    """Insert the jobs of several calls, some of which may wait for others of their call."""
    calls = _cut(jobs, sizes)
    for call in calls:
        check_parents(turn.links, call)
    return [insert_in_order(turn.jobs.insert, call) for call in calls]


def requeue(context: TurnContext, body: Requeue, *, among_others: bool = False) -> JobRecord:
    """Put a job at the back of the queue. A running attempt loses its claim. `among_others`: it waits again for those
    of its parents that were requeued before it; alone it waits for nobody.
    """
    job = context.known(body.job_id)
    moved = _requeue(context, job, body, among_others=among_others)
    if moved is None:
        raise not_supported("requeue" if job.state == JobState.RUNNING else "remove")
    _revoke(context, job, "requeued")
    return moved


def _requeue(
    context: TurnContext, job: JobRecord, body: Requeue | RequeueMany, *, among_others: bool
) -> JobRecord | None:
    """The requeued job; the same one if it stays as it is, because it is not needed; None if that cannot be done."""
    steps = needed(context.turn.steps, "steps") if body.afresh else None
    links = context.turn.links if among_others and job.state in ENDED else None
    if links is not None and not job.is_linked and links.parents_of(job):
        # A parent that shares the fate of a job requeued before this one waits again, too, and this job waits for it.
        while links.free(context.state.limits.freed_links_max):
            pass
        context.collect()
    with context.on_behalf(body.who):
        moved = None if links is None else links.wait_again(job)
        if moved is None:
            moved = context.turn.jobs.requeue(job, context.turn.now + body.delay)
    if moved is not None and moved is not job and steps is not None and (removed := steps.remove(job)):
        context.add_to_move(steps=removed)
    return moved


def requeue_many(context: TurnContext, body: RequeueMany) -> int:
    """`requeue` the jobs that still match the query and whose unique key is free; return how many.

    The caller has read them a moment ago: one may run by now, or its id may be another job's. A job that ended because
    of a parent waits for it again, if the parent is requeued too.
    """
    count = 0
    for job in _still_meant(context, body.job_ids, body.query):
        if job.state not in ENDED:
            continue
        with contextlib.suppress(KeyTaken):
            count += has_followed(context, job) or _requeue(context, job, body, among_others=True) not in (None, job)
    return count


def cancel_many(context: TurnContext, body: CancelMany) -> int:
    """`cancel` the jobs that still match the query; return how many. A parent's end earlier in this turn may have
    cancelled or freed one already.
    """
    count = 0
    for job in _still_meant(context, body.job_ids, body.query):
        if job.state not in ENDED:
            now = context.known(job.id) if has_followed(context, job) else job
            count += _cancel(context, now, body.who).state == JobState.CANCELLED
    return count


def _still_meant(context: TurnContext, job_ids: Sequence[str], query: JobQuery) -> Sequence[JobRecord]:
    # Imported where it is called: most processes that run jobs act on no query.
    from ..rules.queries import matches

    found = context.turn.jobs.find(job_ids)
    return parents_first(job for job in filter(None, map(found.get, job_ids)) if matches(query, job))


def mark_done(context: TurnContext, body: MarkDone) -> JobRecord:
    """End a job as done: a queued one by its id, a running one by its claim. A repeated ending is ignored; one that
    differs is refused, because it would not be stored. A server keeps too little of an ended job to compare.
    """
    job = context.known(body.job_id)
    if body.row_id is not None and job.row_id != body.row_id:
        context.say_fenced(job, body.claim_no or 0, "mark_done")
        raise StaleClaim(f"the job {job.id} that this was is gone; another one has its id now, and decides")
    if job.state == JobState.DONE and (body.claim_no is None or job.settled_no == body.claim_no):
        queued = context.turn.queued
        if queued is None or is_said_again(context.turn.jobs.find, queued.twin, job, body.result, body.then):
            return job
        raise StaleClaim(
            f"job {job.id} is done already, with another result or with other jobs to follow it: the first end "
            "decides, and nothing of this one is stored"
        )
    if body.claim_no is None:
        if job.state == JobState.QUEUED:
            check_parents(context.turn.links, body.then)
            with context.on_behalf(body.who):
                done = needed(context.turn.queued, "remove").finish(job, body.result)
                context.follow_up(job, body.then, body.who)
                return done
        raise only_queued(job)
    if not is_current(job, ClaimKey(job.row_id, body.claim_no), body.boot):
        if body.claim_no <= job.claim_no:
            # No claim with a higher number was ever made: the token is invented.
            context.say_fenced(job, body.claim_no, "mark_done")
        raise StaleClaim(
            f"claim {body.claim_no} of job {job.id} no longer holds it: the job is {job.state}, its claim number is "
            f"{job.claim_no}; whatever this attempt did, another one decides"
        )
    with context.on_behalf(body.who):
        outcome = Outcome(OutcomeKind.SUCCEEDED, body.result, then=body.then, progress=body.progress)
        settled = context.settle(job, outcome, Policy(), body.who)
    assert settled is not None, "the claim is current in this very transaction"
    return settled


def cancel(context: TurnContext, body: CancelJob) -> JobRecord:
    """End a queued or running job as cancelled; one that has ended stays as it is."""
    return _cancel(context, context.known(body.job_id), body.who)


def _cancel(context: TurnContext, job: JobRecord, who: Attribution) -> JobRecord:
    match JobState(job.state):
        case JobState.QUEUED:
            with context.on_behalf(who):
                return needed(context.turn.queued, "remove").cancel(job, _cancelled(who))
        case JobState.RUNNING:
            outcome = Outcome(kind=OutcomeKind.CANCELLED, reason=_cancelled(who, " while it ran"))
            with context.on_behalf(who):
                settled = context.settle(job, outcome, Policy())
            _revoke(context, job, "cancelled")
            if settled is None:
                raise StaleClaim(
                    f"this attempt of job {job.id} has lost its connection to the store, so another runtime may run "
                    "the job by now; here it is told to end, and is cancelled if it comes back"
                )
            return settled
        case _:
            return job


def _cancelled(who: Attribution, when: str = "") -> str:
    by = "the application" if who.by is None else who.by
    return f"cancelled by {by}{when}" + ("" if who.reason is None else f": {who.reason}")


def reprioritize(context: TurnContext, body: Reprioritize) -> JobRecord:
    """Give a queued job another priority."""
    waiting, job = needed(context.turn.queued, "reprioritize"), context.known(body.job_id)
    if job.state != JobState.QUEUED:
        raise UsageError(f"expected a job that is queued, got: {job.id}, which is {job.state}; its priority stays")
    with context.on_behalf(body.who):
        return waiting.reprioritize(job, body.priority)


def forget(context: TurnContext, body: ForgetJob) -> None:
    waiting = needed(context.turn.queued, "forget")
    job = context.known(body.job_id)
    if job.state not in ENDED:
        raise UsageError(f"expected a job that has ended, got: {job.id}, which is {job.state}; cancel it first")
    child = None if context.turn.links is None else context.turn.links.child_of(job)
    if child is not None:
        raise UsageError(
            f"expected a job that no other one waits for, or has waited for, got: {job.id}; forget job {child}, which "
            "has, first"
        )
    waiting.forget(job)
    context.note({"k": "forgotten", "j": job.id, "n": job.name}, body.who)
    line = {"job_id": job.id, "job_name": job.name, "state": job.state}
    context.say("job.forgotten", root_id=job.root_id, **line, **body.who.said)


def pause(context: TurnContext, body: Pause) -> Any:
    who, until = body.who, body.until
    context.turn.jobs.pause(body.name, paused=body.paused, by=who.by, reason=who.reason, until=until)
    context.forget_next_due()
    what = "name.paused" if body.paused else "name.resumed"
    context.note({"k": what, "n": body.name, **({} if until is None else {"u": until})}, who)
    context.say(what, job_name=body.name, until=until, **who.said)
    context.out.hint = True
    if not body.paused or body.reply is None:
        return None
    # The HandlerActor answers the caller: when `pause` returns, prefetched jobs must not start any more.
    context.tell(f"handler:{body.name}", Paused(reply=body.reply))
    return PASSED_ON


def limit(context: TurnContext, body: Limit) -> None:
    """Limit how many jobs of a name run over the whole store, or lift the limit."""
    needed(context.turn.queued, "limit").limit(body.name, body.most)
    context.forget_next_due()
    what = "name.unlimited" if body.most is None else "name.limited"
    context.note({"k": what, "n": body.name, **({} if body.most is None else {"x": body.most})}, body.who)
    context.say(what, job_name=body.name, limit=body.most, **body.who.said)
    context.out.hint = True


def _revoke(context: TurnContext, job: JobRecord, reason: str) -> None:
    """Signal the lane of a job whose claim is lost. Another boot learns of its lost claim by the hint."""
    if job.state == JobState.RUNNING and job.boot == context.state.boot:
        context.tell(f"handler:{job.name}", Revoke(key=job.key, reason=reason))


ROUNDS_MAX = 20
"""Factor on the links examined by a turn that acts on many jobs."""


def judged_at_birth(links: JobLinks | None, parts: Sequence[Stored]) -> Sequence[Stored]:
    """The jobs just stored, resolved: their parents may have ended before."""
    judged = {} if links is None else links.judge_births()
    if not judged:
        return parts
    return [[(judged.get(record.row_id, record), fresh) for record, fresh in part] for part in parts]


def free(context: TurnContext) -> None:
    """Free jobs whose parents have ended, before anything is claimed. The next turn follows at once for the rest, and
    in a moment for those that others hold.
    """
    links = context.turn.links
    if links is not None and links.free(context.state.limits.freed_links_max):
        context.tell("broker", CheckDue())
    else:
        context.out.is_held_up = links is not None and context.turn.has_ripe
    context.collect()


def parents_first(jobs: Iterable[JobRecord]) -> Sequence[JobRecord]:
    """Jobs in topological order: parents are stored before their dependents."""
    return sorted(jobs, key=attrgetter("row_id"))


def has_followed(context: TurnContext, job: JobRecord) -> bool:
    """Whether a job moved, or is about to, because its parents did, perhaps in this very turn: it waits again for a
    requeued parent, or is cancelled with it. Nothing else may move it then.
    """
    links = context.turn.links
    if links is None or not job.is_linked:
        return False
    # The next turns free what is left after so many rounds.
    is_open = all(links.free(context.state.limits.freed_links_max) for _ in range(ROUNDS_MAX))
    context.collect()
    now = context.turn.jobs.find([job.id]).get(job.id)
    return is_open or now is None or now.move_no != job.move_no


def keep_step(context: TurnContext, body: KeepStep) -> str:
    """Keep what a step's function has returned; return the kept JSON text. A repeated message keeps the first result.

    Raises:
        StaleClaim: the claim no longer holds the job.
        UnknownJob: retention has removed it.
    """
    job = body.claim.job
    kept = needed(context.turn.steps, "steps").keep(job, body.name, body.result)
    if kept is None:
        # Nothing is logged: the attempt's own end is refused and logged.
        now = context.turn.jobs.get((job.id,)).get(job.id)
        raise stale_step(job, now, f"step {body.name!r} is not kept")
    if kept.is_new:
        # Imported where it is needed: most applications have no steps.
        from ..rules.signals import stepped

        told, line = stepped(job, body.name, body.result, kept.move_no, body.took, boot=context.state.boot)
        context.turn.note(told)
        context.say("job.stepped", **line)
    return kept.step.result


def stale_step(claimed: JobRecord, now: JobRecord | None, says: str) -> LamplighterError:
    """The error of a step whose attempt no longer holds its job. `says`: what happens to the step."""
    if now is None:
        return unknown_job(claimed.id)
    return StaleClaim(
        f"claim {claimed.claim_no} of job {claimed.id} no longer holds it: the job is {now.state}, its claim number is "
        f"{now.claim_no}; {says}, and another attempt decides"
    )
