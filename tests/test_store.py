"""What a store promises (`stores/base.py`), on a file, in memory and on the kit's disk, and what is SQLite's alone."""

from __future__ import annotations

import dataclasses
import os
import random
import sqlite3
import stat
import threading

import pytest
from lamplighter import KeyTaken, Runtime, SchemaTooNew, StoreCorrupt, StoreUnavailable, UsageError
from lamplighter.messages.jobs import JobState, NewJob
from lamplighter.messages.outcomes import Outcome, OutcomeKind, Verdict
from lamplighter.messages.schedules import ScheduleRecord, SlotEntry
from lamplighter.messages.slots import SlotRange
from lamplighter.stores import schema
from lamplighter.stores.base import BootRecord, Want
from lamplighter.stores.sqlite import SqliteStore
from lamplighter.testing.power import Disk

NOW = 1_000_000.0
DONE = Verdict(state=JobState.DONE, event="job.done", reason=None, attempt=1)
RETRY = Verdict(state=JobState.QUEUED, event="job.retried", reason="failed", attempt=1, run_at=NOW)
SUCCEEDED = Outcome(kind=OutcomeKind.SUCCEEDED, result="7")


def new(id="j", **changes) -> NewJob:
    return NewJob(**{"id": id, "name": "work", "data": "null", "queued_at": NOW, "run_at": NOW, "corr": id, **changes})


def want(begun=1, prefetched=0, **changes) -> Want:
    fields = {"name": "work", "boot": "b", "incarnation": 1, "total": None, "interruptions_max": 3, "suspect": True}
    return Want(begun=begun, prefetched=prefetched, **{**fields, **changes})


def a_schedule(**changes) -> ScheduleRecord:
    fields = {
        "id": "s", "name": "work", "when": "* * * * *", "data": "null", "timezone": "UTC", "dst_gap": "run_after",
        "dst_fold": "first", "catch_up": "latest", "catch_up_window": 86400.0, "catch_up_max": 100, "overlap": "allow",
        "jitter": 0.0, "durable": 1, "paused": 0, "accounted_to": NOW, "changed_at": NOW, "last_slot": None,
    }  # fmt: skip
    return ScheduleRecord(**{**fields, **changes})


@pytest.fixture(params=["file", "memory", "disk"])
def store(request, tmp_path):
    address = {"file": str(tmp_path / "jobs.db"), "memory": ":memory:", "disk": "jobs.db"}[request.param]
    connect = Disk(random.Random(1)).connect if request.param == "disk" else None
    one = SqliteStore(address, busy_seconds_max=0.05, connect=connect)
    one.open()
    yield one
    one.close()


def put(store, *jobs):
    with store.turn("b", NOW) as turn:
        return [turn.insert(job)[0] for job in jobs]


def take(store, now=NOW, **changes):
    with store.turn("b", now) as turn:
        return [claim.job for claim in turn.claim(want(**changes))]


