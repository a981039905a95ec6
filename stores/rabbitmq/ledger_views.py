"""What is read, outside of turns, of the state that all runtimes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import nsmallest

from ...messages.boots import BootRecord
from ...messages.jobs import Instant
from ...messages.schedules import ScheduleRecord
from ..ports import Slots
from . import ledger_records as records
from .shared_state import SharedState
from .state import RabbitState


class LedgerSchedules:
    """The `ScheduleReader` of a RabbitMQ.

    Args:
        check_open: raises if nothing can be known.
    """

    def __init__(self, shared: SharedState, check_open: Callable[[], object]) -> None:
        self._shared = shared
        self._check_open = check_open

    def all(self) -> Sequence[ScheduleRecord]:
        self._check_open()
        return list(self._shared.schedules.values())

    def some(self, name: str | None, after: str, limit: int) -> Sequence[ScheduleRecord]:
        self._check_open()
        wanted = (one for one in list(self._shared.schedules.values()) if name is None or one.name == name)
        return nsmallest(limit, (one for one in wanted if one.id > after), key=lambda one: one.id)

    def one(self, schedule_id: str) -> ScheduleRecord | None:
        return self._shared.schedules.get(schedule_id)

    def changed(self, since: int, limit: int) -> Sequence[ScheduleRecord]:
        return self._shared.changed_since(since, limit)

    def slots(self, schedule_id: str, start: Instant, end: Instant) -> Slots:
        return Slots(self._shared.slots.between(schedule_id, start, end), self._shared.slots.since(schedule_id))


class LedgerPeers:
    """The `Peers` of a RabbitMQ."""

    def __init__(self, state: RabbitState) -> None:
        self._state = state

    def is_declared(self, schedule_id: str) -> bool:
        return self._state.shared.is_declared(schedule_id, beside=self._state.runtime_id)

    def boots(self) -> Sequence[BootRecord]:
        shared = self._state.shared
        return [records.boot_of(row, shared.handled.get(runtime, ())) for runtime, row in list(shared.boots.items())]

    def is_handled(self, name: str) -> bool:
        return self._state.shared.is_handled(name)
