"""Schedules that follow an application's own transaction: they are there, or gone, if and only if that commits."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from lamplighter import LamplighterError, NotStarted, Runtime, UnknownSchedule, UsageError
from lamplighter.admin.inspector import inspector_at
from lamplighter.admin.operator import Operator
from lamplighter.environment import Environment
from lamplighter.testing import Faults, Simulation, drain
from lamplighter.testing.manual_clock import ManualTime
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from ..conftest import Recorder

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON_AND_A_BIT = NOON.timestamp() + 0.9


@pytest.fixture
def path(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "app.db")) as db, db:
        db.execute("create table users (id integer primary key, hour integer)")
    return tmp_path / "app.db"


@pytest.fixture
def db(path):
    """The application's own connection."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        yield db


@pytest.fixture
def time():
    return ManualTime(NOON.timestamp())


@pytest.fixture
def life(path, time, recorder):
    """Makes the runtime of an application's next life, on the same file and with the same log."""

    def make(*, stops_within_one: bool = False) -> Runtime:
        # It stops in the middle of a transaction of the application, and is not to wait for its end.
        limits = {"reply_seconds_max": 0.5, "busy_seconds_max": 0.05} if stops_within_one else {}
        rt = Runtime(path, environment=Environment(clock=time.clock), **limits)
        rt.jobs.add_handler("digest", lambda job: job.data)
        recorder.follow(rt)
        return rt

    return make


@pytest.fixture
def rt(life):
    with life() as rt:
        # A SchedulerActor that starts after the time has been moved would read before the broker has looked, and then
        # wait for a second that never passes.
        drain(rt)
        yield rt


def add(rt: Runtime, db: sqlite3.Connection, when: object = "0 * * * *", key: str = "user 7", **options: object) -> str:
    """What an application does for its user, in the transaction that stores what they have set."""
    db.execute("insert or replace into users values (7, 8)")
    return rt.scheduler.add("digest", when, key, key=key, durable=True, connection=db, **options)


def keys(rt: Runtime) -> list[str | None]:
    return [one.key for one in rt.scheduler.list("digest")]


def slots(rt: Runtime) -> list[datetime | None]:
    return sorted(job.slot for job in rt.jobs.list("digest", limit=1000) if job.slot is not None)


def settle(rt: Runtime, time: ManualTime, seconds: float = 1.0) -> None:
    """Let the runtime look for what others have done, and do what is due."""
    time.advance(seconds)
    drain(rt)


def told(recorder: Recorder, *events: str) -> list[tuple[object, object]]:
    return [(line["event"], line.get("key")) for line in recorder.events if line["event"] in events]


def moves(recorder: Recorder) -> list[dict[str, Any]]:
    """Those of the ledger, in the order in which they are told."""
    return [move for line in recorder.of("turn.committed") for move in line["moves"]]


def findings(recorder: Recorder, path: Path) -> list[object]:
    """What the audit finds, in the log alone and beside the store."""
    return [*recorder.audit().findings, *recorder.audit(path).findings]


def test_a_schedule_is_there_from_the_commit_on_and_fires(rt, db, time, recorder):
    add(rt, db)
    before = keys(rt)
    db.commit()
    after = keys(rt)
    settle(rt, time, 3600)

    assert (before, after) == ([], ["user 7"])
    assert slots(rt) == [NOON + timedelta(hours=1)]
    assert told(recorder, "schedule.added", "schedule.changed") == [("schedule.added", "user 7")]


def test_after_a_rollback_there_is_none_and_nothing_is_told(rt, db, time, recorder):
    add(rt, db)
    db.rollback()
    settle(rt, time, 3600)

    assert keys(rt) == []
    assert slots(rt) == []
    assert told(recorder, "schedule.added") == []


def test_a_removal_holds_from_the_commit_on_and_not_after_a_rollback(rt, db, time):
    add(rt, db)
    db.commit()
    settle(rt, time)

    rt.scheduler.remove("digest", key="user 7", connection=db)
    db.rollback()
    kept = keys(rt)
    rt.scheduler.remove("digest", key="user 7", connection=db)
    within = keys(rt)
    db.commit()
    gone = keys(rt)
    settle(rt, time, 7200)

    assert (kept, within, gone) == (["user 7"], ["user 7"], [])
    assert slots(rt) == []


