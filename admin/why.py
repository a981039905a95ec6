"""Why a job is not running: a pure function over one snapshot of its store, and over the views of its boots.

Every statement is certain. Where a snapshot cannot tell, the code is `unknown`, and the sentence says what is missing.
`reasons` has all that are known, and the first of them must go first.

1. Time, other jobs and people: `expired`, `waits_for`, `signal`, `not_due`.
2. The whole store: `no_runtime`, `store_locked`, `quiet`.
3. The jobs of its name: `paused`, `parked`, `restarting`, `halted`, `quarantined`.
4. This job alone: `untold`, `solo`, `suspect`.
5. Others have all the places, or come first: `limit`, `group`, `rate`, `lanes_full`, `behind`.

Where none of this is known to be so, it is `just_now` for a moment, and `unknown` after that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from ..errors import alike, listed
from ..messages.jobs import ENDED, Instant, JobRecord, JobState, Seconds
from ..messages.names import PauseRecord
from ..messages.steps import SIGNAL, WAIT, StepRecord
from ..messages.views import HandlerView, RuntimeView
from ..rules.lifecycle import awaited_signal, is_suspect
from ..rules.rates import least, rate_read, rate_said, room_of, slower
from ..rules.wording import about, attributed, brief, many, moment
from ..stores.control_client import BootView, Defect
from ..stores.places import LockHolder
from ..stores.ports import DependencyStatus, JobTable, QueuePosition, StoreSnapshot

AWAITED_NAMED = 3
"""The most jobs named that another waits for."""

AHEAD_COUNTED_MAX = 10_000
"""The most jobs counted before another."""

STEPS_LOOKED_MAX = 1_000


def wait_context_of(
    job: JobRecord,
    seen: StoreSnapshot,
    boots: Sequence[BootView],
    *,
    now: Instant,
    store: str,
    is_handled_elsewhere: bool = False,
    lock_holder: LockHolder | None = None,
    counted_max: int = AHEAD_COUNTED_MAX,
    moved_to: Callable[[], str | None] = lambda: None,
) -> WaitContext:
    """A job with its surroundings; the other arguments are as `WaitContext` has them, `counted_max` limits `before`."""
    is_queued, table, signal = job.state == JobState.QUEUED, seen.table, awaited_signal(job)
    return WaitContext(
        job=job,
        now=now,
        store=store,
        boots=boots,
        has_all_boots=table is not None,
        pause=next((one for one in seen.jobs.pauses() if one.name == job.name), None) if is_queued else None,
        before=table.before(job, now, counted_max) if is_queued and table is not None else None,
        awaited=table.awaited(job.row_id, AWAITED_NAMED) if is_queued and job.is_linked and table is not None else None,
        waited=table.step(job.row_id, WAIT + signal) if signal is not None and table is not None else None,
        unawaited=_unawaited(table, job) if signal is not None and table is not None else (),
        is_handled_elsewhere=is_handled_elsewhere,
        lock_holder=lock_holder,
        moved_to=moved_to,
    )


def _unawaited(table: JobTable, job: JobRecord) -> Sequence[str]:
    names = {step.name for step in table.steps_seen(job.row_id, STEPS_LOOKED_MAX).newest}
    signals = sorted(name.removeprefix(SIGNAL) for name in names if name.startswith(SIGNAL))
    return [signal for signal in signals if WAIT + signal not in names][:AWAITED_NAMED]


Code = Literal[
    "expired",
    "waits_for",
    "signal",
    "not_due",
    "no_runtime",
    "store_locked",
    "quiet",
    "paused",
    "parked",
    "restarting",
    "halted",
    "quarantined",
    "untold",
    "solo",
    "suspect",
    "limit",
    "group",
    "rate",
    "lanes_full",
    "behind",
    "just_now",
    "unknown",
    "claimed",
    "old_lane",
    "running",
    "deferred",
    "orphaned",
    "done",
    "dead",
    "cancelled",
]
"""Why a queued job is not claimed, how far a running one has come, or how another has ended."""


DEFECTS = get_args(Defect)
"""The reason that is fixed most easily comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """One thing that keeps a job from running, or its fate.

    Attributes:
        code: for programs.
        sentence: for people, about the job as `it`.
        changes: what would change it; empty where nothing would, or need.
    """

    code: Code
    sentence: str
    changes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitContext:
    """A job, and the known facts about its surroundings at one instant.

    Attributes:
        store: its address.
        boots: those on the store, dead ones too; `has_all_boots` if there are no others.
        pause: the pause of its name, a limit over the store, or both.
        before: the jobs before it; None where the store cannot tell.
        awaited: the jobs that it waits for, if any.
        waited: the kept step of its wait for a signal, if it waits for one.
        unawaited: the names of some kept signals for which it has never waited, if it waits for one.
        is_handled_elsewhere: whether a boot that is not among these is known to have handlers for its name.
        lock_holder: who has held what turns wait for during the whole look, as the write lock; None if nobody has.
        moved_to: the address to which the store has been moved, if it has; asked only if no process runs jobs.
    """

    job: JobRecord
    now: Instant
    store: str
    boots: Sequence[BootView]
    has_all_boots: bool = True
    pause: PauseRecord | None = None
    before: QueuePosition | None = None
    awaited: DependencyStatus | None = None
    waited: StepRecord | None = None
    unawaited: Sequence[str] = ()
    is_handled_elsewhere: bool = False
    lock_holder: LockHolder | None = None
    moved_to: Callable[[], str | None] = lambda: None


