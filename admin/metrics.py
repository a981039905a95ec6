"""The counts of a store and of its runtimes, as metrics for Prometheus or any other scraper.

Counters come from the store's own sums, so that they survive restarts and any process can answer for all. Gauges are
the state that an `Inspector` sees. Labels are names of jobs, outcomes and the like, never ids. An unknown figure has no
value, and not 0: on RabbitMQ there are no sums.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from ..errors import UsageError
from ..messages.jobs import Instant, Seconds
from ..messages.schedules import ScheduleRecord
from ..messages.tallies import BOUNDS, EVER, FENCED, LOCK, MOVED, OTHERS, RAN, SLOT, TURN, WAITED, Tally
from ..stores.control_client import BootView
from .inspector import Inspector
from .views import Amount, NameView, Overview

NAMES_MAX = 200
"""The most job names with a label of their own; all others are `OTHER` together."""

SCHEDULES_MAX = 1_000

OTHER = "other"

HEALTH = {"green": 0, "yellow": 1, "red": 2}

Kind = Literal["counter", "gauge", "histogram"]


class Distribution(NamedTuple):
    """How often something took how long.

    Attributes:
        buckets: how often up to each of `BOUNDS`, and longer; they are not cumulative.
        seconds: the sum.
    """

    buckets: Sequence[int]
    seconds: Seconds


class MetricKind(NamedTuple):
    """A metric without its values.

    Attributes:
        name: in full; of a counter without `_total`.
        labels: the names of its labels.
        says: its help text, in a line.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    says: str


class Metric(NamedTuple):
    """A metric and its values, by its labels."""

    of: MetricKind
    values: dict[tuple[str, ...], float | Distribution]


QUEUED = MetricKind("lamplighter_jobs_queued", "counter", ("name",), "Jobs that were queued.")
REQUEUED = MetricKind("lamplighter_jobs_requeued", "counter", ("name",), "Jobs that were put back by somebody.")
ENDED = MetricKind("lamplighter_jobs_ended", "counter", ("name", "state"), "Jobs that are done, dead or cancelled.")
ATTEMPTS = MetricKind("lamplighter_attempts", "counter", ("name", "outcome"), "Attempts that have ended.")
RUN = MetricKind("lamplighter_job_run_seconds", "histogram", ("name",), "How long attempts ran.")
WAIT = MetricKind("lamplighter_job_wait_seconds", "histogram", ("name",), "How long jobs were due and not claimed.")
FENCES = MetricKind(
    "lamplighter_fenced", "counter", ("name",), "Attempts that had lost their claim and tried to end their job."
)
SLOTS = MetricKind("lamplighter_slots", "counter", ("name", "outcome"), "Slots of schedules that are accounted for.")
LAG = MetricKind(
    "lamplighter_schedule_lag_seconds",
    "gauge",
    ("name",),
    "For how long a slot is due that nobody has heeded.",
)
JOBS = MetricKind(
    "lamplighter_jobs", "gauge", ("name", "state"), "Unfinished jobs: ready, parked, scheduled, running; up to 10,000."
)
DEAD = MetricKind("lamplighter_dead_jobs", "gauge", (), "Dead jobs that are kept; of a file, up to 10,000.")
OLDEST = MetricKind(
    "lamplighter_oldest_ready_seconds", "gauge", ("name",), "For how long the job is due that is due longest."
)
PAUSED = MetricKind("lamplighter_paused", "gauge", ("name",), "Whether somebody has paused the name.")
LANES = MetricKind("lamplighter_lanes", "gauge", ("name",), "How many jobs run at once on the runtimes that answer.")
BUSY = MetricKind("lamplighter_lanes_busy", "gauge", ("name",), "How many of these run a job.")
ABANDONED = MetricKind("lamplighter_lanes_abandoned", "gauge", ("name",), "Hung threads, whose jobs were given up.")
TURNS = MetricKind("lamplighter_turn_seconds", "histogram", (), "How long write batches took that changed something.")
LOCKED = MetricKind(
    "lamplighter_write_lock_wait_seconds", "counter", (), "For how long of that they could not write yet, in seconds."
)
RESTARTS = MetricKind(
    "lamplighter_actor_restarts", "gauge", ("actor",), "How often actors of the runtimes that live were restarted."
)
MAIL = MetricKind("lamplighter_mailbox_messages", "gauge", ("actor",), "Messages that wait for actors.")
MAIL_AGE = MetricKind("lamplighter_mailbox_oldest_seconds", "gauge", ("actor",), "How long the first of them waits.")
DROPPED = MetricKind("lamplighter_log_dropped", "gauge", (), "Log lines that the runtimes that live have not written.")
BOOTS = MetricKind(
    "lamplighter_boots", "gauge", ("condition",), "Runtimes on the store, by how they look from outside."
)
STORE_BYTES = MetricKind("lamplighter_store_bytes", "gauge", (), "How long the store's file is.")
WAL_BYTES = MetricKind("lamplighter_wal_bytes", "gauge", (), "How long the log beside it is.")
STORE_HEALTH = MetricKind("lamplighter_health", "gauge", (), "0 is green, 1 yellow, 2 red: a person must act.")
INFO = MetricKind("lamplighter_info", "gauge", ("version",), "Always 1: which version looks.")