def test_the_last_that_a_transaction_says_of_a_schedule_holds(rt, db, time, recorder):
    add(rt, db)
    rt.scheduler.remove("digest", key="user 7", connection=db)
    with pytest.raises(UnknownSchedule):
        rt.scheduler.remove("digest", key="user 7", connection=db)
    add(rt, db, "30 * * * *")
    add(rt, db, "30 * * * *")
    db.commit()
    settle(rt, time, 3600)

    assert slots(rt) == [NOON + timedelta(hours=0.5)]
    assert told(recorder, "schedule.added", "schedule.changed", "schedule.removed") == [
        ("schedule.added", "user 7"),
        ("schedule.removed", None),
        ("schedule.added", "user 7"),
    ]


def test_a_schedule_that_is_changed_counts_from_the_change_and_stays_paused(rt, db, time):
    add(rt, db)
    db.commit()
    settle(rt, time, 3600)
    rt.scheduler.pause("digest", key="user 7")

    add(rt, db, "30 * * * *")
    db.commit()
    seen = rt.scheduler.get("digest", key="user 7")
    settle(rt, time)
    paused = rt.scheduler.get("digest", key="user 7")
    rt.scheduler.resume("digest", key="user 7")
    settle(rt, time, 3600)

    assert (seen.when, seen.paused, paused.when, paused.paused) == ("30 * * * *", True, "30 * * * *", True)
    assert slots(rt) == [NOON + timedelta(hours=1), NOON + timedelta(hours=1.5)]


def test_slots_between_the_call_and_a_turn_that_knows_of_it_are_not_lost(life, db, time, recorder, path):
    first, second = life(stops_within_one=True), life()
    with first:
        add(first, db, catch_up="all")
        add(first, db, NOON + timedelta(seconds=90), key="once")
    # Nobody runs when the transaction is committed.
    time.advance(60)
    db.commit()
    time.advance(2.5 * 3600)
    with second:
        settle(second, time)
        fired = slots(second)

    assert fired == [NOON + timedelta(seconds=90), NOON + timedelta(hours=1), NOON + timedelta(hours=2)]
    assert findings(recorder, path) == []
    since = [move["since"] for move in moves(recorder) if move["k"] == "schedule.added"]
    assert since == [NOON.timestamp()] * 2


def test_an_instant_that_had_passed_at_the_call_is_skipped_and_said(rt, db, time, recorder):
    add(rt, db, NOON - timedelta(seconds=1))
    db.commit()
    settle(rt, time)

    assert slots(rt) == []
    assert [line["reason"] for line in recorder.of("slot.skipped")] == ["it had passed when it was added"]


def test_what_other_calls_do_next_builds_on_what_was_committed(rt, db):
    schedule_id = add(rt, db)
    db.commit()

    rt.scheduler.pause(schedule_id)
    paused = rt.scheduler.get(schedule_id).paused
    job = rt.scheduler.run_now("digest", key="user 7")
    rt.scheduler.remove(schedule_id)

    assert (paused, rt.jobs.join(job, timeout=15).result, keys(rt)) == (True, "user 7", [])


def test_an_operator_sees_and_pauses_what_no_runtime_has_carried_out(life, db, path, time, recorder):
    with life(stops_within_one=True) as rt:
        schedule_id = add(rt, db)
    db.commit()

    with inspector_at(str(path)) as look:
        seen = [one.id for one in look.schedules(limit=10)]
    Operator(path, by="ann", via="test").pause_schedule(schedule_id)
    with life() as rt:
        settle(rt, time, 3600)
        paused = rt.scheduler.get(schedule_id).paused

    assert (seen, paused, recorder.of("slot.fired")) == ([schedule_id], True, [])
    assert findings(recorder, path) == []


