"""Spans of calls that queue and of attempts, as an exporter of OpenTelemetry's gets them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lamplighter import JobFailed, Runtime
from opentelemetry.trace import StatusCode

from ....contrib.otel.test_carrier import Traces, child, ids, traces

__all__ = ["child", "traces"]
"""Fixtures that both halves of these tests use."""


def test_an_attempt_in_a_child_process_has_its_span_and_the_child_its_context(
    child: Callable[..., Runtime], traces: Traces
) -> None:
    rt = child("where")

    with traces.tracer.start_as_current_span("request"):
        job = rt.jobs.join(rt.jobs.queue("work"), timeout=30)
    rt.stop()

    queued, attempt = traces.one("queue work"), traces.one("process work")
    assert job.result == [*ids(attempt), ["traceparent"]]
    assert attempt.parent is None
    assert [(link.context.trace_id, link.context.span_id) for link in attempt.links] == [ids(queued)]
    assert attempt.attributes is not None and attempt.attributes["lamplighter.job.outcome"] == "succeeded"


def test_a_child_process_is_in_the_trace_of_the_queueing_span_if_its_attempt_is(
    child: Callable[..., Runtime], traces: Traces
) -> None:
    rt = child("where", parent="child")

    with traces.tracer.start_as_current_span("request") as request:
        job = rt.jobs.join(rt.jobs.queue("work"), timeout=30)
    rt.stop()

    assert job.result[0] == request.get_span_context().trace_id
    assert job.result[1] == traces.one("process work").context.span_id


def test_what_a_child_process_queues_is_queued_within_its_attempt(
    child: Callable[..., Runtime], traces: Traces
) -> None:
    rt = child("asks")

    rt.jobs.join(rt.jobs.queue("work"), timeout=30)
    rt.stop()

    queued = traces.one("queue other")
    assert queued.parent is not None and queued.parent.span_id == traces.one("process work").context.span_id


def test_the_error_of_a_child_process_is_told_by_its_span(child: Callable[..., Runtime], traces: Traces) -> None:
    rt = child("fail")

    with pytest.raises(JobFailed):
        rt.jobs.join(rt.jobs.queue("work"), timeout=30)
    rt.stop()

    attempt = traces.one("process work")
    (event,) = attempt.events
    assert attempt.attributes is not None and event.attributes is not None
    assert (attempt.status.status_code, attempt.status.description) == (StatusCode.ERROR, "KeyError: 'nobody'")
    assert (attempt.attributes["error.type"], attempt.attributes["lamplighter.job.outcome"]) == (
        "KeyError",
        "failed",
    )
    assert (event.name, event.attributes["exception.type"]) == ("exception", "KeyError")
    assert "in fail" in str(event.attributes["exception.stacktrace"])


@pytest.mark.parametrize(("function", "outcome"), [("discard", "discarded"), ("hang", "cancelled")])
def test_how_an_attempt_in_a_child_process_has_ended_is_told_by_its_span(
    child: Callable[..., Runtime], traces: Traces, recorder: Any, function: str, outcome: str
) -> None:
    rt = child(function)

    job = rt.jobs.queue("work")
    if function == "hang":
        recorder.wait_for("job.started")
        rt.jobs.cancel(job)
    with pytest.raises(JobFailed):
        rt.jobs.join(job, timeout=30)
    rt.stop()

    attempt = traces.one("process work")
    assert attempt.attributes is not None and attempt.attributes["lamplighter.job.outcome"] == outcome
