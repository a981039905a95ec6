"""The faults of a simulation, how often they come, and how they are injected."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ...actors.base import RuntimeActor
from ...environment.failpoints import Action, Failpoints
from ...errors import UsageError
from ...handlers.lane import Lane
from .virtual_scheduler import STEP_SECONDS, Process, VirtualScheduler

HANG_SECONDS = (5.0, 60.0)
"""A handler that hangs does so for as long as this, then goes on as if nothing had been."""

MILD_SHARE = 0.8
"""How many of the crashes of actors are an Exception; the others are a SystemExit."""

SLOW_LOG_SECONDS = 2.0
"""The longest that a slow log sink takes over one line."""

JUMP_SECONDS = (2.0, 7200.0)
"""How far the clock steps, either way; a suspended machine's wakes as far ahead."""

LEAP_SECONDS = 365 * 86400.0
"""How far it is off when it leaps."""

LEAP_LASTS_SECONDS = (1.0, 10.0)
"""How long it stays so, if somebody sets it right."""


class Crash(Exception):
    """An actor was made to crash."""


class NoThread(RuntimeError):
    """A thread could not be started, as `threading.Thread.start` says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How likely each fault is, from 0 (never) to 1 (always), each time it could strike.

    Attributes:
        crash_actor: an actor raises before it handles a message, after it, in the middle of a turn, or between a turn's
            commit and what it lets out; a BaseException such as SystemExit now and then.
        crash_only: only actors whose name begins so: "broker", "scheduler", "supervisor", "handler:email".
        crash_handler: a BaseException comes out of a handler, before its first line or after its last.
        fork: a handler forks. The forked child stays in the function for a while or not, tries to queue for its job or
            not, and comes out of it.
        hang: a handler hangs before its first line or after its last, ignores every signal, and goes on late; or it
            takes long to begin, as where its child process imports or its event loop is blocked.
        store_error: a transaction cannot be begun, read from or committed: I/O error, disk full, database locked.
        commit_unknown: a commit raises, and was stored all the same, or was not.
        kill_process: SIGKILL. The process is started again a moment later.
        kill_child: SIGKILL of the child process that a job runs in (isolation="process").
        signal_burst: SIGTERM, SIGINT and SIGHUP to a process, once or several times within seconds, also while the
            last one is being handled. It stops, as `Runtime.run` does, and is started again a moment later; or it is
            killed as it stops. The function `host` runs on a thread beside it, and ends with it.
        power_cut: SIGKILL, and whatever was not synced may be gone. Needs a disk, and one process.
        clock_jump: wall time steps, ahead as after a suspend or back.
        clock_leap: wall time is a year off, ahead or back: for some seconds, or from then on.
        log_error: a line cannot be written (a full disk under the log).
        slow_log: a line takes seconds to be written.
        lost_hint: a hint to another process never arrives.
        deafen: no hint arrives at a process any more, as long as it lives: its socket was removed, say.
        lose_lock: the file by which the others know that a runtime lives is removed.
        lose_row: the runtime's row is taken out of the store while it lives, as by somebody who mends by hand.
        fail_start: a runtime's start fails midway, because no thread is to be had. Its application tries again.
        operator: a person acts from outside of the runtimes: requeues or cancels a job, or many, reprioritizes
            one, pauses a name for some seconds or resumes it, runs a schedule now; and is killed, now and then, when
            that is stored. Applications must bear it that anything of theirs is done again or not at all. Needs a store
            without a disk.
    """

    crash_actor: float = 0.0
    crash_only: str = ""
    crash_handler: float = 0.0
    fork: float = 0.0
    hang: float = 0.0
    store_error: float = 0.0
    commit_unknown: float = 0.0
    kill_process: float = 0.0
    kill_child: float = 0.0
    signal_burst: float = 0.0
    power_cut: float = 0.0
    clock_jump: float = 0.0
    clock_leap: float = 0.0
    log_error: float = 0.0
    slow_log: float = 0.0
    lost_hint: float = 0.0
    deafen: float = 0.0
    lose_lock: float = 0.0
    lose_row: float = 0.0
    fail_start: float = 0.0
    operator: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "crash_only":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
                raise UsageError(f"expected {field.name} to be a chance from 0 to 1, got: {value!r}")


OF_A_PROCESS = ("kill_process", "power_cut")
OF_A_BOOT = ("lose_lock", "lose_row")
"""Faults that remove a runtime's lock or row from a file, by which other runtimes know it."""

STRIKES: dict[str, tuple[str, ...]] = {
    "actor.start": ("crash_actor",),
    "actor.receive": (
        "crash_actor",
        "kill_process",
        "power_cut",
        "clock_jump",
        "clock_leap",
        "signal_burst",
        "operator",
    ),
    "actor.received": ("crash_actor", "kill_process"),
    "broker.let_out": ("crash_actor", "kill_process", "power_cut"),
    "lane.begin": ("hang", "kill_process"),
    "lane.call": ("crash_handler", "hang", "kill_process", "kill_child", "fork"),
    "lane.returned": ("crash_handler", "hang", "kill_process", "kill_child"),
    "lane.step": ("crash_handler", "hang", "kill_process", "kill_child"),
    "thread.start": ("fail_start",),
    "log.write": ("log_error", "slow_log"),
    "store.read": ("store_error",),
    "store.turn.begin": ("store_error", "kill_process", "crash_actor", "lose_lock", "lose_row"),
    "store.turn.commit": ("store_error", "kill_process", "power_cut", "crash_actor"),
    "store.turn.committed": ("commit_unknown", "kill_process", "power_cut", "crash_actor"),
}
"""Which faults may strike at which failpoint; a server has more."""


