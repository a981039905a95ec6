"""Reads, outside of turns, of the state that all runtimes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from heapq import nsmallest

from ...messages.boots import BootRecord
from ...messages.jobs import Instant
from ...messages.schedules import ScheduleRecord
from ..ports import Slots
from . import ledger_records as records
from .ledger_records import UnreadableRecord
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


def leader_in(found: Sequence[bytes]) -> str:
    """Who leads, by what the leader has said of itself last."""
    try:
        said = records.parse(found[-1]) if found else {}
        boot = records.boot_of(records.field(said, "boot", records.MAPS), ())
        at = datetime.fromtimestamp(records.field(said, "at", records.NUMBER), UTC)
    except (UnreadableRecord, ValueError, OverflowError, OSError):
        return "the runtime that leads, which has not said who it is,"
    return (
        f"the runtime that leads (boot {boot.boot} on host {boot.host}, process {boot.pid}, which was last heard of at "
        f"{at:%Y-%m-%dT%H:%M:%SZ} by its clock)"
    )
