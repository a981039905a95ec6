"""The checks of who works on a store: what makes each fire, and what keeps it silent."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from lamplighter.admin.control_client import ANSWER_SECONDS, ControlClient
from lamplighter.doctor.examining import chosen, examine
from lamplighter.doctor.opening import evidence_at
from lamplighter.stores.presence import folder_of

from .kit import HOUR, WORKER, change, found, levels, new_store, program, stop, value, wait_for


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_store(tmp_path / "jobs.db")


@pytest.fixture
def killed(path, runtime):
    """The boot of a worker that was killed while it ran a job."""
    with program(WORKER, path) as process:
        (boot,) = ControlClient(str(path)).entered()
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


def test_of_living_runtimes_none_is_dead_or_hung(path, runtime):
    runtime()

    assert levels([*found(path, "boots.dead"), *found(path, "boots.hung")]) == ["ok", "ok"]


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


def test_a_worker_that_answers_is_enough(path, runtime):
    runtime()

    assert levels(found(path, "boots.none")) == ["ok"]


def test_due_jobs_without_a_worker_are_an_error_and_without_jobs_that_is_noted(path, runtime):
    assert levels(found(path, "boots.none")) == ["note"]

    producer = runtime(start=False).start(work=False)
    producer.jobs.queue("work")

    (finding,) = found(path, "boots.none")
    assert finding.level == "error"
    assert finding.evidence == "no process runs jobs: the 1 runtime on the store only queues, and 1 due job waits"


def test_that_all_are_quiet_is_told(path, runtime):
    rt = runtime()
    rt.jobs.queue("work")
    rt.quiet()

    (finding,) = found(path, "boots.none")

    assert finding.level == "error"
    assert "was told to be quiet" in finding.evidence
    assert finding.remedy == "`lamplighter runtimes go --all`"


def test_a_running_job_of_a_runtime_that_is_not_on_the_store_is_an_orphan(path, killed):
    assert levels(found(path, "claims.orphan")) == ["ok"]

    change(path, "delete from lamplighter_boots")

    (finding,) = found(path, "claims.orphan")
    assert finding.level == "error"
    assert "1 running job of runtimes that are not on the store: j1" in finding.evidence


def test_whoever_has_come_since_the_runtimes_were_asked_holds_no_orphans(path, runtime, recorder):
    with evidence_at(str(path)) as seen:
        assert seen.boots == []
        rt = runtime()
        rt.jobs.add_handler("work", lambda job: job.sleep(60))
        rt.jobs.queue("work")
        recorder.wait_for("job.started")

        (finding,) = examine(seen, chosen(["claims.orphan"])).findings

    assert finding.level == "ok"


def test_a_job_that_waits_for_hours_to_be_marked_done_is_told(path, runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None, auto_done=False)
    rt.jobs.queue("work", id="j1")
    recorder.until(lambda: value(path, "select deferred from lamplighter_jobs"))

    assert levels(found(path, "claims.orphan")) == ["ok"]
    (finding,) = found(path, "claims.orphan", now=lambda: time.time() + 2 * HOUR)

    assert finding.level == "warning"
    assert "j1 (work)" in finding.evidence
