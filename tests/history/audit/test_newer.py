"""Lines of a newer version: an event that is not known here is no defect, and its numbers count as told."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from lamplighter.history.log_files.lines import fields_of

from ..kit import Said, audited, clean_run, sealed


def read(lines: Iterable[Said], called: str = "event") -> list[Said]:
    """These lines as they are read from a file, in which the event has this name."""
    texts = ({called if key == "event" else key: value for key, value in sealed(line).items()} for line in lines)
    found: list[Any] = [fields_of(json.dumps(text).encode()) for text in texts]
    return [line for line in found if line is not None]


@pytest.mark.parametrize("called", ["event", "message"])
@pytest.mark.parametrize("level", ["debug", "info"])
def test_no_event_that_a_newer_version_has_renamed_is_a_finding(level, called):
    lines = clean_run(level).lines
    for event in sorted({line["event"] for line in lines if "seq" in line}):
        # Another event tells of turns only in a newer format of the ledger.
        newer = [
            {**line, "event": "job.begun", **({"v": 2} if "moves" in line else {})} if line["event"] == event else line
            for line in lines
        ]

        report = audited(read(newer, called))

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
