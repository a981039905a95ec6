"""Lanes in child processes, which can really be killed.

A child is a fresh interpreter (never a fork), so it copies nothing of the parent's state. It exchanges JSON lines with
the thread that waits for it, and ends with that thread: by its sockets, or by the system.

One socket is for jobs: an order goes to the child, and all its messages come back, the job's end last. The other is for
messages while a job runs: signals, and answers to the job's requests.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from ..api.job import Job
from ..environment.environment import Environment
from ..environment.threads import Thread
from ..errors import REFUSALS
from ..messages.jobs import Debounce, Instant, JobRecord, JobSpec
from ..messages.outcomes import Outcome, OutcomeKind, Policy
from ..messages.steps import NO_SIGNAL
from ..rules.codec import decode_own, encode_own
from ..rules.links import KINDS
from .lane import Lane, RunHandle
from .outcomes import UNBEGUN, Rules, failure, not_started
from .pool import Pool, Worker

CHILD = f"import sys; sys.path[:] = sys.argv[4:]; from {__package__}.child import main; main(*map(int, sys.argv[1:4]))"
"""The program of a child. Its arguments: its parent's pid, two sockets, and the import path."""


class _ChildProcess(Worker):
    """A thread with a child process: sends it jobs, reads its messages, and notices its death."""

    def __init__(self, pool: Pool, environment: Environment) -> None:
        super().__init__(pool, environment)
        self._child: _Child | None = None

    def work(self) -> None:
        super().work()
        self._bury()

    def run(self, lane: Lane) -> Outcome:
        try:
            wanted = lane.abandoned_because is None
            outcome = contextvars.copy_context().run(self._attempt, lane) if wanted else UNBEGUN
        except BaseException as error:
            # For example, a carrier has raised. That fails the attempt, so that the back-off applies: a retry at once
            # would be a hot loop.
            self._discard()
            outcome = failure(error, lane.context.limits.error_characters_max)
        # The child may soon run another job, which a late signal for this one must not hit.
        lane.handle = self
        return outcome

    def _attempt(self, lane: Lane) -> Outcome:
        return lane.context.carriers.around_child(Job(lane.claim.job, context=lane), partial(self._run, lane))

    def _run(self, lane: Lane, record: JobRecord) -> Outcome:
        if self._child is not None and not self._child.is_running():
            self._bury()
        if self._child is None:
            try:
                self._child = _Child(self.thread, lane)
            except (OSError, RuntimeError) as error:
                # The HandlerActor gives the claim back, and waits a moment.
                lane.shortage = not_started("child process", error)
                return UNBEGUN._replace(error=lane.shortage)
        child = self._child
        lane.handle = child
        if lane.abandoned_because is not None:
            child.kill(lane)
        # A child that has imported its module calls the function at once. Others ask first.
        if child.has_imported and not lane.begin():
            return UNBEGUN
        child.order(lane.handler.types.as_today(record), lane.times_out_at, has_begun=child.has_imported)
        if lane.stopping:
            child.begin_stop(lane)
        if lane.cancelled:
            child.interrupt(lane)
        claim = list(lane.claim.key)
        while (heard := child.hear()) is not None:
            # A fork of the child has the socket too, and may send messages about a job that has ended.
            if isinstance(heard, dict):
                if heard["claim"] == claim:
                    self._serve(child, lane, heard)
            elif heard[:2] == [claim, child.pid]:
                said = Outcome._make(heard[2])
                classes = tuple(said.error_classes)
                # Follow-ups belong to the lane: no fork of a job's process may name them.
                return said._replace(kind=OutcomeKind(said.kind), error_classes=classes, then=())
        code = self._bury()
        reason = f"its process {describe_exit(code)}"
        # A service manager that stops its parent may kill the child too.
        return Outcome(kind=OutcomeKind.INTERRUPTED, reason=reason, error=reason, blamed=not lane.stopping)

    def _serve(self, child: _Child, lane: Lane, heard: dict[str, Any]) -> None:
        if "begins" in heard:
            child.has_imported = True
            if lane.begin():
                child.say({"deadline": lane.times_out_at})
            else:
                child.end()
        elif "progress" in heard:
            lane.report(heard["progress"])
        elif "log" in heard:
            level, event, fields = heard["log"]
            # An application's logger may raise. Without this the error would end the thread, and the job with it.
            with contextlib.suppress(BaseException):
                getattr(lane.log, level)(event, **fields)
        else:
            try:
                answer = _answer(lane, heard)
            except Exception as error:
                kind = next((one.__name__ for one in type(error).__mro__ if one.__name__ in REFUSALS), None)
                answer = {"refused": str(error) if kind else f"{type(error).__name__}: {error}", "kind": kind}
            child.say(answer)

    def _discard(self) -> None:
        if self._child is not None:
            self._child.end()
        self._bury()

    def _bury(self) -> int | None:
        child, self._child = self._child, None
        return None if child is None else child.bury()


class ProcessRunner(Pool):
    worker = _ChildProcess
    title = "process lane"


