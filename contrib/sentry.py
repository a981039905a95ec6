"""Lamplighter in Sentry: `Runtime(carriers=[SentryCarrier()])` gives each attempt a scope and a transaction of its own,
and reports what a job has died of.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from ..errors import missing_extra

try:
    import sentry_sdk
    from sentry_sdk.consts import SPANDATA, SPANSTATUS
    from sentry_sdk.scope import Scope, ScopeType, use_isolation_scope, use_scope
    from sentry_sdk.tracing import TransactionSource
    from sentry_sdk.utils import event_from_exception
except ImportError as error:
    raise missing_extra("sentry-sdk", "reports to Sentry", "sentry") from error

from ..api.job import Job
from ..errors import Cancel, Discard, Snooze
from ..handlers.carriers import Carrier
from ..log.events import ENVELOPE, EVENTS
from ..log.log_line import LogLine

CAPTURED_MAX = 1000
"""How many reported attempts are remembered, until the log has told how they ended."""

ENDINGS = ("job.failed", "job.dead")

TAGS = ("job_id", "job_name")

LEFT_OUT = frozenset({*ENVELOPE, *TAGS, "level", "turn"})
"""Sentry keeps ten of the other fields of a line."""


class Lines:
    """Makes a line an event that people can read and Sentry can group; leaves out what is reported already."""

    def __init__(self) -> None:
        self._captured: OrderedDict[tuple[str, int], None] = OrderedDict()

    def note_captured(self, job_id: str, claim_no: int) -> None:
        """The error of an attempt was reported, so that its line need not be."""
        self._captured[job_id, claim_no] = None
        if len(self._captured) > CAPTURED_MAX:
            self._captured.popitem(last=False)

    def process(self, event: Any, hint: Mapping[str, Any]) -> Any:
        """Sentry calls it with each event. None for one that is not to be sent."""
        line = getattr(hint.get("log_record"), "msg", None)
        if not isinstance(line, LogLine) or not line.is_event:
            return event
        fields = line.fields
        name, job_name = fields["event"], fields.get("job_name")
        if name in ENDINGS and (fields.get("job_id"), fields.get("claim_no")) in self._captured:
            return None
        why = fields.get("error") or fields.get("reason") or EVENTS[name].says
        event["logentry"] = {"message": f"{name}: {why}"}
        event["fingerprint"] = ["lamplighter", name, job_name or ""]
        tags = {key: fields[key] for key in TAGS if fields.get(key) is not None}
        event["tags"] = {**(event.get("tags") or {}), **tags}
        event["extra"] = {key: value for key, value in fields.items() if key not in LEFT_OUT}
        # The breadcrumbs are of the runtime's own thread, and about other jobs.
        event.pop("breadcrumbs", None)
        return event


ORIGIN = "auto.queue.lamplighter"

TRACE, BAGGAGE = "sentry-trace", "sentry-baggage"
"""The headers that a job carries. The baggage has a name of its own, because OpenTelemetry's carrier has one too."""

BODY_SIZE = "messaging.message.body.size"


