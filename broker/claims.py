"""Claims: given to lanes, ended by them, given back, and taken from HandlerActors that have died."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ..errors import UsageError
from ..messages.jobs import Claim, Instant, JobRecord, JobState, Seconds
from ..messages.mail import Down, Ended, Ending, GiveBack, Mail, Progressed, Revoke, Run, Up
from ..messages.outcomes import Outcome, OutcomeKind, Policy
from ..stores.ports import Want
from .step import Key, Room, Step, is_current

UNSTORABLE = "its ending could not be stored"
"""Why a job fails whose own ending made the turn fail. A failure that cannot be stored either is not tried again."""


def claim(step: Step) -> None:
    """Claim what free lanes can take, and a few more where jobs are short."""
    desk, now, freed = step.desk, step.turn.now, step.out.freed
    _note_queued(step)
    # One that ends in this very turn makes room for the next: no later turn may come.
    suspect_held = any(
        _is_suspect(job, now) and key not in freed.get(name, ())
        for name, room in desk.rooms.items()
        for key, job in room.held.items()
    )
    for name, room in desk.rooms.items():
        held = len(room.held.keys() - freed.get(name, set()))
        begun = max(0, room.lanes - held)
        prefetched = max(0, room.lanes + room.prefetch - held) - begun
        if desk.draining or room.lanes == 0 or desk.dues.get(name, now) > now:
            continue
        want = Want(
            name=name, boot=desk.boot, incarnation=room.incarnation, begun=begun, prefetched=prefetched,
            total=room.total, interruptions_max=room.interruptions_max, suspect=not suspect_held,
        )  # fmt: skip
        claims = step.turn.claim(want)
        if len(claims) < begun + prefetched:
            _note_due(step, name)
        if claims:
            suspect_held = suspect_held or any(_is_suspect(one.job, now) for one in claims)
            _deliver(step, name, room, claims)
    step.collect()


def _note_queued(step: Step) -> None:
    """What this turn has queued may be due earlier than what was known."""
    dues = step.desk.dues
    for one in step.turn.transitions if dues else ():
        if one.job.state == JobState.QUEUED and one.job.name in dues:
            dues[one.job.name] = min(dues[one.job.name], one.job.run_at)


def _note_due(step: Step, name: str) -> None:
    """Nothing more of this name can be claimed now. What is due but held back is looked for in every turn."""
    due = step.turn.first_due(name)
    if due is None:
        step.desk.dues[name] = float("inf")
    elif due > step.turn.now:
        step.desk.dues[name] = due
    else:
        step.desk.dues.pop(name, None)


def ended(step: Step, body: Ended) -> None:
    """Lanes have ended, or were given up. A stale ending changes nothing, and is said."""
    room = step.desk.rooms.get(body.name)
    held = {} if room is None else room.held
    freed = step.out.freed.setdefault(body.name, set())
    settled = step.out.settled.setdefault(body.name, [])
    for ending in body.endings:
        key = ending.claim.key
        settled.append(key)
        if not _is_ours(step, ending.claim):
            _refuse(step, ending.claim.job, ending)
            continue
        freed.add(key)
        job = held.get(key, ending.claim.job)
        if ending.outcome.kind is OutcomeKind.DEFERRED:
            _defer(step, job, ending)
        elif step.settle(job, ending.outcome, ending.policy) is None:
            _refuse(step, job, ending)


def one_by_one(mail: Mail) -> Iterator[Mail]:
    """The message, or one for each of its endings: a turn that fails over one of them must not cost the others."""
    if not isinstance(mail.body, Ended):
        yield mail
        return
    for ending in mail.body.endings:
        yield mail._replace(body=mail.body._replace(endings=(ending,)))


def failed_instead(mail: Mail, error: Exception) -> Mail | None:
    """An ending that could not be stored, as the failure of its job; None if it is none, or was tried before."""
    if not isinstance(mail.body, Ended) or mail.body.endings[0].outcome.reason == UNSTORABLE:
        return None
    failed = Outcome(kind=OutcomeKind.FAILED, reason=UNSTORABLE, error=f"{UNSTORABLE}: {error!r}"[:500])
    if isinstance(error, UsageError) and mail.body.endings[0].outcome.kind is OutcomeKind.SUCCEEDED:
        # Its result is more than the store takes. Another attempt would end like this one.
        failed = Outcome(kind=OutcomeKind.DISCARDED, reason=str(error)[:500], error=f"UsageError: {error}"[:500])
    ending = mail.body.endings[0]._replace(outcome=failed)
    return mail._replace(body=mail.body._replace(endings=(ending,)))


def _defer(step: Step, job: JobRecord, ending: Ending) -> None:
    timeout = ending.outcome.seconds or None
    if step.turn.defer(job, timeout):
        due = float("inf") if timeout is None else step.desk.age() + timeout - ending.seconds
        step.out.after.append(lambda: step.desk.deferred.update({job.key: (due, ending.policy, job.id)}))


def _refuse(step: Step, job: JobRecord, ending: Ending) -> None:
    """The claim had been ended before. An ending that is told twice is no news; one that comes after another is."""
    current = step.turn.job(job.id)
    if current is None:
        return
    overruled = current.state == JobState.CANCELLED
    settled = (current.no, current.settled_no) == job.key
    if not settled or ending.late or overruled:
        step.fenced(current, job.claim_no, ending.outcome.kind.value)


def progressed(step: Step, body: Progressed) -> None:
    """A job says how far it is. Whoever waits for its end is told it too, from what its room holds."""
    step.turn.note_progress(body.key, body.progress)
    # At once, because its end may come in the same turn. If that is rolled back, this mail is applied again.
    for room in step.desk.rooms.values():
        if body.key in room.held:
            room.held[body.key] = room.held[body.key]._replace(progress=body.progress)


def give_back(step: Step, body: GiveBack) -> None:
    """Claims that were not started go back to their old places."""
    for given in filter(partial(_is_ours, step), body.claims):
        step.turn.release(given.job, "not started")
        step.out.freed.setdefault(body.name, set()).add(given.key)


def _is_ours(step: Step, claim: Claim) -> bool:
    """Whether this boot has made a claim. In a store that has gone back, another's may have the same number."""
    return claim.job.boot == step.desk.boot


