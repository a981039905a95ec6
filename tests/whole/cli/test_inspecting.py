"""The commands that only read: what they print, on which stream, and how they exit."""

from __future__ import annotations

import signal
import subprocess
import sys

from lamplighter.cli.main import main

from ...cli.test_inspecting import file, filled

__all__ = ["file", "filled"]
"""Fixtures that both halves of these tests use."""


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
