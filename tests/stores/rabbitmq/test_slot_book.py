"""A runtime on RabbitMQ says of a slot what became of it, or that it does not know: never that nothing became of it."""

from __future__ import annotations

from typing import Any

import pytest
from lamplighter.messages.schedules import SlotEntry
from lamplighter.stores.rabbitmq.slot_book import SLOTS_KEPT_MAX, SlotBook

from support.conformance.kit import NOW as NOW_OF_KIT
from support.conformance.kit import a_schedule

NOW = NOW_OF_KIT - NOW_OF_KIT % 60
"""A whole minute."""


def entry(slot: float, **changes: Any) -> SlotEntry:
    fields = {"last": slot, "count": 1, "outcome": "fired", "reason": None, "job_id": f"job-{slot:g}"}
    return SlotEntry(schedule_id="s", slot=slot, **{**fields, **changes})


def skipped(slot: float, last: float, count: int, reason: str = "paused") -> SlotEntry:
    return entry(slot, last=last, count=count, outcome="skipped", reason=reason, job_id=None)


def book(*entries: SlotEntry, since: float = 0.0) -> SlotBook:
    made = SlotBook()
    made.know_since("s", since)
    for one in entries:
        made.keep(one)
    return made


def slots(of: SlotBook) -> list[float]:
    return [one.slot for one in of.between("s", 0.0, 1e9)]


@pytest.mark.parametrize(
    ("since", "known_to", "kept", "knows_since"),
    [(25.0, 30.0, [10.0, 20.0, 40.0], 0.0), (30.0, 30.0, [10.0, 20.0, 40.0], 0.0), (35.0, 30.0, [40.0], 35.0)],
)
def test_what_lies_before_a_gap_between_two_books_is_not_known_any_more(
    since: float, known_to: float, kept: list[float], knows_since: float
) -> None:
    mine, theirs = book(entry(10.0), entry(20.0)), book(entry(40.0), since=since)

    mine.join("s", *theirs.newest("s"), known_to)

    assert (slots(mine), mine.since("s")) == (kept, knows_since)


def test_a_full_book_forgets_the_oldest_and_knows_since_when_it_is_whole() -> None:
    full = book(*(entry(float(number)) for number in range(1, SLOTS_KEPT_MAX + 1)))
    before = full.since("s")

    full.keep(entry(SLOTS_KEPT_MAX + 1.0))

    assert (before, full.since("s")) == (0.0, 1.0)
    assert slots(full) == [float(number) for number in range(2, SLOTS_KEPT_MAX + 2)]
    assert [slot for slot in range(SLOTS_KEPT_MAX + 3) if full.find("s", slot)] == slots(full)
    joined = book()
    joined.join("s", full.between("s", 0.0, 1e9), 1.0, 1.0)
    joined.join("s", [entry(SLOTS_KEPT_MAX + 2.0)], 1.0, 1.0)
    assert (slots(joined)[0], len(slots(joined)), joined.since("s")) == (3.0, SLOTS_KEPT_MAX, 2.0)
    some, since = full.newest("s", 2)
    assert ([one.slot for one in some], since) == ([SLOTS_KEPT_MAX, SLOTS_KEPT_MAX + 1.0], SLOTS_KEPT_MAX - 1.0)


def test_skipped_slots_join_those_before_for_the_same_reason_alone() -> None:
    made = book(skipped(10.0, 30.0, 3), skipped(40.0, 50.0, 2), skipped(60.0, 60.0, 1, "late"), entry(70.0))

    found = [(one.slot, one.last, one.count, one.outcome) for one in made.between("s", 0.0, 100.0)]

    assert found == [(10.0, 50.0, 5, "skipped"), (60.0, 60.0, 1, "skipped"), (70.0, 70.0, 1, "fired")]
    assert made.skipped("s", 50.0) is not None
    assert (made.skipped("s", 55.0), made.skipped("s", 70.0), made.skipped("s", 5.0)) == (None, None, None)


def test_old_entries_are_dropped_once_their_last_slot_is_old() -> None:
    made = book(skipped(10.0, 30.0, 3), entry(40.0))

    assert (made.forget("s", 30.0), slots(made)) == (0, [10.0, 40.0])
    assert (made.forget("s", 31.0), slots(made), made.since("s")) == (1, [40.0], 30.0)
    assert (made.forget("s", 50.0), list(made)) == (1, [])


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (0.0, 10.0, []),
        (0.0, 10.5, [10.0]),
        (10.0, 20.0, [10.0]),
        (10.5, 20.0, []),
        (30.0, 40.0, [20.0]),
        (40.0, 50.0, [20.0]),
        (40.5, 50.0, []),
        (10.0, 50.5, [10.0, 20.0, 50.0]),
    ],
)
def test_entries_are_found_that_touch_a_stretch_of_time(start: float, end: float, found: list[float]) -> None:
    made = book(entry(10.0), skipped(20.0, 40.0, 3), entry(50.0))

    assert [one.slot for one in made.between("s", start, end)] == found


def test_a_slot_is_found_where_it_fired_or_within_what_was_skipped_and_nowhere_else() -> None:
    made = book(entry(10.0), skipped(20.0, 40.0, 3), entry(50.0))
    asked = [5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 45.0, 50.0, 55.0]

    assert [slot for slot in asked if made.find("s", slot) is not None] == [10.0, 20.0, 50.0]
    assert [slot for slot in asked if made.skipped("s", slot) is not None] == [20.0, 30.0, 40.0]
    assert made.find("other", 10.0) is made.skipped("other", 20.0) is None


@pytest.mark.parametrize(
    ("now", "left", "newest"),
    [
        (NOW + 30.0, [(NOW, 1), (NOW + 240, 1)], NOW),
        (NOW + 60.0, [(NOW, 1), (NOW + 60, 1), (NOW + 240, 1)], NOW),
        (NOW + 150.0, [(NOW, 1), (NOW + 60, 2), (NOW + 240, 1)], NOW),
        (NOW + 240.0, [(NOW, 1), (NOW + 60, 3), (NOW + 240, 1)], NOW + 240),
        (NOW - 1.0, [(NOW, 1), (NOW + 240, 1)], None),
    ],
)
def test_after_a_clock_was_set_back_slots_ahead_are_not_skipped_and_fired_ones_are(
    now: float, left: list[tuple[float, int]], newest: float | None
) -> None:
    made = book(entry(NOW), skipped(NOW + 60, NOW + 180, 3), entry(NOW + 240))

    assert made.take_back(a_schedule(when="* * * * *"), now) == newest
    assert [(one.slot, one.count) for one in made.between("s", 0.0, 1e12)] == left


@pytest.mark.parametrize(("last_slot", "newest"), [(NOW - 60, NOW - 60), (NOW, NOW), (NOW + 60, None), (None, None)])
def test_the_last_slot_that_the_book_has_forgotten_is_the_last_if_it_is_past(
    last_slot: float | None, newest: float | None
) -> None:
    assert SlotBook().take_back(a_schedule(last_slot=last_slot), NOW) == newest