class TestEveryStore:
    """Quoted from the port."""

    def test_one_transaction_committed_when_the_block_ends_rolled_back_when_it_raises(self, store):
        with pytest.raises(ZeroDivisionError), store.turn("b", NOW) as turn:
            turn.insert(new("lost"))
            _ = 1 / 0
        put(store, new("kept"))

        assert store.get("lost") is None
        assert store.get("kept").state == "queued"

    def test_revisions_are_gapless_also_over_turns_that_were_rolled_back(self, store):
        first = put(store, new("a"), new("b"))
        with pytest.raises(ZeroDivisionError), store.turn("b", NOW) as turn:
            turn.insert(new("lost"))
            _ = 1 / 0
        second = put(store, new("c"))

        assert [job.rev for job in first + second] == [1, 2, 3]

    def test_a_known_id_gives_the_stored_job_and_false(self, store):
        put(store, new("a", data="1"))

        with store.turn("b", NOW) as turn:
            stored, fresh = turn.insert(new("a", data="2"))
            changed = turn.transitions

        assert (stored.data, fresh, changed) == ("1", False, [])

    def test_an_unfinished_job_with_its_unique_key_gives_the_stored_one_and_false(self, store):
        put(store, new("a", unique_key="k"))

        with store.turn("b", NOW) as turn:
            stored, fresh = turn.insert(new("b", unique_key="k"))

        assert (stored.id, fresh) == ("a", False)

    def test_claim_moves_due_jobs_of_one_name_each_with_a_new_claim_no(self, store):
        put(store, new("a"), new("later", run_at=NOW + 10), new("other", name="else"))

        claimed = take(store, begun=5)

        assert [(job.id, job.state, job.claim_no, job.boot, job.begun) for job in claimed] == [
            ("a", "running", 1, "b", 1)
        ]
        assert take(store, begun=5) == []

    def test_claim_goes_by_priority_then_run_at_then_queue_order(self, store):
        put(
            store, new("d"), new("e"), new("c", run_at=NOW - 1), new("b", priority=1),
            new("a", priority=1, run_at=NOW - 9), new("f", priority=-1, run_at=NOW - 99),
        )  # fmt: skip

        assert [job.id for job in take(store, begun=9)] == list("abcdef")

    def test_claim_takes_no_job_that_is_paused_or_expired(self, store):
        put(store, new("a"), new("old", expires_at=NOW))
        with store.turn("b", NOW) as turn:
            turn.pause("work", paused=True)

        assert take(store, begun=9) == []
        with store.turn("b", NOW) as turn:
            turn.pause("work", paused=False)
        assert [job.id for job in take(store, begun=9)] == ["a"]

    def test_no_more_running_ones_in_the_whole_store_than_total(self, store):
        put(store, *(new(str(n)) for n in range(5)))
        take(store, begun=2)

        assert len(take(store, begun=9, total=3)) == 1
        assert take(store, begun=9, total=3) == []

    def test_at_most_one_suspect(self, store):
        put(store, new("a"), new("b"), new("c"))
        suspect = dataclasses.replace(RETRY, suspect_until=NOW + 60)
        with store.turn("b", NOW) as turn:
            for claim in turn.claim(want(begun=2)):
                turn.settle(claim.job, Outcome(kind=OutcomeKind.FAILED), suspect)

        assert [job.id for job in take(store, begun=9, suspect=False)] == ["c"]
        assert [job.id for job in take(store, begun=9)] == ["a"]

    def test_prefetched_claims_are_not_begun(self, store):
        put(store, new("a"), new("b"), new("c"))

        assert [(job.id, job.begun) for job in take(store, begun=1, prefetched=1)] == [("a", 1), ("b", 0)]

    def test_settle_is_refused_once_the_claim_is_not_the_current_one(self, store):
        put(store, new("a"))
        (first,) = take(store)
        with store.turn("b", NOW) as turn:
            turn.requeue(first, NOW)
        (second,) = take(store)

        with store.turn("b", NOW) as turn:
            stale = turn.settle(first, SUCCEEDED, DONE)
            after = turn.job("a")
            fresh = turn.settle(second, SUCCEEDED, DONE)

        assert stale is None
        assert (after.state, after.claim_no) == ("running", 2)
        assert (fresh.state, fresh.result, fresh.settled_no) == ("done", "7", 2)

    def test_a_job_is_settled_once(self, store):
        put(store, new("a"))
        (claimed,) = take(store)

        with store.turn("b", NOW) as turn:
            assert turn.settle(claimed, SUCCEEDED, DONE) is not None
            assert turn.settle(claimed, Outcome(kind=OutcomeKind.FAILED), RETRY) is None

    def test_claim_no_only_rises(self, store):
        put(store, new("a"))
        numbers = []
        for _ in range(4):
            (claimed,) = take(store)
            numbers.append(claimed.claim_no)
            with store.turn("b", NOW) as turn:
                turn.release(claimed, "test") if len(numbers) % 2 else turn.requeue(claimed, NOW)

        assert numbers == [1, 2, 3, 4]

    def test_release_puts_a_job_at_its_old_place_as_if_it_had_not_been_claimed(self, store):
        put(store, new("a"), new("b"))
        (first,) = take(store)

        with store.turn("b", NOW) as turn:
            released = turn.release(first, "not started in time")
            again = turn.release(first, "twice")

        assert (released.state, released.attempt, again) == ("queued", 0, None)
        assert take(store)[0].id == "a"

    def test_requeue_resets_the_attempts_and_keeps_id_and_claim_no(self, store):
        put(store, new("a"))
        (claimed,) = take(store)
        with store.turn("b", NOW) as turn:
            settled = turn.settle(claimed, Outcome(kind=OutcomeKind.FAILED, error="E"), RETRY)
            moved = turn.requeue(settled, NOW + 5)

        assert (moved.id, moved.claim_no, moved.attempt, moved.error, moved.run_at) == ("a", 1, 0, None, NOW + 5)

    def test_requeue_is_refused_when_another_unfinished_job_holds_its_unique_key(self, store):
        (first,) = put(store, new("a", unique_key="k"))
        with store.turn("b", NOW) as turn:
            ended = turn.cancel(first, "test")
            turn.insert(new("b", unique_key="k"))

        with pytest.raises(KeyTaken), store.turn("b", NOW) as turn:
            turn.requeue(ended, NOW)

        assert store.get("a").state == "cancelled"

    def test_expired_jobs_are_cancelled_with_the_reason_expired(self, store):
        put(store, new("a", expires_at=NOW + 1), new("b", expires_at=NOW + 9))
        with store.turn("b", NOW + 1) as turn:
            turn.expire()

        assert (store.get("a").state, store.get("a").reason) == ("cancelled", "expired")
        assert store.get("b").state == "queued"
        assert store.next_expiry() == NOW + 9

    def test_progress_is_kept_only_of_the_current_claim(self, store):
        put(store, new("a"))
        (claimed,) = take(store)
        with store.turn("b", NOW) as turn:
            turn.note_progress("a", claimed.claim_no, "1")
            turn.note_progress("a", claimed.claim_no - 1, "0")

        assert store.get("a").progress == "1"

    def test_attempts_are_kept_oldest_first_and_blamed_interruptions_counted(self, store):
        put(store, new("a"))
        for kind, blamed in (
            (OutcomeKind.FAILED, False),
            (OutcomeKind.INTERRUPTED, True),
            (OutcomeKind.INTERRUPTED, False),
        ):
            (claimed,) = take(store)
            with store.turn("b", NOW) as turn:
                turn.settle(claimed, Outcome(kind=kind, error="E", blamed=blamed), RETRY)

        assert [attempt.outcome for attempt in store.attempts("a")] == ["failed", "interrupted"]
        with store.turn("b", NOW) as turn:
            assert turn.recent_interruptions("a", NOW - 1) == 1
            assert turn.recent_interruptions("a", NOW + 1) == 0

    def test_open_claims_are_the_running_jobs_that_a_boot_holds(self, store):
        put(store, new("a"), new("b", name="else"))
        take(store)
        with store.turn("other", NOW) as turn:
            turn.claim(want(name="else", boot="other"))
            mine, theirs = turn.open_claims("b"), turn.open_claims("other", "else", 1)

        assert [job.id for job in mine] == ["a"]
        assert [job.id for job in theirs] == ["b"]

    def test_the_clock_stepping_back_makes_due_what_was_queued_without_a_delay(self, store):
        put(store, new("a"), new("delayed", run_at=NOW + 10))

        with store.turn("b", NOW - 3600) as turn:
            assert turn.pull_forward() == 1

        assert store.get("a").run_at == NOW - 3600
        assert store.get("delayed").run_at == NOW + 10

    def test_due_and_next_due_see_only_what_could_be_claimed(self, store):
        put(store, new("later", run_at=NOW + 10))
        early = store.due(["work"], NOW), store.next_due("work", NOW)
        put(store, new("now"))

        assert early == (False, NOW + 10)
        assert store.due(["work"], NOW)
        assert not store.due(["else"], NOW)
        with store.turn("b", NOW) as turn:
            turn.pause("work", paused=True)
        assert (store.due(["work"], NOW), store.paused()) == (False, ("work",))

    def test_a_slot_and_its_job_are_inserted_once(self, store):
        entry = SlotEntry(schedule_id="s", slot=NOW, last=NOW, count=1, outcome="fired", reason=None, job_id="s-1")
        with store.turn("b", NOW) as turn:
            first = turn.fire(entry, new("s-1"))
            second = turn.fire(entry, new("s-2"))

        assert (first.id, second) == ("s-1", None)
        assert store.get("s-2") is None
        assert store.slots("s", NOW, NOW + 1) == [entry]

    def test_skipped_slots_join_the_range_before_if_the_reason_is_the_same(self, store):
        with store.turn("b", NOW) as turn:
            for first, reason in ((10.0, "paused"), (20.0, "paused"), (30.0, "late")):
                assert turn.skip("s", SlotRange(first=first, last=first + 5, count=2, reason=reason))

        assert [(slot.slot, slot.last, slot.count) for slot in store.slots("s", 0.0, 99.0)] == [
            (10.0, 25.0, 4), (30.0, 35.0, 2)
        ]  # fmt: skip

    def test_declare_keeps_a_pause_and_the_last_slot_and_counts_from_a_change(self, store):
        with store.turn("b", NOW) as turn:
            turn.declare(a_schedule())
            turn.pause_schedule("s", paused=True)
            turn.account("s", NOW + 60, NOW + 60)
        with store.turn("b", NOW + 100) as turn:
            same, nothing = turn.declare(a_schedule())
            changed, news = turn.declare(a_schedule(when="0 * * * *"))

        assert (same.accounted_to, nothing) == (NOW + 60, None)
        assert (changed.accounted_to, changed.paused, changed.last_slot, news) == (NOW + 100, 1, NOW + 60, "changed")

    def test_a_boot_is_forgotten_by_exactly_one(self, store):
        boot = BootRecord(boot="x", pid=1, host="h", started_at=NOW, hint=None, names=("a",), turn=())
        with store.turn("b", NOW) as turn:
            turn.register(boot)
            assert turn.boots() == [boot]
            assert [turn.forget_boot("x"), turn.forget_boot("x")] == [True, False]

    def test_prune_removes_what_is_older_in_batches_and_never_what_is_unfinished(self, store):
        put(store, *(new(str(n)) for n in range(7)), new("open"))
        with store.turn("b", NOW) as turn:
            for n in range(7):
                turn.finish(turn.job(str(n)), None)

        removed = []
        for _ in range(3):
            with store.turn("b", NOW + 100) as turn:
                removed.append(turn.prune(done_before=NOW + 50, dead_before=NOW, slots_before=NOW, batch=5))

        assert removed == [5, 2, 0]
        assert [job.id for job in store.list(name=None, state=None, limit=9, before=None)] == ["open"]

    def test_the_turn_that_a_boot_did_last_is_kept_with_it(self, store):
        with store.turn("b", NOW) as turn:
            turn.register(BootRecord(boot="b", pid=1, host="h", started_at=NOW, hint=None, names=(), turn=()))
        put(store, new("a"))
        take(store)

        with store.turn("c", NOW) as turn:
            assert turn.boots()[0].turn == ((2, "job.claimed", "a"),)

    def test_a_closed_store_says_so(self, store):
        store.close()

        with pytest.raises(StoreUnavailable, match="closed"):
            store.get("a")
        with pytest.raises(StoreUnavailable, match="closed"), store.turn("b", NOW):
            pass


