"""What the log lacks: what makes the check fire, and what keeps it silent."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from lamplighter.doctor.log_checks import COUNTED_MAX, FINDINGS_TOLD_MAX, UNCOUNTED_SECONDS_MAX, LogEvidence
from lamplighter.rules.wording import many

from .kit import found, levels, new_store, told


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_store(tmp_path / "jobs.db")


@pytest.fixture
def log(path, runtime, recorder, tmp_path) -> Path:
    """What a runtime has logged that did a job."""
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)
    rt.jobs.join(rt.jobs.queue("work"), timeout=10)
    rt.stop()
    recorder.wait_for("runtime.stopped")
    made = tmp_path / "app.log"
    made.write_text("".join(f"{json.dumps(event)}\n" for event in recorder.events))
    return made


def test_where_all_is_counted_the_log_lacks_nothing(path, runtime):
    assert levels(found(path, "log.gaps")) == ["ok"]

    runtime().jobs.queue("work")

    assert levels(found(path, "log.gaps")) == ["ok"]


def test_a_whole_log_is_audited_and_well(path, log):
    (finding,) = found(path, "log.gaps", logs=[str(log)])

    assert finding.level == "ok"
    assert "all is well" in finding.evidence


def test_a_line_that_is_missing_is_an_error(path, log):
    lines = log.read_text().splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if '"turn.committed"' in line)
    log.write_text("".join(lines[:first] + lines[first + 1 :]))

    findings = found(path, "log.gaps", logs=[str(log)])

    assert {*levels(findings)} == {"error"}
    assert any(one.evidence.startswith("audit: ") for one in findings)


@pytest.mark.parametrize(("hours", "jumps", "waits"), [((0,), 1, 1), ((0, 2, 23), 3, 1), ((0, 2, 25), 2, 1)])
def test_clocks_that_were_set_are_counted_for_a_day_and_waits_for_a_lock_for_an_hour(path, log, hours, jumps, waits):
    said, number = json.loads(log.read_text().splitlines()[-1]), 0
    with log.open("a") as file:
        for age in hours:
            for event in ("clock.jumped", "store.waiting"):
                number += 1
                told = {**said, "event": event, "seq": said["seq"] + number, "ts": time.time() - age * 3600}
                file.write(json.dumps(told) + "\n")

    clock = found(path, "clock", logs=[str(log)])
    gaps = found(path, "log.gaps", logs=[str(log)])

    assert any(f"the clock was set {many(jumps, 'time')} in the last 24 hours" in one.evidence for one in clock)
    assert any(f"wait for the lock {many(waits, 'time')} within an hour" in one.evidence for one in gaps)


def test_a_subscriber_that_is_too_slow_is_told(path, runtime, recorder):
    rt, seen = runtime(subscriber_events_max=1), []
    gate = threading.Event()
    rt.subscribe(lambda event: seen.append(event) or gate.wait(30))
    for _ in range(5):
        rt.jobs.queue("work")
    recorder.until(lambda: rt.health().subscriber_dropped)

    findings = found(path, "log.gaps")
    gate.set()

    assert levels(findings) == ["warning"]
    assert "for subscribers" in findings[0].evidence or "for a subscriber" in findings[0].evidence


def said_of(findings=(), count=None, *, waits=0, drops=0, jobs=(0, None), changes=(0, None), dropped=(0, 0)):
    """What the check says of one runtime, of what no turn has counted (how many, since how long), and of a log."""
    count = len(findings) if count is None else count
    report = SimpleNamespace(findings=findings, count=count, ok=not count, summary="all is well")
    health = SimpleNamespace(log_dropped=dropped[0], subscriber_dropped=dropped[1])
    uncounted = [(number, None if age is None else -age) for number, age in (jobs, changes)]
    return told(
        "log.gaps",
        rows=SimpleNamespace(uncounted=lambda most: uncounted),
        views=[SimpleNamespace(boot="b", health=health)],
        log=LogEvidence(report=report, jumps=0, waits=waits, drops=drops),
    )


def test_all_that_a_log_lacks_is_told_with_how_bad_it_is_and_what_to_do():
    error, excused = (
        SimpleNamespace(kind="gap", says="line 7 is missing", excused=False),
        SimpleNamespace(kind="gap", says="line 9 is missing", excused=True),
    )
    shows = "`lamplighter audit LOG --store FILE` shows the lines"

    assert said_of() == [("ok", "all is well", "")]
    assert said_of([error, excused]) == [
        ("error", "audit: gap: line 7 is missing", shows),
        ("note", "audit: gap: line 9 is missing (the log itself says so)", ""),
    ]
    many = [error] * FINDINGS_TOLD_MAX
    assert said_of(many) == [("error", "audit: gap: line 7 is missing", shows)] * FINDINGS_TOLD_MAX
    assert said_of([*many, error], FINDINGS_TOLD_MAX + 3) == [
        *said_of(many),
        ("error", "audit: 3 more findings", "`lamplighter audit LOG --store FILE`"),
    ]
    assert said_of(waits=2, drops=1) == [
        ("warning", "lines were lost 1 time within a day (`log.dropped`)", "see why there"),
        (
            "note",
            "write batches had to wait for the lock 2 times within an hour (`store.waiting`)",
            "its lines say for how long, and who is likely to have it",
        ),
        ("ok", "all is well", ""),
    ]


def test_all_that_no_turn_has_counted_and_no_runtime_has_told_is_a_warning():
    late = UNCOUNTED_SECONDS_MAX + 1
    start = "start a runtime, or see why those that live do not write: `lamplighter doctor --only boots`"
    look = "its outlet is too slow, or full: look at the disk, the pipe, or what the subscriber does"

    assert said_of(jobs=(2, UNCOUNTED_SECONDS_MAX), changes=(1, UNCOUNTED_SECONDS_MAX)) == said_of()
    assert said_of(jobs=(COUNTED_MAX, late), changes=(2, late)) == [
        (
            "warning",
            "10,000+ jobs that an application's own transaction has queued or moved are in no log, the oldest for 6 s",
            start,
        ),
        (
            "warning",
            "2 changes of schedules that an application's own transaction has made are carried out by nobody, the "
            "oldest for 6 s",
            start,
        ),
    ]
    assert said_of(dropped=(1, 2000)) == [
        ("warning", "boot b has dropped 1 line of its log and 2,000 events for subscribers since its start", look)
    ]
    assert said_of(dropped=(2, 1)) == [
        ("warning", "boot b has dropped 2 lines of its log and 1 event for a subscriber since its start", look)
    ]
