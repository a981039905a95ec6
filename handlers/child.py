"""The child's side of a handler with `isolation="process"`.

The main thread waits for jobs and runs them. Another thread listens, so that a signal is seen while a job runs, and
ends the process when the parent is gone. A reset socket counts as that; if a fork of the parent keeps the socket open,
Linux kills the child, and elsewhere the child polls for its parent.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import functools
import importlib
import json
import os
import queue
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from ..api.job import Job
from ..environment.process import STOP_SIGNALS
from ..errors import REFUSALS, LamplighterError, NotStarted, UsageError, check_seconds
from ..messages.jobs import ClaimKey, Debounce, Instant, JobRecord, JobSpec
from ..messages.outcomes import Outcome, Policy
from ..messages.steps import NO_SIGNAL, NoSignal
from ..rules.codec import decode, decode_own, encode, encode_own
from ..rules.limits import WHOLE_MAX, Limits
from ..rules.links import KINDS, NONE_EARLIER, ParentRefs, names_parents
from ..rules.new_jobs import SPEC_OPTIONS, as_spec
from ..rules.validation import check_iterable
from .carriers import Carrier, Carriers
from .execute import Execution
from .outcomes import Rules
from .payload import HandlerTypes, payload_type
from .steps import reader, refuse_on_loop, signal_reader

OWN_OPTIONS = tuple(name for name in SPEC_OPTIONS if name not in KINDS)
"""Options of a job that the parent gets unchanged; the others refer to jobs, which only this process has."""

UNCHECKED = Limits(parents_max=WHOLE_MAX, links_max=WHOLE_MAX)
"""The parent has the runtime's limits, and checks what a job asks for."""

PR_SET_PDEATHSIG = 1
"""Linux: the signal that a process gets when the thread that started it has ended."""

LOOK_SECONDS = 1.0
"""Polling interval for the parent, where the system does not end its children."""

IS_CHILD = threading.Event()
"""Set in a process that runs jobs here, and not in one that has only imported this module."""

Say = Callable[[dict[str, Any]], None]