def what_it_waits_for(awaited: DependencyStatus) -> Why:
    if not awaited.open:
        jobs, have = ("the job", "has") if awaited.total == 1 else (f"all {awaited.total:,} jobs", "have")
        return Why(
            code="waits_for",
            sentence=f"{jobs} that it has waited for {have} ended",
            changes="the next write batch of any process on the store",
        )
    more = [f"{awaited.open - len(awaited.ids):,} more"] if awaited.open > len(awaited.ids) else []
    count = f"{awaited.open:,} of {awaited.total:,} jobs" if awaited.total > 1 else "a job"
    waits = f"it waits for {count}: {listed([*awaited.ids, *more])}"
    ends = f"the end of {'that job' if awaited.open == 1 else 'these jobs'}"
    if awaited.fated is not None:
        job_id, state = awaited.fated
        waits += f"; it does not start then either, as {job_id} is {state}"
        ends = f"a requeue of {job_id}, for which it then waits again"
    return Why(
        code="waits_for", sentence=waits, changes=f"{ends}; or a requeue of this one, which then waits for nobody"
    )


def revival(job: JobRecord) -> str:
    if job.is_linked:
        return "a requeue of that job, for which this one then waits again; or of this one, which waits for nobody"
    return "a requeue"


JUST_NOW_SECONDS = 2.0
"""A job that is due for less time needs no reason: should a hint be lost, processes find others' jobs once a second."""

NAMED_MAX = 3
"""The most processes named in one sentence."""

RESTART = "end that process and start it anew"
MOVED = "nothing does here: use that address"
START = "start a process that has a handler for it: your application, or `lamplighter run MODULE:RUNTIME`"


def moved(address: str) -> str:
    return f"`lamplighter migrate` has moved this store to {address}, and no runtime starts here any more"


def why(wait_context: WaitContext) -> Why:
    """The condition that must go first, or the fate of a job that is not queued."""
    return reasons(wait_context)[0]


def reasons(wait_context: WaitContext) -> Sequence[Why]:
    """All that is known to keep a job from running, the first to go at the front; at least one."""
    state = wait_context.job.state
    if state in ENDED:
        return (_ended(wait_context),)
    if state == JobState.RUNNING:
        return (_held(wait_context),)
    takers = _Candidates.of(wait_context)
    found = [
        *_of_time(wait_context),
        *_of_the_store(wait_context, takers),
        *_of_its_name(wait_context, takers),
        *_of_its_own(wait_context, takers),
        *_of_others(wait_context, takers),
    ]
    return tuple(found) or (_nothing_known(wait_context, takers),)


