"""Claims: the broker makes them for free lanes, shares `workers_max` places among the names when their lanes are more
than that, records how claims end, and takes them back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized

from ..errors import UsageError
from ..messages.jobs import WAITS_FOR_JOBS, Claim, ClaimKey, Instant, JobRecord, JobState
from ..messages.mail import Capacity, Died, Ended, Ending, GiveBack, Mail, Paused, Progressed, Revoke, Run, Settled
from ..messages.outcomes import Outcome, OutcomeKind, Policy
from ..rules.lifecycle import done_without_result, is_suspect
from ..rules.limits import WHOLE_MAX
from ..stores.turn_ports import Want
from .outbox import HandlerCapacity, names_job
from .state import is_limited
from .turn_context import TurnContext

LOST = "its process died while it ran"
"""The reason of a poisonous job where no dead boot can be named."""

UNSTORABLE = "its ending could not be stored"
"""The reason of a job whose ending made the turn fail. If even this failure cannot be stored, it is dropped."""


def claim(context: TurnContext) -> None:
    """Claim for free lanes, prefetch for short jobs, and send `Settled`."""
    if context.state.inputs.quiet.is_quiet:
        _claim_nothing(context)
    else:
        next_due = _next_due(context)
        wants, most = _wants(context, next_due), context.state.limits.workers_max
        if wants and most < WHOLE_MAX and is_limited(context.capacities, most):
            _share_out(context, wants, next_due)
        elif wants and (most == WHOLE_MAX or not _is_uncounted(context)):
            _claim(context, wants, next_due)
        context.out.next_due = next_due
    for name, keys in context.out.settled.items():
        context.tell(f"handler:{name}", Settled(tuple(keys)))


def heed_quiet(context: TurnContext) -> None:
    """If the quiet switch was changed: log it, and give back what was claimed and not started."""
    switched = context.state.inputs.quiet
    if switched.is_quiet == context.state.standing.quiet_logged.is_quiet:
        return
    context.say("runtime.quieted" if switched.is_quiet else "runtime.resumed", **switched.who.said)
    context.out.quieted = switched
    context.forget_next_due()
    for name in context.capacities if switched.is_quiet else ():
        context.tell(f"handler:{name}", Paused(reply=None))


def _claim_nothing(context: TurnContext) -> None:
    """Limit a server's deliveries to the jobs that run, so that other boots get the rest."""
    wants = [_want(context, name, capacity, 0, 0) for name, capacity in context.capacities.items()]
    if wants and not context.draining:
        context.turn.jobs.claim(wants, suspect=False)
    context.forget_next_due()
    context.collect()


def _share_out(context: TurnContext, wants: Sequence[Want], next_due: dict[str, Instant]) -> None:
    out, state, capacities = context.out, context.state, context.capacities
    held = sum(len(capacity.held.keys() - out.freed.get(name, set())) for name, capacity in capacities.items())
    places = 0 if _is_uncounted(context) else max(0, state.limits.workers_max - held)
    out.served = share_out(
        wants,
        places,
        lambda some: _claim(context, some, next_due),
        names=list(capacities),
        served=state.served,
    )
    if held + sum(map(len, out.claimed.values())) >= state.limits.workers_max:
        # Do not hold a newly arrived job that finds no place: another process may have one.
        context.turn.jobs.claim([want._replace(begun=0, prefetched=0) for want in wants], suspect=False)
        context.collect()


def _is_uncounted(context: TurnContext) -> bool:
    """Whether some HandlerActor has not yet reported what it holds. It matters where places are limited."""
    return bool(context.state.unreconciled.keys() - context.out.reconciled)


def _wants(context: TurnContext, next_due: Mapping[str, Instant]) -> list[Want]:
    """Wants of names with free lanes that may have due jobs. A server also gets those of names that take nothing."""
    wants: list[Want] = []
    if context.state.draining or context.out.drains:
        return wants
    for name, capacity in context.capacities.items():
        held = len(capacity.held.keys() - context.out.freed.get(name, set()))
        begun = max(0, capacity.lanes - held)
        prefetched = max(0, capacity.lanes + capacity.prefetch - held) - begun
        if capacity.lanes == 0 or next_due.get(name, context.turn.now) > context.turn.now:
            continue
        if begun + prefetched > 0 or context.turn.queued is None:
            wants.append(_want(context, name, capacity, begun, prefetched))
    return wants


def _want(context: TurnContext, name: str, capacity: HandlerCapacity, begun: int, prefetched: int) -> Want:
    return Want(
        name=name,
        boot=context.state.boot,
        incarnation=capacity.incarnation,
        begun=begun,
        prefetched=prefetched,
        limits=capacity.limits,
        interruptions_max=capacity.policy.interruptions_max,
    )


