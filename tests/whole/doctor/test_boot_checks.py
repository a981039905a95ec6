"""The checks of who works on a store: what makes each fire, and what keeps it silent."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from lamplighter.messages.controls import ANSWER_SECONDS
from lamplighter.stores.presence import folder_of
from lamplighter.stores.sqlite.control_client import FileControlClient

from ...doctor.kit import WORKER, change, found, levels, new_store, program, stop, wait_for


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_store(tmp_path / "jobs.db")


@pytest.fixture
def killed(path, runtime):
    """The boot of a worker that was killed while it ran a job."""
    with program(WORKER, path) as process:
        boot = FileControlClient(str(path)).found()[0].boot
        producer = runtime(start=False).start(work=False)
        producer.jobs.queue("work", id="j1")
        wait_for(process, "working")
        producer.stop()
        process.kill()
        process.wait()
        yield boot


def test_a_dead_worker_is_told_with_what_it_holds(path, killed):
    (finding,) = found(path, "boots.dead")

    assert finding.level == "warning"
    assert f"boot {killed} " in finding.evidence
    assert "is dead, and holds 1 job" in finding.evidence


def test_a_worker_whose_lock_file_was_cleaned_away_is_unknown(path, killed):
    (folder_of(str(path)) / f"{killed}.lock").unlink()

    (finding,) = found(path, "boots.dead")

    assert finding.level == "unknown"
    assert "no lock file" in finding.evidence


def test_a_stopped_worker_is_named_with_its_pid_within_two_seconds(path):
    with program(WORKER, path) as process:
        stop(process)
        began = time.process_time()

        (finding,) = found(path, "boots.hung", timeout=ANSWER_SECONDS)
        # It waits for an answer, and works for the rest: others may work on this machine too.
        took = ANSWER_SECONDS + time.process_time() - began

    assert finding.level == "error"
    assert f"(pid {process.pid} on " in finding.evidence
    assert f"a signal or a debugger has stopped process {process.pid}" in finding.evidence
    assert took < 2.0


def test_whether_a_stopped_worker_takes_jobs_nobody_knows(path):
    with program(WORKER, path) as process:
        stop(process)

        assert levels(found(path, "boots.none", timeout=0.2)) == ["unknown"]


def test_a_running_job_of_a_runtime_that_is_not_on_the_store_is_an_orphan(path, killed):
    assert levels(found(path, "claims.orphan")) == ["ok"]

    change(path, "delete from lamplighter_boots")

    (finding,) = found(path, "claims.orphan")
    assert finding.level == "error"
    assert "1 running job of runtimes that are not on the store: j1" in finding.evidence
