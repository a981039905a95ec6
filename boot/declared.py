"""The handlers and schedules that the application has declared, and a boot's selection of them. Declarations belong to
the runtime, and outlive its boots.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import UsageError, alike, shown
from ..handlers.handler import Handler
from ..messages.boots import BootKind
from ..messages.schedules import ScheduleRecord
from ..rules.limits import RestartBudget
from ..rules.validation import check_bool, check_iterable, check_name
from ..stores.ports import Peers


class Declared:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handlers: dict[str, tuple[Handler, ...]] = {}
        self._schedules: dict[str, ScheduleRecord] = {}
        self.budgets: dict[str, RestartBudget] = {}
        self.names_warned_of: set[str] = set()
        """Names warned about once because their handlers cannot take some data."""

    def add_handler(self, handler: Handler) -> None:
        with self._lock:
            if handler.restart is not None:
                self.budgets[handler.name] = handler.restart
            self._handlers[handler.name] = (*self._handlers.get(handler.name, ()), handler)

    def remove_handler(self, handler_id: str) -> Handler | None:
        """Return the removed handler; None when there was none."""
        with self._lock:
            for name, handlers in self._handlers.items():
                for handler in handlers:
                    if handler.id == handler_id:
                        self._handlers[name] = tuple(one for one in handlers if one is not handler)
                        return handler
        return None

    def handlers(self, name: str) -> Sequence[Handler]:
        return self._handlers.get(name, ())

    def names(self) -> list[str]:
        """The names that have, or had, a handler."""
        return list(self._handlers)

    def misfit(self, name: str, text: str) -> str | None:
        """Why no handler of a declared name can take some data, as JSON text; None if one can, or if there is no
        handler. Only a warning: the code of another process may be of another version.
        """
        why = None
        for handler in self._handlers.get(name, ()):
            if handler.types.wanted is None or handler.types.upcast is not None:
                return None
            try:
                handler.types.check(text)
                return None
            except UsageError as error:
                why = str(error)
            except Exception as error:
                # A payload's own check may need something that only the handler's process has.
                why = f"expected data that fits its handler, whose own check raised {type(error).__name__}"
        return why

    def add_schedules(self, schedules: Iterable[ScheduleRecord]) -> None:
        with self._lock:
            self._schedules.update((schedule.id, schedule) for schedule in schedules)

    @contextmanager
    def declaring(self, schedules: Sequence[ScheduleRecord]) -> Iterator[None]:
        """Declare schedules, and undo that if the block raises."""
        before = [self._schedules.get(schedule.id) for schedule in schedules]
        self.add_schedules(schedules)
        try:
            yield
        except BaseException:
            for schedule in schedules:
                self.remove_schedule(schedule.id)
            self.add_schedules(schedule for schedule in before if schedule is not None)
            raise

    def remove_schedule(self, schedule_id: str) -> ScheduleRecord | None:
        """Return the removed schedule; None when there was none."""
        with self._lock:
            return self._schedules.pop(schedule_id, None)

    def schedules(self) -> list[ScheduleRecord]:
        return list(self._schedules.values())

    def schedule(self, schedule_id: str) -> ScheduleRecord | None:
        return self._schedules.get(schedule_id)


@dataclass(eq=False)
class HandlerSelection:
    """The declarations that one boot takes on: all, the jobs of some names and every schedule, or none (a producer,
    which only queues and uses the APIs).

    Args:
        works: whether it takes on anything.
        only: the names whose jobs it runs; None for all, also for those that are declared later.
    """

    declared: Declared
    works: bool = True
    only: frozenset[str] | None = None

    @property
    def kind(self) -> BootKind:
        return "worker" if self.works else "producer"

    def takes(self, name: str) -> bool:
        return self.works and (self.only is None or name in self.only)

    def names(self) -> list[str]:
        return [name for name in self.declared.names() if self.takes(name)]

    def handlers(self, name: str) -> Sequence[Handler]:
        is_taken = self.works and (self.only is None or name in self.only)
        return self.declared.handlers(name) if is_taken else ()

    def is_handled(self, peers: Peers | None, name: str) -> bool:
        """Whether there is a handler here, or at a peer that the store lists."""
        return bool(self.handlers(name)) or (peers is not None and peers.is_handled(name))

    def all_handlers(self) -> list[Handler]:
        return [handler for name in self.names() for handler in self.handlers(name)]

    def budget(self, name: str) -> RestartBudget | None:
        return self.declared.budgets.get(name)

    def schedules(self) -> list[ScheduleRecord]:
        return self.declared.schedules() if self.works else []

    def schedule(self, schedule_id: str) -> ScheduleRecord | None:
        return self.declared.schedule(schedule_id) if self.works else None


def check_share(declared: Declared, work: bool, only: Collection[str] | None) -> HandlerSelection:
    """The selection that `start(work=, only=)` asks for. Raises a UsageError if it is invalid."""
    works = check_bool(work, "work")
    if only is None:
        return HandlerSelection(declared, works=works)
    if not works:
        raise UsageError("expected only= without work=False: a runtime that does not work takes no jobs of any name")
    if isinstance(only, (str, bytes)):
        raise UsageError(f"expected only to be a list of names, got: {shown(only)}")
    names = [check_name(name, "only") for name in check_iterable(only, "only", "a list of names")]
    if not names:
        raise UsageError("expected only to be one name or more; a runtime that runs no jobs is start(work=False)")
    known = [name for name in declared.names() if declared.handlers(name)]
    for name in names:
        if name not in known:
            close = alike(name, known, most=3)
            said = (
                f"did you mean {' or '.join(map(repr, close))}?"
                if close
                else f"there are: {', '.join(known) or 'none'}"
            )
            raise UsageError(f"expected only to be names that have a handler here, got: {shown(name)}; {said}")
    return HandlerSelection(declared, only=frozenset(names))
