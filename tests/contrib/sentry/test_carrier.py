"""What Sentry gets of jobs, by a transport that keeps it."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sentry_sdk
from lamplighter import Cancel, Discard, Job, Runtime, Snooze
from lamplighter.contrib.sentry import CAPTURED_MAX, Lines, SentryCarrier
from lamplighter.errors import MissingExtra
from lamplighter.log.log_line import LogLine
from lamplighter.stores.transitions import born
from lamplighter.testing import Inline
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.integrations.threading import ThreadingIntegration
from sentry_sdk.transport import Transport

from support.conformance.kit import new


class Kept(Transport):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.envelopes: list[Envelope] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.envelopes.append(envelope)

    @property
    def errors(self) -> list[Any]:
        return [found for one in self.envelopes if (found := one.get_event()) is not None]

    @property
    def transactions(self) -> list[Any]:
        return [found for one in self.envelopes if (found := one.get_transaction_event()) is not None]


@pytest.fixture
def sent() -> Iterator[Kept]:
    kept = Kept()
    sentry_sdk.init(
        dsn="https://key@localhost/1",
        # Otherwise the library asks git.
        release="1",
        transport=kept,
        traces_sample_rate=1.0,
        default_integrations=False,
        integrations=[LoggingIntegration(), DedupeIntegration(), ThreadingIntegration(propagate_scope=True)],
    )
    yield kept
    sentry_sdk.get_global_scope().set_client(None)
    sentry_sdk.get_global_scope()._event_processors.clear()
    sentry_sdk.get_isolation_scope().clear()
    sentry_sdk.get_current_scope().clear()


@pytest.fixture
def app(sent: Kept) -> Iterator[Callable[..., Inline]]:
    """Makes applications whose jobs run at once."""
    opened: list[Inline] = []

    def make(fn: Callable[..., Any], *, carrier: SentryCarrier | None = None, **options: Any) -> Inline:
        def register(runtime: Runtime) -> None:
            runtime.jobs.add_handler("work", fn, **options)

        opened.append(Inline(register, carriers=[carrier or SentryCarrier()]))
        return opened[-1].__enter__()

    yield make
    for one in opened:
        one.__exit__(None, None, None)


def errors_of(event: Any) -> list[str]:
    return [f"{one['type']}: {one['value']}" for one in event["exception"]["values"]]


def fails(job: Job[Any]) -> None:
    raise ConnectionError(f"attempt {job.attempt}")


def test_the_error_that_no_other_attempt_follows_is_reported_once(app: Any, sent: Kept) -> None:
    inline = app(fails, max_attempts=3)

    job = inline.jobs.queue("work", {"card": "4111"})
    inline.advance(hours=1)

    assert inline.jobs.get(job).state == "dead"
    (event,) = sent.errors
    assert errors_of(event) == ["ConnectionError: attempt 3"]
    assert event["exception"]["values"][0]["mechanism"] == {"type": "lamplighter", "handled": False}
    assert (event["tags"]["job_name"], event["tags"]["job_id"]) == ("work", job.id)
    assert event["transaction"] == "work"
    assert event["contexts"]["lamplighter"] == {
        "job_id": job.id,
        "job_name": "work",
        "attempt": 3,
        "max_attempts": 3,
        "claim_no": 3,
        "corr": job.id,
        "schedule": None,
        "slot": None,
    }
    assert "4111" not in str(sent.envelopes), "a job's data is not sent"


def test_errors_that_another_attempt_follows_are_reported_if_so_wanted(app: Any, sent: Kept) -> None:
    inline = app(fails, max_attempts=3, carrier=SentryCarrier(capture_retries=True))

    inline.jobs.queue("work")
    inline.advance(hours=1)

    assert [errors_of(event) for event in sent.errors] == [
        [f"ConnectionError: attempt {number}"] for number in (1, 2, 3)
    ]


def test_an_error_that_discard_on_names_is_reported_at_once(app: Any, sent: Kept) -> None:
    inline = app(fails, discard_on=ConnectionError)

    inline.jobs.queue("work")

    assert [errors_of(event) for event in sent.errors] == [["ConnectionError: attempt 1"]]


def test_an_error_that_the_handler_has_reported_itself_is_not_reported_again(app: Any, sent: Kept) -> None:
    def reports(job: Job[Any]) -> None:
        try:
            fails(job)
        except ConnectionError as error:
            sentry_sdk.capture_exception(error)
            raise

    app(reports, max_attempts=1).jobs.queue("work")

    assert [errors_of(event) for event in sent.errors] == [["ConnectionError: attempt 1"]]


@pytest.mark.parametrize(
    ("raised", "status"),
    [(Snooze(86_400), "aborted"), (Discard("not an address"), "aborted"), (Cancel("not needed"), "cancelled")],
    ids=["snooze", "discard", "cancel"],
)
def test_what_is_raised_on_purpose_is_no_error(app: Any, sent: Kept, raised: Exception, status: str) -> None:
    def work(job: Job[Any]) -> None:
        raise raised

    app(work).jobs.queue("work")

    assert [event for event in sent.errors if "exception" in event] == []
    (transaction,) = sent.transactions
    assert transaction["contexts"]["trace"]["status"] == status


def test_a_job_that_is_dead_without_an_error_is_reported_by_its_line(runtime: Any, recorder: Any, sent: Kept) -> None:
    def work(job: Job[Any]) -> None:
        raise Discard("not an address")

    rt = runtime(carriers=[SentryCarrier()])
    rt.jobs.add_handler("work", work)
    job = rt.jobs.queue("work")
    recorder.wait_for("job.dead")
    rt.stop()

    (event,) = sent.errors
    assert event["logentry"]["message"] == "job.dead: Discard: not an address"
    assert event["fingerprint"] == ["lamplighter", "job.dead", "work"]
    assert event["tags"] == {"job_id": job.id, "job_name": "work"}
    assert event["extra"]["outcome"] == "discarded"
    assert (event["level"], event["logger"]) == ("error", "lamplighter")
    assert "breadcrumbs" not in event


def test_a_dead_job_whose_error_is_reported_is_not_reported_by_its_line(
    runtime: Any, recorder: Any, sent: Kept
) -> None:
    rt = runtime(carriers=[SentryCarrier()])
    rt.jobs.add_handler("work", fails, max_attempts=1)
    rt.jobs.queue("work")
    recorder.wait_for("job.dead")
    rt.stop()

    assert [errors_of(event) for event in sent.errors] == [["ConnectionError: attempt 1"]]


def test_of_very_many_reported_errors_the_newest_are_remembered() -> None:
    lines = Lines()
    jobs = [f"j{number}" for number in range(CAPTURED_MAX + 2)]
    for job_id in jobs:
        lines.note_captured(job_id, 1)

    def is_reported(job_id: str) -> bool:
        said = LogLine({"event": "job.dead", "level": "error", "job_id": job_id, "claim_no": 1}, is_event=True)
        return lines.process({}, {"log_record": logging.makeLogRecord({"msg": said})}) is not None

    assert list(filter(is_reported, jobs)) == jobs[:2]


def test_a_job_that_was_timed_out_is_one_report_whatever_it_raised_then(
    runtime: Any, recorder: Any, sent: Kept
) -> None:
    ended = threading.Event()

    def work(job: Job[Any]) -> None:
        try:
            job.sleep(600)
            raise ConnectionError("because the other side was closed")
        finally:
            ended.set()

    rt = runtime(carriers=[SentryCarrier()])
    rt.jobs.add_handler("work", work, timeout=1, max_attempts=1)
    rt.jobs.queue("work")
    assert ended.wait(15)
    recorder.wait_for("job.dead")
    rt.stop()

    (event,) = sent.errors
    assert event["logentry"]["message"] == "job.dead: timed out after 1 s"
    recorder.until(lambda: sent.transactions, "the transaction of the attempt")
    assert sent.transactions[0]["contexts"]["trace"]["status"] == "deadline_exceeded"


def test_other_loggers_are_reported_as_ever(sent: Kept) -> None:
    SentryCarrier()

    logging.getLogger("shop").error("out of paper")

    (event,) = sent.errors
    assert event["logentry"]["message"] == "out of paper"


@pytest.mark.parametrize("kind", ["thread", "task"])
def test_each_job_has_a_scope_of_its_own_and_no_breadcrumbs_of_another(runtime: Any, sent: Kept, kind: str) -> None:
    def plain(job: Job[Any]) -> None:
        sentry_sdk.add_breadcrumb(message=f"in job {job.data}")
        sentry_sdk.set_tag(f"of_job_{job.data}", "yes")
        sentry_sdk.capture_message(f"message {job.data}")

    async def coroutine(job: Job[Any]) -> None:
        await asyncio.sleep(0)
        plain(job)

    rt = runtime(carriers=[SentryCarrier()])
    rt.jobs.add_handler("work", plain if kind == "thread" else coroutine)
    for number in (1, 2):
        rt.jobs.join(rt.jobs.queue("work", number), timeout=15)
    rt.stop()

    first, second = sent.errors
    assert [crumb["message"] for crumb in first["breadcrumbs"]["values"]] == ["in job 1"]
    assert [crumb["message"] for crumb in second["breadcrumbs"]["values"]] == ["in job 2"]
    assert "of_job_1" not in second["tags"]


def test_a_request_that_has_started_the_runtime_is_not_in_the_reports_of_its_jobs(runtime: Any, sent: Kept) -> None:
    """Sentry gives each new thread the scope of whoever starts it: all jobs would be reported as that request's."""
    sentry_sdk.set_tag("service", "shop")
    sentry_sdk.add_breadcrumb(message="the application starts")
    rt = runtime(carriers=[SentryCarrier()], start=False)
    rt.jobs.add_handler("work", lambda job: sentry_sdk.capture_message("hello"))

    with sentry_sdk.isolation_scope() as request:
        request.set_user({"id": "ada"})
        request.add_event_processor(lambda event, hint: {**event, "request": {"url": "/login"}})
        rt.start()
        rt.jobs.join(rt.jobs.queue("work"), timeout=15)
    rt.stop()

    (event,) = sent.errors
    assert "request" not in event and "user" not in event
    assert event["breadcrumbs"]["values"] == []
    assert event["tags"]["service"] == "shop"