def _claim(context: TurnContext, wants: Sequence[Want], next_due: dict[str, Instant]) -> Mapping[str, Sequence[Claim]]:
    """Claim, also several times in a turn. Return the new claims by name."""
    out, now = context.out, context.turn.now
    # A job that ends in this very turn makes room for the next, and no later turn may come to claim that one.
    suspect = context.turn.has_suspects and not (
        any(
            is_suspect(job, now) and key not in out.freed.get(name, ())
            for name, capacity in context.capacities.items()
            for key, job in capacity.held.items()
        )
        or any(is_suspect(one.job, now) for claims in out.claimed.values() for one in claims)
    )
    claimed = context.turn.jobs.claim(wants, suspect=suspect)
    for want in wants:
        name = want.name
        claims, due = claimed.claims.get(name), claimed.next_due.get(name)
        if claims:
            context.tell(f"handler:{name}", Run(tuple(claims), tuple(out.settled.pop(name, ()))))
            out.claimed[name] = [*out.claimed.get(name, ()), *claims]
        if due is None:
            # There may be more: every turn looks for due jobs that are held back.
            next_due.pop(name, None)
        else:
            next_due[name] = due
    if claimed.poison:
        context.blame(claimed.poison, LOST)
    context.collect()
    return claimed.claims


def _next_due(context: TurnContext) -> dict[str, Instant]:
    """When each name's next job is due, as far as known, including jobs that this turn has queued."""
    said = context.out.next_due
    next_due = dict(context.state.next_due if said is None else said)
    for one in context.turn.transitions if next_due else ():
        job = one.job
        if job.state == JobState.QUEUED and job.name in next_due and job.waits != WAITS_FOR_JOBS:
            next_due[job.name] = min(next_due[job.name], job.run_at)
    return next_due


def ended(context: TurnContext, body: Ended) -> None:
    """Lanes have ended or were given up. A stale ending changes nothing, and is logged."""
    capacity = context.capacities.get(body.name)
    held = {} if capacity is None else capacity.held
    freed = context.out.freed.setdefault(body.name, set())
    keys = context.out.settled.setdefault(body.name, [])
    judged: list[Ending] = []
    ends: list[tuple[JobRecord, Outcome, Policy]] = []
    for ending in body.endings:
        job = ending.claim.job
        key = ClaimKey(job.row_id, job.claim_no)
        keys.append(key)
        # In a restored older store, another boot's claim may have the same number.
        if job.boot != context.state.boot:
            _refuse(context, job, ending)
            continue
        freed.add(key)
        job = held.get(key, job)
        if (progress := context.out.progress.get(key)) is not None:
            # This very turn has received it.
            job = job._replace(progress=progress)
        if ending.outcome.kind is OutcomeKind.DEFERRED:
            _defer(context, job, ending)
        else:
            judged.append(ending)
            ends.append((job, ending.outcome, ending.policy))
    settled = context.settle_all(ends)
    for ending, (job, _, _), ended_job in zip(judged, ends, settled, strict=True):
        if ended_job is None:
            _refuse(context, job, ending)
        elif ending.outcome.kind is OutcomeKind.SUCCEEDED and ending.outcome.result is None:
            context.say("job.result_lost", root_id=job.root_id, **names_job(job), reason=ending.outcome.reason)


def one_by_one(mail: Mail) -> Iterator[Mail]:
    """One message for each ending: an ending that makes a turn fail must not lose the others."""
    if not isinstance(mail.body, Ended):
        yield mail
        return
    for ending in mail.body.endings:
        yield mail._replace(body=mail.body._replace(endings=(ending,)))


def failed_instead(mail: Mail, error: Exception) -> Mail | None:
    """The failure to record instead of an ending that could not be stored; None if there is none left to try."""
    if not isinstance(mail.body, Ended) or mail.body.endings[0].outcome.reason == UNSTORABLE:
        return None
    failed = Outcome(kind=OutcomeKind.FAILED, reason=UNSTORABLE, error=f"{UNSTORABLE}: {error!r}"[:500])
    outcome = mail.body.endings[0].outcome
    if isinstance(error, UsageError) and outcome.kind is OutcomeKind.SUCCEEDED and outcome.result is not None:
        # The store refuses a result that large. Another attempt would do the work again, and end like this one.
        failed = done_without_result(str(error)[:500])._replace(then=outcome.then)
    ending = mail.body.endings[0]._replace(outcome=failed)
    return mail._replace(body=mail.body._replace(endings=(ending,)))


def _defer(context: TurnContext, job: JobRecord, ending: Ending) -> None:
    timeout, log = ending.outcome.seconds or None, ending.outcome.log
    if context.turn.jobs.defer(job, timeout, ending.seconds, ending.policy.max_attempts, log):
        context.turn.note({"k": "deferred", "j": job.id, "n": job.name, "r": job.move_no, "c": job.claim_no})


def _refuse(context: TurnContext, job: JobRecord, ending: Ending) -> None:
    """The claim had ended before. A repeated ending is not logged; a different later one is."""
    current = context.turn.jobs.get((job.id,)).get(job.id)
    if current is None:
        return
    overruled = current.state == JobState.CANCELLED
    settled = (current.row_id, current.settled_no) == job.key
    if not settled or ending.late or overruled:
        context.say_fenced(current, job.claim_no, ending.outcome.kind.value)


