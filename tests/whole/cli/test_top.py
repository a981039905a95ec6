"""`lamplighter top`: what it shows at a terminal, and in a pipe."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals here")
def test_at_a_terminal_it_is_shown_anew_until_ctrl_c(runtime, tmp_path: Path) -> None:
    rt = runtime()
    rt.jobs.add_handler("mail", lambda job: None)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-P", "-m", "lamplighter", "top", "--store", str(tmp_path / "jobs.db"), "--every", "0.1"]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "150"}
    )
    os.close(theirs)

    said = b""
    # One screen after the other: it has been drawn twice when its first line has come twice.
    while said.count(b"ready 0") < 2:
        said += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)

    assert process.wait(30) == 0
    assert rt.boot.id.encode() in said
    os.close(ours)
