"""The SQL that we write: what the sqlite3 module of some supported Python warns of, or will refuse, is not in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

USES_EVERYTHING = """
import lamplighter
from lamplighter import Runtime

with Runtime("jobs.db") as runtime:
    jobs = runtime.jobs
    job = jobs.queue("work", 1)
    jobs.list(), jobs.list("work", "queued", 5, job), jobs.counts(), jobs.counts("work"), jobs.attempts(job)
    runtime.scheduler.list(), jobs.get(job), jobs.cancel(job), jobs.requeue(job), jobs.mark_done(job.id)
print("quiet")
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="this Python's sqlite3 warns of nothing")
def test_every_call_works_where_warnings_are_errors(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", USES_EVERYTHING],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (ran.stdout, ran.returncode) == ("quiet\n", 0), ran.stderr
