"""What processes say of themselves: what makes each check fire, and what keeps it silent."""

from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path

import pytest
from lamplighter.doctor import boot_checks
from lamplighter.rules.limits import RestartBudget

from .kit import DAY, change, found, levels, new_store

ALL = ("lanes.zombie", "actors.restarts", "process")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_store(tmp_path / "jobs.db")


@pytest.mark.parametrize("check", ALL)
def test_a_runtime_that_fares_well_is_well(path, runtime, check):
    runtime().jobs.add_handler("work", lambda job: None)

    assert levels(found(path, check)) == ["ok"]


@pytest.mark.parametrize("check", ALL)
def test_where_no_runtime_is_nothing_is_said_to_be_well(path, check):
    assert levels(found(path, check)) == ["note"]


def test_a_hung_thread_is_told_with_where_it_is(path, runtime, recorder):
    rt, release = runtime(lane_grace_seconds=0.01), threading.Event()

    def where_it_hangs(job):
        release.wait(30)

    rt.jobs.add_handler("hangs", where_it_hangs, timeout=1, max_attempts=1)
    rt.jobs.queue("hangs", id="j1")
    recorder.wait_for("lane.abandoned")

    (finding,) = found(path, "lanes.zombie")
    release.set()

    assert finding.level == "warning"
    assert f"boot {rt.boot.id} " in finding.evidence
    assert "hangs in job j1 (hangs), timed out" in finding.evidence


def test_a_handler_that_takes_no_jobs_any_more_is_an_error(path, runtime, recorder):
    rt, release = runtime(lane_grace_seconds=0.01, abandoned_threads_max=1), threading.Event()
    rt.jobs.add_handler("hangs", lambda job: release.wait(30), timeout=1, max_attempts=1)
    for _ in range(2):
        rt.jobs.queue("hangs")
    recorder.wait_for("handler.halted")

    findings = found(path, "lanes.zombie")
    release.set()

    assert findings[-1].level == "error"
    assert "takes no more jobs of hangs" in findings[-1].evidence


def crash(rt, recorder, times: int) -> None:
    """Have the actor of `work` crash, each time in the same way."""
    for number in range(1, times + 1):
        recorder.until(lambda n=number: (actor := rt.boot.post.find("handler:work")) and actor.incarnation == n)
        rt.boot.post.find("handler:work").actor_ref.tell("this is no Mail")
        recorder.wait_for("actor.crashed", count=number)


def test_an_actor_that_has_used_most_of_its_budget_and_crashes_alike_is_told(path, runtime, recorder):
    rt = runtime(restarts_max=4, restart_backoff_seconds_max=0.01)
    rt.jobs.add_handler("work", lambda job: None)
    crash(rt, recorder, 3)

    budget, alike = found(path, "actors.restarts")

    assert (budget.level, alike.level) == ("warning", "warning")
    assert "has crashed 3 times within" in budget.evidence
    assert "of 4 that it may" in budget.evidence
    assert "has crashed 3 times in the same way" in alike.evidence


def test_an_actor_that_is_not_started_again_is_an_error(path, runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None, restart=RestartBudget(restarts_max=0))
    crash(rt, recorder, 1)
    recorder.wait_for("actor.quarantined")

    (finding,) = found(path, "actors.restarts")

    assert finding.level == "error"
    assert "handler:work" in finding.evidence


def test_a_process_with_more_threads_than_anybody_means_is_told(path, runtime, monkeypatch):
    rt = runtime(path)
    few = levels(found(path, "process"))
    monkeypatch.setattr(boot_checks, "THREADS_MAX", 2)

    (finding,) = found(path, "process")

    assert few == ["ok"]
    assert finding.level == "warning"
    assert re.fullmatch(rf"boot {rt.boot.id} \(pid {os.getpid()}\) has \d+ threads", finding.evidence)
    assert "workers_max" in finding.remedy


def test_clocks_that_agree_are_well_and_with_none_to_compare_it_is_unknown(path, runtime):
    assert levels(found(path, "clock")) == ["unknown"]

    runtime().jobs.queue("work")

    assert levels(found(path, "clock")) == ["ok"]


def test_a_runtime_whose_clock_is_another_is_told(path, timed):
    rt = timed()

    (finding,) = found(path, "clock")

    assert finding.level == "warning"
    assert f"the clock of boot {rt.boot.id} on " in finding.evidence
    assert " d " in finding.evidence


@pytest.mark.parametrize(
    ("count", "says"),
    [
        (1, "1 of the 1 newest jobs was queued in the future: j0 in "),
        (3, "3 of the 3 newest jobs were queued in the future: j1 in "),
    ],
)
def test_jobs_that_were_queued_in_the_future_are_told_and_the_farthest_is_named(path, runtime, count, says):
    rt = runtime()
    for number in range(count):
        rt.jobs.queue("work", id=f"j{number}")
    rt.stop()
    change(path, "update lamplighter_jobs set queued_at = queued_at + 3600 where id = 'j1'")

    (finding,) = found(path, "clock", now=lambda: time.time() - DAY)

    assert finding.level == "warning"
    assert finding.evidence.startswith(says)


@pytest.mark.parametrize(
    ("began", "ended", "way"),
    [
        (-30.0, 30.0, None),
        (-30.0, -0.9, None),
        (0.9, 30.0, None),
        (-30.0, -2.0, "ahead of"),
        (2.0, 30.0, "behind"),
    ],
)
def test_a_clock_is_another_if_it_tells_no_instant_from_question_to_answer(path, timed, time, began, ended, way):
    timed()
    moments = iter([began, began, ended])

    (finding,) = found(path, "clock", now=lambda: time.wall + next(moments, ended))

    assert finding.level == ("ok" if way is None else "warning")
    assert way is None or f" is 2 s {way} the one here" in finding.evidence
