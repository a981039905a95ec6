"""The demo is what one sees first: it must end well, say so, and notice when it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hashbase.demo import fates
from hashbase.demo.__main__ import main
from hashbase.demo.audit import audit, biography
from hashbase.demo.life import Line
from hashbase.demo.view import details

EXAMPLES = Path(__file__).parents[3] / "examples"


def _run(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES), "COLUMNS": "112", "PYTHONUTF8": "1"}
    command = [sys.executable, "-P", "-m", "hashbase.demo", str(folder)]
    return subprocess.run(
        command, env=environment, cwd=folder.parent, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path, float]:
    """One showing: what it printed, its data folder, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    began = time.monotonic()
    return _run(folder), folder, time.monotonic() - began


def _lines(folder: Path) -> list[Line]:
    return [
        {**json.loads(raw), "life": life}
        for life in (1, 2)
        for raw in (folder / f"life-{life}.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def _ended(lines: list[Line]) -> list[dict[str, Any]]:
    return [
        {"id": line["job_id"], "state": line["event"].removeprefix("job.")}
        for line in lines
        if line["event"] in ("job.done", "job.dead")
    ]


def test_it_ends_well_within_a_minute(shown: tuple[subprocess.CompletedProcess[str], Path, float]) -> None:
    done, _, seconds = shown

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert seconds < 60
    assert "Nothing was lost." in done.stdout
    assert "✗" not in done.stdout
    for event in ("actor.crashed", "actor.restarted", "job.fenced", "SIGKILL", "runtime.recovered"):
        assert event in done.stdout


def test_the_actor_crashed_and_the_process_was_killed_in_the_middle_of_a_job(
    shown: tuple[subprocess.CompletedProcess[str], Path, float],
) -> None:
    _, folder, _ = shown
    lines = _lines(folder)

    alice = [step.line["event"] for step in biography(lines, "verify-alice")]
    assert alice.index("demo.held") < alice.index("job.failed") < alice.index("job.fenced") < alice.index("job.done")
    cleaning = biography(lines, "clean-archives")
    assert [step.line["life"] for step in cleaning if step.line["event"] == "job.started"] == [1, 2]
    assert "runtime.stopped" not in {line["event"] for line in lines if line["life"] == 1}
    assert all(step.after >= 0 for step in cleaning)
    assert [step.line["event"] for step in cleaning if not details(step.line)] == []


def test_the_audit_notices_every_line_that_is_missing(
    shown: tuple[subprocess.CompletedProcess[str], Path, float],
) -> None:
    _, folder, _ = shown
    lines = _lines(folder)
    stored = _ended(lines)
    accepted = [job["id"] for job in stored]
    told = {(line["of"], line["turn"]) for line in lines if "told_by" in line}

    assert all(check.holds for check in audit(lines, accepted, stored))
    for index, line in enumerate(lines):
        if line["event"] == "turn.committed" and (line["boot"], line["turn"]) not in told and "told_by" not in line:
            checks = audit(lines[:index] + lines[index + 1 :], accepted, stored)
            assert not all(check.holds for check in checks), line


def test_the_audit_reads_what_a_killed_life_had_committed_and_not_said() -> None:
    def turn(number: int, *moves: dict[str, Any], **fields: Any) -> Line:
        line = {"life": 1, "boot": "b1", "seq": number, "ts": float(number), "event": "turn.committed"}
        return {**line, "turn": number, "moves": list(moves), **fields}

    skipped = {"k": "skipped", "s": "s", "t": 60.0, "l": 60.0, "x": 1}
    lines: list[Line] = [
        turn(1, {"k": "queued", "j": "a", "r": 1}),
        turn(2, {"k": "claimed", "j": "a", "r": 2, "f": "queued", "c": 1}),
        turn(
            3,
            {"k": "done", "j": "a", "r": 3, "f": "running", "c": 1},
            skipped,
            {"k": "queued", "j": "b", "r": 1},
            life=2,
            boot="b2",
            seq=1,
            of="b1",
            told_by="b2",
        ),
    ]
    stored = [{"id": "a", "state": "done"}, {"id": "b", "state": "queued"}]

    checks = audit(lines, ["a"], stored)

    assert [check.what for check in checks if not check.holds] == []
    assert [one.line["turn"] for one in biography(lines, "a")] == [3]


def test_the_audit_notices_an_ending_of_a_stale_claim(
    shown: tuple[subprocess.CompletedProcess[str], Path, float],
) -> None:
    _, folder, _ = shown
    lines = _lines(folder)
    stored = _ended(lines)
    forged = [{**line, "claim_no": 1} if line["event"] == "job.done" else line for line in lines]

    failed = [check.what for check in audit(forged, [job["id"] for job in stored], stored) if not check.holds]

    assert failed == ["no ending was taken from a stale claim"]


def test_it_leaves_a_folder_of_somebody_else_alone(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "holiday.jpg").write_bytes(b"sea")

    done = _run(folder)

    assert done.returncode == 1
    assert "was not made by the demo" in done.stdout
    assert (folder / "holiday.jpg").read_bytes() == b"sea"


def test_it_says_when_something_is_not_as_it_must_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(fates.JOB_OF_OUTCOME, "rejected", ("done", ""))

    assert main([str(tmp_path / "data")]) == 1

    shown = capsys.readouterr().out
    assert "NOT as it must be" in shown
    assert "Nothing was lost" not in shown
