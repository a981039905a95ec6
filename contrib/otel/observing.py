"""The counts of a store at a moment, for a reader of OpenTelemetry's metrics."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter

from ... import __version__
from ...api.job import Job
from ...environment.clock import SystemClock
from ...messages.jobs import Seconds
from ...messages.tallies import BOUNDS
from ...rules.lifecycle import class_names
from ...rules.validation import check_whole

SCHEMA_URL = "https://opentelemetry.io/schemas/1.43.0"
"""The version of the conventions that the attributes follow. Those for messaging are still in development."""

SYSTEM = "lamplighter"

DESTINATION = "messaging.destination.name"
"""The name of a job."""

ERROR = "error.type"
"""The error: the class of an exception, or the outcome of an attempt that was told to end."""

Attributes = dict[str, str]


def operation(name: str, kind: str) -> Attributes:
    """The attributes of something that is done with jobs."""
    return {"messaging.system": SYSTEM, "messaging.operation.name": name, "messaging.operation.type": kind}


class Measures:
    """The instruments of a carrier."""

    def __init__(self, meter_provider: MeterProvider | None) -> None:
        meter = get_meter("lamplighter", __version__, meter_provider, SCHEMA_URL)
        self.now = SystemClock().monotonic
        seconds = partial(meter.create_histogram, unit="s", explicit_bucket_boundaries_advisory=BOUNDS)
        self._sent = meter.create_counter(
            "messaging.client.sent.messages", "{message}", "Jobs that this process has tried to queue."
        )
        self._consumed = meter.create_counter(
            "messaging.client.consumed.messages", "{message}", "Attempts that this process has begun."
        )
        queueing, waiting = "How long calls that queue took.", "How long jobs were due and not claimed."
        self._queueing = seconds("messaging.client.operation.duration", description=queueing)
        self._running = seconds("messaging.process.duration", description="How long attempts ran.")
        self._waiting = seconds("lamplighter.job.wait", description=waiting)

    def queued(self, jobs: Sequence[Job[object]], began: Seconds, error: BaseException | None) -> None:
        """A call has queued jobs, or has raised. `began` is a time of `now`."""
        names = Counter(job.name for job in jobs)
        wrong = {} if error is None else {ERROR: class_names(type(error))[0]}
        attributes = {**operation("queue", "send"), **wrong}
        for name, count in names.items():
            self._sent.add(count, {**attributes, DESTINATION: name})
        of_all = {DESTINATION: next(iter(names))} if len(names) == 1 else {}
        self._queueing.record(self.now() - began, {**attributes, **of_all})

    def begun(self, job: Job[object]) -> None:
        attributes = {**operation("process", "process"), DESTINATION: job.name}
        self._consumed.add(1, attributes)
        if job.record.claimed_at is not None:
            self._waiting.record(max(0.0, job.record.claimed_at - job.record.run_at), attributes)

    def ended(self, job: Job[object], began: Seconds, error_type: str | None) -> None:
        """An attempt has ended. `began` is a time of `now`."""
        wrong = {} if error_type is None else {ERROR: error_type}
        self._running.record(self.now() - began, {**operation("process", "process"), DESTINATION: job.name, **wrong})


STATE = "lamplighter.job.state"

GAUGES = (
    ("lamplighter.jobs", "{job}", "lamplighter_jobs", (DESTINATION, STATE)),
    ("lamplighter.oldest_ready", "s", "lamplighter_oldest_ready_seconds", (DESTINATION,)),
    ("lamplighter.lanes", "{lane}", "lamplighter_lanes", (DESTINATION,)),
    ("lamplighter.lanes.busy", "{lane}", "lamplighter_lanes_busy", (DESTINATION,)),
)
"""Each with its unit, the metric that it is, and what OpenTelemetry calls its labels."""

NAMES_MAX = 200
"""So many names of jobs are told apart."""


def observe_store(
    store: str | os.PathLike[str], *, meter_provider: MeterProvider | None = None, names_max: int = NAMES_MAX
) -> None:
    """Tell of a store whenever metrics are collected: its unfinished jobs, how long the oldest is due, and who works.

    Call it in one process: every other would tell the same. It only reads, in bounded steps.

    Args:
        store: as `Runtime` takes it.
        meter_provider: OpenTelemetry's own is the global one.
        names_max: how many names of jobs are told apart. All others are `other` together.

    Raises:
        UsageError: something in the call cannot be.
        MissingExtra: the store is on a RabbitMQ, and pika is not installed.
    """
    # Imported only here: a child process loads this package for its spans, and looks at no store.
    from ...admin.inspectors import inspector_at
    from ...admin.metrics import KINDS, Distribution, Metric, metrics_of

    check_whole(names_max, "names_max", least=1, most=10_000)
    place = inspector_at(store)
    meter = get_meter("lamplighter", __version__, meter_provider, SCHEMA_URL)

    read: dict[str, Metric] = {}

    def observing(of: str, labels: tuple[str, ...]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterator[Observation]:
            # The gauge that a collection calls first reads the store for all gauges.
            if of == GAUGES[0][2] or not read:
                read.clear()
                found = metrics_of(place, version=__version__, names_max=names_max)
                read.update({metric.of.name: metric for metric in found})
            for key, value in read[of].values.items():
                assert not isinstance(value, Distribution)
                yield Observation(value, {"messaging.system": SYSTEM, **dict(zip(labels, key, strict=True))})

        return observe

    says = {kind.name: kind.says for kind in KINDS}
    for name, unit, of, labels in GAUGES:
        meter.create_observable_gauge(name, [observing(of, labels)], unit, says[of])
