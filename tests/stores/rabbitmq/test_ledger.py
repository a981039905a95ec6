"""The ledger, on the model: what is in it, who is told of it, and what befalls it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from lamplighter import UsageError
from lamplighter.messages.names import PauseRecord
from lamplighter.messages.schedules import SlotEntry
from lamplighter.stores.rabbitmq import ledger, topology
from lamplighter.stores.rabbitmq import ledger_records as records
from lamplighter.stores.rabbitmq import ledger_sums as sums
from lamplighter.stores.rabbitmq import turn_schedules as slots
from lamplighter.stores.rabbitmq import unreadable as unreadable_messages
from lamplighter.stores.rabbitmq.ledger import SILENT_LOOKS_MAX
from lamplighter.stores.rabbitmq.ledger_records import Record
from lamplighter.stores.rabbitmq.link import PULSE_SECONDS, Message
from lamplighter.stores.rabbitmq.session import MENDED_PULSES
from lamplighter.stores.rabbitmq.shared_state import SharedState
from lamplighter.stores.rabbitmq.store import RabbitStore
from lamplighter.testing import Simulation

from support.conformance.kit import NOW, a_boot, a_schedule
from support.rabbitmq.simulated import SimulatedRabbitMQ

from ...faults.kit import count
from .model_world import World

SILENT_SECONDS = PULSE_SECONDS * (SILENT_LOOKS_MAX + 2)


@pytest.fixture
def world() -> World:
    return World()


def started(world: World, *, skew: float = 0.0) -> RabbitStore:
    """A store that is ready for turns, and looked after from now on."""
    store = world.store(skew=skew)
    while not world.turn(store):
        pass
    world.attended.append(store)
    return store


def died(world: World, store: RabbitStore) -> None:
    """The server notices that a store's process is gone."""
    world.attended.remove(store)
    store.close()


def declare(store: RabbitStore, *schedules: Any) -> None:
    with store.turn("b", NOW) as turn:
        turn.schedules.declare(schedules)


def write(world: World, *bodies: bytes | dict[str, Any]) -> None:
    """Somebody else writes into the ledger."""
    for body in bodies:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        world.server.publish(Message("", topology.LEDGER, text))


def records_in(world: World) -> list[dict[str, Any]]:
    """All that the ledger holds, read or not."""
    queue = world.server.queues[topology.LEDGER]
    held = [stored for link in world.server.links for of, stored, _ in link._unacked.values() if of is queue]
    return [json.loads(one.message.body) for one in (*held, *queue.ready)]


def paused(store: RabbitStore) -> tuple[str, ...]:
    return tuple(pause.name for pause in store.jobs.pauses())


def ids_of(store: RabbitStore) -> list[str]:
    return sorted(schedule.id for schedule in store.schedules.all())


def test_what_a_runtime_declares_is_known_to_the_others_while_it_lives(world: World) -> None:
    leader, other, late = started(world), started(world), None
    declare(other, a_schedule(durable=0))

    late = started(world)

    assert [store.peers.is_declared("s") for store in (leader, other, late)] == [True, False, True]


def test_whoever_reads_that_a_schedule_is_declared_has_read_what_it_is_now(world: World) -> None:
    first, second = started(world), started(world)
    declare(first, a_schedule(durable=0))

    declare(second, a_schedule(durable=0, when="0 0 1 1 *"))

    said = [record["is"] for record in records_in(world) if record["is"] in ("schedule", "declares")]
    assert said == ["schedule", "declares"] * 2


def test_a_silent_runtime_declares_nothing_and_its_schedules_are_remembered(
    world: World,
) -> None:
    leader, other = started(world), started(world)
    declare(other, a_schedule(durable=0))
    died(world, other)
    world.let_pass(SILENT_SECONDS / 2)
    before = leader.peers.is_declared("s")

    world.let_pass(SILENT_SECONDS)

    assert (before, leader.peers.is_declared("s"), ids_of(leader)) == (True, False, ["s"])


def test_a_runtime_that_lives_and_is_quiet_still_declares_what_it_did(world: World) -> None:
    leader, other = started(world), started(world)
    declare(other, a_schedule(durable=0))

    world.let_pass(10 * SILENT_SECONDS)

    assert leader.peers.is_declared("s")


