"""Lamplighter in OpenTelemetry: `Runtime(carriers=[OTelCarrier()])` gives each call that queues, and each attempt, a
span, and measures both, by OpenTelemetry's conventions for messaging; `observe_store` tells what a store comes to.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import Any, Literal

from ..errors import missing_extra

try:
    from opentelemetry import context, propagate, trace
    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter
    from opentelemetry.trace import Link, Span, SpanKind, StatusCode, TracerProvider
except ImportError as error:
    raise missing_extra("opentelemetry-api", "traces and metrics", "otel") from error

from .. import __version__
from ..api.job import Job
from ..environment.clock import SystemClock
from ..errors import Cancel, Discard, Snooze
from ..handlers.carriers import Carrier, ChildEnded
from ..log.log_line import safe_str
from ..messages.jobs import Seconds
from ..messages.outcomes import OutcomeKind
from ..messages.tallies import BOUNDS
from ..rules.lifecycle import class_names
from ..rules.validation import check_one_of, check_whole

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
    from ..admin.inspector import inspector_at
    from ..admin.metrics import KINDS, Distribution, Metric, metrics_of

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


def attached(job: Job[Any]) -> AbstractContextManager[None]:
    """The context of the attempt's span: what the function begins is a child of that."""
    return attached_to(propagate.extract(job.carried, Context()))


@contextmanager
def attached_to(one: Context) -> Iterator[None]:
    """A context as the current one, while this lasts."""
    token = context.attach(one)
    try:
        yield
    finally:
        context.detach(token)


WRONG = frozenset({OutcomeKind.FAILED, OutcomeKind.TIMED_OUT, OutcomeKind.DISCARDED})
"""The outcomes whose spans have the status of an error."""

SIGNALLED = {"timed out": OutcomeKind.TIMED_OUT, "cancelled": OutcomeKind.CANCELLED}
"""The outcome of an attempt that was told to end, by `job.cancel_reason`; any other is an interruption."""


