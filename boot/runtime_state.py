"""The boot that runs in this process, if one does. `Runtime`, `Jobs` and `Scheduler` share one `RuntimeState`."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable

from ..environment.environment import Environment
from ..errors import NotStarted, RuntimeFailed
from ..handlers.lanes import Lanes
from ..log.job_context import current_root_id
from ..messages.jobs import Instant, Seconds
from ..rules.limits import Limits
from .boot import Boot
from .declared import Declared

_all: weakref.WeakSet[RuntimeState] = weakref.WeakSet()
left_behind: list[Boot] = []
"""Boots of the parent process, kept in a forked child: closing their connections there would hurt the parent."""


class RuntimeState:
    """The boot of a runtime in this process, if there is one.

    Attributes:
        lock: held while a boot is started or stopped.
        failure: why the last boot has failed, if it has.
        left: the lanes that the last boot left running.
        names_warned_of: job names logged because calls block a loop.
        on_demand: starts a boot for whoever needs one while none runs, as a web framework's processes do.
    """

    def __init__(self, environment: Environment, limits: Limits, *, has_table: bool) -> None:
        self.environment = environment
        self.limits = limits
        self.has_table = has_table
        self.declared = Declared()
        self.lock = self.environment.relock()
        self.failure: RuntimeFailed | None = None
        self.left: Lanes | None = None
        self.names_warned_of: set[str] = set()
        self.on_demand: Callable[[], object] | None = None
        self._boot: Boot | None = None
        self._forked_in: int | None = None
        self._ended = environment.event()
        self._ended.set()
        _all.add(self)

    @property
    def running(self) -> Boot | None:
        boot = self._boot
        if boot is not None and boot.pid != self.environment.pid():
            left_behind.append(boot)
            self._boot, self._forked_in = None, self.environment.pid()
            return None
        return boot

    def get(self) -> Boot:
        """The running boot. Raises NotStarted if there is none, or if it takes no calls any more."""
        boot = self.running
        # A handler that outlives its runtime must not start another.
        if boot is None and self.on_demand is not None and self.failure is None and current_root_id() is None:
            self.on_demand()
            boot = self.running
        # A caller that asks an ending boot again at once would loop until it has ended.
        if boot is not None and not boot.requests.is_over:
            return boot
        if self.failure is not None:
            raise NotStarted(f"the runtime has failed: {self.failure}; see health()")
        if boot is not None:
            raise NotStarted("the runtime is being stopped; call start() when stop() has returned")
        if self._forked_in == self.environment.pid():
            raise NotStarted(
                "this runtime was started in another process, before a fork; "
                f"call start() in this one (pid {self._forked_in})"
            )
        raise NotStarted("the runtime is not started; call start(), or use it as a context manager")

    def now(self) -> Instant:
        """Wall time by the boot's clock, or by one of the same kind."""
        boot = self.running
        return (boot.clock if boot is not None else self.environment.clock()).now()

    def forget(self) -> None:
        """Forget how earlier boots have ended, before the next one starts."""
        self.failure = self._forked_in = None

    def began(self, boot: Boot) -> None:
        self._boot = boot
        self._ended.clear()

    def ended(self, boot: Boot) -> None:
        """A boot has ended: wake those who wait for that."""
        # The next boot must know which lanes still run, or it would start their jobs beside the old threads.
        self.left = boot.lanes if boot.lanes.open() else None
        self._boot = None
        self._ended.set()

    def wait(self, seconds: Seconds | None) -> bool:
        """Wait until no boot runs. False on timeout."""
        return self._ended.wait(seconds)

    def _in_forked_child(self) -> None:
        # Another thread of the parent may have held the lock at the moment of the fork.
        self.lock = self.environment.relock()


def _after_fork_in_child() -> None:
    for one in list(_all):
        one._in_forked_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