def test_a_runtime_that_was_taken_for_one_that_has_ended_says_again_what_it_declares(world: World) -> None:
    leader, other = started(world), started(world)
    declare(other, a_schedule(durable=0))
    world.attended.remove(other)
    world.let_pass(SILENT_SECONDS)
    was_declared = leader.peers.is_declared("s")

    while not world.turn(other):
        pass
    world.let_pass(1.0)

    assert (was_declared, leader.peers.is_declared("s")) == (False, True)


def test_a_runtime_that_leaves_takes_what_it_alone_declared_with_it_at_once(world: World) -> None:
    leader, other = started(world), started(world)
    declare(leader, a_schedule(id="of both", durable=0))
    declare(other, a_schedule(durable=0), a_schedule(id="of both", durable=0))

    with other.turn("b", NOW) as turn:
        turn.boots.forget(("b",))

    assert [leader.state.shared.is_declared(one) for one in ("s", "of both")] == [False, True]


def test_the_next_leader_knows_who_declares_what(world: World) -> None:
    leader, other, third = started(world), started(world), started(world)
    declare(third, a_schedule(durable=0))

    died(world, leader)
    world.let_pass(1.0)

    assert (other.leads, other.peers.is_declared("s")) == (True, True)


SLOT = {"schedule_id": "s", "slot": 1.0, "last": 1.0, "count": 1, "outcome": "fired", "reason": None, "job_id": "j"}
NO_RECORD = "it is no record of the ledger"
UNREADABLE = [
    *((body, NO_RECORD) for body in (b"", b"\xff\x00", b"[1]", b"7", b'{"is": 7}', b'{"by": "x"}')),
    (b'{"is": "account", "by": "x", "id": "s", "to": NaN, "last": null}', NO_RECORD),
    ({"is": "schedule", "by": "x"}, "expected fields with their names, got: NoneType"),
    ({"is": "schedule", "by": "x", "schedule": [0] * 40}, "expected fields with their names, got: list"),
    (
        {"is": "schedule", "by": "x", "schedule": {"id": "s", "name": "n", "when": 7}},
        "expected when of a record to be str, got: int",
    ),
    (
        {"is": "slot", "by": "x", "slot": {**SLOT, "slot": "now"}},
        "expected slot of a record to be float or int, got: str",
    ),
    (
        {"is": "account", "by": "x", "id": "s"},
        "expected last of a record to be NoneType or float or int, got: nothing",
    ),
    ({"is": "pause", "name": "work", "paused": True}, "expected by of a record to be str, got: nothing"),
    ({"is": "pause", "by": ["x"], "name": "work", "paused": True}, "expected by of a record to be str, got: list"),
    ({"is": "began", "by": "x", "id": 3, "at": 1.0}, "expected id of a record to be str, got: int"),
    ({"is": "excused", "by": "x", "id": "j", "at": "now"}, "expected at of a record to be float or int, got: str"),
    (
        {"is": "declares", "by": "x", "runtime": "r", "ids": [3]},
        "expected ids of a record to be a list of str, got: another list",
    ),
]


@pytest.mark.parametrize(("record", "reason"), UNREADABLE, ids=lambda one: str(one)[:50])
def test_a_record_that_makes_no_sense_is_passed_over_by_all_and_said(world: World, record: Any, reason: str) -> None:
    leader, other = started(world), started(world)
    declare(leader, a_schedule())

    write(world, record)
    declare(other, a_schedule(id="later"))
    third = started(world)
    assert world.turn(leader)
    died(world, leader)
    world.let_pass(1.0)
    fourth = started(world)

    assert [ids_of(store) for store in (other, third, fourth)] == [["later", "s"]] * 3
    assert all(store.state.shared.pauses == {} for store in (other, third, fourth))
    aside = world.server.queues[topology.UNREADABLE].ready
    assert len(aside) == 1
    headers = aside[0].message.headers
    assert headers[unreadable_messages.QUEUE] == topology.LEDGER
    assert headers[unreadable_messages.REASON] == reason
    world.let_pass(1.0)
    assert fourth.health_issues()


@pytest.mark.parametrize("record", [record for record, _ in UNREADABLE], ids=lambda record: str(record)[:50])
def test_a_record_that_makes_no_sense_keeps_nobody_from_starting(world: World, record: Any) -> None:
    store = started(world)
    declare(store, a_schedule())
    died(world, store)
    write(world, record)

    assert ids_of(started(world)) == ["s"]


