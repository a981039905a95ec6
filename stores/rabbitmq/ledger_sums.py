"""The shared state in parts: no message grows with the number of schedules, only the number of messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from heapq import nsmallest
from typing import Any

from ...messages.boots import BootRecord
from ...messages.jobs import Instant
from ...messages.schedules import ScheduleRecord
from ..ports import Slots
from . import ledger_records as records
from .ledger_records import LISTS, MAPS, Record, UnreadableRecord
from .shared_state import BUCKETS, SKEW_SECONDS_MAX, SharedState, bucket_of
from .state import RabbitState


class LedgerSchedules:
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


SLOTS_TOLD_MAX = 200
"""The most slots of each part whose fate a later start knows."""


def parts(shared: SharedState, buckets: Iterable[int], now: Instant) -> list[Record]:
    made: dict[int, Record] = {
        bucket: {
            "is": "part",
            "bucket": bucket,
            "schedules": [],
            "declared": {},
            "handled": {},
            "boots": {},
            "acts": {},
            "names": [],
            "slots": {},
            "retired": [],
            "pauses": [],
            "pauses of": {},
            "marks": {},
        }
        for bucket in sorted(buckets)
    }
    sharing = Counter(bucket_of(schedule_id) for schedule_id in shared.slots)
    for schedule in shared.schedules.values():
        bucket = bucket_of(schedule.id)
        if bucket in made:
            unknown = shared.unknown.get(schedule.id)
            made[bucket]["schedules"].append(records.schedule_row(schedule, unknown))
            if schedule.id in shared.retired:
                made[bucket]["retired"].append(schedule.id)
            entries, since = shared.slots.newest(schedule.id, max(1, SLOTS_TOLD_MAX // max(1, sharing[bucket])))
            if entries or since:
                rows = [records.slot_row(entry) for entry in entries]
                made[bucket]["slots"][schedule.id] = {"since": since, "entries": rows}
    for runtime, declared in shared.runtimes.items():
        for schedule_id in declared:
            if (bucket := bucket_of(schedule_id)) in made:
                made[bucket]["declared"].setdefault(runtime, []).append(schedule_id)
    for runtime, names in shared.handled.items():
        if (bucket := bucket_of(runtime)) in made:
            made[bucket]["handled"][runtime] = names
    for runtime, boot in shared.boots.items():
        if (bucket := bucket_of(runtime)) in made:
            made[bucket]["boots"][runtime] = boot
    for name in shared.names:
        if (bucket := bucket_of(name)) in made:
            made[bucket]["names"].append(name)
    for name, act in shared.acts.items():
        if (bucket := bucket_of(name)) in made:
            made[bucket]["acts"].setdefault(act.runtime, []).append(records.act_row(act))
    for name, pause in sorted(shared.pauses.items()):
        if (bucket := bucket_of(name)) in made and pause.is_paused(now - SKEW_SECONDS_MAX):
            made[bucket]["pauses"].append(name)
            made[bucket]["pauses of"][name] = records.pause_row(pause)
    for job_id in shared.marks:
        if (bucket := bucket_of(job_id)) in made and (marks := shared.fresh_marks(job_id, now)):
            made[bucket]["marks"][job_id] = marks
    if shared.store_id is not None and (own := made.get(bucket_of(""))) is not None:
        own["store"] = shared.store_id
    return list(made.values())


def all_parts(shared: SharedState, now: Instant) -> list[Record]:
    return [part for part in parts(shared, range(BUCKETS), now) if any(part[name] for name in part.keys() - _LABELS)]


def load(shared: SharedState, told: Iterable[Record]) -> list[str]:
    fresh, troubles = SharedState(), list[str]()
    for part in told:
        try:
            for read in _records_of(part):
                try:
                    fresh.add(read)
                except UnreadableRecord as error:
                    troubles.append(str(error))
            _take_since(fresh, part)
        except UnreadableRecord as error:
            troubles.append(str(error))
    shared.become(fresh)
    return troubles


_LABELS = frozenset(("is", "bucket"))


def _records_of(part: Record) -> Iterator[Record]:
    if "store" in part:
        yield {"is": "store", "id": part["store"]}
    for runtime, ids in _section(part, "declared", MAPS).items():
        yield {"is": "declares", "runtime": runtime, "ids": ids}
    for runtime, names in _section(part, "handled", MAPS).items():
        yield records.handles(runtime, names)
    for runtime, boot in _section(part, "boots", MAPS).items():
        yield {"is": "boot", "runtime": runtime, "boot": boot}
    for name in _section(part, "names", LISTS):
        yield {"is": "name", "name": name}
    acts = _section(part, "acts", MAPS)
    for runtime in acts:
        for row in records.field(acts, runtime, LISTS):
            yield {"is": "act", "runtime": runtime, "act": row}
    for row in _section(part, "schedules", LISTS):
        yield {"is": "schedule", "schedule": row}
    yield {"is": "retracts", "runtime": "", "ids": _section(part, "retired", LISTS)}
    for slots in _section(part, "slots", MAPS).values():
        for row in records.field(slots, "entries", LISTS):
            yield {"is": "slot", "slot": row}
    about = _section(part, "pauses of", MAPS)
    for name in _section(part, "pauses", LISTS):
        # An older version wrote names of pauses without details.
        more = {"about": about[name]} if isinstance(name, str) and name in about else {}
        yield {"is": "pause", "name": name, "paused": 1, **more}
    marks = _section(part, "marks", MAPS)
    for job_id in marks:
        for at in records.field(marks, job_id, LISTS):
            yield {"is": "began", "id": job_id, "at": at}


def _section(part: Record, name: str, kinds: tuple[type, ...]) -> Any:
    return records.field(part, name, kinds) if name in part else kinds[0]()


def _take_since(fresh: SharedState, part: Record) -> None:
    for schedule_id, slots in _section(part, "slots", MAPS).items():
        fresh.slots.know_since(schedule_id, records.field(slots, "since", records.NUMBER))