DUE_AT_ONCE = "a requeue makes it due at once"
SNOOZED = "a requeue runs it at once, but a job.snooze() in it lasts until its own end, unless it is requeued --afresh"


class _Candidates(NamedTuple):
    """The boots that might claim a job, fewer and fewer of them.

    Attributes:
        living: those that live, or may.
        workers: the ones among them that run jobs.
        awake: those that neither stop nor were made quiet.
        handling: those that have a handler for its name.
        sound: those whose parts for its name all work.
    """

    living: Sequence[BootView]
    workers: Sequence[BootView]
    awake: Sequence[BootView]
    handling: Sequence[BootView]
    sound: Sequence[BootView]

    @classmethod
    def of(cls, wait_context: WaitContext) -> _Candidates:
        name = wait_context.job.name
        living = [boot for boot in wait_context.boots if boot.is_alive is not False and boot.kind != "operator"]
        workers = [boot for boot in living if boot.kind == "worker"]
        awake = [boot for boot in workers if not (boot.stops or boot.is_quiet)]
        handling = [boot for boot in awake if name in boot.names]
        sound = [boot for boot in handling if boot.defect(name) is None]
        return cls(living, workers, awake, handling, sound)


def _of_time(wait_context: WaitContext) -> Iterator[Why]:
    job, now = wait_context.job, wait_context.now
    if job.expires_at is not None and job.expires_at <= now:
        yield Why(
            code="expired",
            sentence=f"it expired {about(now - job.expires_at)} ago, and the next write batch cancels it",
            changes="requeue it: it does not expire any more then",
        )
    if wait_context.awaited is not None:
        yield what_it_waits_for(wait_context.awaited)
    if (signal := awaited_signal(job)) is not None and job.run_at > now:
        since = "" if wait_context.waited is None else f", since {moment(wait_context.waited.at)}"
        has_end = wait_context.waited is not None and wait_context.waited.result != "null"
        until = f", until {moment(job.run_at)}" if has_end else ""
        others = [*map(repr, wait_context.unawaited)]
        kept = f"; kept too: signal {listed(others)}, for which it has not waited" if others else ""
        yield Why(
            code="signal",
            sentence=f"it waits for signal {signal!r}{since}{until}{kept}",
            changes=f"`lamplighter jobs signal {job.id} {signal}`, or jobs.signal({job.id!r}, {signal!r})"
            + ("; or time, after which it runs without the signal" if has_end else ""),
        )
    elif job.run_at > now:
        because = f", since it {_since(job.reason)}" if job.reason else ""
        if job.debounce_until is not None:
            latest = moment(job.debounce_until)
            because = f"; each call with its debounce key {job.debounce_key!r} puts it off, until {latest} at most"
        yield Why(
            code="not_due",
            sentence=f"it is due in {about(job.run_at - now)}, at {moment(job.run_at)}{because}",
            changes=f"time does; {SNOOZED if because.startswith(', since it was snoozed') else DUE_AT_ONCE}",
        )


def _since(reason: str) -> str:
    """The reason of its record, where a handler's end has written one."""
    return f"was {reason}" if reason.startswith(("snoozed", "interrupted")) else brief(reason)


