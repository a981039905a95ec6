"""All of a store, read some at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lamplighter.admin.exporting import (
    READ_AT_ONCE,
    SLOTS_SECONDS,
    TALLIES_AT_ONCE,
    all_jobs,
    all_slots,
    all_tallies,
)
from lamplighter.messages.jobs import JobState, NewJob
from lamplighter.messages.queries import JobQuery
from lamplighter.messages.schedules import ScheduleRecord, SlotEntry, SlotRange
from lamplighter.messages.tallies import EVER, HOUR, MINUTE, Tally, start_of
from lamplighter.stores.sqlite.store import SqliteStore

NOW = 1_800_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with contextlib.closing(SqliteStore(str(tmp_path / "jobs.db"))) as made:
        made.open()
        yield made


def insert(store: SqliteStore, count: int, name: str = "work") -> None:
    with store.turn("b", NOW) as turn:
        ids = [f"{name}{number}" for number in range(count)]
        turn.jobs.insert([NewJob(one, name, '{"secret":1}', 0, NOW, NOW, one) for one in ids])


class Watched:
    """A store of which is counted how often somebody looks, and how much they get."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.address, self.path = store.address, store.path
        self.looks = 0
        self.are_open = 0

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Any]:
        self.looks += 1
        self.are_open += 1
        with self._store.snapshot() as seen:
            yield seen
        self.are_open -= 1


def test_all_jobs_come_once_some_at_a_time_and_nothing_is_held_between(store):
    insert(store, 2 * READ_AT_ONCE + 1)
    watched = Watched(store)

    jobs = all_jobs(watched, JobQuery(), shows_data=False)
    first = next(jobs)
    after_one = (watched.looks, watched.are_open)
    rest = list(jobs)

    assert [first.id, *(job.id for job in rest)] == [f"work{n}" for n in reversed(range(2 * READ_AT_ONCE + 1))]
    assert after_one == (1, 0)
    assert 3 <= watched.looks <= 4


def test_jobs_that_match_are_all_there_however_few_they_are_among_others(store):
    insert(store, READ_AT_ONCE)
    insert(store, READ_AT_ONCE + 5, "other")
    insert(store, READ_AT_ONCE)

    found = list(all_jobs(store, JobQuery(names=("other",), states=(JobState.QUEUED,)), shows_data=True))

    assert len({job.id for job in found}) == len(found) == READ_AT_ONCE + 5
    assert found[0].data.value == {"secret": 1}
    assert not next(all_jobs(store, JobQuery(), shows_data=False)).data.is_shown


def test_jobs_that_are_queued_meanwhile_are_none_that_come_twice(store):
    insert(store, READ_AT_ONCE + 10)
    jobs = all_jobs(store, JobQuery(), shows_data=False)

    seen = [next(jobs).id]
    insert(store, 7, "later")
    seen += [job.id for job in jobs]

    assert sorted(seen) == sorted(f"work{n}" for n in range(READ_AT_ONCE + 10))


def a_schedule(schedule_id: str) -> ScheduleRecord:
    start = NOW - 10 * SLOTS_SECONDS
    return ScheduleRecord(
        schedule_id,
        "work",
        "@every 60s",
        "null",
        "UTC",
        "skip",
        "first",
        "skip",
        0.0,
        1,
        "allow",
        0.0,
        1,
        0,
        start,
        start,
        None,
    )


def test_every_slot_comes_once_also_a_range_that_spans_two_reads(store):
    with store.turn("b", NOW) as turn:
        assert turn.schedules is not None
        turn.schedules.declare([a_schedule("s1"), a_schedule("s2")])
        start = NOW - 2 * SLOTS_SECONDS
        turn.schedules.skip("s1", SlotRange(first=start + 60, last=NOW - 120, count=700, reason="paused"))
        turn.schedules.fire(
            SlotEntry(schedule_id="s1", slot=NOW - 60, last=NOW - 60, count=1, outcome="fired", reason=None, job_id="j")
        )
        turn.schedules.fire(
            SlotEntry(schedule_id="s2", slot=NOW - 60, last=NOW - 60, count=1, outcome="fired", reason=None, job_id="k")
        )

    rows = [(one.schedule, one.outcome, one.count, one.job_id) for one in all_slots(store, None, start, NOW)]

    assert rows == [("s1", "skipped", 700, None), ("s1", "fired", 1, "j"), ("s2", "fired", 1, "k")]
    assert [one.job_id for one in all_slots(store, "s2", start, NOW)] == ["k"]
    assert [one.outcome for one in all_slots(store, "s1", NOW - SLOTS_SECONDS, NOW - 90)] == ["skipped"]
    assert list(all_slots(store, "none", start, NOW)) == []


def fire(store: SqliteStore, schedule_id: str, *slots: float) -> None:
    with store.turn("b", NOW) as turn:
        assert turn.schedules is not None
        for slot in slots:
            job_id = f"{schedule_id}-{slot}"
            turn.schedules.fire(
                SlotEntry(
                    schedule_id=schedule_id, slot=slot, last=slot, count=1, outcome="fired", reason=None, job_id=job_id
                )
            )


def test_a_slot_comes_once_where_one_read_ends_and_the_next_begins(store):
    start = NOW - 3 * SLOTS_SECONDS
    edges = [start + number * SLOTS_SECONDS for number in range(3)]
    slots = sorted(slot for edge in edges for slot in (edge, edge + 1, edge + SLOTS_SECONDS - 1))
    with store.turn("b", NOW) as turn:
        assert turn.schedules is not None
        turn.schedules.declare([a_schedule("s")])
    fire(store, "s", *slots, NOW)

    assert [one.slot for one in all_slots(store, None, start, NOW)] == slots


@pytest.mark.parametrize("count", [READ_AT_ONCE, READ_AT_ONCE + 1])
def test_the_slots_of_all_schedules_come_where_one_read_is_full(store, count):
    ids = [f"s{number:04}" for number in range(count)]
    with store.turn("b", NOW) as turn:
        assert turn.schedules is not None
        turn.schedules.declare([a_schedule(one) for one in ids])
    for one in (ids[0], ids[-1]):
        fire(store, one, NOW - 60)

    assert [one.schedule for one in all_slots(store, None, NOW - 120, NOW)] == [ids[0], ids[-1]]


@pytest.mark.parametrize("span", [MINUTE, HOUR])
def test_every_tally_of_a_span_of_time_comes_once_and_in_order(store, span):
    count = 2 * TALLIES_AT_ONCE + 3
    starts = [start_of(span, NOW) - span * number for number in reversed(range(count))]
    with store.turn("b", NOW) as turn:
        assert turn.tallies is not None
        turn.tallies.add([Tally(span, at, "work", "done", 1) for at in starts])
        turn.tallies.add([Tally(EVER, 0, "work", "done", count)])

    for since in (starts[0], starts[0] + 1, NOW - span * (count - 1)):
        assert [one.start for one in all_tallies(store, span, since, NOW, None)] == starts
    assert [one.start for one in all_tallies(store, span, starts[5], NOW, "work")] == starts[5:]
    assert [one.n for one in all_tallies(store, EVER, starts[0], NOW, None)] == [count]
    assert list(all_tallies(store, span, starts[0], NOW, "other")) == []
