"""Handlers and schedules of an application that may not be there yet."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

from ...api.jobs import Jobs
from ...api.runtime import Runtime
from ...api.scheduler import Scheduler, When
from ...boot.runtime_state import RuntimeState
from ...handlers.handler import Handler
from ...messages.schedules import ScheduleRecord

Declaration = Callable[[Runtime], object]
"""Adds a handler or a schedule to a runtime."""


class DeclaringJobs(Jobs):
    """The Jobs API where there is no application: it checks handlers, and has them added wherever there is one."""

    def __init__(self, outside: RuntimeState, declare: Callable[[Declaration], None]) -> None:
        super().__init__(outside)
        self._declare_everywhere = declare

    def _checked(self, name: str, fn: Callable[..., Any], **options: Any) -> Handler:
        handler = super()._checked(name, fn, **options)
        self._declare_everywhere(lambda runtime: runtime.jobs.handler(name, **options)(fn))
        return handler


class DeclaringScheduler(Scheduler):
    """The same for schedules."""

    def __init__(self, outside: RuntimeState, declare: Callable[[Declaration], None]) -> None:
        super().__init__(outside)
        self._declare_everywhere = declare

    def _check(self, name: str, when: When, data: Any, **options: Any) -> ScheduleRecord:
        record = super()._check(name, when, data, **options)
        # A durable one is in a store, and so needs an application. `add` is about to say that.
        if not record.durable:
            self._declare_everywhere(lambda runtime: runtime.scheduler.add(name, when, data, **options))
        return record


class AppJobs(Jobs):
    """The Jobs API of the current application."""

    def __init__(self, current: Callable[[], Jobs]) -> None:
        self._current = current

    def __getattribute__(self, name: str) -> Any:
        if name == "handler":
            # The handler object queues its jobs in the application that is current then.
            return MethodType(Jobs.handler, self)
        return _of_current(self, name)


class AppScheduler(Scheduler):
    """The Scheduler API of the current application."""

    def __init__(self, current: Callable[[], Scheduler]) -> None:
        self._current = current

    def __getattribute__(self, name: str) -> Any:
        return _of_current(self, name)


def _of_current(one: AppJobs | AppScheduler, name: str) -> Any:
    if name == "__class__":
        return type(one)
    return getattr(object.__getattribute__(one, "_current")(), name)
