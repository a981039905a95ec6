"""How jobs fare: what makes each check fire, and what keeps it silent."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from ...doctor.kit import DAY, HOUR, found, levels, new_store, program, value

KILLER = """
    import os, sys
    from lamplighter import Runtime

    runtime = Runtime(sys.argv[1])
    runtime.jobs.add_handler("kills", lambda job: os.kill(os.getpid(), 9))
    runtime.start()
    runtime.jobs.queue("kills", id="k1")
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_store(tmp_path / "jobs.db")


def killed(path: Path, times: int, runtime) -> None:
    """Have a job kill so many processes, and take it back."""
    for _ in range(times):
        with contextlib.suppress(AssertionError), program(KILLER, path):
            pass
    runtime().stop()


def test_a_job_that_has_killed_two_processes_is_suspect(path, runtime):
    assert levels(found(path, "jobs.poison")) == ["ok"]

    killed(path, 2, runtime)

    (finding,) = found(path, "jobs.poison")
    assert finding.level == "warning"
    assert "1 job may have killed their processes (kills): k1 was interrupted 2 times" in finding.evidence


def test_a_job_that_died_as_poison_is_told_for_a_day(path, runtime):
    killed(path, 3, runtime)
    assert value(path, "select state from lamplighter_jobs") == "dead"

    (finding,) = found(path, "jobs.poison")

    assert finding.level == "error"
    assert "k1 (kills) died as poison in the last 24 hours" in finding.evidence
    assert ", on runtimes " in finding.evidence
    assert levels(found(path, "jobs.poison", now=lambda: time.time() + DAY + HOUR)) == ["ok"]
