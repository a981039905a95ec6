"""Snapshots of a boot's state, taken by any thread without waiting: somebody may ask because the broker hangs.

So nothing here reads the store, sends a message, or takes a lock that is held over anything but a few steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

from ..actors.base import ActorContext, RuntimeActor
from ..actors.handler_actor import HandlerActor
from ..actors.job_broker import JobBroker
from ..broker.boot_registration import BootRegistration
from ..broker.state import NAMES_KEPT_MAX, NAMES_TOLD_MAX, PARKED_JOBS_MAX, BrokerInputs, ParkedNames, waiting
from ..environment.process import measured
from ..environment.threads import stacks
from ..errors import LamplighterError, StoreGone
from ..handlers.handler import Handler
from ..handlers.lane import Lane
from ..handlers.lanes import Lanes
from ..log.emitter import Log, Subscription
from ..messages.jobs import Instant, Seconds
from ..messages.mail import Queue
from ..messages.names import paused_at
from ..messages.views import (
    LANES_SHOWN_MAX,
    Abandoned,
    ActorView,
    DeclaredView,
    HandlerView,
    Health,
    LaneView,
    QuietAnswer,
    QuietView,
    RuntimeView,
    Stack,
    StacksView,
    TurnView,
)
from ..rules.rates import rate_said
from ..rules.wording import attributed
from ..stores.ports import Store
from ..stores.troubles import HealthIssue
from ..supervisor import ChildStatus, Family, Supervision
from .declared import HandlerSelection
from .requests import Requests

BUSY_SECONDS_MAX: Seconds = 30.0
"""An actor that handles one message for so long is reported."""

UNBEGUN_SECONDS_MAX: Seconds = 10.0
"""A job whose function has not begun so long after it got its worker is reported."""


def health_of(
    *,
    boot: str,
    family: Family,
    unheard: Sequence[str],
    trouble: Exception | None,
    waiting: Sequence[str],
    quiet: QuietView | None,
    hidden: Sequence[str],
    stuck: Sequence[str],
    health_issues: Iterable[HealthIssue],
    abandoned: Sequence[Lane],
    abandoned_max: int,
    now: Seconds,
    log: Log,
    subscriptions: Sequence[Subscription],
) -> Health:
    """Combine the answers of a boot's parts.

    Args:
        unheard: parts whose threads have ended without a report.
        trouble: why the store is unavailable, if it is.
        waiting: sentences about names whose jobs wait for a person.
        hidden: sentences about other boots that may or may not live.
        stuck: sentences about actors and jobs that do not go on.
        abandoned: lanes that were given up and still run; more than `abandoned_max` are too many.
        now: monotonic.
    """
    red: list[str] = []
    yellow: list[str] = []
    if family.gave_up is not None:
        red.append(f"the supervisor gave up: {family.gave_up}")
    red += [f"the thread of the {name} has ended, and nothing starts it again: restart the process" for name in unheard]
    for child in list(family.children.values()):
        if child.status is ChildStatus.QUARANTINED:
            red.append(f"{child.spec.id} is quarantined: {child.last_crash}")
        elif child.status is ChildStatus.WAITING:
            yellow.append(f"{child.spec.id} is being restarted: {child.last_crash}")
    if quiet is not None:
        reason = "" if quiet.reason is None else f" ({quiet.reason})"
        since = attributed(quiet.since, by=quiet.by)
        yellow.append(f"it takes no jobs until somebody has it go on: quiet{since}{reason}")
    if trouble is not None:
        (red if isinstance(trouble, StoreGone) else yellow).append(f"the store is unavailable: {trouble}")
    for ailment in health_issues:
        (red if ailment.status == "red" else yellow).append(ailment.reason)
    if len(abandoned) > abandoned_max:
        red.append(f"{len(abandoned)} hung threads, more than abandoned_threads_max")
    elif abandoned:
        yellow.append(f"hung threads: {len(abandoned)}")
    yellow += [*stuck, *hidden, *waiting]
    return Health(
        status="red" if red else "yellow" if yellow else "green",
        reasons=(*red, *yellow),
        boot=boot,
        abandoned=tuple(_abandoned(lane, now) for lane in abandoned),
        log_dropped=log.dropped,
        subscriber_dropped=sum(one.dropped for one in subscriptions),
        subscriber_failures=sum(one.failures for one in subscriptions),
    )


def stuck_parts(
    actors: Iterable[ActorView], lanes: Iterable[Lane], now: Seconds, begin_seconds_max: Seconds
) -> list[str]:
    """Sentences about actors busy with one message, and about names whose jobs do not begin."""
    busy = [(actor, actor.busy_seconds or 0.0) for actor in actors]
    said = [
        f"the actor {actor.name} has been at one message ({actor.busy_with}) for {seconds:.0f} s"
        for actor, seconds in busy
        if seconds > BUSY_SECONDS_MAX
    ]
    unbegun: dict[str, str] = {}
    for lane in lanes:
        seconds = now - lane.started_monotonic
        if seconds < min(UNBEGUN_SECONDS_MAX, begin_seconds_max / 2) or lane.abandoned_because is not None:
            continue
        if (why := lane.unbegun) is not None:
            job = lane.claim.job
            unbegun.setdefault(job.name, f"job {job.id} ({job.name}) has not begun for {seconds:.0f} s: {why}")
    return [*said, *unbegun.values()]


def waiting_names(store: Store, parked: ParkedNames, now: Instant) -> list[str]:
    """Sentences about paused names with jobs, and about the `parked` ones, which had no handler on a living runtime."""
    try:
        paused = [
            f"the jobs of {one.name!r} are paused{attributed(by=one.by, until=one.until, reason=one.reason)}"
            for one in paused_at(store.jobs.pauses(), now).values()
        ]
        names = list(parked.said)
        queued = {name: waiting(store, name, now) for name in names[:NAMES_TOLD_MAX]}
    except LamplighterError:
        # Store problems are reported elsewhere.
        return []
    said = [
        f"no living runtime has a handler for {name!r}, and {_or_more(count, PARKED_JOBS_MAX)} of its jobs wait"
        for name, count in queued.items()
        if count
    ]
    if len(names) > NAMES_TOLD_MAX:
        # No more names than this are remembered if their jobs all run later.
        more = _or_more(max(parked.count, len(names)), NAMES_KEPT_MAX, but=NAMES_TOLD_MAX)
        said.append(f"no living runtime has a handler for {more} more names that have jobs")
    return paused + said


def _or_more(count: int, most: int, but: int = 0) -> str:
    """A number that is counted up to a bound, less those already reported."""
    return f"{count - but:,}{'+' if count >= most else ''}"


def _abandoned(lane: Lane, now: Seconds) -> Abandoned:
    return Abandoned(
        job_id=lane.claim.job.id,
        job_name=lane.handler.name,
        lane=lane.id,
        why=lane.abandoned_because or "",
        seconds=now - lane.started_monotonic,
        stack=lane.stack(),
    )


STACK_CHARACTERS_MAX = 20_000
"""How much of a stack's end is shown."""


