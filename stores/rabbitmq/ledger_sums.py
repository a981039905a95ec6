"""The shared state in parts: no message grows with the number of schedules, only the number of messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from heapq import nsmallest
from itertools import chain, groupby
from typing import Any

from ...messages.jobs import Instant
from ...messages.schedules import ScheduleRecord
from ..ports import Slots
from . import ledger_records as records
from .ledger_records import Record, UnreadableRecord
from .shared_state import BUCKETS, SKEW_SECONDS_MAX, SharedState, bucket_of


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


SLOTS_TOLD_MAX = 200
"""The most slots of each part whose fate a later start knows."""


def parts(shared: SharedState, buckets: Iterable[int], now: Instant) -> list[Record]:
    made: dict[int, Record] = {one: {"is": "part", "bucket": one, "records": []} for one in sorted(buckets)}
    for key, record in _records(shared, made.keys(), now):
        made[bucket_of(key)]["records"].append(record)
    return list(made.values())


def all_parts(shared: SharedState, now: Instant) -> list[Record]:
    return [part for part in parts(shared, range(BUCKETS), now) if part["records"]]


def _records(shared: SharedState, buckets: Collection[int], now: Instant) -> Iterator[tuple[str, Record]]:
    """The records whose sum is the shared state, each with the key of its bucket, in an order that readers can add."""

    def among(keys: Iterable[str]) -> Iterator[str]:
        return (key for key in keys if bucket_of(key) in buckets)

    if shared.store_id is not None and bucket_of("") in buckets:
        yield "", {"is": "store", "id": shared.store_id}
    for runtime, declared in shared.runtimes.items():
        for _, ids in groupby(sorted(among(declared), key=bucket_of), bucket_of):
            together = list(ids)
            yield together[0], records.declares(runtime, together)
    for runtime in among(shared.handled):
        yield runtime, records.handles(runtime, shared.handled[runtime])
    for runtime in among(shared.boots):
        yield runtime, {"is": "boot", "runtime": runtime, "boot": shared.boots[runtime]}
    for name in among(shared.names):
        yield name, {"is": "name", "name": name}
    for boot in among(shared.acts):
        yield boot, records.act_begins(shared.acts[boot])
    sharing = Counter(map(bucket_of, shared.slots))
    for schedule_id in among(shared.schedules):
        unknown = shared.unknown.get(schedule_id)
        yield schedule_id, records.schedule_record(shared.schedules[schedule_id], unknown)
        most = max(1, SLOTS_TOLD_MAX // max(1, sharing[bucket_of(schedule_id)]))
        entries, since = shared.slots.newest(schedule_id, most)
        for entry in entries:
            yield schedule_id, {"is": "slot", "slot": records.slot_row(entry)}
        if entries or since:
            yield schedule_id, {"is": "slots since", "id": schedule_id, "since": since}
    for schedule_id in among(shared.retired):
        yield schedule_id, records.retracts("", schedule_id)
    for name in among(sorted(shared.pauses)):
        if shared.pauses[name].is_paused(now - SKEW_SECONDS_MAX):
            yield name, records.pauses(shared.pauses[name], paused=True)
    for job_id in among(shared.marks):
        for at in shared.fresh_marks(job_id, now):
            yield job_id, {"is": "began", "id": job_id, "at": at}


def has_store_id(record: Record) -> bool:
    return record["is"] == "store" or any(isinstance(one, dict) and one.get("is") == "store" for one in _in(record))


def load(shared: SharedState, told: Iterable[Record]) -> list[str]:
    fresh, troubles = SharedState(), list[str]()
    for record in chain.from_iterable(map(_in, told)):
        try:
            fresh.add(records.checked(record))
        except UnreadableRecord as error:
            troubles.append(str(error))
    shared.become(fresh)
    return troubles


def _in(part: Record) -> list[Any]:
    found = part.get("records")
    return found if isinstance(found, list) else []