def progressed(context: TurnContext, body: Progressed) -> None:
    """Keep a job's progress in memory too, for the record that `join` returns."""
    if body.boot != context.state.boot:
        # The store has gone back, and may have given the same numbers to a claim of this boot.
        return
    context.turn.jobs.note_progress(body.key, body.progress)
    context.out.progress[body.key] = body.progress


def give_back(context: TurnContext, body: GiveBack) -> None:
    for given in body.claims:
        if given.job.boot == context.state.boot:
            context.turn.jobs.release(given.job, "not started")
            context.out.freed.setdefault(body.name, set()).add(given.key)


def hear_capacity(context: TurnContext, body: Capacity) -> None:
    state, actor = context.state, f"handler:{body.name}"
    known = context.capacities.get(body.name)
    if known is not None and known.incarnation > body.incarnation:
        return
    if state.unreconciled.get(actor) == body.incarnation and body.answers != state.sync_id:
        # The HandlerActor sent this before it read the Resync, and perhaps before the last broker's messages: nobody
        # knows yet what it holds.
        return
    same = known is not None and known.incarnation == body.incarnation
    held = known.held if known is not None and same else {}
    if actor in state.unreconciled or not same:
        held = _reconcile(context, body)
        context.out.reconciled.add(actor)
    policy = body.policy or Policy(interruptions_max=state.limits.interruptions_max)
    context.out.capacities[body.name] = HandlerCapacity(
        body.incarnation, body.lanes, body.prefetch, body.limits, policy, held
    )
    store_names(context)


def died(context: TurnContext, body: Died) -> None:
    """A HandlerActor is dead: its claims end at once as interrupted, through `settle` like every ending."""
    kind, _, name = body.child.partition(":")
    if kind != "handler":
        return
    open_claims = context.turn.jobs.open_claims(context.state.boot, name, body.incarnation)
    # An actor runs no code of the host's, so its death is never held against a job.
    context.interrupt((job for job in open_claims if not job.deferred), f"its HandlerActor died: {body.reason}")
    # A dead HandlerActor will not answer the Resync, and its successor begins with no claims.
    context.out.reconciled.add(body.child)
    capacity = context.capacities.get(name)
    if capacity is not None and capacity.incarnation <= body.incarnation:
        context.out.capacities[name] = None
        store_names(context)


def finish_deferred(context: TurnContext) -> None:
    """Time out claims, of any boot, whose handler has returned and whose job nobody has marked done."""
    outcome = Outcome(kind=OutcomeKind.TIMED_OUT, error="nobody marked it done in time")
    for job in context.turn.jobs.overdue():
        capacity = context.capacities.get(job.name)
        context.settle(job, outcome, Policy() if capacity is None else capacity.policy)
    context.collect()


def store_names(context: TurnContext) -> None:
    names, stored = context.names(), context.out.stored_names
    if names != (context.state.stored_names if stored is None else stored):
        context.turn.boots.set_names(context.state.boot, names)
        context.out.stored_names = names


def _reconcile(context: TurnContext, body: Capacity) -> dict[ClaimKey, JobRecord]:
    """Compare the store with a HandlerActor's claims. One that it never got was in transit when a broker died."""
    held: dict[ClaimKey, JobRecord] = {}
    for job in context.turn.jobs.open_claims(context.state.boot, body.name):
        key = job.key
        if key in body.held:
            held[key] = job
        elif not job.deferred:
            context.interrupt([job], "it was not delivered")
    for key in body.held:
        if key not in held:
            # For example, another boot has requeued or ended it while no broker ran here.
            context.tell(f"handler:{body.name}", Revoke(key=key, reason="its claim was lost"))
    return held


Claimer = Callable[[Sequence[Want]], Mapping[str, Sized]]
"""Claims, and returns the new claims by name."""


def share_out(wants: Sequence[Want], places: int, claim: Claimer, *, names: Sequence[str], served: str) -> str:
    """Fill `places`. Return the name served last, for the next call. Names get equal numbers of claims per round, and
    the next round begins after the name served last: so no name waits for more than one round of the others.

    Args:
        wants: as without a limit.
        names: all names with lanes, in a stable order.
    """
    pending = deque(_in_turn(wants, names, served))
    while pending and places > 0:
        share = max(1, places // len(pending))
        asked = [pending.popleft() for _ in range(min(len(pending), places))]
        some = [want._replace(begun=min(want.begun, share), prefetched=0) for want in asked]
        got = claim([want for want in some if want.begun])
        for want, part in zip(asked, some, strict=True):
            count = len(got.get(want.name, ()))
            places -= count
            if count:
                served = want.name
            if count == part.begun and want.begun > count:
                pending.append(want._replace(begun=want.begun - count))
    return served


def _in_turn(wants: Sequence[Want], names: Sequence[str], served: str) -> list[Want]:
    """The wants, beginning after the name that was served last."""
    after = names.index(served) + 1 if served in names else 0
    turn = {name: (place - after) % len(names) for place, name in enumerate(names)}
    return sorted(wants, key=lambda want: turn[want.name])