def test_of_a_sum_what_makes_no_sense_is_passed_over_and_the_rest_holds(world: World) -> None:
    store = started(world)
    declare(store, a_schedule())
    died(world, store)
    part = {
        "is": "part",
        "by": "z1",
        "epoch": "z",
        "term": 99,
        "bucket": 1,
        "records": [
            7,
            {"is": "schedule", "schedule": {"id": "broken"}},
            {"is": "schedule", "schedule": a_schedule(id="good")._asdict()},
            {"is": "pause", "name": 3, "paused": 1},
            {"is": "pause", "name": "work", "paused": 1},
        ],
    }
    write(world, part, {"is": "summed", "by": "z2", "epoch": "z", "term": 99, "parts": 1, "included": 7})

    after = started(world)

    assert "good" in ids_of(after)
    assert paused(after) == ("work",)


def fire(store: RabbitStore, *numbers: int) -> None:
    """Have slots fire, a second apart."""
    for number in numbers:
        slot = NOW + number
        entry = SlotEntry(schedule_id="s", slot=slot, last=slot, count=1, outcome="fired", reason=None, job_id="j")
        with store.turn("b", slot) as turn:
            turn.schedules.fire(entry)
            turn.schedules.account("s", slot, slot)


def slots_of(store: RabbitStore) -> list[float]:
    return [entry.slot - NOW for entry in store.schedules.slots("s", NOW, NOW + 9_999).entries]


def test_what_became_of_slots_is_known_to_those_who_start_later(world: World) -> None:
    first = started(world)
    declare(first, a_schedule())
    fire(first, 1, 2, 3)
    second = started(world)
    fire(first, 4)
    world.let_pass(1.0)
    died(world, first)
    died(world, second)
    third = started(world)

    assert [slots_of(store) for store in (second, third)] == [[1, 2, 3, 4], [1, 2, 3, 4]]
    assert third.schedules.slots("s", NOW, NOW).since <= NOW


def test_of_many_slots_the_newest_are_told_and_since_when_these_are_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sums, "SLOTS_TOLD_MAX", 5)
    first = started(world)
    declare(first, a_schedule())
    fire(first, *range(1, 9))
    second = started(world)
    told = slots_of(second), second.schedules.slots("s", NOW, NOW).since
    world.server.cut(world.server.links[0])
    while not world.turn(first):
        pass

    assert told == ([4, 5, 6, 7, 8], NOW + 3)
    # What it remembers is more than what it was told again by the next leader.
    assert (slots_of(first), first.schedules.slots("s", NOW, NOW).since) == ([1, 2, 3, 4, 5, 6, 7, 8], 0.0)


JUNK = (None, True, -1, 1e300, "", "x", [], [None], {}, {"is": 1})


def spoiled(value: Any, chance: Random) -> Any:
    """A value in which something, somewhere, is another."""
    inner = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not inner or chance.random() < 0.2:
        return chance.choice(JUNK)
    at = chance.choice(inner)
    copy = value.copy()
    if chance.random() < 0.2:
        del copy[at]
    else:
        copy[at] = spoiled(copy[at], chance)
    return copy


@pytest.mark.parametrize("seed", range(count(30, 3_000)))
def test_whatever_is_in_the_ledger_runtimes_start_and_one_leads(world: World, seed: int) -> None:
    chance = Random(seed)
    first = started(world)
    declare(first, a_schedule(), a_schedule(id="t", durable=0))
    fire(first, 1)
    with first.turn("b", NOW) as turn:
        turn.jobs.pause("work", paused=True)
        turn.ops.records.append({"is": "began", "id": "j", "at": NOW})
    died(world, first)
    world.let_pass(1.0)
    # A sum, and then what is in none.
    found = [*records_in(world), *records_in(world)]
    died(world, started(world))
    found += records_in(world)
    write(world, *(json.dumps(spoiled(record, chance)).encode() for record in found))

    stores = [started(world), started(world)]
    write(world, *(json.dumps(spoiled(record, chance)).encode() for record in found))
    world.let_pass(1.0)

    assert [store.leads for store in stores] == [True, False]
    with stores[1].turn("b", NOW) as turn:
        turn.jobs.pause("else", paused=True)
    assert all("else" in paused(store) for store in stores)


