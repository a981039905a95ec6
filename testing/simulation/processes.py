"""The processes of a simulation: each is begun, killed, signalled, stopped, and begun again."""

from __future__ import annotations

import contextlib
import copy
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ...api.job import Job
from ...api.runtime import Runtime
from ...boot.runtime_state import RuntimeState, left_behind
from ...boot.submitting import Submitter
from ...environment.environment import Environment
from ...environment.failpoints import unarmed
from ...environment.process import STOP_SIGNALS
from ...errors import NotStarted, RuntimeFailed, StoreError, StoreUnavailable
from ...handlers.lane import Lane
from ...handlers.payload import HandlerTypes
from ...handlers.pool import ThreadRunner
from ...handlers.tasks import TaskRunner
from ...messages.jobs import Seconds
from ...stores.ports import Store
from ...stores.sqlite.store import SqliteStore
from .faults import OF_A_BOOT, OF_A_PROCESS, FaultPoints, NoThread
from .operators import SimulatedOperators
from .simulated_environment import MAIN, SimulatedEnvironment
from .verdict import Violation
from .virtual_scheduler import Process, Task, VirtualScheduler

SIGNALS_MAX = 6
BURST_SECONDS_MAX = 6.0
"""How long a burst lasts at most; as long as most stops."""

AT_ONCE_SHARE = 0.5
"""How many signals of a burst come with its first, so that one falls into the handling of another."""


def burst(world: VirtualScheduler, send: Callable[[int], object]) -> None:
    """Have signals sent, the first of them now."""
    chance = world.chance
    for number in range(chance.randint(1, SIGNALS_MAX)):
        is_first = number == 0 or chance.random() < AT_ONCE_SHARE
        delay = 0.0 if is_first else chance.uniform(0.0, BURST_SECONDS_MAX)
        world.after(delay, partial(send, chance.choice(STOP_SIGNALS)))


def serve(runtime: Runtime, drain: Seconds, *, work: bool) -> bool:
    """The main thread of a service. Returns whether it was stopped; one that has given up tells its `on_failure`."""
    try:
        runtime.run(drain, work=work)
    except RuntimeFailed:
        return False
    return True


STAYS_SECONDS = (0.0, 30.0)
"""How long a forked child stays in its function, if it does: meanwhile its parent may die, or its job be settled."""

EXIT_CODE = 3
"""The exit code of a forked child that leaves by `sys.exit`."""


class Forks:
    """The forked children of one life of a process. `found` is told of what no forked child may do."""

    def __init__(self, world: VirtualScheduler, found: Callable[[Exception], object]) -> None:
        self._world = world
        self._found = found

    def fork(self, lane: Lane, current_boot: RuntimeState, stores: Sequence[Store]) -> None:
        """As `os.fork`, called by the function of a lane that has just begun: its own thread goes on after it."""
        # As `os.register_at_fork` does: no connection to the file is open at the fork.
        frozen = [store for store in stores if isinstance(store, SqliteStore) and store.path and store.freeze()]
        runner: TaskRunner | ThreadRunner = TaskRunner() if lane.handler.kind == "task" else ThreadRunner()
        runner.start(self._copy(lane, copy.copy(current_boot)))
        for store in frozen:
            store.thaw()

    def left(self, code: int) -> None:
        """A forked child comes to its end."""
        self._world.reached["forked child left"] += 1
        self._world.kill(self._world.current.process)

    def _copy(self, lane: Lane, current_boot: RuntimeState) -> Lane:
        job_id = lane.claim.job.id

        def goes_on(*_: object) -> Any:
            self._found(Violation(f"a forked child came out of the function of {job_id} and went on in its place"))
            self._world.kill(self._world.current.process)

        def child(job: Job[Any]) -> object:
            self._world.fork()
            return self._live(job, current_boot)

        async def task(job: Job[Any]) -> object:
            return child(job)

        context = lane.context._replace(
            ended=goes_on,
            submitter=Submitter(current_boot),
            environment=replace(lane.context.environment, failpoints=unarmed()),
        )
        handler = lane.handler._replace(
            fn=task if lane.handler.kind == "task" else child, types=HandlerTypes(None, None)
        )
        return Lane(lane.id, handler, lane.claim, context, goes_on)

    def _live(self, job: Job[Any], current_boot: RuntimeState) -> object:
        chance = self._world.chance
        if chance.random() < 0.5:
            self._world.sleep(chance.uniform(*STAYS_SECONDS))
        if chance.random() < 0.5:
            self._try_to_queue(job, current_boot)
        if chance.random() < 0.5:
            raise SystemExit(EXIT_CODE)
        return "of a forked child"

    def _try_to_queue(self, job: Job[Any], current_boot: RuntimeState) -> None:
        boot = current_boot._boot
        try:
            job.queue(job.name, "of a forked child")
        except NotStarted:
            return
        finally:
            # The simulation's own process is no forked child: it may forget this boot.
            left_behind[:] = [one for one in left_behind if one is not boot]
        self._found(Violation(f"a forked child has queued for {job.id}, as if it were the process that has forked"))


