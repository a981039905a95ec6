"""Lanes in child processes: the only ones that can really be killed.

A child is a fresh interpreter (never a fork), so nothing of the host's state is copied. It speaks JSON lines over a
socket with the thread that waits for it, and ends itself when that socket closes, as it does when the parent is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ..errors import UsageError
from ..messages.outcomes import Outcome, OutcomeKind
from .calls import failure
from .idle import Idle
from .lane import NO_GRIP, Grip, Lane


class ProcessRunner:
    """Runs the lanes of one handler, each in a child that is kept for the next job."""

    def __init__(self) -> None:
        self._idle: Idle[_Keeper] = Idle()

    def start(self, lane: Lane) -> None:
        """Run a lane in an idle child, or in a new one."""
        keeper = self._idle.take()
        if keeper is None:
            keeper = _Keeper(self._idle)
            lane.context.environment.spawn(keeper.work, f"process lane {lane.handler.name}")
        keeper.lanes.put(lane)

    def close(self) -> None:
        """Let idle children end."""
        for worker in self._idle.close():
            worker.lanes.put(None)


class _Keeper:
    """A thread with a child process: gives it jobs, hears from it, and learns of its death."""

    def __init__(self, idle: Idle[_Keeper]) -> None:
        self.lanes: queue.SimpleQueue[Lane | None] = queue.SimpleQueue()
        self._idle = idle
        self._child: _Child | None = None

    def work(self) -> None:
        while (lane := self.lanes.get()) is not None:
            try:
                outcome = self._run(lane)
            except Exception as error:
                # No process to be had, say. It is a failure, so that the back-off applies: at once would be a hot loop.
                self._discard()
                outcome = failure(error, lane.context.limits.error_characters_max)
            # The child may soon run another job, which a late signal for this one must not strike.
            lane.grip = NO_GRIP
            keep = lane.abandoned_because is None and self._idle.keep(self)
            lane.finish(outcome)
            if not keep:
                break
        self._bury()

    def _run(self, lane: Lane) -> Outcome:
        if self._child is not None and not self._child.is_alive():
            self._bury()
        child = self._child = self._child or _Child(lane.context.environment.spawn)
        lane.grip = child
        if lane.abandoned_because is not None:
            child.kill(lane)
        handler = lane.handler
        child.say(
            {
                "run": [handler.fn.__module__, handler.fn.__qualname__],
                "record": lane.claim.job,
                "deadline": None if lane.deadline is None else lane.deadline.timestamp(),
                "auto_done": handler.auto_done,
                "result_bytes_max": lane.context.limits.result_bytes_max,
                "error_characters_max": lane.context.limits.error_characters_max,
            }
        )
        if lane.cancelled:
            child.interrupt(lane)
        while (heard := child.hear()) is not None:
            if "ended" in heard:
                return Outcome(**{**heard["ended"], "kind": OutcomeKind(heard["ended"]["kind"])})
            self._serve(child, lane, heard)
        code = self._bury()
        reason = f"its process {describe_exit(code)}"
        return Outcome(kind=OutcomeKind.INTERRUPTED, reason=reason, error=reason, blamed=True)

    def _serve(self, child: _Child, lane: Lane, heard: dict[str, Any]) -> None:
        if "progress" in heard:
            lane.report(heard["progress"])
        elif "log" in heard:
            level, event, fields = heard["log"]
            # A host's logger that raises must not cost the job its lane.
            with contextlib.suppress(Exception):
                getattr(lane.log, level)(event, **fields)
        elif "queue" in heard:
            name, data, options = heard["queue"]
            try:
                for moment in ("at", "expires"):
                    if isinstance(options.get(moment), str):
                        options[moment] = datetime.fromisoformat(options[moment])
                job = lane.queue(name, data, options)
            except Exception as error:
                is_usage = isinstance(error, UsageError)
                says = str(error) if is_usage else f"{type(error).__name__}: {error}"
                child.say({"refused": says, "usage": is_usage})
                return
            child.say({"queued": job.record, "deduplicated": job.deduplicated})

    def _discard(self) -> None:
        if self._child is not None:
            self._child.end()
        self._bury()

    def _bury(self) -> int | None:
        child, self._child = self._child, None
        return None if child is None else child.bury()


class _Child(Grip):
    """One child process and the socket to it."""

    def __init__(self, spawn: Callable[[Callable[[], None], str], object]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            paths = os.pathsep.join(str(path) or os.getcwd() for path in sys.path)
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": paths},
                # A Ctrl-C at the host's terminal is the host's to handle, not its children's.
                start_new_session=True,
            )
        self._socket = ours
        self._lines = ours.makefile("r", encoding="utf-8")
        spawn(self._await_exit, "child exit")

    def is_alive(self) -> bool:
        """Whether it can be given a job."""
        return self._process.poll() is None

    def say(self, message: dict[str, Any]) -> None:
        # A child that is gone is noticed by the thread that hears.
        with contextlib.suppress(OSError):
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def hear(self) -> dict[str, Any] | None:
        """The next message; None when the child is gone."""
        try:
            line = self._lines.readline()
        except (OSError, ValueError):
            return None
        return dict(json.loads(line)) if line.endswith("\n") else None

    def interrupt(self, lane: Lane) -> None:
        self.say({"signal": lane.reason})

    def kill(self, lane: Lane) -> None:
        self.end()

    def end(self) -> None:
        """SIGKILL the child and whatever it has started: they are one process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def bury(self) -> int:
        """End the child if it still lives, and give its exit code."""
        self._lines.close()
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        self.end()
        return self._process.wait()

    def _await_exit(self) -> None:
        """What the child has forked may hold the other end open, so its death is waited for as well."""
        self._process.wait()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


def describe_exit(code: int | None) -> str:
    """An exit code in words."""
    if code is None:
        return "is gone"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"exited with code {code}"