def _of_the_store(wait_context: WaitContext, takers: _Candidates) -> Iterator[Why]:
    if not takers.workers and not wait_context.is_handled_elsewhere:
        if (address := wait_context.moved_to()) is not None:
            yield Why(code="no_runtime", sentence=moved(address), changes=MOVED)
            return
        only = ""
        if takers.living:
            verb = "only queues" if len(takers.living) == 1 else "only queue"
            only = f": {_named(takers.living)} {verb}"
        yield Why(code="no_runtime", sentence=f"no process runs jobs on {wait_context.store}{only}", changes=START)
        return
    yield from _locked(wait_context, takers)
    if takers.workers and not takers.awake and not wait_context.is_handled_elsewhere:
        quiet = [boot for boot in takers.workers if boot.is_quiet and not boot.stops]
        does = "is quiet" if len(quiet) == len(takers.workers) else "stops or is quiet" if quiet else "is about to stop"
        changes = f"`lamplighter runtimes go {quiet[0].boot}`" if quiet else START
        yield Why(
            code="quiet",
            sentence=f"every process that runs jobs {does}: {_named(takers.workers)}",
            changes=changes,
        )


def _locked(wait_context: WaitContext, takers: _Candidates) -> Iterator[Why]:
    waits = [_waits_to_write(boot) for boot in takers.awake]
    if wait_context.lock_holder is None and not (waits and min(waits) >= JUST_NOW_SECONDS):
        return
    since = f" for {about(min(waits))}" if waits and min(waits) >= JUST_NOW_SECONDS else ""
    holder = wait_context.lock_holder or LockHolder("somebody else", None)
    whose = "the process that has it" if wait_context.lock_holder is None else holder.words
    yield Why(
        code="store_locked",
        sentence=(f"{holder.words} keeps {holder.holds} of {wait_context.store}{since}: {holder.stops}"),
        changes=f"the end of the transaction in {whose}, or of that process if it hangs",
    )


def _waits_to_write(boot: BootView) -> Seconds:
    """For how long a boot has waited until it may write, by its view."""
    turns = None if boot.view is None else boot.view.turns
    return turns.under_way_seconds or 0.0 if turns is not None and turns.is_waiting else 0.0


def _of_its_name(wait_context: WaitContext, takers: _Candidates) -> Iterator[Why]:
    name, pause = wait_context.job.name, wait_context.pause
    if pause is not None and pause.is_paused(wait_context.now):
        is_paused = "has been paused" if pause.since else "is paused"
        told = attributed(pause.since or None, by=pause.by, until=pause.until, reason=pause.reason)
        yield Why(
            code="paused",
            sentence=f"{name!r} {is_paused}{told}",
            changes=f"`lamplighter names resume {name}`, or jobs.resume({name!r})",
        )
    if wait_context.is_handled_elsewhere:
        return
    if takers.awake and not takers.handling:
        names = {known for boot in takers.living for known in boot.names}
        hint = "".join(f"; did you mean {close!r}?" for close in alike(name, names))
        yield Why(
            code="parked",
            sentence=f"no running process on {wait_context.store} has a handler for {name!r}{hint}",
            changes=START,
        )
    if takers.handling and not takers.sound:
        yield _broken(name, takers.handling)


def _broken(name: str, boots: Sequence[BootView]) -> Why:
    """Why no boot that has handlers for a name takes its jobs: the defect that is fixed most easily."""
    defects = {defect: [boot for boot in boots if boot.defect(name) == defect] for defect in DEFECTS}
    defect, with_it = next((defect, some) for defect, some in defects.items() if some)
    where, crash = _named(with_it), brief(with_it[0].crash_of(name) or "")
    match defect:
        case "restarting":
            sentence = f"what takes jobs of {name!r} has died and is being restarted on {where}: {crash}"
            return Why(code=defect, sentence=sentence, changes="its restart, after a back-off")
        case "halted":
            sentence = f"the handlers of {name!r} are halted on {where}: too many of its threads hang"
            return Why(code=defect, sentence=sentence, changes=f"the end of some of these threads; or {RESTART}")
    sentence = f"what takes jobs of {name!r} has died too often and is quarantined on {where}: {crash}"
    return Why(code=defect, sentence=sentence, changes=RESTART)


