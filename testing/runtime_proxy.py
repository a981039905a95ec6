"""An application's own runtime, lent to a test: what the application calls on it is done by a runtime of the test's.

An application of which a module has the runtime, and others its `jobs` and its handler objects, holds on to these very
objects. So they stay, and for a time pass on whatever is asked of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Self

from ..api.runtime import Runtime
from ..boot.submitting import looked_up
from ..errors import UsageError
from ..rules.limits import Limits


class RuntimeProxy:
    """Lends a runtime from `begin` to `end`.

    Attributes:
        options: those of the runtime that a runtime of the test's has too. How long a transaction is waited for is the
            test's own, because real time does not pass.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        limits = {field.name: getattr(runtime.limits, field.name) for field in fields(Limits)}
        del limits["busy_seconds_max"]
        self.options: dict[str, Any] = {**limits, "carriers": list(runtime._carriers.each), "drain": runtime._drain}

    def register(self, other: Runtime) -> None:
        """Give another runtime the handlers, schedules and subscribers of this one, as it was when it was lent."""
        now = other.current_boot.now()
        for handler in self._handlers:
            other.current_boot.declared.add_handler(handler)
        other.current_boot.declared.add_schedules(
            schedule._replace(accounted_to=now, changed_at=now) for schedule in self._schedules
        )
        for call, events in self._subscribers:
            other.subscribe(call, events)

    def begin(self, borrower: Callable[[], Runtime]) -> None:
        """From now on, `borrower` says which runtime does the work of this one, which must be unused."""
        if isinstance(self._runtime, _LentRuntime):
            raise UsageError("expected a Runtime that no other test has at this moment")
        if self._runtime.boot is not None:
            raise UsageError("expected a Runtime that does not run, got one that was started; stop() it first")
        runtime = self._runtime
        # An integration's runtime is of a class of its own.
        self._own = type(runtime), runtime.jobs._submitter
        declared = runtime.current_boot.declared
        self._handlers = [handler for name in declared.names() for handler in declared.handlers(name)]
        self._schedules = declared.schedules()
        self._subscribers = [(one.call, one.events) for one in runtime._subscriptions]
        lent = looked_up(lambda: borrower().jobs._submitter)
        runtime.jobs._submitter = runtime.scheduler._submitter = lent
        runtime._borrower = borrower  # type: ignore[attr-defined]
        runtime.__class__ = _LentRuntime

    def end(self) -> None:
        """The runtime is the application's again, and has nothing of what the test did."""
        own, submitter = self._own
        object.__setattr__(self._runtime, "__class__", own)
        self._runtime.jobs._submitter = self._runtime.scheduler._submitter = submitter


class _LentRuntime(Runtime):
    """Its attributes are those of another, but it runs as long as the test does, whatever starts and stops it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def __getattribute__(self, name: str) -> Any:
        match name:
            case "jobs" | "scheduler":
                return object.__getattribute__(self, name)
            case "__class__":
                return type(self)
            case "start":
                return lambda **_: self
            case "_start":
                return lambda: False
            case "stop":
                return lambda drain=None: None
        return getattr(object.__getattribute__(self, "_borrower")(), name)