class SentryCarrier(Carrier):
    """Tells Sentry of jobs that fail, with what they were doing.

    A dead job is one report. The error of an attempt is reported when no other attempt follows it. Where there is none
    to report (the job was timed out or discarded, has killed its process, or ran in a child process), its line in the
    log is, if lines go to the standard logger `lamplighter`.

    Args:
        capture_retries: report the errors of attempts that another one follows, too.
    """

    def __init__(self, *, capture_retries: bool = False) -> None:
        self._capture_retries = capture_retries
        # A runtime may be started by a request, whose scope its threads would have for ever.
        self._base = sentry_sdk.get_isolation_scope()
        self._lines = Lines()
        sentry_sdk.get_global_scope().add_event_processor(self._lines.process)

    def inject(self) -> Mapping[str, str]:
        """Called by the runtime."""
        if not sentry_sdk.is_initialized():
            return {}
        found = {TRACE: sentry_sdk.get_traceparent(), BAGGAGE: sentry_sdk.get_baggage()}
        return {key: text for key, text in found.items() if text}

    def around_queue(self, jobs: Sequence[Job[Any]]) -> AbstractContextManager[Any]:
        """Called by the runtime."""
        if sentry_sdk.get_current_span() is None:
            return nullcontext()
        names = ", ".join(sorted({job.name for job in jobs}))
        span = sentry_sdk.start_span(op="queue.publish", name=names, origin=ORIGIN)
        span.set_data(SPANDATA.MESSAGING_DESTINATION_NAME, names)
        if len(jobs) == 1:
            span.set_data(SPANDATA.MESSAGING_MESSAGE_ID, jobs[0].id)
            span.set_data(BODY_SIZE, _bytes(jobs[0]))
        return span

    @contextmanager
    def around(self, job: Job[Any]) -> Iterator[None]:
        """Called by the runtime."""
        if not sentry_sdk.is_initialized():
            yield
            return
        # Not a fork of the current scope, whose span may be somebody else's.
        with use_scope(Scope(ty=ScopeType.CURRENT)), use_isolation_scope(self._base.fork()) as scope:
            _describe(scope, job)
            transaction = sentry_sdk.continue_trace(
                {"sentry-trace": job.carried.get(TRACE), "baggage": job.carried.get(BAGGAGE)},
                op="queue.task.lamplighter",
                name=job.name,
                source=TransactionSource.TASK,
                origin=ORIGIN,
            )
            sampling = {"lamplighter_job": {"name": job.name, "attempt": job.attempt, "schedule": job.schedule}}
            failed: BaseException | None = None
            with (
                sentry_sdk.start_transaction(transaction, custom_sampling_context=sampling) as running,
                sentry_sdk.start_span(op="queue.process", name=job.name, origin=ORIGIN) as span,
            ):
                _measure(span, job)
                try:
                    yield
                except BaseException as error:
                    # Raise it only after Sentry's block, which would take `Snooze`, `Cancel` and `Discard` for errors.
                    failed = error
                running.set_status(_status(job, failed))
                if failed is not None and self._is_reported(job, failed):
                    self._capture(job, failed)
            if failed is not None:
                raise failed

    def _is_reported(self, job: Job[Any], error: BaseException) -> bool:
        # If the job was signalled to end, that ended its attempt, and not the error.
        is_failure = not isinstance(error, Cancel | Discard | Snooze) and job.cancel_reason is None
        return is_failure and (self._capture_retries or not job.is_tried_again(error))

    def _capture(self, job: Job[Any], error: BaseException) -> None:
        event, hint = event_from_exception(
            error,
            client_options=sentry_sdk.get_client().options,
            mechanism={"type": "lamplighter", "handled": False},
        )
        sentry_sdk.capture_event(event, hint=hint)
        self._lines.note_captured(job.id, job.record.claim_no)


def _describe(scope: Scope, job: Job[Any]) -> None:
    scope.clear_breadcrumbs()
    scope.set_transaction_name(job.name, source=TransactionSource.TASK)
    scope.set_tag("job_name", job.name)
    scope.set_tag("job_id", job.id)
    scope.set_context(
        "lamplighter",
        {
            "job_id": job.id,
            "job_name": job.name,
            "attempt": job.attempt,
            "max_attempts": job.max_attempts,
            "claim_no": job.record.claim_no,
            "corr": job.record.root_id,
            "schedule": job.schedule,
            "slot": None if job.slot is None else job.slot.isoformat(),
        },
    )


def _measure(span: Any, job: Job[Any]) -> None:
    """The data for Sentry's page of queues."""
    span.set_data(SPANDATA.MESSAGING_SYSTEM, "lamplighter")
    span.set_data(SPANDATA.MESSAGING_DESTINATION_NAME, job.name)
    span.set_data(SPANDATA.MESSAGING_MESSAGE_ID, job.id)
    span.set_data(SPANDATA.MESSAGING_MESSAGE_RETRY_COUNT, job.attempt - 1)
    span.set_data(BODY_SIZE, _bytes(job))
    if job.record.claimed_at is not None:
        waited = max(0.0, job.record.claimed_at - job.record.run_at)
        span.set_data(SPANDATA.MESSAGING_MESSAGE_RECEIVE_LATENCY, waited * 1000)


def _status(job: Job[Any], error: BaseException | None) -> str:
    if job.cancel_reason is not None:
        return SPANSTATUS.DEADLINE_EXCEEDED if job.cancel_reason == "timed out" else SPANSTATUS.CANCELLED
    if error is None:
        return SPANSTATUS.OK
    if isinstance(error, Cancel):
        return SPANSTATUS.CANCELLED
    return SPANSTATUS.ABORTED if isinstance(error, Discard | Snooze) else SPANSTATUS.INTERNAL_ERROR


def _bytes(job: Job[Any]) -> int:
    return len(job.record.data.encode())
