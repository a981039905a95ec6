"""Spans of calls that queue and of attempts, as an exporter of OpenTelemetry's gets them."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable
from typing import Any

import pytest
from lamplighter import Cancel, Discard, Job, JobFailed, Runtime, Snooze, StoreUnavailable, UsageError
from lamplighter.contrib.otel import OTelCarrier
from lamplighter.errors import MissingExtra
from lamplighter.stores.transitions import born
from lamplighter.testing import Inline, Simulation
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from support.conformance.kit import new


class Traces:
    """A tracer of the application's, and what its exporter gets."""

    def __init__(self) -> None:
        self.provider = TracerProvider()
        self.exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("application")

    def carrier(self, **options: Any) -> OTelCarrier:
        return OTelCarrier(tracer_provider=self.provider, **options)

    def all(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.all(name)
        return span


@pytest.fixture
def traces() -> Traces:
    return Traces()


@pytest.fixture
def app(traces: Traces) -> Any:
    """Makes applications whose jobs run at once."""
    opened: list[Inline] = []

    def make(register: Callable[[Runtime], object], **options: Any) -> Inline:
        opened.append(Inline(register, carriers=[traces.carrier(**options)]))
        return opened[-1].__enter__()

    yield make
    for one in opened:
        one.__exit__(None, None, None)


def handles(fn: Callable[..., Any], **options: Any) -> Callable[[Runtime], object]:
    return lambda runtime: runtime.jobs.add_handler("work", fn, **options)


def ids(span: ReadableSpan) -> tuple[int, int]:
    return span.context.trace_id, span.context.span_id


def test_an_attempt_is_linked_to_where_its_job_was_queued(app: Any, traces: Traces) -> None:
    inline = app(handles(lambda job: None))

    with traces.tracer.start_as_current_span("request") as request:
        job = inline.jobs.queue("work", {"id": 7})

    queued, processed = traces.one("queue work"), traces.one("process work")
    assert (queued.kind, processed.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert queued.parent is not None and queued.parent.span_id == request.get_span_context().span_id
    assert processed.parent is None and processed.context.trace_id != queued.context.trace_id
    assert [(link.context.trace_id, link.context.span_id) for link in processed.links] == [ids(queued)]
    assert queued.attributes == {
        "messaging.system": "lamplighter",
        "messaging.operation.name": "queue",
        "messaging.operation.type": "send",
        "messaging.destination.name": "work",
        "messaging.message.id": job.id,
        "messaging.message.conversation_id": job.id,
        "messaging.message.body.size": 8,
    }
    assert processed.attributes == {
        **queued.attributes,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "lamplighter.job.attempt": 1,
        "lamplighter.job.claim_no": 1,
        "lamplighter.job.outcome": "succeeded",
    }


def test_an_attempt_is_a_child_of_where_its_job_was_queued_if_so_wanted(app: Any, traces: Traces) -> None:
    inline = app(handles(lambda job: None), parent="child")

    inline.jobs.queue("work")

    queued, processed = traces.one("queue work"), traces.one("process work")
    assert processed.parent is not None and (processed.parent.trace_id, processed.parent.span_id) == ids(queued)
    assert list(processed.links) == []


def test_after_an_attempt_its_thread_is_in_the_span_in_which_it_was_before(
    traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Job, "cancel_reason", None)

    with traces.tracer.start_as_current_span("before") as before:
        with traces.carrier().around(Job(born(new("j"), 1))):
            within = trace.get_current_span()
        after = trace.get_current_span()

    assert (after, within is before) == (before, False)


def test_a_trace_travels_as_w3c_has_it(app: Any, traces: Traces) -> None:
    inline = app(handles(lambda job: job.carried))

    job = inline.jobs.queue("work")

    trace_id, span_id = ids(traces.one("queue work"))
    assert job.result["traceparent"].startswith(f"00-{trace_id:032x}-{span_id:016x}-")


def test_baggage_comes_along(app: Any) -> None:
    inline = app(handles(lambda job: baggage.get_baggage("tenant")))

    token = context.attach(baggage.set_baggage("tenant", "ada"))
    job = inline.jobs.queue("work")
    context.detach(token)

    assert job.result == "ada"


@pytest.mark.parametrize("kind", ["thread", "task"])
def test_what_a_handler_does_is_within_the_span_of_its_attempt(runtime: Any, traces: Traces, kind: str) -> None:
    def plain(job: Job[Any]) -> str:
        with traces.tracer.start_as_current_span("of the application"):
            return job.queue("next").id

    async def coroutine(job: Job[Any]) -> str:
        await asyncio.sleep(0)
        return await asyncio.to_thread(plain, job)

    rt = runtime(carriers=[traces.carrier()])
    rt.jobs.add_handler("work", plain if kind == "thread" else coroutine)
    rt.jobs.add_handler("next", lambda job: None)

    done = rt.jobs.join(rt.jobs.queue("work"), timeout=15)
    rt.jobs.join(done.result, timeout=15)
    rt.stop()

    attempt, inner, queued = traces.one("process work"), traces.one("of the application"), traces.one("queue next")
    assert inner.parent is not None and inner.parent.span_id == attempt.context.span_id
    assert queued.parent is not None and queued.parent.span_id == inner.context.span_id
    assert [link.context.span_id for link in traces.one("process next").links] == [queued.context.span_id]
    assert not trace.get_current_span().get_span_context().is_valid


def test_each_attempt_has_a_span_and_the_one_that_fails_has_its_error(app: Any, traces: Traces) -> None:
    def work(job: Job[Any]) -> None:
        if job.attempt == 1:
            raise ConnectionError("no mail server")

    inline = app(handles(work))

    inline.jobs.queue("work")
    inline.advance(minutes=1)

    first, second = traces.all("process work")
    assert (first.status.status_code, first.status.description) == (
        StatusCode.ERROR,
        "ConnectionError: no mail server",
    )
    assert first.attributes["error.type"] == "ConnectionError"
    assert [event.name for event in first.events] == ["exception"]
    assert second.status.status_code is StatusCode.UNSET and not second.events
    assert [span.attributes["lamplighter.job.outcome"] for span in (first, second)] == ["failed", "succeeded"]
    assert [span.attributes["lamplighter.job.attempt"] for span in (first, second)] == [1, 2]


@pytest.mark.parametrize(
    ("raised", "outcome", "status"),
    [
        (Discard("no"), "discarded", StatusCode.ERROR),
        (Cancel("not needed"), "cancelled", StatusCode.UNSET),
        (Snooze(86_400), "snoozed", StatusCode.UNSET),
    ],
    ids=["discard", "cancel", "snooze"],
)
def test_what_is_raised_on_purpose_has_its_own_outcome(
    app: Any, traces: Traces, raised: Exception, outcome: str, status: StatusCode
) -> None:
    def work(job: Job[Any]) -> None:
        raise raised

    app(handles(work)).jobs.queue("work")

    span = traces.one("process work")
    assert (span.attributes["lamplighter.job.outcome"], span.status.status_code) == (outcome, status)


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (lambda runtime, job: None, "timed_out"),
        (lambda runtime, job: runtime.jobs.cancel(job), "cancelled"),
        (lambda runtime, job: runtime.jobs.requeue(job, delay=3600), "interrupted"),
    ],
    ids=["timeout", "cancel", "requeue"],
)
def test_an_attempt_that_is_told_to_end_says_why_whatever_it_returns(
    traces: Traces, end: Callable[..., Any], outcome: str
) -> None:
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", lambda job: job.sleep(600), timeout=60)

    with Simulation(register, seed=1, carriers=[traces.carrier()]) as simulation:
        job = simulation.runtime.jobs.queue("work")
        simulation.run(seconds=30)
        end(simulation.runtime, job)
        simulation.run(seconds=40)

    first, *_ = traces.all("process work")
    assert first.attributes["lamplighter.job.outcome"] == outcome
    is_wrong = first.status.status_code is StatusCode.ERROR
    assert is_wrong == (outcome == "timed_out")