def test_lists_go_in_pages_through_what_is_and_what_was_committed(life, db, path, time):
    with life(stops_within_one=True) as rt:
        for number in range(6):
            rt.scheduler.add("digest", "@daily", key=f"old {number}", durable=True)
        for number in (1, 4):
            rt.scheduler.remove("digest", key=f"old {number}", connection=db)
        add(rt, db, key="new")
        add(rt, db, "@hourly", key="old 2")
    db.commit()

    pages, after = [], None
    with inspector_at(str(path)) as look:
        while page := look.schedules("digest", limit=2, after=after):
            pages += [(one.key, one.when) for one in page]
            after = page[-1].id
        others = look.schedules("nobody", limit=2)

    assert sorted(pages) == [
        ("new", "0 * * * *"),
        ("old 0", "0 0 * * *"),
        ("old 2", "0 * * * *"),
        ("old 3", "0 0 * * *"),
        ("old 5", "0 0 * * *"),
    ]
    assert list(others) == []


def test_a_commit_is_looked_for_at_once_and_what_is_rolled_back_not_for_ever(rt, db, time, recorder):
    expected = rt.boot.inputs.expected

    def soon():
        time.advance(0.05)
        drain(rt)

    add(rt, db)
    db.commit()
    # Less than the second after which others are looked for.
    recorder.until(lambda: soon() or recorder.of("schedule.added") or time.clock().now() > NOON_AND_A_BIT)
    carried_out = told(recorder, "schedule.added")
    recorder.until(lambda: soon() or not expected, "nothing to be expected")
    add(rt, db, key="other")
    db.rollback()
    drain(rt)
    still = len(expected)
    recorder.until(lambda: time.advance(5) or not expected, "what was rolled back to be given up")

    assert (carried_out, still) == ([("schedule.added", "user 7")], 1)
    assert told(recorder, "schedule.added") == carried_out


def test_whatever_fails_each_schedule_that_was_committed_is_there_and_no_other():
    faults = Faults(kill_process=0.02, crash_actor=0.02, commit_unknown=0.02, store_error=0.02, clock_jump=0.01)
    kept = fired = 0

    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("digest", lambda job: job.data)

    for seed in range(8):
        committed: dict[str, str] = {}
        chance = random.Random(seed)

        def host(runtime: Runtime, committed: dict[str, str] = committed, chance: random.Random = chance) -> None:
            for _ in range(30):
                runtime.environment.event().wait(chance.random())
                set_one(runtime, chance, committed)

        with Simulation(register, host=host, seed=seed, faults=faults) as simulation:
            simulation.run(seconds=90)
            simulation.check()
            with inspector_at(str(simulation.path)) as look:
                found = {one.key: one.when for one in look.schedules(limit=100, slots=0)}
            fired += simulation.log.count('"slot.fired"')
        assert found == committed, f"seed={seed}"
        kept += len(found)

    assert kept > 0
    assert fired > 0


def set_one(runtime: Runtime, chance: random.Random, committed: dict[str, str]) -> None:
    """What an application does when somebody changes their setting, and what holds if it commits."""
    key, when = f"user {chance.randrange(4)}", chance.choice([None, "@every 7s", "@every 11s"])
    if runtime.boot is None:
        return
    with contextlib.closing(sqlite3.connect(runtime.boot.store.address, timeout=0)) as db:
        try:
            if when is None:
                runtime.scheduler.remove("digest", key=key, connection=db)
            else:
                runtime.scheduler.add("digest", when, key=key, durable=True, connection=db)
        except (sqlite3.OperationalError, LamplighterError):
            return
        if chance.random() < 0.3:
            return
        db.commit()
        committed.pop(key, None)
        if when is not None:
            committed[key] = when


def test_several_processes_carry_a_change_out_once(life, db, time, recorder, path):
    first, second = life(), life()
    with first, second:
        for number in range(20):
            add(first if number % 2 else second, db, key=f"user {number}")
            db.commit()
        settle(first, time)
        settle(second, time)
        settle(first, time, 3600)
        settle(second, time)
        fired = slots(first)

    assert fired == [NOON + timedelta(hours=1)] * 20
    assert len(told(recorder, "schedule.added")) == 20
    assert findings(recorder, path) == []


