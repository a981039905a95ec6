"""The checks of who works on a store: what makes each fire, and what keeps it silent."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from lamplighter.admin.inspector import inspector_at
from lamplighter.doctor.examining import chosen, evidence_at, examine

from .kit import HOUR, change, found, levels, new_store, value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_store(tmp_path / "jobs.db")


def test_of_living_runtimes_none_is_dead_or_hung(path, runtime):
    runtime()

    assert levels([*found(path, "boots.dead"), *found(path, "boots.hung")]) == ["ok", "ok"]


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


def test_of_a_store_that_was_moved_only_its_new_address_is_told(path, runtime):
    runtime(start=False).start(work=False).jobs.queue("work", id="j")
    change(path, "update lamplighter_store set moved_to = 'postgresql://host/db'", "delete from lamplighter_boots")

    (finding,) = found(path, "boots.none")
    assert finding.level == "warning" and "has moved this store to postgresql://host/db" in finding.evidence
    assert levels([*found(path, "names"), *found(path, "schedules")]) == ["note"] * 6
    with inspector_at(path) as inspector:
        assert [(why.code, why.sentence) for why in inspector.why("j")] == [("no_runtime", finding.evidence)]


def test_that_all_are_quiet_is_told(path, runtime):
    rt = runtime()
    rt.jobs.queue("work")
    rt.quiet()

    (finding,) = found(path, "boots.none")

    assert finding.level == "error"
    assert "was told to be quiet" in finding.evidence
    assert finding.remedy == "`lamplighter runtimes go --all`"


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


def test_of_several_forgotten_jobs_the_one_claimed_first_is_named(path, runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None, auto_done=False, concurrency=3)
    for one in ("j1", "j2", "j3"):
        rt.jobs.queue("work", id=one)
    recorder.until(lambda: value(path, "select count(*) from lamplighter_jobs where deferred") == 3)
    rt.stop()
    change(path, "update lamplighter_jobs set claimed_at = claimed_at - 60 where id = 'j2'")

    (finding,) = found(path, "claims.orphan", now=lambda: time.time() + 2 * HOUR)

    assert "3 jobs" in finding.evidence
    assert "j2 (work)" in finding.evidence
