"""The socket at which a boot is asked from outside: whoever stands before it, and whatever befalls it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time as walltime

import pytest
from lamplighter.stores.asking import ask_all

from ...stores.test_controls import PATIENCE

FORKS = """
    import os, signal, sys, time
    from pathlib import Path
    from lamplighter.environment.threads import spawn
    from lamplighter.stores.controls import SocketControls

    made = SocketControls(Path(sys.argv[1]), "one", time.monotonic)
    made.serve(lambda line: b"parent\\n", spawn)
    before = set(os.listdir("/dev/fd"))
    if os.fork() == 0:
        left = [fd for fd in before if os.path.exists(f"/dev/fd/{fd}") and "socket" in os.readlink(f"/dev/fd/{fd}")]
        made.close()
        print(os.getpid(), left, flush=True)
        signal.pause()
    signal.pause()
"""


def test_a_forked_child_has_nothing_of_it_and_takes_nothing_away(tmp_path):
    if not os.path.exists("/proc/self/fd"):
        pytest.skip("only Linux says what a descriptor is")
    host = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(FORKS), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    child, left = host.stdout.readline().split(" ", 1)
    sockets = {"one": tmp_path / "one.ctl"}

    by_parent = ask_all(sockets, b"hello\n", PATIENCE, walltime.monotonic)["one"]
    host.kill()
    host.wait()
    by_nobody = ask_all(sockets, b"hello\n", PATIENCE, walltime.monotonic)["one"]

    os.kill(int(child), 9)
    host.stdout.close()
    assert left.strip() == "[]"
    assert (by_parent.answer, by_parent.pid) == (b"parent", host.pid)
    assert "nobody answers" in by_nobody.why
