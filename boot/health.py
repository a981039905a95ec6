"""What `health()` and `tree()` answer: a runtime at one instant, for people and for monitoring."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ..actors.base import RuntimeActor
from ..actors.handler_actor import HandlerActor
from ..environment.clock import Clock
from ..errors import LamplighterError
from ..handlers.lane import Lane
from ..log.emitter import Log, Subscription
from ..messages.jobs import JobState, Seconds
from ..stores.ports import Store
from ..stores.troubles import Ailment
from ..supervisor import Child, ChildStatus, Family


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned:
    """A hung thread: its job has lost the claim, its function did not end when it was asked to. `stack` is where it
    is.
    """

    job_id: str
    job_name: str
    lane: int
    why: str
    seconds: float
    stack: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether a runtime does its work.

    Attributes:
        status: `green`; `yellow` when something is lost that heals by itself; `red` when a person must act.
        reasons: why it is not green.
        abandoned: hung threads that still run.
        log_dropped, subscriber_dropped, subscriber_failures: what was not written or not delivered.
    """

    status: Literal["green", "yellow", "red"]
    reasons: tuple[str, ...]
    boot: str | None
    abandoned: tuple[Abandoned, ...] = ()
    log_dropped: int = 0
    subscriber_dropped: int = 0
    subscriber_failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorView:
    """One actor of the tree.

    Attributes:
        mailbox: messages that wait; `oldest_seconds` is how long the first of them has.
        busy_seconds: how long it has been at its current message.
        jobs: ids of the jobs it runs.
    """

    name: str
    incarnation: int
    status: str
    mailbox: int
    oldest_seconds: float | None
    busy_seconds: float | None
    jobs: tuple[str, ...]
    restarts_in_window: int
    last_crash: str | None


def health_of(
    *,
    boot: str,
    family: Family,
    trouble: str | None,
    waiting: Sequence[str],
    ailments: Iterable[Ailment],
    abandoned: Sequence[Lane],
    abandoned_max: int,
    now: Seconds,
    log: Log,
    subscriptions: Sequence[Subscription],
) -> Health:
    """What the parts of a boot say, together.

    Args:
        trouble: why the store is unavailable, if it is.
        waiting: sentences about names whose jobs wait for a person.
        abandoned: lanes that were given up and still run; more than `abandoned_max` are too many.
        now: monotonic.
    """
    red: list[str] = []
    yellow: list[str] = []
    if family.gave_up is not None:
        red.append(f"the supervisor gave up: {family.gave_up}")
    for child in list(family.children.values()):
        if child.status is ChildStatus.QUARANTINED:
            red.append(f"{child.spec.id} is quarantined: {child.last_crash}")
        elif child.status is ChildStatus.WAITING:
            yellow.append(f"{child.spec.id} is being restarted: {child.last_crash}")
    if trouble is not None:
        yellow.append(f"the store is unavailable: {trouble}")
    for ailment in ailments:
        (red if ailment.status == "red" else yellow).append(ailment.reason)
    if len(abandoned) > abandoned_max:
        red.append(f"{len(abandoned)} hung threads, more than abandoned_threads_max")
    elif abandoned:
        yellow.append(f"hung threads: {len(abandoned)}")
    yellow += waiting
    return Health(
        status="red" if red else "yellow" if yellow else "green",
        reasons=(*red, *yellow),
        boot=boot,
        abandoned=tuple(_abandoned(lane, now) for lane in abandoned),
        log_dropped=log.dropped,
        subscriber_dropped=sum(one.dropped for one in subscriptions),
        subscriber_failures=sum(one.failures for one in subscriptions),
    )


def waiting_names(store: Store, parked: Sequence[str]) -> list[str]:
    """Sentences about names whose jobs wait until somebody does something: paused ones, and those without a handler.

    Args:
        parked: names for which no living runtime had a handler.
    """
    try:
        paused = [f"the jobs of {name!r} are paused" for name in store.jobs.paused()]
        queued = {name: store.jobs.counts(name)[JobState.QUEUED] for name in parked}
    except LamplighterError:
        # What is wrong with the store is said elsewhere.
        return []
    return paused + [
        f"no living runtime has a handler for {name!r}, and {count} of its jobs wait"
        for name, count in queued.items()
        if count
    ]


def view_of(name: str, actor: RuntimeActor | None, child: Child | None, clock: Clock) -> ActorView:
    """An actor as the tree shows it; the supervisor is nobody's child."""
    first = None if actor is None else actor.mailbox.first()
    sent_at = getattr(getattr(first, "message", None), "sent_at", None)
    busy_since = None if actor is None else actor.busy_since
    now = clock.monotonic()
    return ActorView(
        name=name,
        incarnation=0 if actor is None else actor.incarnation,
        status="up" if child is None else child.status.value,
        mailbox=0 if actor is None else len(actor.mailbox),
        oldest_seconds=None if sent_at is None else max(0.0, clock.now() - sent_at),
        busy_seconds=None if busy_since is None else max(0.0, now - busy_since),
        jobs=tuple(actor.current()) if isinstance(actor, HandlerActor) else (),
        restarts_in_window=0 if child is None else len(child.spec.budget.recent(child.deaths, now)),
        last_crash=None if child is None else child.last_crash,
    )


def _abandoned(lane: Lane, now: Seconds) -> Abandoned:
    return Abandoned(
        job_id=lane.claim.job.id,
        job_name=lane.handler.name,
        lane=lane.id,
        why=lane.abandoned_because or "",
        seconds=now - lane.started_monotonic,
        stack=lane.stack(),
    )