def test_a_jobs_transaction_continues_the_trace_in_which_it_was_queued(app: Any, sent: Kept) -> None:
    inline = app(lambda job: None)

    with sentry_sdk.start_transaction(name="POST /orders", op="http.server"):
        job = inline.jobs.queue("work", {"order": 7})

    of_job, request = sent.transactions
    (published,) = [span for span in request["spans"] if span["op"] == "queue.publish"]
    (processed,) = [span for span in of_job["spans"] if span["op"] == "queue.process"]
    trace = of_job["contexts"]["trace"]
    assert (of_job["transaction"], of_job["transaction_info"]) == ("work", {"source": "task"})
    assert (trace["op"], trace["status"], trace["origin"]) == ("queue.task.lamplighter", "ok", "auto.queue.lamplighter")
    assert (trace["trace_id"], trace["parent_span_id"]) == (
        request["contexts"]["trace"]["trace_id"],
        published["span_id"],
    )
    for span in (published, processed):
        assert span["data"]["messaging.message.id"] == job.id
        assert span["data"]["messaging.destination.name"] == "work"
        assert span["data"]["messaging.message.body.size"] == 11
    assert processed["data"]["messaging.message.retry.count"] == 0
    assert processed["data"]["messaging.message.receive.latency"] >= 0


@pytest.mark.parametrize(("claimed_at", "waited"), [(400.0, 0.0), (1_007.0, 7_000.0)])
def test_a_page_of_queues_has_the_wait_since_a_job_was_due_in_milliseconds(
    sent: Kept, monkeypatch: pytest.MonkeyPatch, claimed_at: float, waited: float
) -> None:
    monkeypatch.setattr(Job, "cancel_reason", None)
    record = born(new("j", queued_at=100.0, run_at=1_000.0, data='"\u00e9"'), 1)

    with SentryCarrier().around(Job(record._replace(claimed_at=claimed_at, attempt=3))):
        pass

    ((processed,),) = [event["spans"] for event in sent.transactions]
    data = {name.removeprefix("messaging.message."): value for name, value in processed["data"].items()}
    assert data.items() >= {"receive.latency": waited, "retry.count": 2, "body.size": 4}.items()


