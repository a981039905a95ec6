"""`Simulation`: an application's runtimes, handlers and schedules through days of virtual time, and faults at will."""

from __future__ import annotations

import math
import random
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ...admin.operator import Operator
from ...api.runtime import Runtime
from ...environment.environment import Environment
from ...errors import RuntimeFailed, UsageError, shown
from ...history.audit.audit import Report
from ...messages.jobs import Instant, Seconds
from ...stores.opening import Durability
from ..draining import open_jobs
from ..manual_clock import START, check_forward
from ..runtime_proxy import RuntimeProxy
from .faults import Faults
from .operators import SimulatedOperators
from .places import Disk, MessageServer, Server, StoredFile, TableServer, make_folder
from .processes import Member, Processes, Program
from .simulated_environment import SimulatedEnvironment
from .verdict import CapturedLog, CapturedLogger, Violation, kept_since_of, lives_in, verdict
from .virtual_scheduler import Process, VirtualScheduler

POLL_SECONDS_MAX = 30.0
"""How often a condition is looked at, at least, while time passes."""

SETTLE_SECONDS_MAX = 86400.0
"""The longest that `check` lets the system work off what is due."""

FINDINGS_SHOWN_MAX = 10


class Simulation:
    """An application's runtimes through virtual time and faults.

    Args:
        register: called with a `Runtime` before every start of every process: adds handlers and schedules. Or a
            `Runtime` of the application's that has them, and does not run: it is the simulation's while that is open.
        host: what the main thread does after every start; called with the runtime.
        seed: chooses everything that is left to chance. The same seed gives the same run.
        chance: instead of a seed, a source of chance, such as Hypothesis' `randoms(use_true_random=False)`.
        faults: what may go wrong while `run` runs; nothing unless given.
        processes: how many processes share the store.
        producers: how many more only queue: they are registered, and started with `work=False`.
        disk: makes a disk below the store, whose power can be cut, from a source of chance.
        server: makes a server, or a model of one, which the stores are on instead of on a file.
        start: wall time at the beginning.
        durability, options: as `Runtime` takes them.
        level: the quietest events that the log keeps: debug or info, because `check` judges by it.
        failpoints: points that are armed at every start, as `Failpoints` takes them, whether `run` runs or not.

    Attributes:
        reached: how often each fault struck, an armed failpoint acted, and (once checked) each event was said.
    """

    def __init__(
        self,
        register: Callable[[Runtime], object] | Runtime,
        *,
        host: Callable[[Runtime], object] | None = None,
        seed: int = 0,
        chance: random.Random | None = None,
        faults: Faults = Faults(),  # noqa: B008 (frozen)
        processes: int = 1,
        producers: int = 0,
        disk: Callable[[random.Random], Disk] | None = None,
        server: Callable[[VirtualScheduler], Server] | None = None,
        start: datetime = START,
        durability: Durability = "full",
        level: str = "debug",
        failpoints: str = "",
        **options: Any,
    ) -> None:
        check_register(register)
        self._count = check_processes(processes, producers, has_disk=disk is not None)
        if faults.power_cut and disk is None:
            raise UsageError(
                "expected Simulation(disk=...) for power_cut: what makes a disk below SQLite, as "
                "lamplighter.testing.simulation.places.Disk says, whose power can be cut; got none"
            )
        if faults.operator and disk is not None:
            raise UsageError("expected no disk where an operator acts: only one process can be on it")
        self._lending: RuntimeProxy | None = None
        if isinstance(register, Runtime):
            self._lending = RuntimeProxy(register)
            register, options = self._lending.register, {**self._lending.options, **options}
        self._register = register
        self._chosen = f"seed={seed}" if chance is None else f"chance={chance!r}"
        self.faults = faults
        self._durability = durability
        self._options = {"busy_seconds_max": 0.0, **options}
        self._world = VirtualScheduler(chance or random.Random(seed), start.timestamp())
        self.reached = self._world.reached
        self._captured = CapturedLog(level)
        self._file: StoredFile | None = None
        self._replaced_at: Instant | None = None
        self.server = None if server is None else server(self._world)
        self._make_disk = disk
        is_sole = self._count == 1 and not faults.operator
        self._around = SimulatedEnvironment(self._world, faults, self.server, is_sole=is_sole)
        self._people = SimulatedOperators(self._around, self._count + 1)
        self._processes = Processes(
            Program(self._make_runtime, self._prepare, host, failpoints, again=self._chosen),
            [Member(number, is_producer=number > processes) for number in range(1, self._count + 1)],
            self._around,
            self._people,
        )
        self._is_new, self._is_open = True, False

    def __repr__(self) -> str:
        return f"Simulation({getattr(self._register, '__name__', self._register)}, {self._chosen})"

    def __enter__(self) -> Self:
        if not self._is_new:
            raise UsageError(f"expected a new {self!r}: each is entered once, and then over")
        if self._lending is not None:
            self._lending.begin(self.runtime_here)
        self._is_new, self._is_open = False, True
        self._end_heeding = self._world.heed_interrupts()
        self._folder = make_folder()
        self._captured.hide(str(self._folder) + "/")
        self._around.path = self.path
        if self._make_disk is not None:
            self._around.disk = self._make_disk(self._world.chance)
        elif self.server is None:
            self._file = StoredFile(self.path)
        try:
            self._processes.begin()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        self._end_heeding()
        if self._lending is not None:
            self._lending.end()
        self._processes.end()
        self._people.end()
        self._world.end()
        if self._file is not None:
            self._file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def path(self) -> Path:
        """The store's file, for handlers and applications with connections of their own."""
        self._check_open()
        return self._folder / "simulation.db"

    @property
    def runtime(self) -> Runtime:
        """The runtime of the first process, as it runs now."""
        self._check_open()
        return self._processes.runtime(1)

    def runtime_here(self) -> Runtime:
        """The runtime of the process in which this is called; to the test, that of the first."""
        return self.runtime if self._world.is_in_test else self._processes.runtime_of(self._world.current.process)

    @property
    def runtimes(self) -> list[Runtime]:
        """The runtimes of all processes."""
        self._check_open()
        return self._processes.runtimes()

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
        total = days * 86400.0 + hours * 3600.0 + minutes * 60.0 + seconds
        check_forward(total, "what passes", may_last=until is not None)
        self._processes.strike(True)
        try:
            return self._pass(total, until)
        finally:
            self._processes.strike(False)

    def step_clock(self, seconds: Seconds, *, asleep: bool = False) -> None:
        """Move wall time alone: somebody sets the clock, or (`asleep`) the machines sleep for so long."""
        self._check_open()
        self._world.step_clock(seconds, asleep=asleep)

    def settle(self, *, until: Callable[[], bool] | None = None, seconds: Seconds = SETTLE_SECONDS_MAX) -> None:
        """Without faults, let time pass until nothing that is due waits or runs, or until something else holds.

        Raises:
            Violation: that does not come about within so many seconds.
        """
        self._check_open()
        if not self._pass(check_forward(seconds, "what may pass", may_last=True), until or self._is_settled):
            undone = [*self._processes.away(), *self._open()]
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
        if not _is_whole(process, 1, self._count):
            raise UsageError(f"expected the number of a process, from 1 to {self._count}, got: {process!r}")
        self.reached["kill_process"] += 1
        self._processes.kill(process)

    def operator(self, by: str = "somebody", via: str = "test") -> Operator:
        """Somebody who acts on the store from outside of the runtimes, as the test has them do it.

        Args:
            by, via: as `Operator` takes them.
        """
        self._check_open()
        # A process that is the only one would not look for this operator.
        self._around.is_sole = False
        return self._people.operator(by, via)

    def copy_store(self) -> bytes:
        """The store's file as it is now: a backup, for `replace_store`."""
        return self._stored().copy()

    def replace_store(self, copy: bytes, *, in_place: bool = False) -> None:
        """Put an older copy in the place of the file that all processes have open; `kill` starts them on it.

        With `in_place` the copy is written into the file, as SQLite's backup API does, and the processes go on with it.

        Jobs that were stored since the copy are lost, so the log proves nothing any more; `check` looks for the jobs
        that applications were told are stored since then.
        """
        if in_place:
            while not self._stored().write(copy):
                self.run(seconds=0.01)
        else:
            self._stored().replace(copy)
        # The copy has boots that have died and were forgotten since.
        self._around.is_sole = False
        self._replaced_at = self._world.now
        self.reached["replace_store"] += 1

    def _prepare(self, runtime: Runtime) -> None:
        self._register(runtime)

    def _make_runtime(
        self, process: Process, environment: Environment, failed: Callable[[RuntimeFailed], None]
    ) -> Runtime:
        return Runtime(
            self._around.address,
            durability=self._durability,
            logger=CapturedLogger(self._captured, lambda: process.is_alive),
            on_failure=failed,
            environment=environment,
            **self._options,
        )

    def _stored(self) -> StoredFile:
        self._check_open()
        if self._file is None:
            raise UsageError("expected a simulation with a store in a file, and whose power is not cut")
        return self._file

    def _verdict(self) -> tuple[Report, Sequence[str], Counter[str]]:
        if isinstance(self.server, MessageServer):
            return self.server.verdict(self._captured.lines, self._around.accepted)
        if self._around.disk is not None:
            for name, data in self._around.disk.files.items():
                (self._folder / Path(name).name).write_bytes(data)
        file, accepted = self.path if self._file is None else self._file.look, self._around.accepted
        store = self.server.lives if isinstance(self.server, TableServer) else partial(lives_in, file)
        kept_since = kept_since_of(self.runtime.limits, self._world.now, self._world.stepped)
        if self._replaced_at is not None:
            # A stepped clock makes the wall time at which a job was accepted uncertain by that much.
            since = max(self._replaced_at + self._world.stepped, kept_since)
            return verdict(self._captured.lines, store, accepted=accepted, set_back=since)
        has_lost_lines = bool(self.reached["log_error"])
        return verdict(
            self._captured.lines, store, accepted=accepted, kept_since=kept_since if has_lost_lines else None
        )

    def _pass(self, seconds: Seconds, until: Callable[[], bool] | None) -> bool:
        world = self._world
        end = world.elapsed + seconds
        wait = 0.05
        while until is None or not until():
            self._processes.raise_troubles()
            if world.elapsed >= end:
                return False
            world.park(end - world.elapsed if until is None else min(wait, end - world.elapsed))
            wait = min(wait * 1.5, POLL_SECONDS_MAX)
        return True

    def _check_open(self) -> None:
        if not self._is_open:
            when = "before" if self._is_new else "after"
            raise UsageError(f"expected `with {self!r} as ...:` around this call, got it {when} that")

    def _is_settled(self) -> bool:
        return not self._processes.away() and not self._open()

    def _open(self) -> list[str]:
        """Jobs that are due and wait, or run, as far as somebody handles it and nobody has paused it."""
        if isinstance(self.server, MessageServer):
            return self.server.open_jobs()
        return [job for runtime in self.runtimes for job in open_jobs(runtime)]


def check_register(register: object) -> None:
    """A function that adds the handlers and schedules of an application, or a runtime that has them."""
    if not (callable(register) or isinstance(register, Runtime)):
        raise UsageError(
            "expected register to be a function that adds handlers and schedules to the Runtime that it is given, or "
            f"a Runtime that has them, got: {shown(register)}"
        )


def check_processes(processes: int, producers: int, *, has_disk: bool) -> int:
    """How many processes share a store, the producers among them."""
    if not _is_whole(processes, 1):
        raise UsageError(f"expected processes to be 1 or more, got: {processes!r}")
    if not _is_whole(producers, 0):
        raise UsageError(f"expected producers to be 0 or more, got: {producers!r}")
    total = processes + producers
    if has_disk and total != 1:
        raise UsageError(f"expected one process on a disk whose power may be cut, got: {total}")
    return total


def _is_whole(value: object, least: int, most: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
