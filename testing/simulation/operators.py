"""People in a simulation: they act on its store from outside of the runtimes under test, as by a command."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ...admin.operator import Operator
from ...api.runtime import Runtime
from ...errors import LamplighterError, StoreUnavailable
from ...messages.jobs import Seconds
from ...stores.ports import Store
from .faults import FaultPoints, Faults
from .simulated_environment import SimulatedEnvironment
from .virtual_scheduler import Process, VirtualScheduler

KILLED_SHARE = 0.2
"""How many of those who act are killed when it is stored, before they have hinted at it."""

PAUSE_SECONDS_MAX = 20.0
SWEPT_MAX = 20


class SimulatedOperators:
    """The operators who act on the store of a simulation, each in a process with a number that no runtime's has.

    Args:
        runtime: of the first process, by which they know which names and schedules there are; None while it has none.
    """

    def __init__(
        self,
        world: VirtualScheduler,
        around: SimulatedEnvironment,
        faults: Faults,
        reached: Counter[str],
        *,
        address: Callable[[], str | Path],
        number: int,
        runtime: Callable[[], Runtime | None],
        step_clock: Callable[[Seconds], None],
    ) -> None:
        self._world = world
        self._around = around
        self._faults = faults
        self._reached = reached
        self._address = address
        self._number = number
        self._runtime = runtime
        self._step_clock = step_clock
        self._stores: dict[Process, list[Store]] = {}

    def operator(self, by: str, via: str) -> Operator:
        return self._somebody(by, via, is_struck=False)[0]

    def act(self) -> None:
        operator, process = self._somebody(f"person {self._world.chance.randrange(9)}", "chance", is_struck=True)
        self._world.spawn(partial(self._do_something, operator), "person", process)

    def end(self) -> None:
        """Close what those have open who were killed."""
        for process in list(self._stores):
            self._let_go(process)

    def _somebody(self, by: str, via: str, *, is_struck: bool) -> tuple[Operator, Process]:
        chance, process = self._world.chance, Process(self._number)
        is_killed = is_struck and chance.random() < KILLED_SHARE
        points = FaultPoints(
            self._world,
            process,
            self._faults,
            die=self._die,
            strikes={} if self._around.server is None else self._around.server.strikes,
            step_clock=self._step_clock,
            trouble=lambda process, kind: None,
            fork=lambda process, lane: None,
            reached=self._reached,
            text=f"{self._killed_at()}=1*kill" if is_killed else "",
        )
        points.is_on = is_struck
        stores = self._stores[process] = []
        environment = self._around.environment(
            process, points, stores, leave=lambda code: None, is_starting=lambda: False
        )
        return Operator(self._address(), by=by, via=via, environment=environment), process

    def _killed_at(self) -> str:
        """The point at which one of them is killed: on a server, it may be before all of the turn holds."""
        on_server = ("store.turn.published", "store.turn.committed")
        return "store.turn.committed" if self._around.server is None else self._world.chance.choice(on_server)

    def _do_something(self, operator: Operator) -> None:
        became = "acted"
        try:
            self._choose(operator)
        except StoreUnavailable:
            became = "hindered"
        except LamplighterError:
            became = "refused"
        self._reached[f"operator {became}"] += 1
        self._let_go(self._world.current.process)

    def _choose(self, operator: Operator) -> None:
        chance, runtime, ids = self._world.chance, self._runtime(), list(self._around.accepted)[-SWEPT_MAX:]
        declared = None if runtime is None else runtime.current_boot.declared
        names = [] if declared is None else declared.names()
        schedules = [] if declared is None else declared.schedules()
        match chance.randrange(7):
            case 0 if ids:
                operator.requeue(chance.choice(ids), delay=chance.choice((None, 1.0)), reason="once more")
            case 1 if ids:
                operator.cancel(chance.choice(ids), reason="not wanted")
            case 2 if names:
                until = self._world.now + chance.uniform(0.0, PAUSE_SECONDS_MAX)
                operator.pause(chance.choice(names), until=datetime.fromtimestamp(until, UTC), reason="a moment")
            case 3 if names:
                operator.resume(chance.choice(names))
            case 4 if schedules:
                operator.run_now(chance.choice(schedules).id, reason="now")
            case 5 if ids:
                operator.requeue_dead(ids)
            case 6 if ids:
                list(operator.sweep([ids], chance.choice(("requeue", "cancel")), reason="all of them"))

    def _die(self, process: Process, why: str) -> None:
        self._reached["operator killed"] += 1
        process.die()
        self._let_go(process)
        self._world.leave_if_dead()

    def _let_go(self, process: Process) -> None:
        for store in self._stores.pop(process, ()):
            # Closing rolls back what was not committed, as the death of its process does.
            with contextlib.suppress(sqlite3.Error):
                store.close()