def test_a_sampler_is_told_which_job_it_decides_about(app: Any, sent: Kept) -> None:
    asked: list[Any] = []
    sentry_sdk.get_client().options["traces_sampler"] = lambda context: asked.append(context["lamplighter_job"]) or 1.0

    app(lambda job: None).jobs.queue("work")

    assert asked == [{"name": "work", "attempt": 1, "schedule": None}]


def test_what_a_schedule_queues_begins_a_trace(sent: Kept) -> None:
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", lambda job: None)
        runtime.scheduler.add("work", "0 0 6 * * *", key="nightly", timezone="UTC")

    with Inline(register, carriers=[SentryCarrier()]) as inline:
        inline.advance(days=1)

    (transaction,) = sent.transactions
    assert transaction["contexts"]["trace"].get("parent_span_id") is None


def test_jobs_run_where_sentry_is_not_initialised(runtime: Any) -> None:
    rt = runtime(carriers=[SentryCarrier()])
    rt.jobs.add_handler("work", lambda job: job.carried)

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=15).result == {}


def test_whoever_has_not_installed_the_sdk_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("lamplighter.contrib.sentry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)

    with pytest.raises(MissingExtra, match=r"sentry-sdk for reports to Sentry.*pip install 'lamplighter\[sentry\]'"):
        importlib.import_module("lamplighter.contrib.sentry")