KINDS = (
    *(QUEUED, REQUEUED, ENDED, ATTEMPTS, RUN, WAIT, FENCES, SLOTS, LAG),
    *(JOBS, DEAD, OLDEST, PAUSED, LANES, BUSY, ABANDONED),
    *(TURNS, LOCKED, RESTARTS, MAIL, MAIL_AGE, DROPPED),
    *(BOOTS, STORE_BYTES, WAL_BYTES, STORE_HEALTH, INFO),
)


def metrics_of(inspector: Inspector, *, version: str, names_max: int = NAMES_MAX) -> Sequence[Metric]:
    """All metrics of a store, as it is at one instant.

    Args:
        version: Lamplighter's.
        names_max: how many names of jobs are labels of their own.

    Raises:
        StoreUnavailable, StoreError: it cannot be read.
    """
    with inspector.at_one_instant() as here:
        overview, boots = here.overview(), here.runtimes.all()
        with here.store.snapshot() as seen:
            tallies = [] if seen.tallies is None else seen.tallies.between(EVER, 0, 0)
            has_table = seen.table is not None
            schedules = seen.schedules.some(None, "", SCHEDULES_MAX)
        # Where all are durable, no boot need be asked.
        declared = None if all(one.durable for one in schedules) else here.runtimes.declared()
        schedules = [one for one in schedules if _fires(one, declared)]
    living = [*(name.name for name in overview.names), *(schedule.name for schedule in schedules)]
    called = _Names(tallies, living, names_max)
    found = {kind: Metric(kind, {}) for kind in KINDS}
    adding = _Adding(found, called)
    _add_sums(adding, tallies)
    _add_names(adding, overview.names, here.now(), has_table=has_table)
    _add_schedules(adding, schedules, here.now())
    _add_boots(adding, boots)
    _add_store(adding, overview, inspector.store.place.condition().sizes(), version)
    return list(found.values())


class _Names:
    """The labels of job names.

    Among names that have sums, the alphabetically first keep their labels, whatever lives: so no sum ever falls.
    """

    def __init__(self, tallies: Sequence[Tally], names: Iterable[str], names_max: int) -> None:
        with_sums = sorted({tally.name for tally in tallies if tally.name != OTHERS})[:names_max]
        others = sorted({*names}.difference(with_sums))
        self._own = {*with_sums, *others[: names_max - len(with_sums)]}

    def __call__(self, name: str) -> str:
        return name if name in self._own else OTHER


class _Adding:
    """Adds up the values of metrics."""

    def __init__(self, found: dict[MetricKind, Metric], called: Callable[[str], str]) -> None:
        self._found = found
        self.called = called

    def add(self, kind: MetricKind, number: float, *labels: str) -> None:
        values = self._found[kind].values
        had = values.get(labels, 0)
        assert not isinstance(had, Distribution)
        values[labels] = had + number

    def most(self, kind: MetricKind, number: float, *labels: str) -> None:
        values = self._found[kind].values
        had = values.get(labels, number)
        assert not isinstance(had, Distribution)
        values[labels] = max(had, number)

    def spread(self, kind: MetricKind, tally: Tally, *labels: str) -> None:
        values = self._found[kind].values
        buckets, had = tally.buckets or (0,) * (len(BOUNDS) + 1), values.get(labels)
        if isinstance(had, Distribution):
            both = [one + other for one, other in zip(had.buckets, buckets, strict=True)]
            values[labels] = Distribution(both, had.seconds + tally.seconds)
        else:
            values[labels] = Distribution(buckets, tally.seconds)


