"""What all runtimes on a RabbitMQ know together: what a record changes, and what a later start is told of it."""

from __future__ import annotations

from typing import Any

import pytest
from lamplighter.messages.names import PauseRecord
from lamplighter.messages.schedules import SlotEntry
from lamplighter.stores.rabbitmq import ledger_records as records
from lamplighter.stores.rabbitmq.ledger_records import OperatorAct, Record
from lamplighter.stores.rabbitmq.ledger_sums import all_parts, load, parts
from lamplighter.stores.rabbitmq.shared_state import BUCKETS, SKEW_SECONDS_MAX, SharedState

from support.conformance.kit import NOW, a_boot, a_schedule

AHEAD = NOW + 2 * SKEW_SECONDS_MAX
SLOT = SlotEntry(schedule_id="s", slot=NOW, last=NOW, count=1, outcome="fired", reason=None, job_id="j")
PAUSE = PauseRecord("work", since=NOW)


def schedule(schedule_id: str, tenant: int | None = None, **changes: object) -> Record:
    """A schedule as a record, perhaps with a field of a newer version."""
    beside = {} if tenant is None else {"tenant": tenant}
    return records.schedule_record(a_schedule(id=schedule_id, **changes), beside)


def act(boot: str, runtime: str) -> Record:
    return records.act_begins(OperatorAct(runtime, a_boot(boot)))


STORY: tuple[Record, ...] = (
    {"is": "store", "id": "the store"},
    schedule("s", tenant=7),
    records.retracts("first", "s"),
    schedule("s", tenant=7, when="@daily"),
    records.retracts("first", "s"),
    schedule("t", durable=0),
    records.declares("first", ["t", "u"]),
    records.declares("second", ["t"]),
    records.handles("first", ["work"]),
    records.handles("first", ["work", "mail"]),
    records.is_boot("first", a_boot("b1")),
    records.is_boot("second", a_boot("b2")),
    {"is": "name", "name": "work"},
    act("b3", "operator"),
    {"is": "act done", "boot": "b3"},
    {"is": "act told", "boot": "b3"},
    act("b4", "first"),
    {"is": "account", "id": "s", "to": NOW + 60, "last": None},
    {"is": "account", "id": "s", "to": AHEAD, "last": NOW},
    {"is": "recount", "to": NOW},
    {"is": "slot", "slot": records.slot_row(SLOT)},
    records.pauses(PAUSE, paused=True),
    records.pauses(PAUSE, paused=False),
    records.begins("j1", NOW, "b1"),
    records.begins("j2", NOW, "b1"),
    records.excuses("j1", NOW),
    {"is": "ended", "id": "j2"},
    records.retracts("second", "t"),
    records.retracts("first", "t"),
    {"is": "runtime gone", "runtime": "first"},
    {"is": "runtime gone", "runtime": "second"},
    {"is": "schedule gone", "id": "t"},
    {"is": "schedule gone", "id": "s"},
)


def test_each_record_says_all_parts_of_the_sum_that_it_has_changed() -> None:
    """The leader writes only those parts anew: what it left out, whoever starts later would never know."""
    shared, untold = SharedState(), list[Record]()
    before = parts(shared, range(BUCKETS), NOW)
    for record in STORY:
        shared.touched.clear()
        shared.add(record)
        now = parts(shared, range(BUCKETS), NOW)
        changed = {bucket for bucket in range(BUCKETS) if now[bucket] != before[bucket]}
        if not changed or changed - shared.touched:
            untold.append(record)
        assert parts(shared, shared.touched, NOW) == [now[bucket] for bucket in sorted(shared.touched)]
        later = SharedState()
        later.add(record)
        assert load(later, all_parts(shared, NOW)) == []
        assert parts(later, range(BUCKETS), NOW) == now
        assert (later.weights, later.touched) == (shared.weights, set())
        before = now

    assert untold == []
    assert shared.marks == {}
    assert (sum(shared.weights), shared.schedules, shared.unknown, shared.retired) == (0, {}, {}, set())
    assert (shared.runtimes, shared.handled, shared.boots, shared.pauses) == ({}, {}, {}, {})
    assert (shared.names, [act.became for act in shared.acts.values()]) == ({"work"}, ["lost"])


@pytest.mark.parametrize(
    ("said", "change_no", "changed"),
    [({"paused": 1}, 2, []), ({"when": "@daily"}, 3, ["s"]), ({"paused": 1, "accounted_to": NOW + 90}, 3, ["s"])],
    ids=["paused", "another rule", "ahead"],
)
def test_who_writes_a_schedule_takes_back_nothing_of_how_far_it_is(
    said: dict[str, Any], change_no: int, changed: list[str]
) -> None:
    """The writer may not know yet how far the leader had accounted: slots would fire again."""
    shared = SharedState()
    shared.add(schedule("s"))
    shared.add({"is": "account", "id": "s", "to": NOW + 60, "last": NOW + 60})

    shared.add(schedule("s", **{"last_slot": NOW, **said}))

    kept = {"accounted_to": NOW + 60, **said, "last_slot": NOW + 60, "change_no": change_no}
    assert shared.schedules["s"] == a_schedule(**kept)
    assert [one.id for one in shared.changed_since(2, 9)] == changed
