"""The handlers and schedules that the application has declared. They belong to the runtime, and outlive its boots."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from ..handlers.handler import Handler
from ..messages.schedules import ScheduleRecord
from ..rules.restart_budget import RestartBudget


class Declared:
    """Handlers by job name and schedules by id, as the application's code has declared them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handlers: dict[str, tuple[Handler, ...]] = {}
        self._schedules: dict[str, ScheduleRecord] = {}
        self.budgets: dict[str, RestartBudget] = {}

    def add_handler(self, handler: Handler) -> None:
        """One more competing consumer of its name."""
        with self._lock:
            if handler.restart is not None:
                self.budgets[handler.name] = handler.restart
            self._handlers[handler.name] = (*self._handlers.get(handler.name, ()), handler)

    def remove_handler(self, handler_id: str) -> Handler | None:
        """The handler that is gone; None when there was none."""
        with self._lock:
            for name, handlers in self._handlers.items():
                for handler in handlers:
                    if handler.id == handler_id:
                        self._handlers[name] = tuple(one for one in handlers if one is not handler)
                        return handler
        return None

    def handlers(self, name: str) -> Sequence[Handler]:
        """The handlers of a name."""
        return self._handlers.get(name, ())

    def all_handlers(self) -> list[Handler]:
        """Those of all names."""
        return [handler for handlers in self._handlers.values() for handler in handlers]

    def names(self) -> list[str]:
        """The names that have, or had, a handler."""
        return list(self._handlers)

    def add_schedules(self, schedules: Iterable[ScheduleRecord]) -> None:
        """Declare schedules for as long as the runtime lives."""
        with self._lock:
            self._schedules.update((schedule.id, schedule) for schedule in schedules)

    def remove_schedule(self, schedule_id: str) -> ScheduleRecord | None:
        """The schedule that is gone; None when there was none."""
        with self._lock:
            return self._schedules.pop(schedule_id, None)

    def schedules(self) -> list[ScheduleRecord]:
        """Every declared schedule."""
        return list(self._schedules.values())

    def schedule(self, schedule_id: str) -> ScheduleRecord | None:
        """One declared schedule, if it is."""
        return self._schedules.get(schedule_id)
