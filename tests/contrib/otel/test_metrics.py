"""What OpenTelemetry measures of jobs, and of a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lamplighter import Discard, Job, StoreUnavailable, UsageError
from lamplighter.admin.metrics import metrics_of
from lamplighter.contrib.otel import Measures, OTelCarrier, observe_store
from lamplighter.messages.tallies import BOUNDS
from lamplighter.stores.transitions import born
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from support.conformance.kit import new

QUEUE = {"messaging.system": "lamplighter", "messaging.operation.name": "queue", "messaging.operation.type": "send"}
PROCESS = {
    "messaging.system": "lamplighter",
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
}
MAIL = {"messaging.destination.name": "mail"}


class Meters:
    """A provider of meters, and what they have measured."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])

    def points(self, name: str) -> list[Any]:
        """What was measured under a name, by its attributes."""
        data = self.reader.get_metrics_data()
        found = [] if data is None else data.resource_metrics[0].scope_metrics[0].metrics
        return [point for metric in found if metric.name == name for point in metric.data.data_points]


@pytest.fixture
def meters() -> Meters:
    return Meters()


@pytest.fixture
def rt(runtime: Callable[..., Any], meters: Meters) -> Any:
    return runtime(carriers=[OTelCarrier(meter_provider=meters.provider)])


def test_what_is_queued_and_run_is_counted_and_timed_by_the_names_of_jobs(rt, recorder, meters):
    rt.jobs.add_handler("mail", lambda job: None)
    rt.jobs.queue("mail")
    rt.jobs.queue_many([("mail", 1), ("nobody", 2)])
    recorder.wait_for("job.done", count=2)
    rt.stop()

    sent = {
        point.attributes["messaging.destination.name"]: point
        for point in meters.points("messaging.client.sent.messages")
    }
    assert {name: point.value for name, point in sent.items()} == {"mail": 2, "nobody": 1}
    assert sent["mail"].attributes == QUEUE | MAIL
    queueing = {
        point.attributes.get("messaging.destination.name"): point.count
        for point in meters.points("messaging.client.operation.duration")
    }
    assert queueing == {"mail": 1, None: 1}
    (consumed,) = meters.points("messaging.client.consumed.messages")
    assert (consumed.value, consumed.attributes) == (2, PROCESS | MAIL)
    (running,) = meters.points("messaging.process.duration")
    assert (running.count, running.attributes, running.explicit_bounds) == (2, PROCESS | MAIL, BOUNDS)
    (waiting,) = meters.points("lamplighter.job.wait")
    assert (waiting.count, waiting.attributes) == (2, PROCESS | MAIL)


def raising(error: BaseException) -> Callable[[Any], None]:
    def handler(job: Any) -> None:
        raise error

    return handler


@pytest.mark.parametrize(
    ("error", "wrong"), [(ValueError("no"), "ValueError"), (Discard("no"), "lamplighter.errors.Discard")]
)
def test_an_attempt_that_fails_is_timed_with_what_went_wrong(rt, recorder, meters, error, wrong):
    rt.jobs.add_handler("mail", raising(error), max_attempts=1)
    rt.jobs.queue("mail")
    recorder.wait_for("job.dead")
    rt.stop()

    (running,) = meters.points("messaging.process.duration")
    assert running.attributes == PROCESS | MAIL | {"error.type": wrong}


@pytest.mark.parametrize(("claimed_at", "waited"), [(400.0, 0.0), (1_007.0, 7.0)])
def test_a_job_has_waited_since_it_was_due_and_not_since_it_was_queued(meters, claimed_at, waited):
    job = Job(born(new("j", queued_at=100.0, run_at=1_000.0), 1)._replace(claimed_at=claimed_at))

    Measures(meters.provider).begun(job)

    (found,) = meters.points("lamplighter.job.wait")
    assert (found.count, found.sum) == (1, waited)


def test_a_call_that_raises_is_counted_with_what_went_wrong(rt, meters, monkeypatch):
    def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(type(rt.boot.requests), "asked", away)
    with pytest.raises(StoreUnavailable):
        rt.jobs.queue("mail")

    (sent,) = meters.points("messaging.client.sent.messages")
    assert sent.attributes == QUEUE | MAIL | {"error.type": "lamplighter.errors.StoreUnavailable"}


def test_a_store_is_told_of_whenever_metrics_are_collected(runtime, recorder, tmp_path, meters, monkeypatch):
    told = {}

    def read(*given, **named):
        found = metrics_of(*given, **named)
        told.update({metric.of.name: dict(metric.values) for metric in found})
        return found

    monkeypatch.setattr("lamplighter.admin.metrics.metrics_of", read)
    rt = runtime()
    rt.jobs.add_handler("sleeps", lambda job: job.sleep(60), concurrency=2)
    rt.jobs.queue("sleeps", id="s")
    recorder.wait_for("job.started")
    rt.jobs.queue("mail", delay=600)
    rt.jobs.queue("nobody")

    observe_store(tmp_path / "jobs.db", meter_provider=meters.provider)

    data = meters.reader.get_metrics_data()
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    found = {
        metric.name: {tuple(point.attributes.values())[1:]: point.value for point in metric.data.data_points}
        for metric in metrics
    }
    assert {metric.name: metric.unit for metric in metrics} == {
        "lamplighter.jobs": "{job}",
        "lamplighter.oldest_ready": "s",
        "lamplighter.lanes": "{lane}",
        "lamplighter.lanes.busy": "{lane}",
    }
    assert {key for key, value in found["lamplighter.jobs"].items() if value} == {
        ("sleeps", "running"),
        ("mail", "scheduled"),
        ("nobody", "parked"),
    }
    assert (found["lamplighter.lanes"], found["lamplighter.lanes.busy"]) == ({("sleeps",): 2}, {("sleeps",): 1})
    assert found["lamplighter.oldest_ready"] == told["lamplighter_oldest_ready_seconds"]
    assert found["lamplighter.oldest_ready"]["nobody",] > 0


def test_each_collection_reads_the_store_once_and_anew(runtime, tmp_path, meters, monkeypatch):
    rt, reads = runtime(), []

    def read(*given, **named):
        reads.append(given)
        return metrics_of(*given, **named)

    monkeypatch.setattr("lamplighter.admin.metrics.metrics_of", read)
    observe_store(tmp_path / "jobs.db", meter_provider=meters.provider)

    meters.reader.get_metrics_data()
    rt.jobs.queue("mail", delay=600)
    found = {tuple(point.attributes.values())[1:]: point.value for point in meters.points("lamplighter.jobs")}

    assert len(reads) == 2
    assert found["mail", "scheduled"] == 1


@pytest.mark.parametrize(
    ("store", "options", "error"),
    [("app.db", {"names_max": 0}, UsageError), ("amqp://nobody:pw@host:port/", {}, UsageError), (None, {}, UsageError)],
)
def test_what_cannot_be_observed_is_refused_at_once(store, options, error):
    with pytest.raises(error):
        observe_store(store, **options)
