"""People in a simulation: they act on its store from outside of the runtimes under test, as by a command."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from ...admin.operator import Operator
from ...api.runtime import Runtime
from ...errors import LamplighterError, StoreUnavailable, UsageError
from ...stores.ports import Store
from .faults import OF_A_PROCESS
from .simulated_environment import SimulatedEnvironment
from .virtual_scheduler import Process

KILLED_SHARE = 0.2
"""How many of those who act are killed when it is stored, before they have hinted at it."""

PAUSE_SECONDS_MAX = 20.0
SWEPT_MAX = 20


class SimulatedOperators:
    """The operators who act on the store of a simulation, each in a process with a number that no runtime's has."""

    def __init__(self, around: SimulatedEnvironment, number: int) -> None:
        self._world = around.world
        self._around = around
        self._number = number
        self._stores: dict[Process, list[Store]] = {}

    def operator(self, by: str, via: str) -> Operator:
        return self._somebody(by, via, is_struck=False)[0]

    def act(self, runtime: Callable[[], Runtime | None]) -> None:
        """Have one act, who knows the names and schedules of this runtime, if there is one."""
        operator, process = self._somebody(f"person {self._world.chance.randrange(9)}", "chance", is_struck=True)
        self._world.spawn(partial(self._do_something, operator, runtime), "person", process)

    def end(self) -> None:
        """Close what those have open who were killed."""
        for process in list(self._stores):
            self._let_go(process)

    def _somebody(self, by: str, via: str, *, is_struck: bool) -> tuple[Operator, Process]:
        chance, process, around = self._world.chance, Process(self._number), self._around
        text = ""
        if is_struck and chance.random() < KILLED_SHARE:
            # On a server, it may be before all of the turn holds.
            on_server = ("store.turn.published", "store.turn.committed")
            text = f"{'store.turn.committed' if around.server is None else chance.choice(on_server)}=1*kill"
        points = around.failpoints(process, self._befall, text)
        points.is_on = is_struck
        stores = self._stores[process] = []
        environment = around.environment(process, points, stores, leave=lambda code: None, is_starting=lambda: False)
        return Operator(around.address, by=by, via=via, environment=environment), process

    def _do_something(self, operator: Operator, runtime: Callable[[], Runtime | None]) -> None:
        became = "acted"
        try:
            self._choose(operator, runtime())
        except StoreUnavailable:
            became = "hindered"
        except LamplighterError:
            became = "refused"
        self._world.reached[f"operator {became}"] += 1
        self._let_go(self._world.current.process)

    def _choose(self, operator: Operator, runtime: Runtime | None) -> None:
        chance, ids = self._world.chance, list(self._around.accepted)[-SWEPT_MAX:]
        declared = None if runtime is None else runtime.current_boot.declared
        names = [] if declared is None else declared.names()
        schedules = [] if declared is None else declared.schedules()
        match chance.randrange(8):
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
            case 7 if ids:
                for job_id in ids[::-1]:
                    with contextlib.suppress(UsageError):
                        operator.reprioritize(job_id, chance.randrange(-1, 2), reason="sooner, or later")
                        break

    def _befall(self, process: Process, kind: str, about: object) -> None:
        if kind in OF_A_PROCESS:
            self._world.reached["operator killed"] += 1
            process.die()
            self._let_go(process)
            self._world.leave_if_dead()

    def _let_go(self, process: Process) -> None:
        for store in self._stores.pop(process, ()):
            # Closing rolls back what was not committed, as the death of its process does.
            with contextlib.suppress(sqlite3.Error):
                store.close()