def _of_its_own(wait_context: WaitContext, takers: _Candidates) -> Iterator[Why]:
    job, before = wait_context.job, wait_context.before
    if not job.is_counted:
        yield Why(
            code="untold",
            sentence="an application's own transaction has moved it, and no write batch has counted that yet",
            changes="the next write batch of any process on the store",
        )
    if before is None:
        return
    if before.same_schedule is not None:
        yield Why(
            code="solo",
            sentence=f"job {before.same_schedule} of its schedule runs, and overlap='queue_one' has one run at a time",
            changes="the end of that job",
        )
    held = [before.suspects[boot.boot] for boot in takers.sound if boot.boot in before.suspects]
    if is_suspect(job, wait_context.now) and takers.sound and len(held) == len(takers.sound):
        yield Why(
            code="suspect",
            sentence=f"its process died {many(job.interruptions, 'time')} while it ran, so it runs alone among such "
            f"jobs, and {listed([f'job {one}' for one in held])} {'is one' if len(held) == 1 else 'are such'}",
            changes="the end of that job",
        )


def _of_others(wait_context: WaitContext, takers: _Candidates) -> Iterator[Why]:
    job, before = wait_context.job, wait_context.before
    free = list(takers.sound)
    most = None if wait_context.pause is None else wait_context.pause.limit
    if most is not None and before is not None and before.running >= most:
        yield Why(
            code="limit",
            sentence=f"{before.running} of {most} jobs of {job.name!r} run that may run at once over the whole store",
            changes=f"the end of one of them, `lamplighter names limit {job.name} N`, or jobs.limit({job.name!r}, n)",
        )
    totals = [(boot, least(one.total for one in _handlers(boot, job.name))) for boot in free]
    running = 0 if before is None else before.running
    limited = {boot.boot: total for boot, total in totals if total is not None and running >= total}
    if limited and len(limited) == len(free):
        total = max(limited.values())
        yield Why(
            code="limit",
            sentence=f"{total} of {total} jobs of {job.name!r} run that may run at once over the whole store "
            "(concurrency_total)",
            changes="the end of one of them, or a higher concurrency_total",
        )
    yield from _of_its_group(wait_context, free)
    yield from _slowed(wait_context, free)
    free = [boot for boot in free if boot.boot not in limited]
    full = [(boot, said) for boot in free if (said := _full(boot, wait_context)) is not None]
    if full and len(full) == len(free):
        yield Why(
            code="lanes_full",
            sentence="; ".join(said for _, said in full[:NAMED_MAX]),
            changes="the end of one of these jobs, a higher concurrency, or another process",
        )
    if before is not None and before.ahead:
        count = f"{before.ahead:,}{'+' if before.is_capped else ''} due job{'s' * (before.ahead != 1)}"
        whose = f"of {job.name!r}" if job.group_key is None else f"of its group {job.group_key!r}"
        yield Why(
            code="behind",
            sentence=f"{count} {whose} {'comes' if count.startswith('1 ') else 'come'} before it",
            changes=f"time does; more lanes or processes, or `lamplighter jobs reprioritize {job.id} N`",
        )


def _of_its_group(wait_context: WaitContext, free: Sequence[BootView]) -> Iterator[Why]:
    """Whether as many of its group run as any of these boots allows."""
    job, before = wait_context.job, wait_context.before
    limits = [least(one.per_group for one in _handlers(boot, job.name)) for boot in free]
    known = [limit for limit in limits if limit is not None]
    if before is None or before.of_group is None or not known or len(known) < len(limits):
        return
    if before.of_group >= max(known):
        yield Why(
            code="group",
            sentence=f"its group {job.group_key!r} has {before.of_group} of {max(known)} jobs of {job.name!r} that may "
            "run at once (concurrency_per_group)",
            changes="the end of one of them, or a higher concurrency_per_group",
        )


