"""The process that only watches: when it starts its worker anew, and what it says of it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import watchfiles
from lamplighter.contrib import reloading


def test_a_worker_is_started_anew_once_for_each_sighup_and_each_change(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    done: list[str] = []

    class Worker(reloading._Worker):
        def start(self) -> None:
            done.append("start")

        def stop(self) -> None:
            done.append("stop")

        def check(self) -> None:
            done.append("check")

    def watch(*paths: str, **options: Any) -> Iterator[set[tuple[watchfiles.Change, str]]]:
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
        signal.raise_signal(signal.SIGTERM)
        yield changed

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reloading, "_Worker", Worker)
    monkeypatch.setattr(watchfiles, "watch", watch)

    reloading.run_anew(["work"], None)

    anew = ["stop", "start", "check"]
    assert done == ["start", "check", *anew, *anew, *anew, "stop"]
    assert capsys.readouterr().err.splitlines() == [
        "lamplighter: SIGHUP; starting anew",
        "lamplighter: a.py, b.py changed; starting anew",
        "lamplighter: a.py, b.py changed; starting anew",
    ]