class Parent:
    """The sockets to the parent: one for jobs and the child's messages, one for messages while a job runs."""

    def __init__(self, pid: int, orders: int, words: int) -> None:
        self._pid = pid
        self._orders = socket.socket(fileno=orders)
        self._words = socket.socket(fileno=words)
        self._own_pid = os.getpid()
        self._dies_with_parent = die_with_parent()
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._claim: ClaimKey | None = None
        self._signals: dict[ClaimKey, str] = {}
        self._replies: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.woken = threading.Event()
        self.is_stopping = False
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        # Another thread may have held the lock at the moment of the fork.
        self._lock = threading.Lock()

    def orders(self) -> Iterator[bytes]:
        """Yield the part that the jobs share, and then each job, until the parent closes the socket."""
        return iter(self._orders.makefile("rb"))

    def begin(self, claim: ClaimKey) -> None:
        """Make the claim the running one. Its signal may have arrived before it."""
        self._claim = claim
        self.woken.clear()
        if self.is_stopping or claim in self._signals:
            self.woken.set()

    def end(self, claim: ClaimKey, outcome: Outcome) -> None:
        """The claim has ended. The next may come at once."""
        self._signals.clear()
        with self._lock:
            self._claim = None
            self._send(encode_own((claim, os.getpid(), outcome)))

    def reason(self, claim: ClaimKey) -> str | None:
        """Why a claim is to end, if a signal has come for it."""
        return self._signals.get(claim)

    def say(self, claim: ClaimKey, message: dict[str, Any]) -> None:
        """Send a message about a claim. A fork of a job may still send after the job's end."""
        with self._lock:
            self._send(json.dumps({**message, "claim": claim}))

    def ask(self, claim: ClaimKey, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and wait for its answer.

        Raises:
            NotStarted: this is a forked child, which no answer would reach.
            UsageError: the claim has ended, so that the parent no longer listens: a thread that it has left asks.
        """
        if os.getpid() != self._own_pid:
            raise NotStarted(
                f"expected this in the process that runs the job, {self._own_pid}, not in one it has forked"
            )
        # One question at a time: answers do not name their question, and several threads of a job may ask.
        with self._asking:
            with self._lock:
                if claim != self._claim:
                    raise UsageError("expected this before the handler has returned, got it after that")
                self._send(json.dumps({**message, "claim": claim}))
            return self._replies.get()

    def listen(self) -> None:
        """Dispatch incoming messages until the parent has ended, and end this process with it."""
        try:
            rest = b""
            while os.getppid() == self._pid:
                if not self._dies_with_parent and not select.select([self._words], [], [], LOOK_SECONDS)[0]:
                    continue
                got = self._words.recv(65536)
                if not got:
                    break
                *lines, rest = (rest + got).split(b"\n")
                for line in lines:
                    self._sort(json.loads(line))
        finally:
            os._exit(0)

    def _sort(self, message: dict[str, Any]) -> None:
        if "signal" in message:
            claim = ClaimKey(*message["claim"])
            self._signals[claim] = message["signal"]
            if claim == self._claim:
                self.woken.set()
        elif "stopping" in message:
            # A child ends with its runtime, so a stop holds for whatever it runs.
            self.is_stopping = True
            self.woken.set()
        else:
            self._replies.put(message)

    def _send(self, line: str) -> None:
        # The caller holds the lock.
        self._orders.sendall(line.encode() + b"\n")


def die_with_parent() -> bool:
    """Have the system end this process with the thread that started it. Return whether it will."""
    try:
        return bool(ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) == 0)
    except (OSError, AttributeError):
        return False


def leave_stops_to_parent() -> None:
    """Ignore stop signals: the parent drains at a stop and then ends this process.

    The handler is a Python function, so that an application may replace it, programs that a job starts get the default
    again, and so does a forked process, which `multiprocessing` ends by SIGTERM.
    """

    def ignore(number: int, frame: object) -> None:
        pass

    def heed_in_fork() -> None:
        for number, handler in before.items():
            if signal.getsignal(number) is ignore:
                signal.signal(number, handler)

    before = {number: signal.signal(number, ignore) for number in STOP_SIGNALS}
    os.register_at_fork(after_in_child=heed_in_fork)


class RemoteJobContext:
    """The context of a Job in a child: each call goes to the parent."""

    def __init__(self, parent: Parent, claim: ClaimKey, deadline: Instant | None, policy: Policy) -> None:
        self._parent = parent
        self._claim = claim
        self._deadline = deadline
        self.policy = policy
        self._saying = threading.Lock()
        self._said = 0
        self._places: dict[int, tuple[JobSpec, int]] = {}
        self.log = RemoteLog(partial(parent.say, claim))

    @property
    def cancelled(self) -> bool:
        return self.reason is not None

    @property
    def reason(self) -> str | None:
        return self._parent.reason(self._claim)

    @property
    def stopping(self) -> bool:
        return self._parent.is_stopping

    @property
    def deadline(self) -> datetime | None:
        return None if self._deadline is None else datetime.fromtimestamp(self._deadline, UTC)

    def sleep(self, seconds: float) -> bool:
        return not self._parent.woken.wait(check_seconds(seconds, "seconds"))

    def begin(self) -> None:
        """Everything is imported and the function is about to be called: its timeout begins."""
        self._deadline = self._ask({"begins": True})["deadline"]

    def report(self, progress: str) -> None:
        self._parent.say(self._claim, {"progress": progress})

    def submit(self, call: str, jobs: Any, *, one: bool = False, awaits: bool = False) -> Any:
        if awaits:
            return asyncio.to_thread(self.submit, call, jobs, one=one)
        wanted = (jobs,) if one else check_iterable(jobs, "jobs", "JobSpecs or (name, data) pairs")
        queued = _queued(self._ask({"queue": _orders(wanted), "one": one}))
        return queued[0] if one else queued

    def then(self, jobs: Sequence[JobSpec]) -> None:
        # The parent keeps them: if this process ends in another way, they are dropped.
        with self._saying:
            first = self._said
            self._ask({"then": _orders(jobs, self._places, first)})
            self._said += len(jobs)
            self._places.update((id(spec), (spec, place)) for place, spec in enumerate(jobs, start=first))

    def parents(self, after: int) -> Sequence[Job[Any]]:
        return _queued(self._ask({"parents": after}))

    @property
    def steps(self) -> RemoteSteps:
        return RemoteSteps(self._ask)

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        reply = self._parent.ask(self._claim, question)
        if "refused" in reply:
            raise REFUSALS.get(reply["kind"], LamplighterError)(reply["refused"])
        return reply


class RemoteSteps:
    """The steps of a job in a child: the parent keeps them; their functions are called here."""

    def __init__(self, ask: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._ask = ask

    def begin(self, name: str, connection: Any = None) -> str | None:
        refuse_on_loop()
        return self._begin(name, connection)

    async def abegin(self, name: str, connection: Any = None) -> str | None:
        return await asyncio.to_thread(self._begin, name, connection)

    def keep(self, name: str, result: str, connection: Any = None) -> str:
        return str(self._ask({"keep": [name, result]})["kept"])

    async def akeep(self, name: str, result: str, connection: Any = None) -> str:
        return await asyncio.to_thread(self.keep, name, result)

    def leave(self, name: str) -> None:
        self._ask({"leave": name})

    reader = staticmethod(reader)

    def sent(self, name: str, *, is_over: bool) -> str | NoSignal | None:
        refuse_on_loop()
        found: str | bool | None = self._ask({"sent": [name, is_over]})["sent"]
        return NO_SIGNAL if isinstance(found, bool) else found

    signal_reader = staticmethod(signal_reader)

    def now(self) -> Instant:
        return float(self._ask({"now": True})["now"])

    def _begin(self, name: str, connection: Any) -> str | None:
        if connection is not None:
            raise UsageError(
                f"expected no connection of step {name!r} in a child process, which has no store; leave isolation= out"
            )
        kept: str | None = self._ask({"begin": name})["kept"]
        return kept


class RemoteLog:
    """A logger whose lines are written by the parent, with the job's fields."""

    def __init__(self, say: Say, bound: dict[str, Any] | None = None) -> None:
        self._say = say
        self._bound = bound or {}

    def bind(self, **fields: Any) -> RemoteLog:
        return RemoteLog(self._say, {**self._bound, **fields})

    def __getattr__(self, level: str) -> Callable[..., None]:
        if level not in ("debug", "info", "warning", "error", "critical"):
            raise AttributeError(f"a process lane's log has debug, info, warning, error and critical, not {level}")

        def write(event: str, **fields: Any) -> None:
            said = {name: _plain(value) for name, value in {**self._bound, **fields}.items()}
            self._say({"log": [level, str(event), said]})

        return write


def main(pid: int, orders: int, words: int) -> None:
    """Run the jobs of a handler until the parent closes the sockets."""
    IS_CHILD.set()
    leave_stops_to_parent()
    del sys.argv[1:]
    parent = Parent(pid, orders, words)
    threading.Thread(target=parent.listen, name="lamplighter parent", daemon=True).start()
    try:
        lines = parent.orders()
        about = json.loads(next(lines))
        most, retry_on, discard_on = about["policy"]
        policy = Policy(
            max_attempts=most,
            retry_on=None if retry_on is None else frozenset(retry_on),
            discard_on=frozenset(discard_on),
        )
        rules, carriers = Rules(*about["rules"]), Carriers([_InChild(place) for place in about["around"]])
        for line in lines:
            fields, deadline, has_begun = decode_own(line)
            record = JobRecord(*fields)
            parent.begin(record.key)
            borrowed = RemoteJobContext(parent, record.key, deadline, policy)
            with Execution(record, borrowed, rules, carriers=carriers) as run:
                contextvars.copy_context().run(_call, run, borrowed, about, has_begun)
            parent.end(record.key, run.outcome)
    finally:
        # A thread that a job has started would keep the process alive although it answers no more.
        os._exit(1)


def _call(run: Execution, borrowed: RemoteJobContext, about: Mapping[str, Any], has_begun: bool) -> None:
    fn, wanted = _function(*about["run"])
    if not has_begun:
        for place in about["around"]:
            importlib.import_module(place.partition(":")[0])
        borrowed.begin()
    run.returned(fn(run.job(HandlerTypes(wanted, None))))


class _InChild(Carrier):
    """A runtime carrier's context around jobs in a child."""

    def __init__(self, place: str) -> None:
        self._place = place

    def around(self, job: Job[Any]) -> AbstractContextManager[Any]:
        module, _, name = self._place.partition(":")
        entered: AbstractContextManager[Any] = getattr(importlib.import_module(module), name)(job)
        return entered


@functools.cache
def _function(module: str, qualname: str) -> tuple[Any, Any]:
    fn: Any = importlib.import_module(module)
    for part in qualname.split("."):
        fn = getattr(fn, part)
    # A decorator may have replaced the function under its name by a wrapper.
    return fn, payload_type(fn, Job)


def _order(name: Any, data: Any, options: Mapping[str, Any]) -> list[Any]:
    # Refuse values that JSON would change, such as numeric keys, here: the parent would not see the change.
    carried = decode(encode(data, what="data", bytes_max=sys.maxsize))
    return [_plain(name), carried, {key: _plain(value) for key, value in options.items()}]


def _orders(
    jobs: Iterable[Any], earlier: Mapping[int, tuple[JobSpec, int]] = NONE_EARLIER, first: int = 0
) -> list[list[Any]]:
    rest, refs, orders = iter(jobs), ParentRefs(UNCHECKED, earlier), list[list[Any]]()
    for place, spec in enumerate(map(as_spec, rest), start=first):
        options = {name: value for name in OWN_OPTIONS if (value := getattr(spec, name)) is not SPEC_OPTIONS[name]}
        orders.append(_order(spec.name, spec.data, {**options, **_parents(spec, refs, rest)}))
        refs.stands(spec, place)
    return orders


def _parents(spec: JobSpec, refs: ParentRefs, rest: Iterable[Any]) -> dict[str, list[Any]]:
    """The parents of a job as JSON: ids, or places of jobs in this call and in those before it."""
    if not names_parents(spec):
        return {}
    parents = refs.of(spec, rest)
    named = [(one.job_id or one.place, one.any_end) for one in parents]
    return {what: [name for name, any_end in named if any_end == kind] for kind, what in enumerate(KINDS)}


def _queued(reply: dict[str, Any]) -> list[Job[Any]]:
    return [Job(JobRecord(*record), deduplicated=deduplicated) for record, deduplicated in reply["queued"]]


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Debounce():
            return {"Debounce": [_plain(value.key), _plain(value.quiet), _plain(value.at_most)]}
        case None | bool() | int() | float() | str() | list() | dict():
            return value
        case _:
            return repr(value)