def up(step: Step, body: Up) -> None:
    """A HandlerActor says what it can take, and what it holds."""
    desk, actor = step.desk, f"handler:{body.name}"
    known = desk.rooms.get(body.name)
    if known is not None and known.incarnation > body.incarnation:
        return
    if desk.unreconciled.get(actor) == body.incarnation and body.answers != desk.question:
        # Said before it was asked: it may not have read yet what the last broker sent, so what it holds is unknown.
        return
    same = known is not None and known.incarnation == body.incarnation
    held = known.held if known is not None and same else {}
    if actor in desk.unreconciled or not same:
        held = _reconcile(step, body)
        step.out.after.append(lambda: desk.unreconciled.pop(actor, None))
    maximum = body.interruptions_max or desk.limits.interruptions_max
    desk.rooms[body.name] = Room(body.incarnation, body.lanes, body.prefetch, body.total, maximum, held)
    store_names(step)


def down(step: Step, body: Down) -> None:
    """A HandlerActor is dead: its claims go back at once, by the same road as every ending."""
    kind, _, name = body.child.partition(":")
    if kind != "handler":
        return
    for job in step.turn.open_claims(step.desk.boot, name, body.incarnation):
        if not job.deferred:
            # An actor runs no code of the host's, so its death is never held against a job.
            step.interrupt(job, f"its HandlerActor died: {body.reason}")
    # It will not answer any more; its successor begins with nothing.
    step.out.after.append(lambda: step.desk.unreconciled.pop(body.child, None))
    room = step.desk.rooms.get(name)
    if room is not None and room.incarnation <= body.incarnation:
        del step.desk.rooms[name]
        store_names(step)


def finish_deferred(step: Step) -> None:
    """Time out claims whose handler has returned and which nobody has marked done."""
    for key, (due, policy, job_id) in list(step.desk.deferred.items()):
        if due > step.desk.age():
            continue
        job = step.turn.job(job_id)
        if job is not None and is_current(job, key):
            outcome = Outcome(kind=OutcomeKind.TIMED_OUT, error="nobody marked it done in time")
            step.settle(job, outcome, policy)
        step.out.after.append(lambda key=key: step.desk.deferred.pop(key, None))  # type: ignore[misc]


def store_names(step: Step) -> None:
    """Let the others know for which names there are lanes here. A turn that is rolled back has stored nothing."""
    desk, names = step.desk, step.desk.names()
    if names != desk.stored_names:
        step.turn.set_names(desk.boot, names)
        step.out.after.append(lambda: setattr(desk, "stored_names", names))


def _reconcile(step: Step, body: Up) -> dict[Key, JobRecord]:
    """Compare the store with what a HandlerActor holds. What it never got was on its way when a broker died."""
    held: dict[Key, JobRecord] = {}
    for job in step.turn.open_claims(step.desk.boot, body.name):
        key = job.key
        if key in body.held:
            held[key] = job
        elif job.deferred:
            # Its handler's policy died with the broker that knew it.
            step.desk.deferred.setdefault(key, (step.desk.age() + _time_left(job, step.turn.now), Policy(), job.id))
        else:
            step.interrupt(job, "it was not delivered")
    for key in body.held:
        if key not in held:
            # Requeued or ended by another boot, say, while there was no broker to hear of it.
            step.tell(f"handler:{body.name}", Revoke(key=key, reason="its claim was lost"))
    return held


def _time_left(job: JobRecord, now: Instant) -> Seconds:
    """How long a claim whose handler has returned lives yet. The clock may have been stepped back since it was made."""
    if job.timeout is None or job.claimed_at is None:
        return float("inf")
    return job.timeout - max(0.0, now - job.claimed_at)


def _deliver(step: Step, name: str, room: Room, claims: list[Claim]) -> None:
    step.tell(f"handler:{name}", Run(claims=tuple(claims)))
    step.out.after.append(lambda: room.held.update({one.key: one.job for one in claims}))


def _is_suspect(job: JobRecord, now: Instant) -> bool:
    return (job.suspect_until or 0.0) > now
