"""The answer of `health()`: whether a runtime does its work, for people and for monitoring."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..broker.parked import NAMES_KEPT_MAX, NAMES_TOLD_MAX, PARKED_JOBS_MAX, ParkedNames, waiting
from ..errors import LamplighterError
from ..handlers.lane import Lane
from ..log.emitter import Log, Subscription
from ..messages.jobs import Instant, Seconds
from ..messages.pauses import PauseRecord, paused_at
from ..messages.views import Abandoned, ActorView, Health, QuietView
from ..rules.wording import attributed
from ..stores.ports import Store
from ..stores.troubles import HealthIssue
from ..supervisor import ChildStatus, Family

BUSY_SECONDS_MAX: Seconds = 30.0
"""An actor that has been at one message for so long is told of."""

UNBEGUN_SECONDS_MAX: Seconds = 10.0
"""A job that has had its worker for so long, and whose function has not begun, is told of."""


def health_of(
    *,
    boot: str,
    family: Family,
    unheard: Sequence[str],
    trouble: str | None,
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
    """The answers of the parts of a boot, together.

    Args:
        unheard: parts whose threads have ended without a word.
        trouble: why the store is unavailable, if it is.
        quiet: that it claims no jobs, if somebody had it be quiet.
        waiting: sentences about names whose jobs wait for a person.
        hidden: sentences about other boots of which nobody can know whether they live.
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
        yellow.append(f"the store is unavailable: {trouble}")
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
    """Sentences about actors that are at one message, and about names whose jobs do not begin."""
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
    """Sentences about names whose jobs wait until somebody does something: paused ones, and those without a handler.

    Args:
        parked: names for which no living runtime had a handler.
    """
    try:
        paused = [_paused(pause) for pause in paused_at(store.jobs.pauses(), now).values()]
        names = list(parked.said)
        queued = {name: waiting(store, name, now) for name in names[:NAMES_TOLD_MAX]}
    except LamplighterError:
        # Problems of the store are reported elsewhere.
        return []
    said = [
        f"no living runtime has a handler for {name!r}, and {_or_more(count, PARKED_JOBS_MAX)} of its jobs wait"
        for name, count in queued.items()
        if count
    ]
    if len(names) > NAMES_TOLD_MAX:
        # Names whose jobs are all to run later are remembered no further than so many.
        more = _or_more(max(parked.count, len(names)), NAMES_KEPT_MAX, but=NAMES_TOLD_MAX)
        said.append(f"no living runtime has a handler for {more} more names that have jobs")
    return paused + said


def _or_more(count: int, most: int, but: int = 0) -> str:
    """A number that is counted up to a bound, without those that are told already."""
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


def _paused(pause: PauseRecord) -> str:
    return f"the jobs of {pause.name!r} are paused{attributed(by=pause.by, until=pause.until, reason=pause.reason)}"