class FaultPoints(Failpoints):
    """The failpoints of one process: at each of them, chance decides whether and what.

    Args:
        strikes: which faults may strike where, besides `STRIKES`.
        befall: called with a fault that strikes the whole process, what others know of it, or the server, and with
            what stands at the failpoint.
    """

    def __init__(
        self,
        world: VirtualScheduler,
        process: Process,
        faults: Faults,
        strikes: Mapping[str, tuple[str, ...]],
        befall: Callable[[Process, str, Any], None],
        text: str,
    ) -> None:
        super().__init__(text, world.chance)
        self._world = world
        self._process = process
        self._befall = befall
        self._crash_only = faults.crash_only
        self.is_on = False
        self._turns = 0
        self._odds: dict[str, list[tuple[float, str]]] = {}
        for point in {**STRIKES, **strikes}:
            total, odds = 0.0, []
            for kind in (*STRIKES.get(point, ()), *strikes.get(point, ())):
                # A server's faults are in a subclass of `Faults`.
                total += getattr(faults, kind, 0.0)
                odds.append((total, kind))
            if total > 0.0:
                self._odds[point] = odds

    def at(self, point: str, about: Any = None) -> None:
        """Let others run where they may, then strike or do not."""
        if point == "store.turn.begin":
            self._turns += 1
            self._world.pause()
            self._turns -= 1
        if point == "direct.out":
            self._world.reached["direct"] += 1
        if self._world.is_in_test:
            # No fault strikes a call of the test itself.
            return
        if self._armed:
            self._act(point)
        odds = self._odds.get(point) if self.is_on else None
        if odds is not None and (drawn := self._world.chance.random()) < odds[-1][0]:
            self._strike(point, next(kind for limit, kind in odds if drawn < limit), about)

    def do(self, action: Action) -> None:
        """In the simulation's time, and only to its process."""
        self._world.reached["failpoint"] += action.what != "off"
        match action.what:
            case "sleep":
                self._world.sleep(float(action.given))
            case "kill":
                self._befall(self._process, "kill_process", None)
            case _:
                super().do(action)

    def _strike(self, point: str, kind: str, about: Any) -> None:
        world = self._world
        if kind == "crash_actor" and not self._may_crash(point, about):
            return
        if kind == "kill_child" and not (isinstance(about, Lane) and about.handler.kind == "process"):
            return
        world.reached[f"{kind} at {point}"] += 1
        world.reached[kind] += 1
        match kind:
            case "crash_handler":
                raise world.chance.choice((SystemExit, KeyboardInterrupt, MemoryError))("made to")
            case "crash_actor":
                # In the middle of a turn an Exception is refused with its message; only a BaseException kills.
                is_mild = world.chance.random() < MILD_SHARE and not point.startswith("store.")
                raise Crash("made to crash") if is_mild else SystemExit("made to")
            case "fail_start":
                raise NoThread("can't start new thread")
            case "hang":
                world.sleep(world.chance.uniform(*HANG_SECONDS))
            case "fork":
                # A fork waits until no turn is under way. Other tasks run within a turn only at its begin.
                while self._turns:
                    world.sleep(STEP_SECONDS)
                self._befall(self._process, kind, about)
            case "store_error":
                full = ["database or disk is full"] if point == "store.turn.commit" else []
                raise sqlite3.OperationalError(world.chance.choice(["disk I/O error", "database is locked", *full]))
            case "commit_unknown":
                raise sqlite3.OperationalError("disk I/O error")
            case "kill_child":
                about.handle.kill(about)
                world.leave_if_dead()
            case "clock_jump":
                far = world.chance.uniform(*JUMP_SECONDS)
                world.step_clock(far if world.chance.random() < 0.5 else -far)
            case "clock_leap":
                far = world.chance.choice((LEAP_SECONDS, -LEAP_SECONDS))
                world.step_clock(far)
                if world.chance.random() < 0.5:
                    world.after(world.chance.uniform(*LEAP_LASTS_SECONDS), lambda: world.step_clock(-far))
            case "log_error":
                raise OSError(28, "No space left on device")
            case "slow_log":
                world.sleep(world.chance.uniform(0.0, SLOW_LOG_SECONDS))
            case _:
                self._befall(self._process, kind, about)

    def _may_crash(self, point: str, about: Any) -> bool:
        """Whether it is an actor that passes the point, and one that may crash. Turns are the broker's."""
        if point.startswith("store."):
            task = self._world.current
            return (task.name == "broker" or task.stands_in) and "broker".startswith(self._crash_only)
        return isinstance(about, RuntimeActor) and about.name.startswith(self._crash_only)
