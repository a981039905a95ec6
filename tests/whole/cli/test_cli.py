"""The command: what it prints, and how it exits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ...history.kit import clean_run, index_of, without, write_log


@pytest.fixture
def log(tmp_path: Path) -> str:
    """A log at debug of a clean run."""
    return str(write_log(tmp_path / "app.log", clean_run().lines))


def test_the_package_can_be_run_and_does_not_mind_a_reader_that_has_seen_enough(log):
    command = [sys.executable, "-m", "lamplighter", "trace", "--actor", "broker", log]
    whole = subprocess.run(command, capture_output=True, text=True, check=True)
    assert whole.stdout.startswith("actor broker\n")

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as cut:
        assert cut.stdout is not None
        assert cut.stderr is not None
        cut.stdout.close()
        assert cut.stderr.read() == b""


@pytest.mark.parametrize("healthy", [True, False])
def test_an_audit_that_nobody_reads_to_its_end_does_not_say_that_all_is_well(tmp_path, healthy):
    lines = clean_run().lines
    log = write_log(tmp_path / "app.log", lines if healthy else without(lines, index_of(lines, "job.claimed")))
    command = [sys.executable, "-m", "lamplighter", "audit", str(log)]

    with subprocess.Popen(command, stdout=subprocess.PIPE) as cut:
        assert cut.stdout is not None
        cut.stdout.close()
        assert cut.wait() == (141 if healthy else 1)