RESTART_SECONDS_MAX = 10.0
"""The longest that a killed process stays away."""

STOP_SECONDS_MAX = 300.0
"""A process that was asked to stop must have stopped within this time, whatever fails."""

KILLED_SHARE, GRACE_SECONDS_MAX = 0.2, 5.0
"""How many of the processes that were told to stop are killed, and after how long at most: `docker stop` does so."""

DRAIN_SECONDS_MAX = 5.0
"""The longest that a process that stops lets its jobs finish."""


@dataclass(frozen=True, slots=True)
class Program:
    """The program of each process.

    Attributes:
        runtime: makes its runtime, given the process, what it finds around it, and what to do when the runtime fails.
        host: what the main thread does after the start.
        again: how the run is repeated, for errors.
    """

    runtime: Callable[[Process, Environment, Callable[[RuntimeFailed], None]], Runtime]
    register: Callable[[Runtime], object]
    host: Callable[[Runtime], object] | None
    failpoints: str
    again: str


@dataclass(eq=False)
class Member:
    """One of the processes, over all its lives."""

    number: int
    is_producer: bool
    process: Process | None = None
    runtime: Runtime | None = None
    failpoints: FaultPoints | None = None
    main: Task | None = None
    is_up: bool = False
    is_stopping: bool = False
    stores: list[Store] = field(default_factory=list)


