"""Lines of a newer version: an event that is not known here is no defect, and its numbers count as told."""

from __future__ import annotations

import pytest

from ..kit import audited, clean_run


@pytest.mark.parametrize("level", ["debug", "info"])
def test_no_event_that_a_newer_version_has_renamed_is_a_finding(level):
    lines = clean_run(level).lines
    for event in sorted({line["event"] for line in lines if "seq" in line}):
        # Another event tells of turns only in a newer format of the ledger.
        newer = [
            {**line, "event": "job.begun", **({"v": 2} if "moves" in line else {})} if line["event"] == event else line
            for line in lines
        ]

        report = audited(newer)

        number = sum(line["event"] == event for line in lines)
        assert any(note.startswith(f"{number} line") and "(job.begun)" in note for note in report.notes)
        assert report.findings == (), event


def test_what_is_really_missing_is_found_beside_newer_lines():
    lines = [
        {**line, "event": "job.begun"} if line["event"] == "job.started" else line
        for line in clean_run().lines
        if "seq" in line
    ]
    begun = next(index for index, line in enumerate(lines) if line["event"] == "job.begun")

    assert [finding.kind for finding in audited(lines[:begun] + lines[begun + 1 :]).findings] == ["missing lines"]


def test_a_line_of_a_newer_format_is_counted_and_judged_by_what_is_known_of_it():
    lines = [
        {**line, "v": 2, "moves": [{**move, "unheard_of": 7} for move in line["moves"]]} if "moves" in line else line
        for line in clean_run("info").lines
    ]

    report = audited(lines)

    assert report.ok, report.findings
    assert report.transitions == audited(clean_run("info").lines).transitions
    assert any("(turn.committed)" in note for note in report.notes)
