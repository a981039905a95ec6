"""What the system says of processes: of this one, and of others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lamplighter.environment.process import command_of, state_of

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


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["one", "two", "three"], ["one"]),
        (["--store", "jobs.db"], ["--store"]),
        (["postgresql://ada:secret@db/jobs", "two"], []),
        (["PASSWORD=secret"], []),
        (["ada@db"], []),
        ([b"caf\xe9"], ["caf\ufffd"]),
    ],
)
def test_a_command_is_shown_by_its_program_and_first_words_without_a_password(tmp_path, words, shown):
    (tmp_path / "work.py").write_text("import signal; print('', flush=True); signal.pause()")
    command = [sys.executable, "work.py", *words]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout.readline() == b"\n"
            said = command_of(child.pid)
        finally:
            child.kill()

    assert said == " ".join([Path(sys.executable).name, "work.py", *shown])
    assert command_of(child.pid) == ""
