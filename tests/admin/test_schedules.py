"""Pictures of schedules: nothing but what a store keeps is needed to make them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from lamplighter.admin import schedule_views
from lamplighter.admin.schedule_views import coming_slots
from lamplighter.admin.schedules import EXPLAINED_SLOTS_MAX, explain, picture
from lamplighter.messages.schedules import ScheduleRecord, SlotEntry
from lamplighter.stores.ports import Slots

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
HOUR = 3600.0


def schedule(**changed: object) -> ScheduleRecord:
    record = ScheduleRecord(
        id="s1",
        name="report",
        when="0 * * * *",
        data='{"to":"ada"}',
        timezone="UTC",
        dst_gap="run_after",
        dst_fold="first",
        catch_up="latest",
        catch_up_window=86400.0,
        catch_up_max=100,
        overlap="allow",
        jitter=0.0,
        durable=1,
        paused=0,
        accounted_to=MIDNIGHT,
        changed_at=MIDNIGHT - 100 * HOUR,
        last_slot=None,
    )
    return record._replace(**changed)  # type: ignore[arg-type]


def fired(slot: float) -> SlotEntry:
    return SlotEntry(schedule_id="s1", slot=slot, last=slot, count=1, outcome="fired", reason=None, job_id=f"s1-{slot}")


def test_the_next_slot_is_the_first_that_is_neither_accounted_for_nor_past():
    assert picture(schedule(), MIDNIGHT + 2.5 * HOUR).next_slot == datetime(2026, 3, 1, 3, tzinfo=UTC)
    assert picture(schedule(), MIDNIGHT - HOUR).next_slot == datetime(2026, 3, 1, 1, tzinfo=UTC)


def test_slots_that_are_stored_and_slots_to_come_are_told_in_one_order():
    kept = Slots([fired(MIDNIGHT - HOUR), fired(MIDNIGHT)], since=0.0)

    told = explain(schedule(), kept, MIDNIGHT - HOUR, MIDNIGHT + 2 * HOUR, now=MIDNIGHT + 60)

    assert [(story.slot.hour, story.outcome) for story in told] == [(23, "fired"), (0, "fired"), (1, "due")]


@pytest.mark.parametrize("paused", [0, 1])
def test_a_slot_to_come_of_a_paused_schedule_says_so(paused):
    told = explain(schedule(paused=paused), Slots([], since=0.0), MIDNIGHT + 1, MIDNIGHT + 2 * HOUR, now=MIDNIGHT)

    assert [(story.outcome, story.reason) for story in told] == [("due", "paused" if paused else None)]


def test_what_was_accounted_for_and_is_not_remembered_is_one_range():
    told = explain(schedule(), Slots([], since=MIDNIGHT), MIDNIGHT - 5 * HOUR, MIDNIGHT + 1, now=MIDNIGHT)

    assert [(story.outcome, story.count) for story in told] == [("unknown", 6)]


def test_no_more_slots_are_told_than_anybody_reads():
    told = explain(schedule(when="* * * * * *"), Slots([], since=0.0), MIDNIGHT, MIDNIGHT + 5 * HOUR, now=MIDNIGHT)

    assert len(told) == EXPLAINED_SLOTS_MAX


def test_the_next_slots_of_several_schedules_come_in_order_and_of_those_that_fire():
    hourly, half_past = schedule(id="a"), schedule(id="b", key="half", when="30 * * * *")
    silent = [schedule(id="c", paused=1), schedule(id="d", timezone="No/Where"), schedule(id="e", durable=0)]

    told = coming_slots(
        [(hourly, ()), (half_past, ()), *((one, ()) for one in silent), (schedule(id="f", durable=0), None)],
        MIDNIGHT,
        5,
    )

    assert [(one.schedule, one.key, (one.slot.at - MIDNIGHT) / HOUR) for one in told] == [
        ("b", "half", 0.5),
        ("a", None, 1.0),
        ("f", None, 1.0),
        ("b", "half", 1.5),
        ("a", None, 2.0),
    ]


def test_schedules_are_asked_for_no_more_slots_than_are_told(monkeypatch):
    """The tenth slot of a schedule that fires once a year lies ten years ahead, and there may be hundreds of them."""
    made: list[object] = []
    slot_of = schedule_views.NextSlot
    monkeypatch.setattr(schedule_views, "NextSlot", lambda **fields: made.append(fields) or slot_of(**fields))
    yearly = [(schedule(id=f"s{number:02}", when="0 0 1 1 *"), ()) for number in range(50)]

    told = coming_slots(yearly, MIDNIGHT, 10)

    assert [one.schedule for one in told] == [f"s{number:02}" for number in range(10)]
    assert len(made) <= 50 + 10