class _Child(RunHandle):
    """One child process, which runs the jobs of one handler, and the sockets to it."""

    def __init__(self, keeper: Thread, first: Lane) -> None:
        self._keeper = keeper
        self.has_imported = False
        self._orders, orders = socket.socketpair()
        self._words, words = socket.socketpair()
        # Only the folders from which the application could import, in its order: neither its current folder nor
        # PYTHONPATH, which programs that a handler starts would inherit.
        paths = [str(path) or os.getcwd() for path in sys.path]
        with orders, words:
            given = orders.fileno(), words.fileno()
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", CHILD, *map(str, (os.getpid(), *given)), *paths],
                    pass_fds=given,
                    stdin=subprocess.DEVNULL,
                    # A Ctrl-C at the terminal would reach and end the children too; it is for the application to
                    # handle.
                    start_new_session=True,
                )
            except BaseException:
                # The error's traceback would keep the sockets open, and the system may be out of descriptors.
                self._orders.close()
                self._words.close()
                raise
        self._lines = self._orders.makefile("rb")
        self._saying = threading.Lock()
        try:
            first.context.environment.spawn(self._await_exit, "child exit")
        except BaseException:
            self.end()
            self.bury()
            raise
        fn = first.handler.fn
        about = {
            "run": [fn.__module__, fn.__qualname__],
            "around": first.context.carriers.in_children,
            "policy": _policy(first.policy),
            "rules": Rules.of(first),
        }
        self._send(self._orders, json.dumps(about))

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def is_alive(self) -> bool:
        return self._keeper.is_alive()

    def order(self, record: JobRecord, deadline: Instant | None, *, has_begun: bool) -> None:
        """Have it run a job. Unless the job has begun, the child asks before it calls the function."""
        self._send(self._orders, encode_own((record, deadline, has_begun)))

    def say(self, message: dict[str, Any]) -> None:
        line = json.dumps(message)
        with self._saying:
            self._send(self._words, line)

    def hear(self) -> dict[str, Any] | list[Any] | None:
        """The next message, or the end of its job, which is a list; None when it is gone."""
        try:
            line = self._lines.readline()
        except (OSError, ValueError):
            return None
        if not line.endswith(b"\n"):
            return None
        heard: dict[str, Any] | list[Any] = decode_own(line) if line.startswith(b"[") else json.loads(line)
        return heard

    def interrupt(self, lane: Lane) -> None:
        self.say({"signal": lane.reason, "claim": lane.claim.key})

    def begin_stop(self, lane: Lane) -> None:
        self.say({"stopping": True})

    def unbegun(self, lane: Lane) -> str:
        return f"its child is still importing {lane.handler.fn.__module__}"

    def kill(self, lane: Lane) -> None:
        self.end()

    def end(self) -> None:
        """SIGKILL the child's process group: the child and everything it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def bury(self) -> int:
        """End the child if it still lives, and return its exit code."""
        for one in (self._lines, self._orders, self._words):
            one.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        self.end()
        return self._process.wait()

    def _await_exit(self) -> None:
        """Wait for the process too: a fork of the child may hold the other end of the socket open."""
        self._process.wait()
        with contextlib.suppress(OSError):
            self._orders.shutdown(socket.SHUT_RDWR)

    def _send(self, where: socket.socket, line: str) -> None:
        # The reading thread notices a child that is gone.
        with contextlib.suppress(OSError):
            where.sendall(line.encode() + b"\n")


def _answer(lane: Lane, asked: dict[str, Any]) -> dict[str, Any]:
    """Serve a child's request: queue jobs now or at its job's end, read its job's parents, or keep a step."""
    match asked:
        case {"queue": [order], "one": True}:
            return _queued([lane.submit("job.queue", _specs([order])[0], one=True)])
        case {"queue": orders}:
            return _queued(lane.submit("job.queue_many", _specs(orders)))
        case {"parents": after}:
            return _queued(lane.parents(after))
        case {"begin": name}:
            return {"kept": lane.steps.begin(name)}
        case {"keep": [name, result]}:
            return {"kept": lane.steps.keep(name, result)}
        case {"leave": name}:
            lane.steps.leave(name)
        case {"sent": [name, is_over]}:
            sent = lane.steps.sent(name, is_over=is_over)
            return {"sent": False if sent is NO_SIGNAL else sent}
        case {"now": _}:
            return {"now": lane.steps.now()}
        case {"then": orders}:
            lane.then(_specs(orders, lane.follow_ups.specs))
    return {}


def _queued(jobs: Sequence[Job[Any]]) -> dict[str, Any]:
    return {"queued": [(job.record, job.deduplicated) for job in jobs]}


def _specs(orders: Sequence[Sequence[Any]], earlier: Sequence[JobSpec] = ()) -> list[JobSpec]:
    """The jobs of a child's call. A parent in this call, or in an earlier one, is given by its place."""
    specs: list[JobSpec] = []
    first = len(earlier)
    for name, data, options in orders:
        for waits in options.keys() & {*KINDS}:
            options[waits] = [
                one if isinstance(one, str) else earlier[one] if one < first else specs[one - first]
                for one in options[waits]
            ]
        specs.append(JobSpec(name=name, data=data, **_with_moments(options)))
    return specs


def _with_moments(options: dict[str, Any]) -> Any:
    """Options with datetimes restored from JSON."""
    moments = {name: options[name] for name in ("at", "expires") if isinstance(options.get(name), str)}
    made: dict[str, Any] = {name: datetime.fromisoformat(text) for name, text in moments.items()}
    match options.get("debounce"):
        case {"Debounce": [key, quiet, at_most]}:
            made["debounce"] = Debounce(key, quiet=quiet, at_most=at_most)
    return {**options, **made}


def _policy(policy: Policy) -> list[Any]:
    """The policy fields that a child's job has: `max_attempts`, `retry_on` and `discard_on`."""
    return [policy.max_attempts, None if policy.retry_on is None else [*policy.retry_on], [*policy.discard_on]]


def describe_exit(code: int | None) -> str:
    if code is None:
        return "is gone"
    if code < 0:
        known = {number.value: number.name for number in signal.Signals}
        return f"was killed by {known.get(-code, f'signal {-code}')}"
    return f"exited with code {code}"
