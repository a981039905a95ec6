"""How jobs fare: what makes each check fire, and what keeps it silent."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from lamplighter import JobSpec, Rate
from lamplighter.messages.tallies import MINUTE, Tally, start_of
from lamplighter.stores.sqlite.store import SqliteStore

from .kit import change, found, levels, new_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_store(tmp_path / "jobs.db")


@pytest.fixture
def full(runtime, recorder):
    """A runtime whose only lane is busy with `j0`, with `j1` behind it."""
    rt, release = runtime(), threading.Event()
    rt.jobs.add_handler("work", lambda job: release.wait(30))
    rt.jobs.queue("work", id="j0")
    recorder.wait_for("job.started")
    rt.jobs.queue("work", id="j1")
    yield rt
    release.set()


def tally(path: Path, kind: str, n: int) -> None:
    """Have jobs of `work` counted that were queued, or done, in this minute."""
    with contextlib.closing(SqliteStore(str(path))) as store:
        store.open()
        with store.turn("b", time.time()) as turn:
            turn.tallies.add([Tally(MINUTE, start_of(MINUTE, time.time()), "work", kind, n)])


def soon() -> float:
    """Ten minutes from now."""
    return time.time() + 600


def test_a_job_that_has_just_become_due_is_not_late(path, full):
    assert levels(found(path, "names.behind")) == ["ok"]


def test_jobs_behind_a_full_lane_are_told_with_what_is_in_it(path, full):
    (finding,) = found(path, "names.behind", now=soon)

    assert finding.level == "warning"
    assert finding.evidence.startswith("1 due job of 'work', the oldest for 10 min ")
    assert "1 of 1 lane is busy, with j0 for" in finding.evidence
    assert "concurrency" in finding.remedy


@pytest.mark.parametrize(("queued", "done", "level"), [(9, 3, "warning"), (5, 5, "warning"), (3, 9, "note")])
def test_whether_it_gets_worse_is_told_by_what_was_queued_and_what_ended(path, full, queued, done, level):
    tally(path, "queued", queued)
    tally(path, "done", done)

    (finding,) = found(path, "names.behind", now=soon)

    assert finding.level == level
    assert f"{queued} were queued and {done} ended" in finding.evidence


def test_of_several_suspect_jobs_the_one_is_named_that_was_interrupted_most(path, runtime):
    with runtime() as rt:
        for name in ("mail", "resize", "mail"):
            rt.jobs.queue(name)
    change(path, "update lamplighter_jobs set interruptions = no % 3 + 2, suspect_until = :soon", soon=time.time() + 60)
    with contextlib.closing(sqlite3.connect(path)) as db:
        ((worst,),) = db.execute("select id from lamplighter_jobs where interruptions = 4").fetchall()

    (finding,) = found(path, "jobs.poison")

    assert finding.level == "warning"
    assert finding.evidence == (
        f"3 jobs may have killed their processes (mail, resize): {worst} was interrupted 4 times"
    )


def run_all(rt, count: int) -> None:
    """Have jobs run, and their sums written."""
    jobs = [rt.jobs.queue("work", max_attempts=1) for _ in range(count)]
    for job in jobs:
        with contextlib.suppress(Exception):
            rt.jobs.join(job, timeout=10)
    rt.stop()


def test_a_name_of_which_most_attempts_fail_is_told_with_their_error(path, runtime):
    def fails(job):
        raise ValueError(f"order {job.id} has no lines")

    rt = runtime()
    rt.jobs.add_handler("work", fails)
    run_all(rt, 6)

    (finding,) = found(path, "names.failing")

    assert finding.level == "warning"
    assert finding.evidence.startswith("100 % of 6 attempts of 'work' have failed in the last 15 minutes; 6 of the 6")
    assert "ValueError: order" in finding.evidence
    assert "test_throughput_checks.py" in finding.evidence


def test_what_most_failures_have_in_common_is_of_jobs_that_failed_by_themselves(path, runtime, recorder):
    def fails(job):
        raise ValueError("no lines")

    rt = runtime()
    rt.jobs.add_handler("work", fails, max_attempts=1)
    failing = [JobSpec(name="work") for _ in range(6)]
    rt.jobs.queue_many([*failing, *(JobSpec(name="work", after=failing[0]) for _ in range(30))])
    recorder.wait_for("job.doomed", count=30)
    recorder.wait_for("job.dead", count=6)
    rt.stop()

    (finding,) = found(path, "names.failing")

    assert "; 6 of the 6 looked at with: ValueError: no lines" in finding.evidence


def test_a_name_whose_attempts_succeed_is_well_and_without_attempts_nothing_is_known(path, runtime):
    assert levels(found(path, "names.failing")) == ["note"]

    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)
    run_all(rt, 6)

    assert levels(found(path, "names.failing")) == ["ok"]


def test_attempts_that_a_stop_has_interrupted_have_not_failed(path):
    for kind, n in (("ran.interrupted", 6), ("ran.succeeded", 3), ("ran.failed", 2)):
        tally(path, kind, n)

    (finding,) = found(path, "names.failing")

    assert (finding.level, "5 attempts ended" in finding.evidence) == ("ok", True)


@pytest.mark.parametrize(
    ("failed", "succeeded", "level"), [(4, 0, "ok"), (5, 0, "warning"), (3, 3, "ok"), (4, 3, "warning")]
)
def test_from_five_attempts_on_a_name_is_told_of_which_more_than_half_fail(path, failed, succeeded, level):
    tally(path, "ran.failed", failed)
    tally(path, "ran.succeeded", succeeded)

    (finding,) = found(path, "names.failing")

    assert finding.level == level


def test_one_name_with_two_timeouts_is_half_a_deployment(path, runtime):
    assert levels(found(path, "names.differ")) == ["note"]
    old, new = runtime(), runtime()
    old.jobs.add_handler("work", lambda job: None, timeout=10)
    new.jobs.add_handler("work", lambda job: None, timeout=20)

    (finding,) = found(path, "names.differ")

    assert finding.level == "warning"
    assert f"timeout 10 s on {old.boot.id}" in finding.evidence
    assert f"timeout 20 s on {new.boot.id}" in finding.evidence


def test_a_name_with_two_rates_and_limits_of_a_group_is_half_a_deployment(path, runtime):
    old, new = runtime(), runtime()
    old.jobs.add_handler("work", lambda job: None, rate=Rate(5, per=1), concurrency_per_group=2)
    new.jobs.add_handler("work", lambda job: None, rate=Rate(9, per=1))

    (finding,) = found(path, "names.differ")

    assert f"concurrency_per_group 2, rate 5/1s on {old.boot.id}" in finding.evidence
    assert f"rate 9/1s on {new.boot.id}" in finding.evidence


def test_the_same_handler_on_two_runtimes_is_well(path, runtime):
    for rt in (runtime(), runtime()):
        rt.jobs.add_handler("work", lambda job: None, timeout=10)

    assert levels(found(path, "names.differ")) == ["ok"]
