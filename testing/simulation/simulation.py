"""`Simulation`: an application's runtimes, handlers and schedules through days of virtual time, and faults at will."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ...errors import NotStarted, RuntimeFailed, StoreError, StoreUnavailable, UsageError
from ...handlers.lane import Lane
from ...history.audit.audit import Report
from ...messages.jobs import Instant, Seconds
from ...runtime import Runtime
from ...stores.opening import Durability
from ...stores.ports import Store
from ..arguments import check_forward, check_newer, check_process, check_processes, total_of
from ..draining import open_jobs
from .captured_log import CapturedLog, CapturedLogger
from .faults import OF_A_BOOT, FaultPoints, Faults, NoThread, check_faults
from .file_copies import StoredFile
from .forking import Forks
from .places import Disk, Server
from .signalling import burst, serve
from .store_file import make_folder
from .surroundings import MAIN, Surroundings
from .verdict import Violation, kept_since_of, verdict, verdict_since
from .world import Process, Task, World

START = datetime(2026, 1, 1, tzinfo=UTC)
"""When a simulation begins, unless told otherwise."""

RESTART_SECONDS_MAX = 10.0
"""The longest that a killed process stays away."""

STOP_SECONDS_MAX = 300.0
"""Within this, a process has stopped that was told to, whatever goes wrong meanwhile."""

DRAIN_SECONDS_MAX = 5.0
"""The longest that a process that stops lets its jobs finish."""

POLL_SECONDS_MAX = 30.0
"""How often a condition is looked at, at least, while time passes."""

SETTLE_SECONDS_MAX = 86400.0
"""The longest that `check` lets the system work off what is due."""

FINDINGS_SHOWN_MAX = 10
"""How many findings an error shows."""


@dataclass(eq=False)
class _Member:
    """One of the processes, over all its restarts."""

    number: int
    is_producer: bool = False
    process: Process | None = None
    runtime: Runtime | None = None
    failpoints: FaultPoints | None = None
    main: Task | None = None
    is_up: bool = False
    is_stopping: bool = False
    stores: list[Store] = field(default_factory=list)


class Simulation:
    """An application's runtimes through virtual time and faults.

    Args:
        register: called with a `Runtime` before every start of every process: adds handlers and schedules.
        host: what the main thread does after every start; called with the runtime.
        seed: chooses everything that is left to chance. The same seed gives the same run.
        chance: instead of a seed, a source of chance, such as Hypothesis' `randoms(use_true_random=False)`.
        faults: what may go wrong while `run` runs; nothing unless given.
        processes: how many processes share the store.
        producers: how many more are not registered: they have no handlers and declare nothing. Their hosts only queue.
        newer: of how many of them, the last ones, a version to come writes the messages: with more in them.
        disk: makes a disk below the store, whose power can be cut, from a source of chance.
        server: makes a model of a server, which the stores are on instead of on a file.
        start: wall time at the beginning.
        durability, options: as `Runtime` takes them.
        level: the quietest events that the log keeps: debug or info, because `check` judges by it.
        failpoints: points that are armed at every start, as `Failpoints` takes them, whether `run` runs or not.

    Attributes:
        reached: how often each fault struck, an armed failpoint acted, and (once checked) each event was said.
    """

    def __init__(
        self,
        register: Callable[[Runtime], object],
        *,
        host: Callable[[Runtime], object] | None = None,
        seed: int = 0,
        chance: random.Random | None = None,
        faults: Faults = Faults(),  # noqa: B008 (frozen)
        processes: int = 1,
        producers: int = 0,
        newer: int = 0,
        disk: Callable[[random.Random], Disk] | None = None,
        server: Callable[[World], Server] | None = None,
        start: datetime = START,
        durability: Durability = "full",
        level: str = "debug",
        failpoints: str = "",
        **options: Any,
    ) -> None:
        check_processes(processes, producers, with_disk=disk is not None)
        check_faults(faults, has_disk=disk is not None, has_server=server is not None)
        self.reached: Counter[str] = Counter()
        self._register = register
        self._newer = newer
        self._host = host
        self._chosen = f"seed={seed}" if chance is None else f"chance={chance!r}"
        self.faults = faults
        self._durability = durability
        self._failpoints = failpoints
        self._options = {"busy_seconds_max": 0.0, **options}
        self._world = World(chance or random.Random(seed), start.timestamp())
        self._captured = CapturedLog(level)
        self._stepped = 0.0
        self._is_striking = False
        self._troubles: list[Exception] = []
        self._forks = Forks(self._world, self.reached, self._troubles.append)
        numbers = range(1, check_newer(newer, processes + producers, has_server=server is not None) + 1)
        self._members = [_Member(number, is_producer=number > processes) for number in numbers]
        self._file: StoredFile | None = None
        self._replaced_at: Instant | None = None
        self.server = None if server is None else server(self._world)
        self._make_disk = disk
        self._around = Surroundings(self._world, faults, self.server, self.reached, is_sole=processes + producers == 1)
        self._is_new, self._is_open = True, False

    def __repr__(self) -> str:
        return f"Simulation({getattr(self._register, '__name__', self._register)}, {self._chosen})"

    def __enter__(self) -> Self:
        if not self._is_new:
            raise UsageError(f"expected a new {self!r}: each is entered once, and then over")
        self._is_new, self._is_open = False, True
        self._folder = make_folder()
        self._captured.hide(str(self._folder) + "/")
        if self._make_disk is not None:
            self._around.disk = self._make_disk(self._world.chance)
        elif self.server is None:
            self._file = StoredFile(self.path)
        try:
            for member in self._members:
                self._begin(member)
            for member in self._members:
                self._runtime_of(member)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        for member in self._members:
            self._end(member)
        self._world.end()
        if self._file is not None:
            self._file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def path(self) -> Path:
        """The store's file, for handlers and hosts with connections of their own."""
        self._check_open()
        return self._folder / "simulation.db"

    @property
    def _address(self) -> str | Path:
        if self.server is not None:
            return self.server.address
        return "simulation.db" if self._around.disk is not None else self.path

    @property
    def runtime(self) -> Runtime:
        """The runtime of the first process, as it runs now."""
        self._check_open()
        return self._runtime_of(self._members[0])

    @property
    def runtimes(self) -> list[Runtime]:
        """The runtimes of all processes."""
        self._check_open()
        return [self._runtime_of(member) for member in self._members]

    @property
    def now(self) -> datetime:
        """Wall time."""
        return datetime.fromtimestamp(self._world.now, UTC)

    @property
    def is_in_test(self) -> bool:
        """Whether this is called by the test itself, and not by what runs in the simulation."""
        return self._world.is_in_test

    @property
    def log(self) -> str:
        """All that was logged so far, as JSON lines."""
        return self._captured.text

    def run(
        self,
        *,
        days: float = 0.0,
        hours: float = 0.0,
        minutes: float = 0.0,
        seconds: Seconds = 0.0,
        until: Callable[[], bool] | None = None,
    ) -> bool:
        """Let time pass, with faults; or less, if something holds before. Whether it holds."""
        self._check_open()
        total = total_of(days, hours, minutes, seconds, may_last=until is not None)
        self._strike(True)
        try:
            return self._pass(total, until)
        finally:
            self._strike(False)

    def step_clock(self, seconds: Seconds, *, asleep: bool = False) -> None:
        """Move wall time alone: somebody sets the clock, or (`asleep`) the machines sleep for so long."""
        self._check_open()
        self._stepped += abs(seconds)
        self._around.step_clock(seconds, asleep=asleep)

    def settle(self, *, until: Callable[[], bool] | None = None, seconds: Seconds = SETTLE_SECONDS_MAX) -> None:
        """Without faults, let time pass until nothing that is due waits or runs, or until something else holds.

        Raises:
            Violation: that does not come about within so many seconds.
        """
        self._check_open()
        if not self._pass(check_forward(seconds, "what may pass", may_last=True), until or self._is_settled):
            undone = [*self._away(), *self._open()]
            raise Violation(f"with {self._chosen}: after {seconds:g} s without faults these are not done: {undone}")

    def check(self) -> Report:
        """Without faults, let what is due be done; then prove from the log that nothing was lost, nothing finished
        twice, every slot accounted for, and that the store agrees.

        Raises:
            Violation: something is not so; it says what, and how to see it again.
        """
        self.settle()
        report, wrong, said = self._verdict()
        self.reached += said
        if wrong:
            raise Violation(f"with {self._chosen}: {len(wrong)} findings\n" + "\n".join(wrong[:FINDINGS_SHOWN_MAX]))
        return report

    def kill(self, process: int = 1) -> None:
        """SIGKILL of a process, by its number, now. It is started again a moment later."""
        self._check_open()
        member = self._members[check_process(process, len(self._members)) - 1]
        self._runtime_of(member)
        assert member.process is not None
        self.reached["kill_process"] += 1
        self._die(member.process, "kill_process")

    def copy_store(self) -> bytes:
        """The store's file as it is now: a backup, for `replace_store`."""
        return self._stored().copy()

    def replace_store(self, copy: bytes) -> None:
        """Put an older copy in the place of the file that all processes have open; `kill` starts them on it.

        What was stored since the copy is lost, so the log proves nothing any more; `check` looks for the jobs that
        hosts were told are stored since then.
        """
        self._stored().replace(copy)
        # The copy knows boots that have died and were forgotten since.
        self._around.is_sole = False
        self._replaced_at = self._world.now
        self.reached["replace_store"] += 1

    def _stored(self) -> StoredFile:
        self._check_open()
        if self._file is None:
            raise UsageError("expected a simulation with a store in a file, and whose power is not cut")
        return self._file

    def _verdict(self) -> tuple[Report, Sequence[str], Counter[str]]:
        if self.server is not None:
            return self.server.verdict(self._captured.lines, self._around.accepted)
        if self._around.disk is not None:
            for name, data in self._around.disk.files.items():
                (self._folder / Path(name).name).write_bytes(data)
        store, accepted = self.path if self._file is None else self._file.look, self._around.accepted
        kept_since = kept_since_of(self.runtime.limits, self._world.now, self._stepped)
        if self._replaced_at is not None:
            # Of the wall time of what was accepted and when, no more is known where the clock was stepped.
            since = max(self._replaced_at + self._stepped, kept_since)
            return verdict_since(self._captured.lines, store, accepted=accepted, since=since)
        lines_are_lost = bool(self.reached["log_error"])
        return verdict(
            self._captured.lines, store, accepted=accepted, kept_since=kept_since if lines_are_lost else None
        )

    def _pass(self, seconds: Seconds, until: Callable[[], bool] | None) -> bool:
        world = self._world
        end = world.elapsed + seconds
        wait = 0.05
        while until is None or not until():
            self._raise_troubles()
            if world.elapsed >= end:
                return False
            world.park(end - world.elapsed if until is None else min(wait, end - world.elapsed))
            wait = min(wait * 1.5, POLL_SECONDS_MAX)
        return True

    def _check_open(self) -> None:
        if not self._is_open:
            when = "before" if self._is_new else "after"
            raise UsageError(f"expected `with {self!r} as ...:` around this call, got it {when} that")

    def _raise_troubles(self) -> None:
        """What `register` and `host` raise is the test's to see."""
        if self._troubles:
            raise self._troubles.pop(0)

    def _is_settled(self) -> bool:
        return not any(self._away()) and not self._open()

    def _away(self) -> list[str]:
        """The processes that are not up."""
        return [
            f"process {member.number} {'stops' if member.is_stopping else 'starts'}"
            for member in self._members
            if member.is_stopping or not member.is_up
        ]

    def _open(self) -> list[str]:
        """What is due and waits, or runs, as far as somebody handles it and nobody has paused it."""
        if self.server is not None:
            return self.server.open_jobs()
        return [job for runtime in self.runtimes for job in open_jobs(runtime)]

    def _strike(self, is_on: bool) -> None:
        self._is_striking = is_on
        for member in self._members:
            if member.failpoints is not None:
                member.failpoints.is_on = is_on

    def _runtime_of(self, member: _Member) -> Runtime:
        while not member.is_up or member.is_stopping:
            self._raise_troubles()
            self._world.park(0.1)
        assert member.runtime is not None
        return member.runtime

    def _begin(self, member: _Member) -> None:
        member.process = process = Process(member.number, is_newer=member.number > len(self._members) - self._newer)
        member.failpoints = failpoints = FaultPoints(
            self._world,
            process,
            self.faults,
            die=self._die,
            step_clock=self.step_clock,
            trouble=self._trouble,
            fork=self._fork,
            reached=self.reached,
            text=self._failpoints,
        )
        failpoints.is_on = self._is_striking
        member.main = self._world.spawn(lambda: self._live(member, process, failpoints), MAIN, process)

    def _live(self, member: _Member, process: Process, failpoints: FaultPoints) -> None:
        """What the main thread of a process does."""
        try:
            runtime = Runtime(
                self._address,
                durability=self._durability,
                logger=CapturedLogger(self._captured, lambda: process.is_alive),
                on_failure=lambda failure: self._die(process, "gave_up"),
                environment=self._around.environment(
                    process, failpoints, member.stores, leave=self._forks.left, is_starting=lambda: not member.is_up
                ),
                **self._options,
            )
            member.runtime = runtime
            if not member.is_producer:
                self._register(runtime)
            while not self._has_started(runtime):
                self._world.sleep(self._world.chance.uniform(0.0, 1.0))
            member.is_up = True
            if not self.faults.signal_burst:
                self._be_host(member, runtime)
                return
            self._world.spawn(lambda: self._be_host(member, runtime), "host", process)
            if serve(runtime, self._world.chance.uniform(0.0, DRAIN_SECONDS_MAX)):
                self._die(process, "stopped")
        except Exception as error:
            self._troubles.append(error)

    def _be_host(self, member: _Member, runtime: Runtime) -> None:
        try:
            if self._host is not None:
                self._host(runtime)
        except Exception as error:
            # Its runtime may be stopped under it, or fail, and its process ends then.
            is_ending = member.is_stopping or runtime.boots.failure is not None
            if not (isinstance(error, (NotStarted, StoreUnavailable)) and is_ending):
                self._troubles.append(error)

    def _has_started(self, runtime: Runtime) -> bool:
        try:
            runtime.start()
        except (StoreUnavailable, StoreError, RuntimeFailed, NoThread):
            return False
        return True

    def _trouble(self, process: Process, kind: str) -> None:
        """Something befalls the store, or what a process has of it, a moment later: within a turn, it may be."""
        if kind == "signal_burst":
            burst(self._world, partial(self._signal, process))
        elif kind in OF_A_BOOT:
            self._world.after(0.0, lambda: self._around.forget(process, kind, self.path))
        elif self.server is not None:
            self.server.befall(self._members[process.number - 1].stores, kind)

    def _fork(self, process: Process, lane: Lane) -> None:
        member = self._members[process.number - 1]
        assert member.runtime is not None
        self._forks.fork(lane, member.runtime.boots, member.stores)

    def _signal(self, process: Process, number: int) -> None:
        member, call = self._members[process.number - 1], process.heeds.get(number)
        if not process.is_alive or member.main is None:
            return
        if not callable(call):
            # The process has no signal handler yet, or no longer.
            self.reached["signal killed"] += 1
            self._die(process, "signal killed")
            return
        if not member.is_stopping:
            member.is_stopping = True
            self._world.after(STOP_SECONDS_MAX, lambda: self._check_stopped(process))
        self.reached["signal"] += 1
        self._world.interrupt(member.main, lambda: call(number, None))

    def _check_stopped(self, process: Process) -> None:
        if process.is_alive:
            says = f"process {process.number} was told to stop {STOP_SECONDS_MAX:g} s ago, and has not"
            self._troubles.append(Violation(f"with {self._chosen}: {says}"))

    def _die(self, process: Process, why: str) -> None:
        """Kill a process, and start its next life a moment later."""
        member = self._members[process.number - 1]
        if not process.is_alive or member.process is not process:
            return
        if why in ("gave_up", "stopped"):
            self.reached[why] += 1
        self._end(member, with_power=why == "power_cut")
        self._world.after(self._world.chance.uniform(0.0, RESTART_SECONDS_MAX), lambda: self._begin(member))
        self._world.leave_if_dead()

    def _end(self, member: _Member, *, with_power: bool = False) -> None:
        """Let nothing of this process run or be stored any more."""
        if member.process is not None:
            member.process.die()
        member.is_up = member.is_stopping = False
        if self._around.disk is not None:
            self._around.disk = self._around.disk.cut() if with_power else self._around.disk.kill()
        # Closing rolls back what was not committed, as the death of its process does.
        for store in member.stores:
            with contextlib.suppress(sqlite3.Error):
                store.close()
        member.stores.clear()
