"""A store of an older version, of whichever kind, must be good for this. `make samples` writes samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lamplighter import Runtime
from lamplighter.history.audit.audit import audit_logs
from lamplighter.history.audit.store_check import StoreView

KEPT_FOR_EVER = (
    "update lamplighter_jobs set ended_at = 4e9 where ended_at is not null",
    "update lamplighter_jobs set expires_at = 4e9 where expires_at is not null",
    "update lamplighter_jobs set run_at = 4e9 where state = 'queued' and run_at > queued_at",
)
"""Whenever this runs, nothing is so old that retention removes it, nothing has expired, and what was to run an hour
after the sample was written is not due.
"""

ENDS = {"running-1": None, "queued-1": None, "expires-1": None, "uncounted-1": None, "waiting-1": "yes"}
"""The jobs of a sample that a runtime ends, with their results."""

STAYS = {
    "done-1": ("done", {"x": [1, 2, {"y": "\u00fc"}]}), "marked-1": ("done", "own"), "dead-1": ("dead", None),
    "cancelled-1": ("cancelled", None), "child-1": ("queued", None), "paused-1": ("queued", None),
    "later-1": ("queued", None), "retries-1": ("queued", None),
}  # fmt: skip
"""The others, with their states and results."""


def goes_on(address: str, log: Path) -> None:
    """Assert that a runtime does the work that a sample has left, that it loses nothing, and that its log is well."""
    lines: list[str] = []
    runtime = Runtime(address)
    for name in ("quick", "hang", "nobody"):
        runtime.jobs.add_handler(name, lambda job: job.data)
    runtime.jobs.add_handler("asks", lambda job: job.wait("answer"))
    runtime.subscribe(lambda line: lines.append(json.dumps(line) + "\n"))
    with runtime:
        runtime.jobs.signal("waiting-1", "answer", "yes")
        results = {job_id: runtime.jobs.join(job_id, timeout=30).result for job_id in ENDS}
        stays = {job_id: (job.state.value, job.result) for job_id in STAYS if (job := runtime.jobs.get(job_id))}
        (schedule,) = runtime.scheduler.list(everywhere=True)
        (paused,) = runtime.jobs.paused()
    log.write_text("".join(lines))

    assert (results, stays, schedule.key, paused) == (ENDS, STAYS, "yearly", "paused")
    stores: tuple[Any, ...] = (None, StoreView(address))
    for store in stores:
        report = audit_logs([str(log)], store)
        assert report.ok, report.findings
