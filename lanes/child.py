"""The child's side of a process lane: `python -m lamplighter.lanes.child FD`.

The main thread runs jobs; another listens, so that a signal is seen while a job runs, and ends the process at once when
the parent is gone.
"""

from __future__ import annotations

import contextvars
import importlib
import json
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from ..codec import encode
from ..errors import LamplighterError, UsageError
from ..job import Job
from ..log import enter_job
from ..messages.jobs import JobRecord
from ..payload import fit, payload_type
from .calls import raised, success


class Parent:
    """The socket to the parent."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self._lock = threading.Lock()
        self.runs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.replies: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.signalled = threading.Event()

    def say(self, message: dict[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        with self._lock:
            self._socket.sendall(line)

    def listen(self) -> None:
        """Sort what comes in; never returns while the parent lives."""
        for line in self._lines:
            message = json.loads(line)
            if "run" in message:
                self.signalled.clear()
                self.runs.put(message)
            elif "signal" in message:
                self.signalled.set()
            else:
                self.replies.put(message)
        os._exit(0)


class Borrowed:
    """What the Job in a child borrows: all of it lies with the parent."""

    def __init__(self, parent: Parent, deadline: float | None) -> None:
        self._parent = parent
        self._deadline = deadline
        self.log = RemoteLog(parent)

    @property
    def cancelled(self) -> bool:
        return self._parent.signalled.is_set()

    @property
    def deadline(self) -> datetime | None:
        return None if self._deadline is None else datetime.fromtimestamp(self._deadline, UTC)

    def sleep(self, seconds: float) -> bool:
        return not self._parent.signalled.wait(seconds)

    def report(self, progress: str) -> None:
        self._parent.say({"progress": progress})

    def queue(self, name: str, data: Any, options: dict[str, Any]) -> Job[Any]:
        # What JSON would change, such as keys that are numbers, is refused here: the parent does not see it any more.
        encode(data, what="data", bytes_max=sys.maxsize)
        self._parent.say({"queue": [name, data, {key: _plain(value) for key, value in options.items()}]})
        reply = self._parent.replies.get()
        if "refused" in reply:
            raise (UsageError if reply["usage"] else LamplighterError)(reply["refused"])
        return Job(JobRecord(*reply["queued"]), deduplicated=reply["deduplicated"])


class RemoteLog:
    """A logger whose lines are written by the parent, with the job's fields."""

    def __init__(self, parent: Parent, bound: dict[str, Any] | None = None) -> None:
        self._parent = parent
        self._bound = bound or {}

    def bind(self, **fields: Any) -> RemoteLog:
        """The same logger with more fields."""
        return RemoteLog(self._parent, {**self._bound, **fields})

    def __getattr__(self, level: str) -> Callable[..., None]:
        if level not in ("debug", "info", "warning", "error", "critical"):
            raise AttributeError(f"a process lane's log has debug, info, warning, error and critical, not {level}")

        def write(event: str, **fields: Any) -> None:
            said = {name: _plain(value) for name, value in {**self._bound, **fields}.items()}
            self._parent.say({"log": [level, str(event), said]})

        return write


def main() -> None:
    """Run jobs until the parent closes the socket."""
    parent = Parent(int(sys.argv[1]))
    threading.Thread(target=parent.listen, name="lamplighter parent", daemon=True).start()
    while True:
        order = parent.runs.get()
        try:
            outcome = success(
                contextvars.copy_context().run(_call, parent, order),
                auto_done=order["auto_done"],
                result_bytes_max=order["result_bytes_max"],
            )
        except BaseException as error:
            outcome = raised(error, order["error_characters_max"])
        parent.say({"ended": outcome._asdict()})


def _call(parent: Parent, order: dict[str, Any]) -> Any:
    module, qualname = order["run"]
    fn: Any = importlib.import_module(module)
    for part in qualname.split("."):
        fn = getattr(fn, part)
    # A decorated handler is found under its name as what the decorator left there.
    record, lent = JobRecord(*order["record"]), Borrowed(parent, order["deadline"])
    wanted = payload_type(fn, Job)
    job: Job[Any] = Job(record, lent=lent)
    enter_job(record.corr, job_id=job.id, job_name=job.name, claim_no=record.claim_no, attempt=job.attempt)
    return fn(job if wanted is None else Job(record, lent=lent, data=fit(job.data, wanted)))


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case None | bool() | int() | float() | str() | list() | dict():
            return value
        case _:
            return repr(value)


if __name__ == "__main__":
    main()
