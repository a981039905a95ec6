"""The commands that only read: what they print, on which stream, and how they exit."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from lamplighter.cli.main import main

from ...cli.test_inspecting import failing


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LAMPLIGHTER_STORE", str(tmp_path / "jobs.db"))
    return str(tmp_path / "jobs.db")


@pytest.fixture
def filled(runtime, recorder):
    """A runtime with a job of each kind: `m0` runs, `m1` waits behind it, `parked` has no handler, one is dead."""
    rt, begun = runtime(), threading.Event()
    rt.jobs.add_handler("mail", lambda job: begun.set() or job.sleep(60))
    rt.jobs.add_handler("fails", failing, max_attempts=1)
    rt.scheduler.add("mail", "30 6 * * *", {"all": True}, key="daily", timezone="Europe/Berlin")
    rt.jobs.queue("mail", {"to": "ada@example.org"}, id="m0")
    assert begun.wait(10)
    rt.jobs.queue("mail", 1, id="m1")
    rt.jobs.queue("send_mail", id="parked")
    rt.jobs.queue("fails", 17, id="f0")
    recorder.wait_for("job.dead")
    return rt


def test_what_is_watched_is_shown_again_and_again_until_ctrl_c(filled, capsys):
    command = [sys.executable, "-m", "lamplighter", "jobs", "count", "--watch", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        counts = (line for line in watching.stdout if line.startswith("dead"))
        assert [next(counts).split() for _ in range(3)] == [["dead", "1"]] * 3
        watching.send_signal(signal.SIGINT)

    assert watching.returncode == 130
    assert main(["jobs", "count", "--watch", "0"]) == 2
    assert "expected --watch to be 0.1 s or more" in capsys.readouterr().err
