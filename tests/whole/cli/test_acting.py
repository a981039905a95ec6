"""The commands that act: what they do, in whose name, what they say, and when nothing is done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ...cli.test_acting import states


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAMPLIGHTER_STORE", str(tmp_path / "jobs.db"))
    return tmp_path / "jobs.db"


def test_a_sweep_that_is_interrupted_says_how_far_it_has_come(runtime, file):
    with runtime() as rt:
        for _ in range(10):
            rt.jobs.queue_many([("work", None)] * 500)
    command = [sys.executable, "-m", "lamplighter", "jobs", "cancel", "--where", "state:queued", "--yes"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as sweeping:
        assert sweeping.stderr is not None and sweeping.stdout is not None
        assert "of 5,000" in next(iter(sweeping.stderr))
        sweeping.send_signal(signal.SIGINT)
        told = sweeping.stdout.read()

    assert sweeping.returncode == 130
    done = int(told.removeprefix("cancelled ").removesuffix(" jobs\n").replace(",", ""))
    cancelled = sum(state == "cancelled" for state in states(file).values())
    # The turn that was under way may have been committed.
    assert 0 < done <= cancelled <= done + 500 < 5_000
