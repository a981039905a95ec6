"""What Sentry gets of jobs, by a transport that keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from lamplighter.contrib.sentry import SentryCarrier
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.integrations.threading import ThreadingIntegration

from ....contrib.sentry.test_carrier import Kept


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


def test_an_error_in_a_child_process_is_reported_by_its_line(
    runtime: Any, recorder: Any, sent: Kept, importable: Any
) -> None:
    broken = importable("broken_in_a_child", "def breaks(job): raise ValueError('no')\n")
    rt = runtime(carriers=[SentryCarrier()])
    rt.jobs.add_handler("work", broken.breaks, isolation="process", max_attempts=1)
    rt.jobs.queue("work")
    recorder.wait_for("job.dead")
    rt.stop()

    (event,) = sent.errors
    assert event["logentry"]["message"] == "job.dead: ValueError: no"
    assert "in breaks" in event["extra"]["traceback"]