class Processes:
    """All processes of a simulation.

    Args:
        members: in the order of their numbers, which begin with 1.

    Attributes:
        troubles: what was raised in them that is the test's to see.
    """

    def __init__(
        self, program: Program, members: list[Member], around: SimulatedEnvironment, people: SimulatedOperators
    ) -> None:
        self.troubles: list[Exception] = []
        self._program = program
        self._members = members
        self._world = around.world
        self._around = around
        self._people = people
        self._is_striking = False
        self._forks = Forks(around.world, self.troubles.append)

    def begin(self) -> None:
        for member in self._members:
            self._begin(member)
        self.runtimes()

    def end(self) -> None:
        for member in self._members:
            self._end(member)

    def runtime(self, number: int) -> Runtime:
        """The runtime of one, once that is up."""
        member = self._members[number - 1]
        while not member.is_up or member.is_stopping:
            self.raise_troubles()
            self._world.park(0.1)
        assert member.runtime is not None
        return member.runtime

    def runtime_of(self, process: Process) -> Runtime:
        runtime = self._members[process.number - 1].runtime
        assert runtime is not None, "a process makes its runtime before it does anything else"
        return runtime

    def runtimes(self) -> list[Runtime]:
        return [self.runtime(member.number) for member in self._members]

    def away(self) -> list[str]:
        return [
            f"process {member.number} {'stops' if member.is_stopping else 'starts'}"
            for member in self._members
            if member.is_stopping or not member.is_up
        ]

    def kill(self, number: int) -> None:
        """SIGKILL of one, as soon as it is up."""
        self.runtime(number)
        process = self._members[number - 1].process
        assert process is not None
        self._die(process, "kill_process")

    def strike(self, is_on: bool) -> None:
        self._is_striking = is_on
        for member in self._members:
            if member.failpoints is not None:
                member.failpoints.is_on = is_on

    def raise_troubles(self) -> None:
        """Raise what `register` or `host` has raised, if they have."""
        if self.troubles:
            raise self.troubles.pop(0)

    def _begin(self, member: Member) -> None:
        member.process = process = Process(member.number)
        member.failpoints = failpoints = self._around.failpoints(process, self._befall, self._program.failpoints)
        failpoints.is_on = self._is_striking
        member.main = self._world.spawn(lambda: self._live(member, process, failpoints), MAIN, process)

    def _live(self, member: Member, process: Process, failpoints: FaultPoints) -> None:
        try:
            environment = self._around.environment(
                process, failpoints, member.stores, leave=self._forks.left, is_starting=lambda: not member.is_up
            )
            runtime = self._program.runtime(process, environment, lambda failure: self._die(process, "gave_up"))
            member.runtime = runtime
            self._program.register(runtime)
            while not _has_started(runtime, work=not member.is_producer):
                self._world.sleep(self._world.chance.uniform(0.0, 1.0))
            member.is_up = True
            if not self._around.faults.signal_burst:
                self._be_host(member, runtime)
                return
            self._world.spawn(lambda: self._be_host(member, runtime), "host", process)
            drain = self._world.chance.uniform(0.0, DRAIN_SECONDS_MAX)
            if serve(runtime, drain, work=not member.is_producer):
                self._die(process, "stopped")
        except Exception as error:
            self.troubles.append(error)

    def _be_host(self, member: Member, runtime: Runtime) -> None:
        try:
            if self._program.host is not None:
                self._program.host(runtime)
        except Exception as error:
            # Its runtime may be stopped under it, or fail, and its process ends then.
            is_ending = member.is_stopping or runtime.current_boot.failure is not None
            if not (isinstance(error, (NotStarted, StoreUnavailable)) and is_ending):
                self.troubles.append(error)

    def _befall(self, process: Process, kind: str, about: Any) -> None:
        """A fault strikes a process at once, or a moment later what it has of the store: within a turn, it may be."""
        stores = self._members[process.number - 1].stores
        if kind in OF_A_PROCESS:
            self._die(process, kind)
        elif kind == "fork":
            self._forks.fork(about, self.runtime_of(process).current_boot, stores)
        elif kind == "signal_burst":
            burst(self._world, partial(self._signal, process))
        elif kind == "operator":
            self._world.after(0.0, lambda: self._people.act(lambda: self._members[0].runtime))
        elif kind in OF_A_BOOT:
            self._world.after(0.0, lambda: self._around.forget(process, kind))
        elif self._around.server is not None:
            self._around.server.befall(stores, kind)

    def _signal(self, process: Process, number: int) -> None:
        member, call = self._members[process.number - 1], process.signal_handlers.get(number)
        if not process.is_alive or member.main is None:
            return
        if not callable(call):
            # The process has no signal handler yet, or no longer.
            self._die(process, "signal killed")
            return
        if not member.is_stopping:
            member.is_stopping = True
            self._world.after(STOP_SECONDS_MAX, lambda: self._check_stopped(process))
            chance = self._world.chance
            if chance.random() < KILLED_SHARE:
                self._world.after(chance.uniform(0.0, GRACE_SECONDS_MAX), lambda: self._die(process, "killed stop"))
        self._world.reached["signal"] += 1
        self._world.interrupt(member.main, lambda: call(number, None))

    def _check_stopped(self, process: Process) -> None:
        if process.is_alive:
            says = f"process {process.number} was told to stop {STOP_SECONDS_MAX:g} s ago, and has not"
            self.troubles.append(Violation(f"with {self._program.again}: {says}"))

    def _die(self, process: Process, why: str) -> None:
        """Kill a process, and start its next life a moment later."""
        member = self._members[process.number - 1]
        if not process.is_alive or member.process is not process:
            return
        if why in ("gave_up", "stopped", "signal killed", "killed stop"):
            self._world.reached[why] += 1
        self._end(member, with_power=why == "power_cut")
        self._world.after(self._world.chance.uniform(0.0, RESTART_SECONDS_MAX), lambda: self._begin(member))
        self._world.leave_if_dead()

    def _end(self, member: Member, *, with_power: bool = False) -> None:
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


def _has_started(runtime: Runtime, *, work: bool) -> bool:
    try:
        runtime.start(work=work)
    except (StoreUnavailable, StoreError, RuntimeFailed, NoThread):
        return False
    return True
