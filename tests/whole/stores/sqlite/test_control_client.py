"""Who asks the boots on a file from outside, and what it thinks of those that do not answer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest
from lamplighter.messages.views import DeclaredView
from lamplighter.stores.asking import ask_all
from lamplighter.stores.sqlite.control_client import FileControlClient
from lamplighter.stores.tables.control_client import PATIENT_AGAIN_SECONDS, SILENT_SECONDS

from ....stores.sqlite.test_control_client import PATIENCE

STOPS = """
    import signal, sys
    from lamplighter import Runtime
    runtime = Runtime(sys.argv[1])
    with runtime:
        print(runtime.boot.id, flush=True)
        signal.pause()
"""


@pytest.fixture
def process(tmp_path):
    """A process with a runtime on a file: it, the id of its boot, and the file."""
    script, path = textwrap.dedent(STOPS), str(tmp_path / "jobs.db")
    host = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True)
    yield host, host.stdout.readline().strip(), path
    host.kill()
    host.wait()
    host.stdout.close()


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="only Linux says whose process it is")
def test_a_process_that_a_signal_has_stopped_is_not_waited_for(process):
    host, boot, path = process
    os.kill(host.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, host.pid, os.WSTOPPED)

    # If it were, this would not end.
    found = FileControlClient(path, 1e6).views([boot])[boot]

    assert (found.condition, found.pid) == ("stopped", host.pid)


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="only Linux says whose process it is")
def test_a_process_that_a_signal_has_stopped_is_shown_so_until_it_goes_on(process):
    host, boot, path = process
    outside = FileControlClient(path, 0.5)
    os.kill(host.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, host.pid, os.WSTOPPED)

    first, again = outside.views([boot])[boot], outside.views([boot])[boot]
    os.kill(host.pid, signal.SIGCONT)
    after = FileControlClient(path, PATIENCE).views([boot])[boot]

    assert (first.condition, first.is_alive, first.view, first.pid) == ("stopped", True, None, host.pid)
    assert first.unheard == f"a signal or a debugger has stopped process {host.pid}"
    assert again.silent_since == first.silent_since is not None
    assert (after.condition, after.view.pid) == ("answers", host.pid)


def test_whoever_looks_again_does_not_wait_again_for_a_boot_that_says_nothing(process, monkeypatch):
    host, boot, path = process
    waits = []

    def ask(sockets, question, timeout, monotonic, **others):
        waits.extend(timeout for _ in sockets)
        return ask_all(sockets, question, timeout, monotonic, **others)

    monkeypatch.setattr("lamplighter.stores.sqlite.control_client.ask_all", ask)
    outside = FileControlClient(path, 0.5)
    os.kill(host.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, host.pid, os.WSTOPPED)

    outside.views([boot])
    outside.views([boot])
    said = outside.ask_all([boot], "declares", DeclaredView)
    monkeypatch.setattr(outside._clock, "monotonic", lambda: time.monotonic() + PATIENT_AGAIN_SECONDS)
    outside.views([boot])
    outside.views([boot])

    assert waits == [0.5, SILENT_SECONDS, SILENT_SECONDS, 0.5, SILENT_SECONDS]
    assert said == {boot: None}