# --- SQLite alone --------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.db"


def opened(path, **options):
    store = SqliteStore(str(path), **options)
    store.open()
    return store


def test_a_file_that_we_create_is_for_its_owner_only(path):
    opened(path).close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_hosts_own_file_keeps_its_mode_its_tables_and_its_user_version(path):
    with sqlite3.connect(path) as host:
        host.execute("create table users (name text)")
        host.execute("insert into users values ('ada')")
        host.execute("pragma user_version = 42")
    host.close()
    os.chmod(path, 0o640)

    store = opened(path)
    put(store, new("a"))
    store.close()

    with sqlite3.connect(path) as host:
        names = [row[0] for row in host.execute("select name from sqlite_schema where type = 'table'")]
        assert host.execute("select * from users").fetchall() == [("ada",)]
        assert host.execute("pragma user_version").fetchone() == (42,)
    host.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert {name for name in names if not name.startswith(("lamplighter_", "sqlite_"))} == {"users"}


def test_the_file_is_in_wal_mode_and_synced_fully_by_default(path):
    for durability, level in (("full", 2), ("os", 1)):
        store = opened(path, durability=durability)
        assert store._writer.execute("pragma synchronous").fetchone() == (level,)
        assert store._writer.execute("pragma journal_mode").fetchone() == ("wal",)
        store.close()