def test_what_a_schedule_queues_begins_a_trace_without_links(app: Any, traces: Traces) -> None:
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", lambda job: None)
        runtime.scheduler.add("work", "0 0 6 * * *", key="nightly", timezone="UTC")

    app(register).advance(days=1)

    span = traces.one("process work")
    assert (span.parent, list(span.links)) == (None, [])
    assert str(span.attributes["lamplighter.job.slot"]).endswith("T06:00:00+00:00")
    assert span.attributes["lamplighter.job.schedule"]


def test_a_job_that_is_claimed_in_advance_has_no_span_before_it_runs(traces: Traces) -> None:
    """A span that began with the claim would show a job that has waited as one that runs."""
    with Simulation(handles(lambda job: job.sleep(10)), seed=1, carriers=[traces.carrier()]) as simulation:
        simulation.runtime.jobs.queue_many([("work", number) for number in range(3)])
        simulation.run(seconds=60)
        claimed = [line for line in simulation.log.splitlines() if '"job.claimed"' in line]

    begun = [span.start_time for span in traces.all("process work")]
    ended = [span.end_time for span in traces.all("process work")]
    assert len(claimed) == len(begun) == 3
    assert all(after >= before for after, before in zip(begun[1:], ended, strict=False))


@pytest.mark.parametrize(
    ("names", "title", "destination"),
    [(["work", "work"], "queue work", "work"), (["work", "other"], "queue", None)],
)
def test_jobs_that_are_queued_together_have_one_span(
    app: Any, traces: Traces, names: list[str], title: str, destination: str | None
) -> None:
    inline = app(handles(lambda job: None))

    inline.jobs.queue_many([(name, None) for name in names])

    span = traces.one(title)
    assert span.attributes.get("messaging.destination.name") == destination
    assert span.attributes["messaging.batch.message_count"] == 2
    assert "messaging.message.id" not in span.attributes
    links = [link.context.span_id for one in traces.all("process work") for link in one.links]
    assert links == [span.context.span_id] * names.count("work")


