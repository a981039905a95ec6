"""The measurements of jobs where they are queued and run, as OpenTelemetry's conventions for messaging have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from opentelemetry.metrics import MeterProvider, get_meter

from ... import __version__
from ...api.job import Job
from ...environment.clock import SystemClock
from ...messages.jobs import Seconds
from ...messages.tallies import BOUNDS
from ...rules.exception_classes import class_names
from .conventions import DESTINATION, ERROR, SCHEMA_URL, operation

Attributes = dict[str, str]


class Measures:
    """The instruments of a carrier.

    Args:
        meter_provider: OpenTelemetry's own is the global one.
    """

    def __init__(self, meter_provider: MeterProvider | None) -> None:
        meter = get_meter("lamplighter", __version__, meter_provider, SCHEMA_URL)
        self.now = SystemClock().monotonic
        self._sent = meter.create_counter(
            "messaging.client.sent.messages", "{message}", "Jobs that this process has tried to queue."
        )
        self._queueing = meter.create_histogram(
            "messaging.client.operation.duration",
            "s",
            "How long calls that queue took.",
            explicit_bucket_boundaries_advisory=BOUNDS,
        )
        self._consumed = meter.create_counter(
            "messaging.client.consumed.messages", "{message}", "Attempts that this process has begun."
        )
        self._running = meter.create_histogram(
            "messaging.process.duration", "s", "How long attempts ran.", explicit_bucket_boundaries_advisory=BOUNDS
        )
        self._waiting = meter.create_histogram(
            "lamplighter.job.wait",
            "s",
            "How long jobs were due and not claimed.",
            explicit_bucket_boundaries_advisory=BOUNDS,
        )

    def queued(self, jobs: Sequence[Job[object]], began: Seconds, error: BaseException | None) -> None:
        """A call has queued jobs, or has raised.

        Args:
            began: by `now`.
        """
        names = Counter(job.name for job in jobs)
        attributes = {**operation("queue", "send"), **_wrong(error)}
        for name, count in names.items():
            self._sent.add(count, {**attributes, DESTINATION: name})
        of_all = {DESTINATION: next(iter(names))} if len(names) == 1 else {}
        self._queueing.record(self.now() - began, {**attributes, **of_all})

    def begun(self, job: Job[object]) -> None:
        """An attempt begins."""
        attributes = {**operation("process", "process"), DESTINATION: job.name}
        self._consumed.add(1, attributes)
        if job.record.claimed_at is not None:
            self._waiting.record(max(0.0, job.record.claimed_at - job.record.run_at), attributes)

    def ended(self, job: Job[object], began: Seconds, error_type: str | None) -> None:
        """An attempt has ended.

        Args:
            began: by `now`.
            error_type: what went wrong, if anything did.
        """
        wrong = {} if error_type is None else {ERROR: error_type}
        self._running.record(self.now() - began, {**operation("process", "process"), DESTINATION: job.name, **wrong})


def _wrong(error: BaseException | None) -> Attributes:
    return {} if error is None else {ERROR: class_names(type(error))[0]}
