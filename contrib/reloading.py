"""`run --reload`: a process that only watches files, and has another work that is started anew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from ..environment.process import STOP_SIGNALS
from ..errors import missing_extra
from ..messages.jobs import Seconds

DRAIN_SECONDS = 1.0
"""The drain of a worker that is restarted, unless --drain is given: the person who edits waits for it."""

STOP_SECONDS_MAX = 15.0
"""How long a worker may take to stop beyond its drain: one that is still importing may never stop."""

LOOK_SECONDS = 0.5
"""The interval of the check whether the worker has ended by itself."""


def run_anew(command: Sequence[str], drain: Seconds | None) -> None:
    """Run a worker until a signal comes, and start it anew at a SIGHUP, and whenever a Python file below the current
    folder has changed. `command` starts a worker that takes `--drain`."""
    try:
        from watchfiles import PythonFilter, watch
    except ImportError as error:
        raise missing_extra("watchfiles", "--reload", "reload") from error
    drain = DRAIN_SECONDS if drain is None else drain
    worker = _Worker([*command, "--drain", str(drain)], drain)
    with worker.heeding_signals(), worker:
        looks = watch(
            os.getcwd(),
            watch_filter=PythonFilter(),
            stop_event=worker,
            rust_timeout=int(LOOK_SECONDS * 1000),
            yield_on_timeout=True,
            raise_interrupt=False,
        )
        for changes in looks:
            if worker.is_set():
                break
            is_asked = worker.is_asked_anew()
            if changes or is_asked:
                names = sorted(os.path.relpath(path) for _, path in changes)
                why = f"{', '.join(names)} changed" if names else "SIGHUP"
                print(f"lamplighter: {why}; starting anew", file=sys.stderr)
                worker.stop()
                worker.start()
            else:
                worker.check()


class _Worker:
    """The process that works. It stands for the event at which `watch` ends, too."""

    def __init__(self, command: list[str], drain: Seconds) -> None:
        self._command = command
        self._seconds_max = drain + STOP_SECONDS_MAX
        self._process: subprocess.Popen[bytes] | None = None
        self._is_told = False
        self._is_asked_anew = False
        self._has_terminal = os.isatty(0)

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def is_set(self) -> bool:
        return self._is_told

    def is_asked_anew(self) -> bool:
        """Whether a SIGHUP has come since the last look."""
        is_asked, self._is_asked_anew = self._is_asked_anew, False
        return is_asked

    def start(self) -> None:
        if not self._is_told:
            self._process = subprocess.Popen(self._command)

    def stop(self) -> None:
        process = self._process
        if process is None:
            return
        if not self._is_told:
            process.terminate()
        try:
            process.wait(self._seconds_max)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None

    def check(self) -> None:
        """Say once that the worker has ended by itself: it is started anew when a file changes."""
        if self._process is not None and self._process.poll() is not None:
            code = self._process.returncode
            print(f"lamplighter: it has ended with {code}; waiting for a file to change", file=sys.stderr)
            self._process = None

    @contextmanager
    def heeding_signals(self) -> Iterator[None]:
        """Pass SIGTERM and SIGINT on, also while the worker is waited for; note a SIGHUP."""
        before = {number: signal.signal(number, self._pass_on) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        # A terminal that is closed sends a SIGHUP too; then the command ends.
        if number == signal.SIGHUP and os.isatty(0) == self._has_terminal:
            self._is_asked_anew = True
            return
        # At a terminal the worker also gets the Ctrl-C itself; two within a moment count as one.
        self._is_told = True
        if self._process is not None:
            self._process.send_signal(number)