def test_kinds_and_fields_of_a_newer_version_are_passed_over(world: World) -> None:
    leader, other = started(world), started(world)
    newer = {**a_schedule()._asdict(), "tenant": 7}

    write(
        world,
        {"is": "weather", "by": "n1", "sun": True},
        {"is": "schedule", "by": "n2", "schedule": newer, "why": "new"},
        {"is": "slot", "by": "n3", "slot": {**SLOT, "tenant": 7}},
        {"is": "hello", "by": "n4", "mood": "good"},
    )
    world.let_pass(1.0)

    for store in (leader, other, started(world)):
        assert (ids_of(store), len(store.schedules.slots("s", 0.0, 2.0).entries)) == (["s"], 1)
    assert not world.server.queues[topology.UNREADABLE].ready


def test_what_a_newer_version_says_of_a_schedule_outlives_leaders_of_this_version(world: World) -> None:
    first = started(world)
    write(world, {"is": "schedule", "by": "n", "schedule": {**a_schedule()._asdict(), "tenant": 7}})
    with first.turn("b", NOW) as turn:
        turn.schedules.pause("s", paused=True)
    died(world, first)

    second = started(world)

    assert second.state.shared.unknown == {"s": {"tenant": 7}}
    told = [one for record in records_in(world) for one in record.get("records", ())]
    rows = [one["schedule"] for one in told if one["is"] == "schedule"]
    assert [(row["id"], row["tenant"], row["paused"]) for row in rows] == [("s", 7, 1)]


def test_fields_that_an_older_version_did_not_write_have_defaults(world: World) -> None:
    store = started(world)
    row = {"id": "s", "name": "work", "when": "* * * * *", "accounted_to": NOW}

    write(world, {"is": "schedule", "by": "o", "schedule": row})
    world.let_pass(1.0)

    assert store.schedules.one("s") == a_schedule(durable=0, changed_at=0.0, change_no=1)


MANY = 3_000


def test_the_sum_of_many_schedules_falls_into_parts_that_all_stay_small(world: World) -> None:
    leader = started(world)
    for first in range(0, MANY, 500):
        declare(leader, *(a_schedule(id=f"s{number}", data="x" * 2_000) for number in range(first, first + 500)))
    other = started(world)
    died(world, leader)
    world.let_pass(1.0)
    third = started(world)

    sizes = [len(json.dumps(record)) for record in records_in(world)]
    assert (max(sizes) < 400_000, sum(sizes) > 6_000_000) == (True, True)
    assert [len(ids_of(store)) for store in (other, third)] == [MANY, MANY]


def test_the_ledger_stays_small_however_much_is_written_into_it(world: World) -> None:
    leader = started(world)
    declare(leader, *(a_schedule(id=f"s{number}") for number in range(20)))
    for number in range(5 * ledger.SUMMED_RECORDS):
        with leader.turn("b", NOW) as turn:
            turn.schedules.account(f"s{number % 20}", NOW + number, None)

    assert len(records_in(world)) < 2 * ledger.SUMMED_RECORDS
    died(world, leader)
    after = started(world)
    assert max(one.accounted_to for one in after.schedules.all()) == NOW + 5 * ledger.SUMMED_RECORDS - 1


def test_a_sum_that_was_not_finished_does_not_count(world: World) -> None:
    store = started(world)
    declare(store, a_schedule())
    world.let_pass(1.0)
    (end,) = [record for record in records_in(world) if record["is"] == "summed"]
    died(world, store)
    part = {"is": "part", "epoch": end["epoch"], "term": end["term"], "sum": end["sum"] + 1, "bucket": 3}

    write(world, {**part, "by": "unfinished", "records": [{"is": "pause", "name": "work", "paused": 1}]})

    assert paused(started(world)) == ()


def test_a_sum_of_a_leader_that_has_a_successor_does_not_count(world: World) -> None:
    first = started(world)
    declare(first, a_schedule())
    world.let_pass(1.0)
    (end,) = [record for record in records_in(world) if record["is"] == "summed"]
    died(world, first)
    second = started(world)
    declare(second, a_schedule(id="t"))
    died(world, second)

    write(world, {"is": "summed", "by": "late", "epoch": end["epoch"], "term": end["term"], "parts": 0, "included": []})

    assert ids_of(started(world)) == ["s", "t"]