def test_what_was_stored_is_there_after_a_reopening(path):
    store = opened(path)
    put(store, new("a", data="[1]"))
    store.close()

    again = opened(path)
    assert again.get("a").data == "[1]"
    again.close()


def test_opening_twice_at_once_migrates_once(path):
    stores, errors = [], []

    def open_one():
        try:
            stores.append(opened(path))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert errors == []
    assert [schema.read_version(store._writer) for store in stores] == [schema.VERSION] * 6
    for store in stores:
        store.close()


def test_an_older_schema_is_brought_forward_in_one_transaction_and_a_broken_step_changes_nothing(path, monkeypatch):
    store = opened(path)
    put(store, new("a"))
    store.close()
    monkeypatch.setattr(schema, "VERSION", 3)
    steps = {**schema.MIGRATIONS, 2: ("create table lamplighter_new (x text)",), 3: ("this is no SQL",)}
    monkeypatch.setattr(schema, "MIGRATIONS", steps)

    with pytest.raises(sqlite3.OperationalError):
        opened(path)
    with sqlite3.connect(path) as connection:
        after_failure = schema.read_version(connection)
        tables = connection.execute("select count(*) from sqlite_schema where name = 'lamplighter_new'").fetchone()
    connection.close()
    steps[3] = ("insert into lamplighter_new values ('brought forward')",)
    mended = opened(path)

    assert (after_failure, tables) == (1, (0,))
    assert schema.read_version(mended._writer) == 3
    assert mended.get("a").state == "queued"
    mended.close()


