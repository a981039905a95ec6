"""Schedules that do not fire: what makes the check fire, and what keeps it silent."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

import pytest
from lamplighter.cron.interval import INSTANT_MAX
from lamplighter.messages.tallies import BOUNDS, HOUR, Tally, start_of
from lamplighter.stores.sqlite.store import SqliteStore

from .kit import change, found, levels, new_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_store(tmp_path / "jobs.db")


def test_without_schedules_and_with_one_that_somebody_declares_all_is_well(path, runtime):
    assert levels(found(path, "schedules.silent")) == ["ok"]

    runtime().scheduler.add("report", "30 6 * * *", key="daily")

    assert levels(found(path, "schedules.silent")) == ["ok"]


def test_a_schedule_that_no_living_runtime_declares_does_not_fire(path, runtime):
    rt = runtime()
    rt.scheduler.add("report", "30 6 * * *", key="daily")
    rt.stop()
    runtime()

    (finding,) = found(path, "schedules.silent")

    assert finding.level == "warning"
    assert finding.evidence.startswith("no living runtime declares schedule daily of 'report' (")
    assert "lamplighter schedules remove report --key daily" in finding.remedy


def test_a_schedule_of_an_application_that_has_stopped_is_nobodys_mistake(path, runtime):
    rt = runtime()
    rt.scheduler.add("report", "30 6 * * *", key="daily")
    rt.stop()

    for later in (0, 100_000):
        (finding,) = found(path, "schedules.silent", now=lambda later=later: time.time() + later)

        assert finding.level == "note"
        assert finding.evidence.startswith("no runtime is on the store: schedule daily of 'report' (")


def test_a_durable_schedule_that_was_due_and_of_which_nothing_became_is_an_error(path, runtime):
    rt = runtime()
    rt.scheduler.add("report", "*/5 * * * *", key="often", durable=True)
    rt.stop()

    well = found(path, "schedules.silent")
    (finding,) = found(path, "schedules.silent", now=lambda: time.time() + 1_000)

    assert levels(well) == ["ok"]
    assert finding.level == "error"
    assert "and nothing became of it" in finding.evidence


def test_a_paused_schedule_is_nobodys_mistake(path, runtime):
    rt = runtime()
    schedule = rt.scheduler.add("report", "*/5 * * * *", durable=True)
    rt.scheduler.pause(schedule)
    rt.stop()

    assert levels(found(path, "schedules.silent", now=lambda: time.time() + 1_000)) == ["ok"]


def test_a_zone_that_this_machine_does_not_know_is_told(path, runtime):
    rt = runtime()
    rt.scheduler.add("report", "30 6 * * *", timezone="Europe/Berlin", durable=True)
    rt.stop()
    change(path, "update lamplighter_schedules set timezone = 'Europe/Atlantis'")

    (finding,) = found(path, "schedules.silent")

    assert finding.level == "error"
    assert "Europe/Atlantis" in finding.evidence


def test_a_schedule_that_never_fires_again_is_told(path, runtime):
    rt = runtime()
    rt.scheduler.add("report", "0 0 2 1 *", durable=True)
    rt.stop()

    findings = found(path, "schedules.silent", now=lambda: INSTANT_MAX - 1.0)

    assert any("never fires again" in one.evidence for one in findings)


def test_jobs_that_take_longer_than_the_time_between_them_are_told(path, runtime):
    runtime().scheduler.add("report", "* * * * *", key="often")
    buckets = tuple(20 if bound == 300.0 else 0 for bound in BOUNDS)
    with contextlib.closing(SqliteStore(str(path))) as store:
        store.open()
        with store.turn("b", time.time()) as turn:
            at = start_of(HOUR, time.time())
            turn.tallies.add([Tally(HOUR, at, "report", "ran.succeeded", 20, 5_000.0, buckets)])

    (finding,) = found(path, "schedules.silent")

    assert finding.level == "warning"
    assert "fires each 60 s, and one job in twenty of that name takes" in finding.evidence


def test_slots_that_are_skipped_again_and_again_are_told_with_the_reason(path, runtime):
    rt = runtime()
    schedule = rt.scheduler.add("report", "* * * * *", key="often")
    slot = time.time() - 1_800
    change(
        path,
        "insert into lamplighter_slots values (:id, :slot, :slot + 1200, 21, 'skipped', 'the one before runs', null)",
        id=schedule,
        slot=slot,
    )

    (finding,) = found(path, "schedules.silent")

    assert finding.level == "warning"
    assert "the last 21 slots of schedule often" in finding.evidence
    assert finding.evidence.endswith("were skipped: the one before runs")


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([(1, "skipped", "paused"), (12, "skipped", "overlap")], "the last 12 slots of .* were skipped: overlap"),
        ([(12, "skipped", "overlap"), (1, "skipped", "paused")], None),
        ([(12, "skipped", "overlap"), (1, "fired", None)], None),
        ([(6, "skipped", "overlap"), (6, "skipped", "overlap")], "the last 12 slots of .* were skipped: overlap"),
        ([(6, "skipped", "overlap"), (6, "skipped", "paused")], None),
    ],
)
def test_only_slots_that_were_skipped_for_one_reason_up_to_now_are_added_up(path, runtime, entries, told):
    rt = runtime()
    schedule = rt.scheduler.add("report", "* * * * *", key="often")
    for number, (count, outcome, reason) in enumerate(entries):
        change(
            path,
            "insert into lamplighter_slots values (:id, :slot, :slot + 60 * :count - 60, :count, :outcome, :why, null)",
            id=schedule,
            slot=time.time() - 3_600 + number * 1_200,
            count=count,
            outcome=outcome,
            why=reason,
        )

    (finding,) = found(path, "schedules.silent")

    assert finding.level == ("ok" if told is None else "warning")
    assert told is None or re.search(told, finding.evidence)
