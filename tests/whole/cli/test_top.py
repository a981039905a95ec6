"""`lamplighter top`: what it shows at a terminal, and in a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
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


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals here")
def test_keys_sort_scroll_and_end_it_within_the_height_of_the_terminal(runtime, tmp_path: Path) -> None:
    rt = runtime(start=False)
    rt.start(work=False)
    rt.jobs.queue_many([(f"tenant-{number:03}", number) for number in range(60)] + [("tenant-042", None)])
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 150, 0, 0))
    command = [sys.executable, "-P", "-m", "lamplighter", "top", "--store", str(tmp_path / "jobs.db"), "--every", "0.1"]
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**environment, "TERM": "xterm"}
    )
    os.close(theirs)

    def read_until(*wanted: bytes) -> bytes:
        said = b""
        while not all(one in said for one in wanted):
            said += os.read(ours, 65536)
        return said

    first = read_until(b"by name", b"tenant-000", b"by name")
    os.write(ours, b"s")
    read_until(b"by ready", b"tenant-042")
    os.write(ours, b"s   ")
    read_until(b"by oldest", rt.boot.id.encode())
    os.write(ours, b"q")

    assert process.wait(30) == 0
    assert b"tenant-059" not in first
    os.close(ours)
