"""The process that only watches: when it starts its worker anew, by which signals that ends, and what it says of it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import watchfiles
from lamplighter.contrib import reloading
from lamplighter.environment.process import STOP_SIGNALS

Changes = set[tuple[watchfiles.Change, str]]


def test_a_worker_is_started_anew_once_for_each_sighup_and_each_change(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    done: list[Any] = []

    class Process:
        """A worker that ends when it is told to."""

        def __init__(self, command: list[str]) -> None:
            self.returncode: int | None = None
            done.append(command)
            workers.append(self)

        def poll(self) -> int | None:
            return self.returncode

        def send_signal(self, number: int) -> None:
            done.append(signal.Signals(number).name)

        def terminate(self) -> None:
            self.send_signal(signal.SIGTERM)

        def wait(self, seconds: float) -> None:
            done.append(seconds)

    def watch(folder: str, **options: Any) -> Iterator[Changes]:
        changed = {(watchfiles.Change.modified, str(tmp_path / name)) for name in ("b.py", "a.py")}
        yield set()
        signal.raise_signal(signal.SIGHUP)
        yield set()
        yield set()
        yield changed
        yield set()
        # Both at once are one reason to start anew.
        signal.raise_signal(signal.SIGHUP)
        yield changed
        yield set()
        workers[-1].returncode = 3
        yield set()
        yield set()
        yield changed
        signal.raise_signal(signal.SIGTERM)
        yield changed

    workers: list[Process] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(watchfiles, "watch", watch)
    before = list(map(signal.getsignal, STOP_SIGNALS))

    reloading.run_anew(["work"], 7.0)

    started, most = ["work", "--drain", "7.0"], 7.0 + reloading.STOP_SECONDS_MAX
    anew = ["SIGTERM", most, started]
    # The last SIGTERM is passed on once: a second one would end the worker's drain.
    assert done == [started, *anew, *anew, *anew, started, "SIGTERM", most]
    changed = "lamplighter: a.py, b.py changed; starting anew"
    assert capsys.readouterr().err.splitlines() == [
        "lamplighter: SIGHUP; starting anew",
        changed,
        changed,
        "lamplighter: it has ended with 3; waiting for a file to change",
        changed,
    ]
    assert list(map(signal.getsignal, STOP_SIGNALS)) == before