def _slowed(wait_context: WaitContext, free: Sequence[BootView]) -> Iterator[Why]:
    """Whether the rates of all boots that might claim it have no room now."""
    job, before = wait_context.job, wait_context.before
    if before is None:
        return
    handlers = [_handlers(boot, job.name) for boot in free]
    said = [[one.rate for one in some] for some in handlers]
    yield from _closed(repr(job.name), said, before.spent_to, wait_context.now)
    if job.group_key is not None:
        said = [[one.rate_per_group for one in some] for some in handlers]
        yield from _closed(f"its group {job.group_key!r}", said, before.group_spent_to, wait_context.now)


def _closed(who: str, said: Sequence[Sequence[str | None]], spent_to: Instant | None, now: Instant) -> Iterator[Why]:
    """Whether no boot's rate has room now; `said` are the rates of each boot's handlers."""
    rates = [slower(rate_read(one) for one in some if one is not None) for some in said]
    rooms = {rate: room_of(rate, spent_to, now) for rate in rates if rate is not None}
    if not rooms or None in rates or any(room.free for room in rooms.values()):
        return
    opens, rate = min((room.opens, rate_said(rate)) for rate, room in rooms.items())
    yield Why(
        code="rate",
        sentence=f"{who} may start {rate}, and the rate opens in {about(opens - now)}, at {moment(opens)}",
        changes="time does, or a higher rate",
    )


def _handlers(boot: BootView, name: str) -> Sequence[HandlerView]:
    """Its handlers of a name, by its view."""
    return [] if boot.view is None else [one for one in boot.view.handlers if one.name == name]


def _full(boot: BootView, wait_context: WaitContext) -> str | None:
    """Why a boot has no lane for a job; None if it has one, or that is unknown."""
    name, view = wait_context.job.name, boot.view
    if view is None:
        return None
    lanes = [lane for lane in view.lanes if lane.abandoned is None]
    mine = [lane for lane in lanes if lane.job_name == name]
    places = sum(one.concurrency for one in view.handlers if one.name == name)
    workers = int(view.limits.get("workers_max", 0))
    if places and len(mine) >= places:
        busy, what = mine, f"all {places} lanes of {name!r} are" if places > 1 else f"the one lane of {name!r} is"
    elif workers and len(lanes) >= workers:
        busy, what = lanes, f"all places (workers_max={workers}) are"
    else:
        return None
    oldest = max(busy, key=lambda lane: lane.seconds)
    return f"{what} busy on {boot.words}, the longest for {about(oldest.seconds)} with job {oldest.job_id}"


def _nothing_known(wait_context: WaitContext, takers: _Candidates) -> Why:
    due = wait_context.now - max(wait_context.job.run_at, wait_context.job.queued_at)
    if due < JUST_NOW_SECONDS:
        return Why(
            code="just_now",
            sentence=f"it is due for {about(max(0.0, due))}, and nothing is known to hold it back",
            changes="the next write batch of a process that has a handler for it",
        )
    because = "; ".join(_gaps(wait_context, takers)) or (
        f"nothing that can be seen holds it back, though it is due for {about(due)}"
    )
    return Why(code="unknown", sentence=f"unknown, because {because}")


def _gaps(wait_context: WaitContext, takers: _Candidates) -> Iterator[str]:
    """The unknown facts that might be the reason."""
    if unsure := [boot for boot in takers.sound if boot.is_alive is None]:
        yield f"nobody can know whether {_named(unsure)} lives ({unsure[0].unheard})"
    silent = [boot for boot in takers.sound if boot.view is None]
    for unheard in dict.fromkeys(boot.unheard for boot in silent):
        mute = [boot for boot in silent if boot.unheard == unheard]
        yield f"{_named(mute)} may take it and has not said what it is at ({unheard})"
    for boot in takers.sound:
        busy = boot.broker_busy
        if busy >= JUST_NOW_SECONDS:
            yield f"the broker of {boot.words} has been at one message for {about(busy)}"
    if not takers.sound and wait_context.is_handled_elsewhere:
        yield "another process has a handler for it, and was not asked what it is at"
    if wait_context.before is None:
        yield "this store does not say which jobs come before it"


