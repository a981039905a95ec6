"""Lines that could not be written: what they leave out is missing, and the report says that the log has said so."""

from __future__ import annotations

import errno
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import structlog
from lamplighter import Runtime

from ..kit import Run, Story, audited, index_of, kinds, logger_to, without

WAIT_SECONDS_MAX = 30.0
LEVELS = pytest.mark.parametrize("level", ["debug", "info"])


class Disk:
    """A log file on a disk that may be full."""

    def __init__(self) -> None:
        self.text = ""
        self.is_full = False

    def write(self, text: str) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.text += text

    def flush(self) -> None:
        pass


def run_on_a_full_disk(folder: Path, level: str, *, until_the_end: bool) -> Run:
    """Three jobs that are logged, three that are not, and, unless the disk stays full, three that are."""
    disk = Disk()
    logger: Any = structlog.wrap_logger(
        structlog.WriteLogger(disk),  # type: ignore[arg-type]
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    rt = Runtime(folder / "jobs.db", logger=logger)
    rt.jobs.add_handler("work", lambda job: None)
    with rt:
        for is_full in (False, True, until_the_end):
            disk.is_full = is_full
            for _ in range(3):
                rt.jobs.join(rt.jobs.queue("work"), timeout=WAIT_SECONDS_MAX)
    return Run(tuple(json.loads(line) for line in disk.text.splitlines()), folder / "jobs.db")


@LEVELS
def test_jobs_that_a_full_disk_has_left_out_are_no_orphans(tmp_path, level):
    run = run_on_a_full_disk(tmp_path, level, until_the_end=False)

    report = audited(run.lines, run.store)

    (dropped,) = (line for line in run.lines if line["event"] == "log.dropped")
    assert set(kinds(report)) <= {"missing moves", "missing turns", "missing lines"}
    assert "missing moves" in kinds(report)
    assert not report.ok
    assert report.unexcused == ()
    assert [note for note in report.notes if note.startswith("log.dropped")] == [
        f"log.dropped says that {dropped['count']} lines of boot {dropped['boot']} could not be written (OSError: "
        "[Errno 28] No space left on device): what is missing may be no more than these"
    ]


@LEVELS
def test_jobs_of_a_boot_that_could_write_nothing_until_its_end_are_no_orphans(tmp_path, level):
    run = run_on_a_full_disk(tmp_path, level, until_the_end=True)

    report = audited(run.lines, run.store)

    (finding,) = (one for one in report.findings if one.kind == "missing moves")
    assert "orphan" not in kinds(report)
    assert f"Boot {run.lines[0]['boot']} has ended since its last line" in finding.says
    assert not finding.excused


def test_a_turn_whose_line_is_missing_by_its_number_is_excused_once():
    story = Story().done().done("k").said("log.dropped", count=2, reason="OSError: no space left").stop()
    first = index_of(story.lines, "turn.committed", turn=2)

    once, more = (audited(without(story.lines, *range(first, first + missing))) for missing in (2, 3))

    assert {"missing turns", "missing lines"} <= set(kinds(once))
    assert once.unexcused == ()
    assert [finding.kind for finding in more.unexcused] == ["missing lines"]


def test_a_job_that_no_missing_turn_can_have_queued_is_an_orphan(tmp_path):
    with Runtime(tmp_path / "jobs.db", logger=logger_to(tmp_path / "log", "info")) as rt:
        rt.jobs.queue("nobody")
    lines = [json.loads(line) for line in (tmp_path / "log").open()]
    dropped = {**lines[-1], "event": "log.dropped", "seq": lines[-1]["seq"] + 1, "count": 9, "reason": "OSError: full"}
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection, connection:
        connection.execute("update lamplighter_jobs set id = 'stranger'")

    report = audited([*lines, dropped], tmp_path / "jobs.db")

    assert "orphan" in [finding.kind for finding in report.unexcused]