def test_a_runtime_of_which_the_others_know_nothing_says_all_of_itself_again(world: World) -> None:
    store, mine = started(world), a_schedule(durable=0)
    declare(store, mine)
    with store.turn("b", NOW) as turn:
        turn.boots.register(a_boot("b"))
        turn.boots.set_names("b", ["work", "mail"])
    said_before = store.state.unsaid(NOW)
    store.state.shared.become(SharedState())
    runtime = store.state.runtime_id

    assert said_before == []
    assert store.state.unsaid(NOW + 60) == [
        records.is_boot(runtime, a_boot("b")),
        records.schedule_record(mine._replace(accounted_to=NOW + 60, changed_at=NOW + 60)),
        records.declares(runtime, ["s"]),
        records.handles(runtime, ["mail", "work"]),
    ]


def test_what_a_sum_includes_does_not_count_once_more_though_it_is_still_there() -> None:
    """A leader ended between its sum and the acknowledging of all that is in it."""
    pause = records.pauses(PauseRecord("work", since=NOW), paused=True)
    # It was resumed since, which the sum includes as well.

    def part(epoch: str, number: int, bucket: int, name: str) -> Record:
        told = [{"is": "name", "name": name}]
        return {"is": "part", "epoch": epoch, "term": 1, "sum": number, "bucket": bucket, "records": told}

    found = [
        {**pause, "by": "r-1", "no": 1},
        part("e", 2, 3, "newest"),
        part("e", 1, 3, "older"),
        part("e", 1, 4, "same"),
        part("e", 3, 4, "unfinished"),
        part("another leader's", 2, 5, "other"),
        {"is": "summed", "epoch": "e", "term": 1, "sum": 1, "parts": 1, "included": ["r-9"]},
        {"is": "summed", "epoch": "e", "term": 1, "sum": 2, "parts": 1, "included": ["r-1", 7]},
        {**pause, "name": "later", "by": "r-2", "no": 2},
        {"is": "hello", "by": "r-1"},
        {"is": "pause", "by": "r-3", "no": 3},
    ]

    shared = ledger.sum_of(found)

    assert (shared.names, sorted(shared.pauses), shared.number) == ({"newest", "same"}, ["later"], 2)