def _held(wait_context: WaitContext) -> Why:
    job = wait_context.job
    boot = next((one for one in wait_context.boots if one.boot == job.boot), None)
    if job.deferred:
        sentence = "its handler has returned, and nobody has marked it done yet (auto_done=False)"
        if job.expires_at is not None:
            sentence += f"; its timeout is over in {about(max(0.0, job.expires_at - wait_context.now))}"
        return Why(code="deferred", sentence=sentence, changes="mark_done with its token, or its timeout")
    since = "" if job.claimed_at is None else f" for {about(max(0.0, wait_context.now - job.claimed_at))}"
    if boot is None and wait_context.has_all_boots:
        sentence = f"boot {job.boot}, which has claimed it, is not on the store any more"
        return Why(code="orphaned", sentence=sentence, changes="the next start of a process takes it back")
    if boot is not None and boot.is_alive is False:
        sentence = f"{boot.words}, which has claimed it, is dead"
        return Why(code="orphaned", sentence=sentence, changes="the next start, or another process, takes it back")
    where = f"on boot {job.boot}" if boot is None else f"on {boot.words}"
    if boot is not None and boot.view is not None:
        return _on_a_lane(wait_context, boot, boot.view, where)
    unsure = ""
    if boot is not None and boot.is_alive is None:
        unsure = ", and nobody can know whether that lives"
    elif boot is not None and boot.condition in ("silent", "stopped"):
        unsure = f", which does not answer: {boot.unheard}"
    return Why(code="running", sentence=f"attempt {job.attempt + 1} has held it{since} {where}{unsure}")


def _on_a_lane(wait_context: WaitContext, boot: BootView, view: RuntimeView, where: str) -> Why:
    """The view of its boot about a claimed job."""
    job = wait_context.job
    lanes = [lane for lane in view.lanes if lane.job_id == job.id]
    mine = next((lane for lane in lanes if lane.claim_no == job.claim_no), None)
    if mine is not None:
        asked = "" if mine.cancelled is None else f", and is asked to end: {brief(mine.cancelled)}"
        did = "has run" if mine.unbegun is None else f"has not begun ({mine.unbegun})"
        return Why(code="running", sentence=f"attempt {mine.attempt} {did} for {about(mine.seconds)} {where}{asked}")
    if lanes:
        old, grace = lanes[0], view.limits.get("lane_grace_seconds")
        wait = "" if grace is None else f", or has had its {about(float(grace))} of grace"
        return Why(
            code="old_lane",
            sentence=f"claim {old.claim_no} of it still runs {where}, though it does not count any more; claim "
            f"{job.claim_no} begins when that has ended{wait}",
            changes="a handler that responds to its signal",
        )
    return Why(code="claimed", sentence=f"it is claimed {where}, and about to begin")


def _ended(wait_context: WaitContext) -> Why:
    job = wait_context.job
    ago = "" if job.ended_at is None else f" for {about(max(0.0, wait_context.now - job.ended_at))}"
    match JobState(job.state):
        case JobState.DONE:
            return Why(code="done", sentence=f"it has been done{ago}")
        case JobState.CANCELLED:
            because = f": {brief(job.reason)}" if job.reason else ""
            return Why(
                code="cancelled", sentence=f"it has been cancelled{ago}{because}", changes=revival(wait_context.job)
            )
    reason, error = brief(job.reason or ""), brief(job.error or "")
    said = filter(None, ("" if reason in error else reason, error))
    return Why(code="dead", sentence=": ".join([f"it has been dead{ago}", *said]), changes=revival(wait_context.job))


def _named(boots: Sequence[BootView]) -> str:
    more = [f"{len(boots) - NAMED_MAX} more"] if len(boots) > NAMED_MAX else []
    return listed([*(boot.words for boot in boots[:NAMED_MAX]), *more])
