"""The checks of job names: what makes each fire, and what keeps it silent."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from lamplighter.messages.jobs import JobSpec

from .kit import DAY, found, levels, new_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_store(tmp_path / "jobs.db")


@pytest.fixture
def only_one_name_is_told(monkeypatch):
    monkeypatch.setattr("lamplighter.doctor.name_checks.TOLD_MAX", 1)


def test_a_name_with_a_handler_is_not_parked_and_one_without_jobs_neither(path, runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.sleep(60))
    rt.jobs.queue("work")
    rt.jobs.queue("later", delay=600)
    recorder.wait_for("job.started")

    assert levels(found(path, "names.parked")) == ["ok"]


@pytest.mark.usefixtures("only_one_name_is_told")
def test_a_renamed_handler_leaves_jobs_that_nobody_takes(path, runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("send-mail", lambda job: None)
    rt.jobs.join(rt.jobs.queue("send-mail"), timeout=15)
    rt.jobs.queue("send_mail")
    recorder.until(lambda: "send-mail" in found(path, "names.parked")[0].evidence, "the boot's row to say what it has")

    (finding,) = found(path, "names.parked")

    assert finding.level == "warning"
    assert "no living runtime has a handler for 'send_mail', and 1 of its jobs waits" in finding.evidence
    assert finding.evidence.endswith("'send-mail' has one: was it renamed?")


def test_many_parked_names_are_summed_up(path, runtime):
    rt = runtime()
    rt.jobs.queue_many([JobSpec(name=f"name-{number}") for number in range(13)])

    findings = found(path, "names.parked")

    assert len(findings) == 11
    assert findings[-1].evidence == "3 more names have due jobs and no handler"


@pytest.mark.usefixtures("only_one_name_is_told")
def test_behind_very_many_names_a_parked_one_is_found(path, runtime, monkeypatch):
    monkeypatch.setattr("lamplighter.admin.inspector.NAMES_MAX", 2)
    rt = runtime()
    rt.jobs.queue_many([JobSpec(name=f"name-{number}", delay=600) for number in range(3)])
    assert [finding.evidence for finding in found(path, "names.parked")] == [
        "of 2+ names, none has due jobs that no living runtime takes"
    ]
    assert levels(found(path, "names.behind")) == ["unknown"]
    rt.jobs.queue("zzz")

    (finding,) = found(path, "names.parked")

    assert (finding.level, "'zzz', and 1 of its jobs waits" in finding.evidence) == ("warning", True)


def test_due_names_that_were_not_looked_at_are_unknown(path, runtime, recorder, monkeypatch):
    monkeypatch.setattr("lamplighter.admin.inspector.NAMES_MAX", 2)
    monkeypatch.setattr("lamplighter.admin.overview.DUE_NAMES_MAX", 2)
    rt = runtime()
    names = ("a", "b", "c")
    for name in names:
        rt.jobs.add_handler(name, lambda job: job.sleep(60))
    rt.jobs.queue_many([JobSpec(name=name, delay=600) for name in names])

    tomorrow = time.time() + DAY
    recorder.until(
        lambda: levels(found(path, "names.parked", now=lambda: tomorrow)) == ["unknown"],
        "the boot's row to say that it has handlers",
    )


@pytest.mark.usefixtures("only_one_name_is_told")
def test_a_pause_is_noted_and_after_a_day_it_is_a_warning(path, runtime):
    rt = runtime()
    assert levels(found(path, "names.paused")) == ["ok"]

    rt.jobs.pause("work", reason="the server is down")

    (young,) = found(path, "names.paused")
    (old,) = found(path, "names.paused", now=lambda: time.time() + 2 * DAY)
    assert (young.level, old.level) == ("note", "warning")
    assert "the server is down" in old.evidence
    assert "lamplighter names resume work" in old.remedy


@pytest.mark.usefixtures("only_one_name_is_told")
def test_a_pause_before_a_thousand_jobs_is_a_warning_at_once(path, runtime):
    rt = runtime()
    rt.jobs.pause("work")
    rt.jobs.queue_many([JobSpec(name="work")] * 1_001)

    (finding,) = found(path, "names.paused")

    assert finding.level == "warning"
    assert "1,001 of its jobs wait" in finding.evidence
    assert "nobody has said why" in finding.evidence


@pytest.mark.usefixtures("only_one_name_is_told")
def test_only_a_name_that_somebody_is_to_take_jobs_of_is_behind(path, runtime, recorder):
    rt = runtime()
    for name in ("busy", "paused"):
        rt.jobs.add_handler(name, lambda job: job.sleep(60), concurrency=1)
    rt.jobs.pause("paused")
    for name in ("busy", "busy", "busy", "paused", "nobody"):
        rt.jobs.queue(name)
    recorder.wait_for("job.started", job_name="busy")

    (finding,) = found(path, "names.behind", now=lambda: time.time() + 3600)

    assert [name for name in ("busy", "paused", "nobody") if repr(name) in finding.evidence] == ["busy"]


@pytest.mark.usefixtures("only_one_name_is_told")
def test_of_names_that_are_behind_the_first_are_told_and_how_many_more(path, runtime, recorder):
    rt, names = runtime(start=False), ("a", "b", "c")
    for name in names:
        rt.jobs.add_handler(name, lambda job: None)
    rt.start()
    rt.quiet()
    rt.jobs.queue_many([JobSpec(name=name) for name in names])
    recorder.until(lambda: rt.boot.store.surroundings("b").boots[0].names == names, "the boot's row to say what it has")

    findings = found(path, "names.behind", now=lambda: time.time() + 3600)

    assert [one.evidence.partition(", ")[0] for one in findings] == [
        "1 due job of 'a'",
        "jobs of 2 more names are as late",
    ]