def test_a_schedule_for_which_there_is_no_room_is_refused_and_none_is_added(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = started(world)
    declare(store, a_schedule(id="large", data="x" * 5_000))
    monkeypatch.setattr(slots, "SCHEDULES_BYTES_MAX", 20_000)

    with pytest.raises(
        UsageError, match=r"expected room for 10,4.. bytes more of schedules on this RabbitMQ"
    ) as caught:
        declare(store, a_schedule(id="small"), a_schedule(id="more", data="x" * 5_000))

    assert "all runtimes together have 10,4" in str(caught.value)
    assert ids_of(store) == ["large"]
    declare(store, a_schedule(id="large", data="x" * 5_000), a_schedule(id="small"))
    assert ids_of(store) == ["large", "small"]


def test_the_order_in_which_a_server_gives_back_what_a_leader_had_changes_nothing(world: World) -> None:
    """A leader that ends by itself has what it had read come after what it had not read yet (RabbitMQ 4.0.5)."""
    store = started(world)
    records = 2 * ledger.SUMMED_RECORDS + 9
    for number in range(1, records + 1):
        with store.turn("b", NOW) as turn:
            turn.jobs.pause("work", paused=number < records)
    died(world, store)
    queue = world.server.queues[topology.LEDGER]
    queue.ready = type(queue.ready)(reversed(queue.ready))

    assert paused(started(world)) == ()


def test_all_runtimes_know_one_store_id_and_so_do_those_who_come_later(world: World) -> None:
    first, second = started(world), started(world)
    known = {first.store_id, second.store_id}
    died(world, first)
    world.let_pass(1.0)
    known |= {second.store_id, started(world).store_id}
    for store in list(world.attended):
        died(world, store)

    assert known == {started(world).store_id}
    assert None not in known


def test_runtimes_that_start_on_nothing_at_once_agree_on_one_store_id(world: World) -> None:
    stores = [world.store() for _ in range(3)]
    world.attended += stores
    for store in stores:
        while not world.turn(store):
            pass

    assert len({store.store_id for store in stores} - {None}) == 1


def test_of_two_ids_that_were_given_the_first_holds(world: World) -> None:
    for wanted in topology.foundation():
        world.server.declare(wanted)
    write(world, *({"is": "store", "by": f"s-{name}", "id": name} for name in ("first", "second")))

    stores = [started(world), started(world)]

    assert [store.store_id for store in stores] == ["first", "first"]


def test_a_runtime_that_has_missed_the_last_that_was_told_asks_for_it(world: World) -> None:
    leader, other = started(world), started(world)
    bindings = world.server.exchanges[topology.NEWS]
    kept = list(bindings)
    bindings.clear()
    with leader.turn("b", NOW) as turn:
        turn.jobs.pause("work", paused=True)
    bindings.extend(kept)
    missed = paused(other)

    world.let_pass(2 * PULSE_SECONDS)
    assert world.turn(other)

    assert (missed, paused(other)) == ((), ("work",))


def test_a_runtime_that_has_to_be_told_again_hears_everything_once_all_the_same(world: World) -> None:
    leader, other = started(world), started(world)
    for _ in range(3):
        other._prepared = 0
        assert world.turn(other)

    consumers = Counter(len(queue.consumers) for name, queue in world.server.queues.items() if ".news." in name)
    assert (consumers, len(world.server.queues[topology.LEDGER].consumers)) == (Counter({1: 2}), 2)
    assert leader.leads


def test_a_runtime_that_nothing_leads_to_any_more_hears_the_leader_again(world: World) -> None:
    """Somebody has deleted the exchange, and the leader has made it again: what was bound to it is not."""
    leader, other = started(world), started(world)
    world.server.exchanges[topology.NEWS].clear()
    with leader.turn("b", NOW) as turn:
        turn.jobs.pause("work", paused=True)

    world.let_pass((MENDED_PULSES + 2) * PULSE_SECONDS)
    assert world.turn(other)

    assert paused(other) == ("work",)


def test_every_runtime_says_the_store_s_id_when_it_starts() -> None:
    with Simulation(lambda runtime: None, processes=2, server=SimulatedRabbitMQ) as simulation:
        simulation.run(seconds=1)
    said = [line for line in map(json.loads, simulation.log.splitlines()) if line["event"] == "runtime.started"]

    assert len(said) == 2
    assert len({line["store_id"] for line in said} - {None}) == 1


def test_who_has_paused_a_name_and_why_is_known_to_whoever_leads_later(world: World) -> None:
    leader = started(world)
    with leader.turn("b", NOW) as turn:
        turn.jobs.pause("work", paused=True, by="ada", reason="it fails", until=2 * NOW)
    # As a version that says no more of a pause.
    write(world, {"is": "pause", "name": "bare", "paused": 1, "by": "x-1", "no": 99})
    world.let_pass(1.0)
    died(world, leader)
    late = started(world)

    assert late.jobs.pauses() == [
        PauseRecord("bare", since=0.0),
        PauseRecord("work", since=NOW, by="ada", reason="it fails", until=2 * NOW),
    ]


@pytest.mark.parametrize("delete", [lambda server: server.delete(topology.LEDGER)], ids=["queue"])
def test_a_ledger_that_is_deleted_is_made_again_with_all_that_was_in_it(
    world: World, delete: Callable[[Any], None]
) -> None:
    leader, other = started(world), started(world)
    declare(other, a_schedule(durable=0), a_schedule(id="t"))
    with leader.turn("b", NOW) as turn:
        turn.jobs.pause("work", paused=True)
    with other.turn("other", NOW) as turn:
        turn.boots.register(a_boot("other"))
        turn.boots.set_names("other", ["work"])
    store_id = leader.store_id

    delete(world.server)
    for store in (leader, other):
        while not world.turn(store):
            pass
    late = started(world)

    assert sum(store.leads for store in (leader, other, late)) == 1
    assert (ids_of(late), paused(late), late.peers.is_declared("s")) == (["s", "t"], ("work",), True)
    assert {store.store_id for store in (leader, other, late)} == {store_id}
    assert (late.peers.boots(), late.peers.is_handled("work")) == ([a_boot("other", names=("work",))], True)