def test_each_process_carries_a_removal_out_and_the_log_has_it(life, db, time, recorder, path):
    first, second = life(), life()
    with first, second:
        schedule_id = add(first, db)
        db.commit()
        settle(second, time)
        second.scheduler.remove(schedule_id, connection=db)
        db.commit()
        settle(first, time)
        settle(second, time, 7200)
        settle(first, time)
        fired = slots(first)

    kinds = [move["k"] for move in moves(recorder) if move.get("s") == schedule_id]
    assert (fired, kinds) == ([], ["schedule.added", "schedule.removed"])
    assert findings(recorder, path) == []


def test_more_changes_than_one_turn_carries_out_are_carried_out(life, db, path, recorder, time, monkeypatch):
    monkeypatch.setattr("lamplighter.stores.tables.schedule_changes.HOST_CHANGES_MAX", 3)
    monkeypatch.setattr("lamplighter.stores.tables.schedules.HOST_CHANGES_MAX", 3)
    with life() as rt:
        for number in range(10):
            add(rt, db, key=f"user {number}")
        rt.scheduler.remove("digest", key="user 0", connection=db)
        db.commit()
        seen = len(keys(rt))
        for _ in range(5):
            settle(rt, time)
        carried_out = len(keys(rt))

    assert (seen, carried_out, len(told(recorder, "schedule.added"))) == (9, 9, 10)
    assert findings(recorder, path) == []


def test_a_session_of_sqlalchemy_carries_it(rt, path, time):
    engine = create_engine(f"sqlite:///{path}")
    with Session(engine) as session, session.begin():
        session.execute(text("insert into users values (1, 2)"))
        rt.scheduler.add("digest", "@hourly", key="orm", durable=True, connection=session)
    with Session(engine) as session:
        rt.scheduler.remove("digest", key="orm", connection=session)
        session.rollback()
    engine.dispose()

    assert keys(rt) == ["orm"]


def test_connections_that_are_awaited_carry_it(rt, path):
    async def main() -> tuple[list[str | None], list[str | None]]:
        async with aiosqlite.connect(path) as db:
            await rt.scheduler.aadd("digest", "@hourly", key="async", durable=True, connection=db)
            await db.commit()
            added = keys(rt)
            await rt.scheduler.aremove("digest", key="async", connection=db)
            await db.commit()
        return added, keys(rt)

    assert asyncio.run(main()) == (["async"], [])


def test_what_cannot_be_is_refused_before_anything_is_written(rt, db, life, tmp_path):
    other = sqlite3.connect(tmp_path / "other.db")
    with contextlib.closing(other):
        other.execute("begin")
        with pytest.raises(UsageError, match=r"open on the store's file .*app\.db, got: .*other\.db"):
            rt.scheduler.add("digest", "@daily", durable=True, connection=other)
    with pytest.raises(UsageError, match="durable=True with connection="):
        rt.scheduler.add("digest", "@daily", connection=db)
    with pytest.raises(UsageError, match="cron"):
        add(rt, db, "not a rule")
    with pytest.raises(UnknownSchedule, match="the key of a durable schedule that is there, got: 'nobody'"):
        rt.scheduler.remove("digest", key="nobody", connection=db)
    with pytest.raises(UnknownSchedule, match="the id of a durable schedule that is there, got: '7f'"):
        rt.scheduler.remove("7f", connection=db)
    db.rollback()
    rt.scheduler.add("digest", "@daily", key="declared")
    with pytest.raises(UnknownSchedule, match="durable schedule that is there, got: 'declared'"):
        rt.scheduler.remove("digest", key="declared", connection=db)
    with pytest.raises(UsageError, match="unknown option connection"):
        rt.scheduler.add_many([{"name": "digest", "when": "@daily", "durable": True, "connection": db}])
    automatic = sqlite3.connect(rt.boot.store.path, isolation_level=None)
    with contextlib.closing(automatic), pytest.raises(UsageError, match="BEGIN first"):
        rt.scheduler.add("digest", "@daily", durable=True, connection=automatic)
    with pytest.raises(NotStarted):
        life().scheduler.add("digest", "@daily", durable=True, connection=db)

    assert keys(rt) == ["declared"]
