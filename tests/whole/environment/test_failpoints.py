"""Failpoints: what arms them, what they do, how often, and that nothing happens where nothing is armed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lamplighter.environment.failpoints import VARIABLE

HOST = """
import os, sys
from lamplighter import Runtime
from lamplighter.environment import Environment
from lamplighter.environment.failpoints import from_environment

def say(*words):
    # A line at a time: several threads say something.
    os.write(1, (" ".join(words) + os.linesep).encode())

plain = "plain" in sys.argv
runtime = Runtime("jobs.db", environment=None if plain else Environment(failpoints=from_environment()))
runtime.subscribe(lambda event: say(event["variable"], event["value"]), ["failpoints.unheeded"])
runtime.jobs.add_handler("work", lambda job: say("ran"))
with runtime:
    job = runtime.jobs.queue("work", id="order-7")
    say("queued")
    say(runtime.jobs.join(job, timeout=15).state.value)
"""


def run_host(folder: Path, armed: str, *how: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HOST, *how],
        cwd=folder,
        env={**os.environ, VARIABLE: armed},
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_variable_kills_a_process_at_a_point_and_the_next_one_finishes_its_job(tmp_path: Path) -> None:
    killed = run_host(tmp_path, "lane.returned=kill")
    after = run_host(tmp_path, "")

    # The lane may be killed before the main thread has said that the job is queued.
    assert killed.returncode == -signal.SIGKILL
    assert set(killed.stdout.splitlines()) in ({"ran"}, {"queued", "ran"})
    assert (after.returncode, sorted(after.stdout.splitlines())) == (0, ["done", "queued", "ran"])


def test_a_variable_that_cannot_be_read_stops_a_host_at_once_and_says_why(tmp_path: Path) -> None:
    ran = run_host(tmp_path, "lane.retrned=kill")

    assert ran.returncode == 1
    assert "UsageError: LAMPLIGHTER_FAILPOINTS: expected the name of a failpoint" in ran.stderr
    assert not (tmp_path / "jobs.db").exists()


@pytest.mark.parametrize("armed", ["lane.returned=kill", "lane.retrned=kill"])
def test_a_host_that_has_not_asked_for_the_variable_goes_on_and_says_so_once(tmp_path: Path, armed: str) -> None:
    ran = run_host(tmp_path, armed, "plain")

    assert ran.returncode == 0
    assert sorted(ran.stdout.splitlines()) == [f"LAMPLIGHTER_FAILPOINTS {armed}", "done", "queued", "ran"]
