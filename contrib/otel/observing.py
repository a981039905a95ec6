"""The counts of a store at a moment, for a reader of OpenTelemetry's metrics."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter

from ... import __version__
from ...rules.validation import check_whole
from .conventions import DESTINATION, SCHEMA_URL, SYSTEM

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
    from ...admin.inspectors import inspector_factory_at
    from ...admin.metrics import KINDS, Distribution, Metric, metrics_of
    from ...stores.addresses import address_of

    check_whole(names_max, "names_max", least=1, most=10_000)
    place = inspector_factory_at(address_of(store))
    meter = get_meter("lamplighter", __version__, meter_provider, SCHEMA_URL)

    read: dict[str, Metric] = {}

    def observing(of: str, labels: tuple[str, ...]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterator[Observation]:
            # The one that is asked first in each collection reads for all of them.
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
