"""What is kept of what has ended, and for how long."""

from __future__ import annotations

import pytest
from lamplighter.broker.alarms import PRUNED_ROWS_MAX
from lamplighter.cron.schedule import SLOT_SECONDS_KEPT_MIN
from lamplighter.environment import Environment
from lamplighter.messages.jobs import JobParent
from lamplighter.messages.schedules import SlotEntry
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.tables.attempts import ATTEMPTS_KEPT_MAX
from lamplighter.testing.manual_clock import ManualTime

from support.conformance.kit import DEAD, DONE, FAILED, NOW, RETRY, SUCCEEDED, a_schedule, new, put, take

KEEP_SECONDS = 86_400.0
HOUSEKEEPING_SECONDS = 301.0
"""After so long a runtime looks what it may remove, if it keeps things for longer than that."""


def test_what_is_too_old_is_removed_batch_after_batch_without_a_pause(runtime, tmp_path, recorder):
    time = ManualTime(NOW)
    store = SqliteStore(str(tmp_path / "jobs.db"))
    store.open()
    put(store, *[new(f"j{n}") for n in range(2 * PRUNED_ROWS_MAX + 1)])
    claimed = take(store, begun=2 * PRUNED_ROWS_MAX + 1)
    with store.turn("b", NOW - KEEP_SECONDS) as turn:
        for job in claimed:
            turn.jobs.settle(job, SUCCEEDED, DONE)
    store.close()
    rt = runtime(environment=Environment(clock=time.clock), keep_done_seconds=KEEP_SECONDS)
    rt.jobs.resume("nothing")

    time.advance(HOUSEKEEPING_SECONDS)
    recorder.wait_for("retention.pruned", count=3)

    batches = [line["rows"] for line in recorder.of("retention.pruned")]
    assert batches == [PRUNED_ROWS_MAX, PRUNED_ROWS_MAX, 1]
    assert rt.jobs.counts()["done"] == 0


def test_slots_that_nobody_needs_go_batch_after_batch_too(runtime, tmp_path, recorder):
    # They are looked for once an hour: what a batch leaves would come faster than it goes.
    time, count = ManualTime(NOW), 2 * PRUNED_ROWS_MAX + 1
    store = SqliteStore(str(tmp_path / "jobs.db"))
    store.open()
    with store.turn("b", NOW) as turn:
        turn.schedules.declare([a_schedule()])
        for number in range(count):
            slot = NOW - 2 * SLOT_SECONDS_KEPT_MIN + number
            turn.schedules.fire(
                SlotEntry(
                    schedule_id="s", slot=slot, last=slot, count=1, outcome="fired", reason=None, job_id=f"j{number}"
                )
            )
    store.close()
    rt = runtime(environment=Environment(clock=time.clock))
    rt.jobs.resume("nothing")

    time.advance(HOUSEKEEPING_SECONDS)
    recorder.wait_for("retention.pruned", count=3)

    assert [line["rows"] for line in recorder.of("retention.pruned")] == [PRUNED_ROWS_MAX, PRUNED_ROWS_MAX, 1]


@pytest.mark.parametrize("verdict", [DONE, DEAD])
def test_a_chain_that_has_ended_goes_as_fast_as_jobs_that_wait_for_nothing(store, verdict):
    links = 2 * PRUNED_ROWS_MAX
    put(store, new("0"))
    for number in range(1, links):
        put(store, new(str(number), parents=(JobParent(str(number - 1), any_end=True),)))
    for _ in range(links):
        (claimed,) = take(store, begun=1)
        with store.turn("b", NOW) as turn:
            turn.jobs.settle(claimed, SUCCEEDED, verdict)
            assert not turn.links.free(2)

    removed = []
    for _ in range(3):
        with store.turn("b", NOW + 10) as turn:
            until = NOW + 5
            removed.append(turn.prune(done_before=until, dead_before=until, slots_before=None, batch=PRUNED_ROWS_MAX))

    assert removed == [PRUNED_ROWS_MAX, PRUNED_ROWS_MAX, 0]
    with store.snapshot() as seen, seen.jobs._reading() as reader:
        for table in ("lamplighter_links", "lamplighter_gone_parents", "lamplighter_parents_to_check"):
            assert reader.execute(f"select count(*) from {table}").fetchone() == (0,)


def test_a_parent_that_was_removed_is_forgotten_with_its_last_child(store):
    put(store, new("parent"))
    put(store, new("a", parents=(JobParent("parent"),)), new("b", parents=(JobParent("parent"),)))
    known, graphs = [], []
    for at in (NOW, NOW + 10, NOW + 20):
        (claimed,) = take(store, begun=1)
        with store.turn("b", at) as turn:
            turn.jobs.settle(claimed, SUCCEEDED, DONE)
            turn.links.free(9)
            turn.prune(done_before=at - 5, dead_before=at - 5, slots_before=None, batch=9)
        with store.snapshot() as seen, seen.jobs._reading() as reader:
            known.append([row for (row,) in reader.execute("select id from lamplighter_gone_parents")])
            graphs.append([job.id for job in seen.table.graph("b", 9).jobs])
    with store.turn("b", NOW + 40) as turn:
        turn.prune(done_before=NOW + 15, dead_before=0.0, slots_before=None, batch=9)
        known += [[row for (row,) in turn.connection.execute("select id from lamplighter_gone_parents")]]
        turn.prune(done_before=NOW + 30, dead_before=0.0, slots_before=None, batch=9)
        known += [[row for (row,) in turn.connection.execute("select id from lamplighter_gone_parents")]]

    assert known == [[], [], ["parent"], ["parent"], []]
    assert graphs == [["parent", "a", "b"], ["parent", "a", "b"], ["b"]]


@pytest.fixture
def store():
    one = SqliteStore(":memory:")
    one.open()
    yield one
    one.close()


def test_of_a_jobs_attempts_the_newest_are_kept(store):
    put(store, new("a"), new("b"))
    attempts = ATTEMPTS_KEPT_MAX + 3

    for _ in range(attempts):
        claimed = take(store, begun=2)
        with store.turn("b", NOW) as turn:
            for job in claimed:
                turn.jobs.settle(job, FAILED, RETRY)

    for job_id in ("a", "b"):
        kept = [attempt.claim_no for attempt in store.table.attempts(job_id)]
        assert kept == list(range(attempts - ATTEMPTS_KEPT_MAX + 1, attempts + 1))