class OTelCarrier(Carrier):
    """A span `queue NAME` for each call that queues, and a span `process NAME` for each attempt; and how many there are
    and how long they take.

    The context travels along by the propagators that are configured: W3C's `traceparent`, `tracestate` and `baggage`
    unless OTEL_PROPAGATORS says otherwise. An attempt's span ends when its function does. That of an attempt in a child
    process is begun and ended by the runtime's process, and the child's own spans are its children.

    Args:
        parent: `link`: each attempt begins a trace of its own, with a link to where its job was queued, so that no
            trace lasts for days. `child`: its span is a child of the one in which its job was queued.
        tracer_provider, meter_provider: OpenTelemetry's own are the global ones.

    Raises:
        UsageError: `parent` is something else.
    """

    in_child = f"{__name__}:attached"

    def __init__(
        self,
        *,
        parent: Literal["link", "child"] = "link",
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._is_linked = check_one_of(parent, "parent", ["link", "child"]) == "link"
        self._tracer = trace.get_tracer("lamplighter", __version__, tracer_provider, SCHEMA_URL)
        self._measures = Measures(meter_provider)

    def inject(self) -> Mapping[str, str]:
        """Called by the runtime."""
        carried: dict[str, str] = {}
        propagate.inject(carried)
        return carried

    @contextmanager
    def around_queue(self, jobs: Sequence[Job[Any]]) -> Iterator[None]:
        """Called by the runtime."""
        names = {job.name for job in jobs}
        title = " ".join(["queue", *(names if len(names) == 1 else ())])
        began = self._measures.now()
        with self._tracer.start_as_current_span(
            title,
            kind=SpanKind.PRODUCER,
            attributes={**operation("queue", "send"), **_queued(jobs)},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as error:
                _say_error(span, error)
                self._measures.queued(jobs, began, error)
                raise
            self._measures.queued(jobs, began, None)

    @contextmanager
    def around(self, job: Job[Any]) -> Iterator[None]:
        """Called by the runtime."""
        with self._attempt(job):
            yield

    @contextmanager
    def around_child(self, job: Job[Any]) -> Iterator[Mapping[str, str]]:
        """Called by the runtime."""
        with self._attempt(job):
            yield self.inject()

    @contextmanager
    def _attempt(self, job: Job[Any]) -> Iterator[None]:
        origin, links = self._origin(job)
        self._measures.begun(job)
        began = self._measures.now()
        with (
            attached_to(origin),
            self._tracer.start_as_current_span(
                f"process {job.name}",
                kind=SpanKind.CONSUMER,
                links=links,
                attributes={**operation("process", "process"), **_message(job), **_attempt(job)},
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
        ):
            try:
                yield
            except BaseException as error:
                _say_outcome(span, job, error)
                self._measures.ended(job, began, _wrong(job, error))
                raise
            _say_outcome(span, job, None)
            self._measures.ended(job, began, _wrong(job, None))

    def _origin(self, job: Job[Any]) -> tuple[Context, list[Link]]:
        """The context in which an attempt's span begins, and its links."""
        # Begin with an empty context: the previous job may have left one on this thread.
        origin = propagate.extract(job.carried, Context())
        queued = trace.get_current_span(origin).get_span_context()
        if not self._is_linked:
            return origin, []
        # Drop the span, and keep the baggage.
        root = trace.set_span_in_context(trace.INVALID_SPAN, origin)
        return root, [Link(queued)] if queued.is_valid else []


def _queued(jobs: Sequence[Job[Any]]) -> dict[str, str | int]:
    """The attributes that jobs queued together have in common."""
    if len(jobs) == 1:
        return _message(jobs[0])
    names = [job.name for job in jobs]
    of_all: dict[str, str | int] = {DESTINATION: names[0]} if len(set(names)) == 1 else {}
    return {**of_all, "messaging.batch.message_count": len(jobs)}


def _message(job: Job[Any]) -> dict[str, str | int]:
    return {
        DESTINATION: job.name,
        "messaging.message.id": job.id,
        "messaging.message.conversation_id": job.record.root_id,
        "messaging.message.body.size": len(job.record.data.encode()),
    }


def _attempt(job: Job[Any]) -> dict[str, str | int]:
    of_schedule: dict[str, str | int] = {}
    if job.schedule is not None:
        of_schedule["lamplighter.job.schedule"] = job.schedule
    if job.slot is not None:
        of_schedule["lamplighter.job.slot"] = job.slot.isoformat()
    return {
        "lamplighter.job.attempt": job.attempt,
        "lamplighter.job.claim_no": job.record.claim_no,
        **of_schedule,
    }


def _say_outcome(span: Span, job: Job[Any], error: BaseException | None) -> None:
    outcome = _outcome(job, error)
    span.set_attribute("lamplighter.job.outcome", outcome.value)
    if outcome not in WRONG:
        return
    if error is not None:
        _say_error(span, error)
    if job.cancel_reason is not None:
        span.set_attribute(ERROR, outcome.value)
        span.set_status(StatusCode.ERROR, job.cancel_reason)


def _wrong(job: Job[Any], error: BaseException | None) -> str | None:
    """The error, as the span has it; None if there was none."""
    outcome = _outcome(job, error)
    if outcome not in WRONG:
        return None
    if error is None or job.cancel_reason is not None:
        return outcome.value
    return _type_of(error)


def _type_of(error: BaseException) -> str:
    """The name of its class; of one that has stayed in a child, as that has said it."""
    if isinstance(error, ChildEnded):
        return error.outcome.error_classes[0] if error.outcome.error_classes else error.outcome.kind.value
    return class_names(type(error))[0]


def _outcome(job: Job[Any], error: BaseException | None) -> OutcomeKind:
    if job.cancel_reason is not None:
        # The attempt was signalled to end, so its result or error does not count.
        return SIGNALLED.get(job.cancel_reason, OutcomeKind.INTERRUPTED)
    match error:
        case None:
            return OutcomeKind.SUCCEEDED
        case Discard():
            return OutcomeKind.DISCARDED
        case Cancel():
            return OutcomeKind.CANCELLED
        case Snooze():
            return OutcomeKind.SNOOZED
        case ChildEnded():
            return error.outcome.kind
        case _:
            return OutcomeKind.FAILED


def _say_error(span: Span, error: BaseException) -> None:
    span.set_attribute(ERROR, _type_of(error))
    if isinstance(error, ChildEnded):
        _say_error_of_child(span, error)
        return
    with suppress(Exception):
        # An error whose `str` raises must not be replaced by that second error.
        span.record_exception(error)
    span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {safe_str(error)}")


def _say_error_of_child(span: Span, error: ChildEnded) -> None:
    """The error itself has stayed in the child: this is what it has said of it."""
    outcome = error.outcome
    said = {
        "exception.type": _type_of(error),
        "exception.message": outcome.error,
        "exception.stacktrace": outcome.traceback,
    }
    span.add_event("exception", {name: text for name, text in said.items() if text is not None})
    span.set_status(StatusCode.ERROR, outcome.error)
