"""`run` ends once, cleanly, whatever signals come and however they fall into one another."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lamplighter.environment.process import STOP_SIGNALS

from ...faults.kit import SECONDS_MAX

HOST = """
import json, logging, os, signal, sys, threading, time
from lamplighter import Runtime


class Said(logging.Handler):
    def emit(self, record):
        event = json.loads(record.getMessage())["event"]
        if event.startswith("runtime."):
            os.write(1, f"{event}\\n".encode())


logging.getLogger("lamplighter").addHandler(Said())
logging.getLogger("lamplighter").setLevel(logging.INFO)
runtime = Runtime(sys.argv[1])


def nest(frame, event, arg):
    # The next signal comes while the handler of the last one is at work.
    name, file = frame.f_code.co_name, frame.f_code.co_filename
    nest.heeds = nest.heeds or (name == "<lambda>" and file.endswith("runtime.py"))
    is_in_it = name == "notify_all" or (name == "<lambda>" and nest.left > 10)
    if event == "call" and nest.heeds and nest.left and is_in_it:
        nest.left -= 1
        signal.raise_signal((signal.SIGTERM, signal.SIGINT)[nest.left % 2])


def tell_when_waiting(main):
    # A signal that came while the profiler is at work would be heeded unseen by it.
    calls = []
    while "run" not in calls or "start" in calls:
        time.sleep(0.01)
        calls, frame = [], sys._current_frames()[main]
        while frame is not None:
            calls, frame = [*calls, frame.f_code.co_name], frame.f_back
    os.write(1, b"waiting\\n")


threading.Thread(target=tell_when_waiting, args=(threading.get_ident(),), daemon=True).start()
nest.left, nest.heeds = int(sys.argv[2]), False
before = signal.getsignal(signal.SIGINT)
sys.setprofile(nest if nest.left else None)
runtime.run(drain=1)
sys.setprofile(None)
os.write(1, f"returned {signal.getsignal(signal.SIGINT) is before}".encode())
"""


def host_of(folder: Path, nested: int) -> subprocess.Popen[str]:
    """One that runs until it is told to stop."""
    command = [sys.executable, "-c", HOST, folder / "jobs.db", str(nested)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_signals_that_fall_into_one_another_stop_a_run_once(tmp_path: Path) -> None:
    """Each was to set an Event, whose lock the handler before it held: the process then heeded no signal any more."""
    with host_of(tmp_path, nested=20) as host:
        assert host.stdout is not None
        try:
            assert [host.stdout.readline() for _ in range(2)] == ["runtime.started\n", "waiting\n"]
            host.send_signal(signal.SIGTERM)
            said, _ = host.communicate(timeout=SECONDS_MAX)
        finally:
            host.kill()

    assert said.splitlines() == ["runtime.stopping", "runtime.stopped", "returned True"]
    assert host.returncode == 0


@pytest.mark.parametrize("signals", [1, 400])
def test_a_burst_of_signals_stops_a_run_once(tmp_path: Path, signals: int) -> None:
    with host_of(tmp_path, nested=0) as host:
        assert host.stdout is not None
        try:
            assert [host.stdout.readline() for _ in range(2)] == ["runtime.started\n", "waiting\n"]
            for one in range(signals):
                host.send_signal(STOP_SIGNALS[one % 3])
            said = host.stdout.read().splitlines()
        finally:
            host.kill()

    # What comes when it has returned is the host's own to handle, and may end it before it says that.
    assert said[:2] == ["runtime.stopping", "runtime.stopped"]
    assert said.count("runtime.stopped") == 1
