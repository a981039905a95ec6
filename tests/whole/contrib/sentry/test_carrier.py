"""What Sentry gets of jobs, by a transport that keeps it."""

from __future__ import annotations

from typing import Any

from lamplighter.contrib.sentry import SentryCarrier

from ....contrib.sentry.test_carrier import Kept, sent

__all__ = ["sent"]
"""Fixtures that both halves of these tests use."""


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
