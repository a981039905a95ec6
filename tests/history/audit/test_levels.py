"""The audit of logs whose level was changed while the runtime ran."""

from __future__ import annotations

import itertools

import pytest
from lamplighter.history.audit.audit import Audit
from lamplighter.log.events import EVENTS

from ..kit import Run, Story, audited, clean_run, kinds


def at_info(run: Run, first: int, last: int) -> list[dict]:
    """The lines of a run at debug, as if it had logged at info for a while."""
    return [
        line
        for index, line in enumerate(run.lines)
        if not first <= index < last or "seq" not in line or EVENTS[line["event"]].level != "debug"
    ]


@pytest.mark.parametrize("with_store", [True, False])
def test_a_level_that_was_changed_while_it_ran_is_a_note_and_no_finding(with_store):
    run = clean_run()
    store = run.store if with_store else None
    borders = range(0, len(run.lines) + 1, len(run.lines) // 6)

    noted = 0
    for first, last in itertools.combinations(borders, 2):
        lines = at_info(run, first, last)
        missing = [line["seq"] for line in lines if "seq" in line]
        if sum(two > one + 1 for one, two in itertools.pairwise(missing)) < 3:
            continue
        report = audited(lines, store)
        assert report.ok, (first, last, report.findings)
        noted += any("was not at debug all the time" in note for note in report.notes)
    assert noted >= 5


def test_what_is_missing_while_a_boot_was_at_debug_is_found_though_it_is_at_info_now():
    run = clean_run()
    half = len(run.lines) // 2
    lines = at_info(run, half, len(run.lines))
    gone = next(index for index, line in enumerate(lines) if line["event"] == "job.claimed")

    assert kinds(audited(lines)) == []
    assert kinds(audited([*lines[:gone], *lines[gone + 1 :]])) == ["missing lines"]


def test_a_boot_at_info_for_long_that_is_raised_to_debug_is_well(monkeypatch):
    monkeypatch.setattr("lamplighter.history.replay.boots.SILENT_PIECES_MAX", 4)
    run = clean_run()

    for border in range(len(run.lines) // 3, len(run.lines), 5):
        report = audited(at_info(run, 0, border), run.store)
        assert report.ok, (border, report.findings)

    lines = at_info(run, 0, len(run.lines) // 3)
    gone = max(index for index, line in enumerate(lines) if line["event"] == "job.claimed")
    assert kinds(audited([*lines[:gone], *lines[gone + 1 :]], run.store)) == ["missing lines"]


@pytest.mark.parametrize(("level", "is_kept"), [("info", False), ("debug", True)])
def test_lines_beside_a_gap_are_kept_only_of_a_boot_at_debug(level, is_kept):
    """At info each line is beside one. A log of fifty boots took 640 MB to read."""
    audit = Audit()

    for index, line in enumerate(clean_run(level).lines):
        if "seq" in line and (level == "info" or index % 20):
            audit.feed(line)

    (boot,) = audit.replay.boots.values()
    assert [bool(gap.lines) for gap in boot.gaps] == [is_kept] * len(boot.gaps)
    assert boot.gaps


def test_two_gaps_with_one_line_at_info_between_them_are_no_other_level():
    story = Story().said("job.started", job_id="j", job_name="n")
    for event in ("scheduler.leads", "job.started"):
        story.said("job.started", job_id="lost", job_name="n").said(event, job_id="j", job_name="n")

    lines = [line for line in story.lines if line.get("job_id") != "lost"]

    assert kinds(audited(lines)) == ["missing lines"] * 2


@pytest.mark.parametrize("left_out", [4, 5])
def test_lines_of_a_kind_are_left_out_on_purpose_where_all_of_several_are_missing(left_out):
    story = Story()
    for number in range(left_out):
        story.move("queued", None, 0, 0, f"j{number}").move("cancelled", "queued", 0, 0, f"j{number}")
    # The boot may have been killed before it wrote the line of its last turn.
    story.move("queued", None, 0, 0, "last")
    at_info = [line for line in story.lines if EVENTS[line["event"]].level != "debug"]

    report = audited(line for line in at_info if line["event"] != "job.cancelled")

    assert kinds(report) == (["missing lines"] * 4 if left_out < 5 else [])
    assert ("lines that are left out of this log: cancelled" in report.notes) == (left_out == 5)