def test_a_call_that_cannot_store_its_job_has_its_error(runtime: Any, traces: Traces) -> None:
    def refuse() -> None:
        raise StoreUnavailable("no answer")

    rt = runtime(carriers=[traces.carrier()])
    rt.boot.requests.before_waiting = refuse

    with pytest.raises(StoreUnavailable):
        rt.jobs.queue("work")

    rt.boot.requests.before_waiting = None
    span = traces.one("queue work")
    assert span.attributes["error.type"] == "lamplighter.errors.StoreUnavailable"
    assert span.status.status_code is StatusCode.ERROR


def test_jobs_run_where_no_exporter_is_configured(runtime: Any) -> None:
    rt = runtime(carriers=[OTelCarrier()])
    rt.jobs.add_handler("work", lambda job: job.carried)

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=15).result == {}


def test_an_error_that_cannot_be_shown_does_not_take_the_place_of_itself(app: Any, traces: Traces) -> None:
    class Unshown(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    def work(job: Job[Any]) -> None:
        raise Unshown

    inline = app(handles(work, max_attempts=1))
    job = inline.jobs.queue("work")

    with pytest.raises(JobFailed):
        inline.jobs.join(job)
    assert "Unshown" in (job.error or "")
    assert "Unshown" in (traces.one("process work").status.description or "")


def test_a_parent_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="parent"):
        OTelCarrier(parent="sibling")  # type: ignore[arg-type]


def test_whoever_has_not_installed_the_api_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("lamplighter.contrib.otel")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    with pytest.raises(MissingExtra, match=r"opentelemetry-api for traces.*pip install 'lamplighter\[otel\]'"):
        importlib.import_module("lamplighter.contrib.otel")


CHILD = """
from lamplighter import Discard
from opentelemetry import trace


def where(job):
    span = trace.get_current_span().get_span_context()
    return [span.trace_id, span.span_id, sorted(job.carried)]


def fail(job):
    raise KeyError("nobody")


def discard(job):
    raise Discard("not needed")


def hang(job):
    job.sleep(60)


def asks(job):
    job.queue("other")
"""


@pytest.fixture
def child(
    runtime: Callable[..., Runtime], importable: Callable[[str, str], Any], traces: Traces
) -> Callable[..., Runtime]:
    """Makes runtimes whose `work` jobs run a function of `CHILD` in a child process."""
    module = importable("traced_functions", CHILD)

    def make(function: str, **options: Any) -> Runtime:
        one = runtime(carriers=[traces.carrier(**options)])
        one.jobs.add_handler("work", getattr(module, function), isolation="process", max_attempts=1, timeout=20)
        return one

    return make
