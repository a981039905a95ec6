"""What the log lacks: what makes the check fire, and what keeps it silent."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from ...doctor.kit import found, levels, new_store, program, value

KILLED = """
    import os, sqlite3, sys
    from threading import Event
    from lamplighter import Runtime
    from lamplighter.actors.job_broker import JobBroker

    JobBroker.receive = lambda broker, mail: Event().wait()
    runtime = Runtime(sys.argv[1]).start(work=False)
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("begin immediate")
    if sys.argv[2] == "job":
        runtime.jobs.queue("work", connection=connection)
    else:
        runtime.scheduler.add("work", "@daily", durable=True, connection=connection)
    connection.execute("commit")
    os.kill(os.getpid(), 9)
"""
"""A process that dies before its runtime, whose broker hangs, has seen what its transaction has made."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_store(tmp_path / "jobs.db")


@pytest.mark.parametrize(
    ("what", "when", "says"),
    [
        (
            "job",
            "select queued_at from lamplighter_jobs",
            "1 job that an application's own transaction has queued or moved is in no log",
        ),
        (
            "schedule",
            "select at from lamplighter_schedule_changes",
            "1 change of schedules that an application's own transaction has made is carried out by nobody",
        ),
    ],
)
def test_what_a_transaction_has_made_is_missed_after_five_seconds(path, what, when, says):
    with contextlib.suppress(AssertionError), program(KILLED, path, what):
        pass
    at = value(path, when)

    young = found(path, "log.gaps", now=lambda: at + 1)
    (finding,) = found(path, "log.gaps", now=lambda: at + 60)

    assert levels(young) == ["ok"]
    assert finding.level == "warning"
    assert finding.evidence.startswith(says)