def _add_sums(adding: _Adding, tallies: Iterable[Tally]) -> None:
    for tally in tallies:
        name = OTHER if tally.name == OTHERS else adding.called(tally.name)
        if tally.kind == WAITED:
            adding.spread(WAIT, tally, name)
        elif tally.kind.startswith(RAN):
            adding.add(ATTEMPTS, tally.n, name, tally.kind.removeprefix(RAN))
            adding.spread(RUN, tally, name)
        elif tally.kind.startswith(SLOT):
            adding.add(SLOTS, tally.n, name, tally.kind.removeprefix(SLOT))
        elif tally.kind == TURN:
            adding.spread(TURNS, tally)
        elif tally.kind == LOCK:
            adding.add(LOCKED, tally.seconds)
        elif tally.kind == FENCED:
            adding.add(FENCES, tally.n, name)
        elif tally.kind == "queued":
            adding.add(QUEUED, tally.n, name)
        elif tally.kind == "requeued":
            adding.add(REQUEUED, tally.n, name)
        elif tally.kind in MOVED:
            adding.add(ENDED, tally.n, name, tally.kind)


def _add_names(adding: _Adding, names: Iterable[NameView], now: Instant, *, has_table: bool) -> None:
    for one in names:
        name = adding.called(one.name)
        for state, amount in _amounts(one):
            if amount is not None:
                adding.add(JOBS, amount.count, name, state)
        if has_table:
            adding.most(OLDEST, 0.0 if one.oldest_ready is None else max(0.0, now - one.oldest_ready), name)
        adding.most(PAUSED, float(one.pause is not None), name)


def _amounts(name: NameView) -> Iterator[tuple[str, Amount | None]]:
    none = Amount(count=0)
    yield "ready", none if name.is_parked else name.ready
    yield "parked", name.ready if name.is_parked else none
    yield "scheduled", name.scheduled
    yield "running", name.running


def _fires(schedule: ScheduleRecord, declared: Mapping[str, Collection[str]] | None) -> bool:
    """Whether slots of a schedule are to be accounted for, as far as is known."""
    return bool(schedule.durable) or any(schedule.id in ids for ids in (declared or {}).values())


def _add_schedules(adding: _Adding, schedules: Iterable[ScheduleRecord], now: Instant) -> None:
    # Imported only here, where there may be a schedule: it loads the calendar.
    from ..cron.schedule import rule_of

    for one in schedules:
        try:
            due = None if one.paused else next(iter(rule_of(one).between(one.accounted_to, now)), None)
        except UsageError:
            # A zone that this system does not know: `schedule.unusable` in the log and the doctor report it.
            continue
        adding.most(LAG, 0.0 if due is None else now - due.slot, adding.called(one.name))


def _add_boots(adding: _Adding, boots: Iterable[BootView]) -> None:
    for boot in boots:
        adding.add(BOOTS, 1, boot.condition)
        view = boot.view
        if view is None:
            continue
        for handler in view.handlers:
            adding.add(LANES, handler.concurrency, adding.called(handler.name))
            # So that a boot with none busy, or hung, has the value 0, and is not missing.
            for none in (BUSY, ABANDONED):
                adding.add(none, 0, adding.called(handler.name))
        for lane in view.lanes:
            if lane.abandoned is None:
                adding.add(BUSY, 1, adding.called(lane.job_name))
        for hung in view.health.abandoned:
            adding.add(ABANDONED, 1, adding.called(hung.job_name))
        for actor in view.actors:
            kind = actor.name.partition(":")[0]
            adding.add(RESTARTS, max(0, actor.incarnation - 1), kind)
            adding.add(MAIL, actor.mailbox, kind)
            adding.most(MAIL_AGE, actor.oldest_seconds or 0.0, kind)
        adding.add(DROPPED, view.health.log_dropped)


def _add_store(adding: _Adding, overview: Overview, sizes: tuple[int, int] | None, version: str) -> None:
    if sizes is not None:
        adding.add(STORE_BYTES, sizes[0])
        adding.add(WAL_BYTES, sizes[1])
    if overview.dead is not None:
        adding.add(DEAD, overview.dead.count)
    adding.add(STORE_HEALTH, HEALTH[overview.health.status])
    adding.add(INFO, 1, version)
