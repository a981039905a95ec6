"""What the log lacks: what makes the check fire, and what keeps it silent."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from lamplighter.rules.wording import many

from .kit import found, levels, new_store


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