@dataclass(eq=False, kw_only=True)
class Views:
    """Takes the snapshots of one boot. `standing` returns its current registration."""

    context: ActorContext
    standing: Callable[[], BootRegistration]
    started_at: Instant
    share: HandlerSelection
    lanes: Lanes
    supervision: Supervision
    requests: Requests
    inputs: BrokerInputs
    subscriptions: Sequence[Subscription]

    @property
    def id(self) -> str:
        return self.standing().boot

    def health(self) -> Health:
        """Whether the runtime works, and what is wrong if not. This reads the store too."""
        broker, context = self.requests.broker, self.context
        parked = ParkedNames() if broker is None else broker.parked
        return self._health(waiting_names(context.store, parked, context.clock.now()))

    def tree(self) -> tuple[ActorView, ...]:
        return tuple(self._actor(name) for name in ("supervisor", *self.supervision.family.children))

    def runtime(self) -> RuntimeView:
        host, pid = self.context.environment.whereabouts()
        version, python = self._versions
        open_lanes, share = self.lanes.open(), self.share
        # While a boot starts there is none yet.
        broker = self.requests.broker
        return RuntimeView(
            at=self.context.clock.now(),
            boot=self.id,
            boot_no=self.standing().boot_no,
            host=host,
            pid=pid,
            version=version,
            python=python,
            started_at=self.started_at,
            kind=share.kind,
            store=self.context.store.address,
            store_id=self.context.store.store_id,
            names=tuple(share.names()),
            only=None if share.only is None else tuple(sorted(share.only)),
            leads=None if broker is None or self.context.store.peers is None else broker.leads,
            is_draining=self.inputs.draining,
            health=self._health(()),
            process=measured(),
            turns=TurnView() if broker is None else broker.turn_times.view(self.requests.store_trouble),
            actors=self.tree(),
            handlers=tuple(map(_handler, share.all_handlers())),
            lanes=tuple(map(self._lane, open_lanes[:LANES_SHOWN_MAX])),
            lanes_open=len(open_lanes),
            limits=asdict(self.context.limits),
            quiet=self._quiet(),
        )

    def stacks(self) -> StacksView:
        found: list[Stack] = []
        for lane in self.lanes.open():
            job = lane.claim.job
            found.append(Stack(what="job", name=f"{job.id} ({job.name})", stack=lane.stack()))
        found += [Stack(what="task", name=name, stack=stack) for name, stack in self.lanes.tasks()]
        found += [Stack(what="thread", name=name, stack=stack) for name, stack in stacks()]
        cut = tuple(Stack(what=one.what, name=one.name, stack=one.stack[-STACK_CHARACTERS_MAX:]) for one in found)
        pid = self.context.environment.whereabouts()[1]
        return StacksView(at=self.context.clock.now(), boot=self.id, pid=pid, stacks=cut)

    def output(self, job_id: str) -> tuple[int, str]:
        """The claim by which a job runs here, or 0, and the lines that it has logged so far, as a store keeps them."""
        lane = self.lanes.of_job(job_id)
        return (0, "[]") if lane is None else (lane.claim.job.claim_no, lane.output or "[]")

    def quiet(self) -> QuietAnswer:
        return QuietAnswer(boot=self.id, quiet=self._quiet())

    def declared(self) -> DeclaredView:
        return DeclaredView(boot=self.id, schedules=tuple(one.id for one in self.share.schedules()))

    @cached_property
    def _versions(self) -> tuple[str, str]:
        # Looking up source lines costs more than all the rest.
        return self.context.environment.versions()

    def _quiet(self) -> QuietView | None:
        switched = self.inputs.quiet
        if not switched.is_quiet:
            return None
        who = switched.who
        return QuietView(since=switched.at, by=who.by, via=who.via, reason=who.reason)

    def _health(self, waiting: Sequence[str]) -> Health:
        broker, context = self.requests.broker, self.context
        now, limits = context.clock.monotonic(), context.limits
        return health_of(
            boot=self.id,
            family=self.supervision.family,
            unheard=self.supervision.unheard(),
            trouble=None if broker is None else broker.store_error,
            waiting=waiting,
            quiet=self._quiet(),
            hidden=() if broker is None else broker.hidden,
            stuck=[*stuck_parts(self.tree(), self.lanes.open(), now, limits.begin_seconds_max), *self._short()],
            health_issues=context.store.health_issues(),
            abandoned=self.lanes.abandoned(),
            abandoned_max=limits.abandoned_threads_max,
            now=now,
            log=context.log,
            subscriptions=self.subscriptions,
        )

    def _short(self) -> list[str]:
        """Sentences about names for whose jobs the system gives no more threads or child processes."""
        actors = map(self.context.post.find, list(self.supervision.family.children))
        return [said for one in actors if isinstance(one, HandlerActor) and (said := one.shortage) is not None]

    def _actor(self, name: str) -> ActorView:
        actor, child = self.context.post.find(name), self.supervision.family.children.get(name)
        crashes = self.supervision.crashes if child is None else child.crashes
        waits = None if actor is None else actor.mailbox.first()
        sent_at = getattr(getattr(waits, "message", None), "sent_at", None)
        busy_since, now = None if actor is None else actor.busy_since, self.context.clock.monotonic()
        budget = None if child is None else child.spec.budget
        return ActorView(
            name=name,
            incarnation=0 if actor is None else actor.incarnation,
            status="up" if child is None else child.status.value,
            mailbox=0 if actor is None else len(actor.mailbox),
            oldest_seconds=None if sent_at is None else max(0.0, self.context.clock.now() - sent_at),
            busy_seconds=None if busy_since is None else max(0.0, now - busy_since),
            jobs=tuple(actor.current()) if isinstance(actor, HandlerActor) else (),
            restarts_in_window=0 if child is None else len(child.spec.budget.recent(child.deaths, now)),
            last_crash=None if child is None else child.last_crash,
            busy_with=None if actor is None or busy_since is None else _message_of(actor),
            restarts_max=None if budget is None else budget.restarts_max,
            restart_window_seconds=None if budget is None else budget.window_seconds,
            deaths=tuple(crashes),
            is_halted=isinstance(actor, HandlerActor) and actor.is_halted,
        )

    def _lane(self, lane: Lane) -> LaneView:
        job = lane.claim.job
        return LaneView(
            lane=lane.id,
            job_id=job.id,
            job_name=job.name,
            handler=lane.handler.id,
            kind=lane.handler.kind,
            attempt=job.attempt + 1,
            claim_no=job.claim_no,
            since=lane.started_at,
            seconds=max(0.0, self.context.clock.monotonic() - lane.started_monotonic),
            deadline=lane.times_out_at,
            cancelled=lane.reason,
            abandoned=lane.abandoned_because,
            unbegun=lane.unbegun,
        )


def _handler(handler: Handler) -> HandlerView:
    return HandlerView(
        id=handler.id,
        name=handler.name,
        kind=handler.kind,
        concurrency=handler.concurrency,
        total=handler.concurrency_total,
        timeout=handler.timeout,
        attempts=handler.policy.max_attempts,
        rate=None if handler.rate is None else rate_said(handler.rate),
        per_group=handler.concurrency_per_group,
        rate_per_group=None if handler.rate_per_group is None else rate_said(handler.rate_per_group),
    )


def _message_of(actor: RuntimeActor) -> str | None:
    mail = actor.in_hand
    if mail is None:
        # A caller takes the direct lane without a message.
        return Queue.__name__ if isinstance(actor, JobBroker) else None
    return type(mail.body).__name__
