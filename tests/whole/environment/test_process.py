"""What the system says of processes: of this one, and of others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from lamplighter.environment.process import state_of

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="only Linux says it")


def test_a_stopped_process_is_told_from_one_that_runs_and_one_that_is_gone():
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    runs = state_of(child.pid)
    os.kill(child.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
    stopped = state_of(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    unburied = state_of(child.pid)
    child.wait()

    assert (runs, stopped, unburied, state_of(child.pid)) == ("running", "stopped", "gone", "gone")