def test_a_newer_schema_is_refused_and_nothing_is_changed(path):
    store = opened(path)
    store._writer.execute("update lamplighter_store set schema_version = 2000")
    store.close()

    with pytest.raises(SchemaTooNew, match="upgrade Lamplighter"):
        opened(path)


@pytest.mark.parametrize("content", [b"not a database at all" * 100, os.urandom(8192)], ids=["text", "noise"])
def test_what_is_not_sqlite_is_refused_and_not_touched(path, content):
    path.write_bytes(content)

    with pytest.raises(StoreCorrupt):
        opened(path)

    assert path.read_bytes() == content


def test_an_empty_file_becomes_a_store(path):
    path.touch()

    store = opened(path)

    assert store.counts(None)["queued"] == 0
    store.close()


def test_a_corrupt_file_is_said_to_be_corrupt(path):
    store = opened(path)
    put(store, *(new(str(n), data=f'"{"x" * 500}"') for n in range(200)))
    store.close()
    damaged = bytearray(path.read_bytes())
    for at in range(4096, len(damaged)):
        damaged[at] = 0xA5
    path.write_bytes(damaged)

    with pytest.raises(StoreCorrupt, match="put back a backup"):
        again = opened(path)
        try:
            put(again, new("one"))
        finally:
            again.close()


def test_a_runtime_on_a_corrupt_file_says_so_at_start(path):
    store = opened(path)
    put(store, *(new(str(n), data=f'"{"x" * 500}"') for n in range(200)))
    store.close()
    damaged = bytearray(path.read_bytes())
    damaged[4096:] = b"\xa5" * (len(damaged) - 4096)
    path.write_bytes(damaged)
    rt = Runtime(path)

    with pytest.raises(StoreCorrupt):
        rt.start()
    rt.stop()


def test_a_path_with_characters_that_mean_something_to_uris_works(tmp_path):
    path = tmp_path / "what? 100% #1.db"

    opened(path).close()

    assert path.exists()


def test_a_lock_held_by_another_makes_a_turn_unavailable_and_changes_nothing(path):
    store = opened(path, busy_seconds_max=0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")

    with pytest.raises(StoreUnavailable, match="locked"):
        put(store, new("a"))
    readable = store.counts(None)["queued"]
    other.execute("rollback")
    other.close()

    assert readable == 0
    assert put(store, new("a"))[0].state == "queued"
    store.close()


def test_a_full_disk_makes_a_turn_unavailable_and_it_heals(path):
    store = opened(path)
    pages = store._writer.execute("pragma page_count").fetchone()[0]
    store._writer.execute(f"pragma max_page_count = {pages}")

    with pytest.raises(StoreUnavailable, match="full"):
        put(store, *(new(str(n), data=f'"{"x" * 4000}"') for n in range(50)))
    store._writer.execute("pragma max_page_count = 1000000")

    assert store.counts(None)["queued"] == 0
    assert put(store, new("a"))[0].rev == 1
    store.close()


def test_changed_tells_of_other_connections_only(path):
    one, two = opened(path), opened(path)
    one.changed()
    put(one, new("a"))
    own = one.changed()
    put(two, new("b"))

    assert (own, one.changed(), one.changed()) == (False, True, False)
    one.close()
    two.close()


def test_the_durability_must_be_one_that_is_known():
    with pytest.raises(UsageError):
        SqliteStore(":memory:", durability="maybe")
