"""What very many schedules may cost. Turns, messages and rows are counted, never seconds."""

from __future__ import annotations

import gc
import itertools
import math
import sqlite3
import threading
import tracemalloc
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from lamplighter import NotStarted, StoreError, StoreUnavailable
from lamplighter.environment import Environment
from lamplighter.environment.clock import SystemClock
from lamplighter.environment.replies import ActorMailbox
from lamplighter.messages.mail import Mail, Resync, SchedulesChanged, Tick, Ticked, Wake
from lamplighter.messages.schedules import Accounting, Fire
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.tables.rows import ScheduleRows
from lamplighter.testing import Simulation
from lamplighter.testing.draining import is_idle
from lamplighter.testing.manual_clock import ManualTime

START = datetime(2026, 3, 1, 11, tzinfo=UTC)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
NEXT_YEAR = "30 3 1 1 *"
BYTES_MAX = 1_000
"""Of memory for one schedule, beyond its data."""


class WatchedStore(SqliteStore):
    """Counts the schedules that are read. Looks for changed ones, and for one, fail with `troubles`, one after the
    other.
    """

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.looks = 0
        self.read = []
        self.troubles = []
        self.schedules = WatchedSchedules(self)


class WatchedSchedules(ScheduleRows):
    """Tells its store what it has read."""

    def __init__(self, store):
        super().__init__(store._reading)
        self._store = store

    def all(self):
        found = super().all()
        self._store.read += found
        return found

    def one(self, schedule_id):
        self._fail()
        return super().one(schedule_id)

    def _fail(self):
        if self._store.troubles:
            raise self._store.troubles.pop()

    def changed(self, since, limit):
        self._fail()
        found = super().changed(since, limit)
        self._store.looks += 1
        self._store.read += found
        return found


def watched(mail):
    """A kind of mailbox that keeps in `mail` what is put into any of them, in order."""

    class WatchedMailbox(ActorMailbox):
        def put(self, envelope):
            message = getattr(envelope, "message", None)
            if isinstance(message, Mail):
                mail.append(message.body)
            super().put(envelope)

    return WatchedMailbox


@pytest.fixture
def time():
    return ManualTime(START)


@pytest.fixture
def scheduled(runtime, time):
    """Makes runtimes whose clock is `time`, or one of their own, and whose store counts what is read."""

    def make(*, time=time, **options):
        return runtime(environment=Environment(clock=time.clock, store=WatchedStore), **options)

    return make


def knows(rt):
    """What the scheduler of a runtime knows, by id."""
    return rt.boot.post.find("scheduler")._active


def settle(rt, recorder):
    """Wait until a runtime has done all that it was told."""
    recorder.until(lambda: is_idle(rt), "the actors to be idle")


def look_abroad(rt, time, recorder):
    """Let a runtime see what others have done."""
    settle(rt, recorder)
    time.advance(2)
    settle(rt, recorder)


def advance_to(time, instant):
    time.advance(instant - time.wall)


def many(count, when="0 * * * *", **options):
    return [{"name": "work", "when": when, "key": f"k{number}", **options} for number in range(count)]


@pytest.mark.parametrize("durable", [False, True])
def test_a_thousand_schedules_are_added_in_one_turn_with_a_few_statements(scheduled, recorder, durable):
    rt = scheduled()
    settle(rt, recorder)
    statements = []
    rt.boot.store._writer.set_trace_callback(statements.append)

    ids = rt.scheduler.add_many(many(1_000, durable=durable))
    settle(rt, recorder)
    first = list(statements)
    statements.clear()
    again = rt.scheduler.add_many(many(1_000, durable=durable))
    settle(rt, recorder)

    rest = [statement for statement in first if not statement.startswith("insert into lamplighter_schedules ")]
    assert (len(set(ids)), again) == (1_000, ids)
    assert [statement.lower() for statement in rest].count("begin immediate") == 1
    assert len(rest) < 20
    assert len(statements) < 20
    recorder.wait_for("schedule.added", count=1_000)
    assert len({event["msg"] for event in recorder.of("schedule.added")}) == 1


def test_a_start_stores_what_was_declared_a_thousand_in_a_turn(scheduled, recorder):
    rt = scheduled(start=False)
    ids = rt.scheduler.add_many(many(2_500))

    rt.start()

    recorder.wait_for("schedule.added", count=2_500)
    assert [event["schedule"] for event in recorder.of("schedule.added")] == ids
    assert len({event["msg"] for event in recorder.of("schedule.added")}) == 3


def test_a_durable_schedule_among_others_is_refused_at_start_and_none_is_declared(runtime):
    rt = runtime(start=False)

    with pytest.raises(NotStarted):
        rt.scheduler.add_many([*many(2), *many(1, durable=True)])

    assert rt.scheduler.list() == []


def test_to_pause_or_remove_one_schedule_reads_no_other(scheduled, recorder):
    rt = scheduled()
    ids = rt.scheduler.add_many(many(10, durable=True))
    settle(rt, recorder)
    rt.boot.store.read.clear()

    rt.scheduler.pause(ids[3])
    rt.scheduler.run_now(ids[3])
    rt.scheduler.remove(ids[3])

    assert rt.boot.store.read == []


def test_schedules_with_one_expression_share_its_rule(scheduled, recorder):
    rt = scheduled()
    rt.scheduler.add_many([*many(50), *many(1, " 0  * * * * ", durable=True, data=1, timezone="UTC")])
    rt.scheduler.add("work", "0 * * * *", durable=True, key="another")
    settle(rt, recorder)

    assert len(knows(rt)) == 51
    assert len({id(active.rule) for active in knows(rt).values()}) == 1


@pytest.mark.parametrize("durable", [False, True])
def test_a_schedule_takes_less_than_a_thousand_bytes(scheduled, recorder, durable):
    rt = scheduled()
    rt.scheduler.add_many(many(10, NEXT_YEAR, durable=durable))
    settle(rt, recorder)
    gc.collect()
    tracemalloc.start()
    try:
        rt.scheduler.add_many({**one, "key": f"more {one['key']}"} for one in many(3_000, NEXT_YEAR, durable=durable))
        recorder.wait_for("schedule.added", count=3_010)
        settle(rt, recorder)
        recorder.events.clear()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert len(knows(rt)) == 3_010
    assert grown / 3_000 < BYTES_MAX


def test_what_a_schedule_was_before_does_not_pile_up(scheduled, recorder):
    rt = scheduled()

    for minute in range(60):
        rt.scheduler.add_many(
            {"name": "work", "when": f"{minute} 3 1 1 *", "key": f"k{number}"} for number in range(100)
        )
    settle(rt, recorder)

    assert len(rt.boot.post.find("scheduler")._waiting) <= 1_200


def messages_in(hours, schedules, *, processes=1):
    """How many messages the actors of a runtime get in so many hours in which nothing is due."""

    def register(rt):
        rt.jobs.add_handler("work", print)
        rt.scheduler.add_many(many(schedules, "0 0 1 7 *"))

    with Simulation(register, processes=processes) as simulation:
        simulation.run(minutes=1)
        post = simulation.runtime.boot.post
        before = post.new_id()
        simulation.run(hours=hours)
        return post.new_id() - before - 1


def test_schedules_that_are_not_due_wake_nobody():
    without, with_many = messages_in(3, 0), messages_in(3, 500)

    # Retention looks every five minutes.
    assert without == with_many <= 3 * 12


def test_beside_an_idle_neighbour_one_looks_once_a_second_whatever_the_schedules():
    without, with_many = messages_in(0.1, 0, processes=2), messages_in(0.1, 500, processes=2)

    assert without == with_many <= 360 + 10


def test_the_clock_is_not_woken_for_what_comes_after_its_wait():
    class Counted(threading.Condition):
        notified = 0

        def notify(self, n=1):
            self.notified += 1
            super().notify(n)

    clock, made = SystemClock(), threading.Event()
    clock._changed = Counted(clock._lock)
    clock.start()
    try:
        clock.after(0.001, made.set)
        assert made.wait(10)
        for _ in range(100):
            clock.after(3600, print)
            clock.at(clock.now() + 3600, print)
        far = clock._changed.notified
        made.clear()
        while clock._waits_until == -math.inf:
            threading.Event().wait(0.001)
        clock.after(0, made.set)
        near = clock._changed.notified
        assert made.wait(10)
    finally:
        clock.stop()

    assert far <= 1
    assert near == far + 1


def test_the_scheduler_sets_its_alarm_only_when_the_next_slot_is_another(scheduled, time, recorder):
    rt = scheduled()
    rt.scheduler.add("work", timedelta(seconds=10))
    settle(rt, recorder)
    alarm = rt.boot.post.find("scheduler")._alarm

    rt.scheduler.add_many(many(20, NEXT_YEAR))
    settle(rt, recorder)

    assert rt.boot.post.find("scheduler")._alarm is alarm


def test_a_neighbours_jobs_make_no_schedule_be_read(scheduled, time, recorder):
    rt = scheduled()
    rt.jobs.add_handler("work", lambda job: None)
    rt.scheduler.add_many(many(20, NEXT_YEAR))
    neighbour = scheduled()
    # Whoever has run a job of the neighbour's has looked at what it did, and has seen its own schedules too.
    neighbour.jobs.queue("work")
    recorder.wait_for("job.done", boot=rt.boot.id)
    look_abroad(rt, time, recorder)
    looks = rt.boot.store.looks
    rt.boot.store.read.clear()

    for number in range(2, 6):
        neighbour.jobs.queue("work")
        recorder.wait_for("job.done", boot=rt.boot.id, count=number)
        look_abroad(rt, time, recorder)

    assert (rt.boot.store.looks - looks, rt.boot.store.read) == (0, [])


def test_only_what_a_neighbour_has_changed_is_read(scheduled, time, recorder):
    rt = scheduled()
    ids = rt.scheduler.add_many(many(20, NEXT_YEAR, durable=True))
    neighbour = scheduled(time=ManualTime(START))
    scheduler = rt.boot.post.find("scheduler")
    recorder.until(
        lambda: look_abroad(rt, time, recorder) or scheduler._seen == rt.boot.store.surroundings("b").change_no,
        "its own to be read",
    )
    rt.boot.store.read.clear()

    neighbour.scheduler.add("work", "0 * * * *", key="k7", durable=True)
    recorder.until(lambda: look_abroad(rt, time, recorder) or rt.boot.store.read, "the change to be seen")

    assert {record.id for record in rt.boot.store.read} == {ids[7]}


def test_a_durable_schedule_that_a_neighbour_has_added_fires_here(scheduled, time, recorder):
    rt, neighbour = scheduled(), scheduled(time=ManualTime(START))

    schedule = neighbour.scheduler.add("work", "0 * * * *", durable=True)
    recorder.until(lambda: look_abroad(rt, time, recorder) or schedule in knows(rt), "it to be known here")
    advance_to(time, NOON + 1)

    assert recorder.wait_for("slot.fired", schedule=schedule)["boot"] == rt.boot.id


@pytest.mark.parametrize("troubles", [[StoreUnavailable("busy")], [StoreError("damaged"), StoreUnavailable("busy")]])
def test_a_look_for_changed_schedules_that_failed_is_made_again(scheduled, time, recorder, troubles):
    # No neighbour says twice that something has changed, so nothing but the scheduler itself brings the next look.
    rt, neighbour = scheduled(), scheduled(time=ManualTime(START))
    look_abroad(rt, time, recorder)
    rt.boot.store.troubles += troubles

    schedule = neighbour.scheduler.add("work", "0 * * * *", durable=True)
    recorder.until(lambda: look_abroad(rt, time, recorder) or not rt.boot.store.troubles, "the looks to fail")
    look_abroad(rt, time, recorder)
    advance_to(time, NOON + 1)

    assert recorder.wait_for("slot.fired", schedule=schedule)["boot"] == rt.boot.id


@pytest.mark.parametrize("trouble", [StoreUnavailable("busy"), StoreError("damaged")])
def test_a_look_for_a_schedule_that_another_no_longer_declares_is_made_again(scheduled, time, recorder, trouble):
    rt = scheduled()
    schedule = rt.scheduler.add("work", "0 * * * *", key="k")
    settle(rt, recorder)
    rt.boot.store.troubles.append(trouble)

    rt.boot.post.tell("scheduler", SchedulesChanged(gone=(schedule,)))
    settle(rt, recorder)
    known = [*knows(rt)]
    look_abroad(rt, time, recorder)
    advance_to(time, NOON + 1)

    assert known == []
    assert recorder.wait_for("slot.fired", schedule=schedule)["slot"] == NOON
    assert recorder.of("actor.crashed") == []


@pytest.mark.parametrize(
    ("elsewhere", "when", "taken"),
    [(NOON + 2, "0 * * * *", [NOON]), (NOON - 1800, "30 3 1 1 *", []), (NOON + 2, "30 3 1 1 *", [])],
)
def test_a_slot_is_taken_where_another_has_accounted_for_it_and_no_rule_was_changed(
    scheduled, time, recorder, elsewhere, when, taken
):
    its_time = ManualTime(START)
    rt, neighbour = scheduled(), scheduled(time=its_time)
    schedule = rt.scheduler.add("work", "0 * * * *", key="k", durable=True)
    (old,) = rt.boot.store.schedules.all()
    look_abroad(neighbour, its_time, recorder)
    advance_to(its_time, elsewhere)
    settle(neighbour, recorder)
    neighbour.scheduler.add("work", when, key="k", durable=True)
    settle(rt, recorder)

    noon = Accounting((Fire(NOON, "fired"),), (), NOON + 1)
    rt.boot.post.tell("broker", Tick(schedule_id=schedule, change_no=old.change_no, accounting=noon))
    settle(rt, recorder)

    assert [line["slot"] for line in recorder.of("slot.taken")] == taken


def test_a_durable_schedule_that_a_neighbour_has_changed_fires_by_its_new_rule(scheduled, time, recorder):
    rt, neighbour = scheduled(), scheduled(time=ManualTime(START))
    schedule = rt.scheduler.add("work", NEXT_YEAR, key="k", durable=True)
    settle(rt, recorder)

    neighbour.scheduler.add("work", "0 * * * *", key="k", durable=True)
    recorder.until(
        lambda: look_abroad(rt, time, recorder) or knows(rt)[schedule].rule.text == "0 * * * *", "the new rule"
    )
    advance_to(time, NOON + 1)

    assert recorder.wait_for("slot.fired", schedule=schedule)["boot"] == rt.boot.id


def test_a_durable_schedule_that_a_neighbour_has_paused_does_not_fire_here(scheduled, time, recorder):
    rt, neighbour = scheduled(), scheduled(time=ManualTime(START))
    schedule = rt.scheduler.add("work", "0 * * * *", durable=True)
    settle(rt, recorder)

    neighbour.scheduler.pause(schedule)
    advance_to(time, NOON + 1)
    skipped = recorder.wait_for("slot.skipped", schedule=schedule)

    assert (skipped["slot"], skipped["reason"], skipped["boot"]) == (NOON, "paused", rt.boot.id)
    assert recorder.of("slot.fired") == []


def test_a_durable_schedule_that_a_neighbour_removed_is_forgotten_at_its_next_slot(scheduled, time, recorder):
    rt, neighbour = scheduled(), scheduled(time=ManualTime(START))
    schedule = rt.scheduler.add("work", "0 * * * *", durable=True)
    settle(rt, recorder)

    neighbour.scheduler.remove(schedule)
    recorder.until(lambda: is_idle(rt))
    advance_to(time, NOON + 1)
    recorder.until(lambda: schedule not in knows(rt), "it to be forgotten")

    assert recorder.of("slot.fired") == recorder.of("slot.taken") == []


def test_a_durable_schedule_that_was_replaced_elsewhere_fires_by_what_it_is_now(scheduled, time, recorder):
    rt, neighbour = scheduled(), scheduled(time=ManualTime(START))
    schedule = rt.scheduler.add("work", NEXT_YEAR, key="k", durable=True)
    settle(rt, recorder)

    neighbour.scheduler.remove(schedule)
    neighbour.scheduler.add("work", "0 * * * *", key="k", durable=True)
    recorder.until(
        lambda: look_abroad(rt, time, recorder) or knows(rt)[schedule].rule.text == "0 * * * *", "the new rule"
    )
    advance_to(time, NOON + 1)

    assert recorder.wait_for("slot.fired", schedule=schedule)["boot"] == rt.boot.id


def test_a_slot_that_a_neighbour_has_fired_is_not_tried_here(scheduled, time, recorder):
    elsewhere = ManualTime(START)
    rt, neighbour = scheduled(), scheduled(time=elsewhere)
    schedule = rt.scheduler.add("work", "0 * * * *", durable=True)
    recorder.until(
        lambda: look_abroad(neighbour, elsewhere, recorder) or schedule in knows(neighbour), "it to be known there"
    )

    advance_to(elsewhere, NOON + 1)
    recorder.wait_for("slot.fired", schedule=schedule)
    recorder.until(
        lambda: look_abroad(rt, time, recorder) or knows(rt)[schedule].accounted_to >= NOON, "the account to be read"
    )
    advance_to(time, NOON + 2)
    settle(rt, recorder)

    assert len(recorder.of("slot.fired", schedule=schedule)) == 1
    assert recorder.of("slot.taken") == []


def test_a_reload_whose_timer_is_a_rounding_error_early_is_not_put_off_for_ever(scheduled, time, recorder):
    rt = scheduled()
    settle(rt, recorder)
    scheduler, looks = rt.boot.post.find("scheduler"), rt.boot.store.looks
    scheduler._reload_due, scheduler._reload_timer = time.elapsed + 1e-9, object()

    rt.boot.post.tell("scheduler", Wake(reload=True))
    settle(rt, recorder)

    assert rt.boot.store.looks > looks


def test_what_a_schedule_misses_is_caught_up_though_a_neighbour_gave_it_up(scheduled, time, recorder):
    elsewhere = ManualTime(START)
    rt, neighbour = scheduled(), scheduled(time=elsewhere)
    for one in (rt, neighbour):
        schedule = one.scheduler.add("work", "0 * * * *", key="k", catch_up="latest")
    look_abroad(rt, time, recorder)
    neighbour.scheduler.remove(schedule)
    settle(neighbour, recorder)
    look_abroad(rt, time, recorder)

    rt.stop()
    advance_to(time, NOON + 600)
    rt.start()

    assert recorder.wait_for("slot.caught_up", schedule=schedule)["slot"] == NOON


def test_old_news_of_a_schedule_changes_nothing(scheduled, time, recorder):
    rt = scheduled()
    schedule = rt.scheduler.add("work", "30 * * * *", key="k")
    (old,) = rt.boot.store.schedules.all()
    rt.scheduler.add("work", "0 * * * *", key="k")
    settle(rt, recorder)

    rt.boot.post.tell("scheduler", Ticked(accounts=((schedule, NOON + 3600, old.change_no),)))
    rt.boot.post.tell("scheduler", SchedulesChanged(records=(old,)))
    settle(rt, recorder)
    advance_to(time, NOON - 1799)
    settle(rt, recorder)
    advance_to(time, NOON + 1)
    fired = recorder.wait_for("slot.fired", schedule=schedule)

    assert (fired["slot"], recorder.of("slot.taken")) == (NOON, [])


def test_however_many_are_due_the_broker_gets_no_more_ticks_than_a_turn_takes(runtime, time, recorder):
    mail = []
    rt = runtime(environment=Environment(clock=time.clock, actor_mailbox=watched(mail)), turn_messages_max=7)
    rt.scheduler.add_many(many(100))
    settle(rt, recorder)

    advance_to(time, NOON + 1)
    recorder.wait_for("slot.fired", count=100)
    settle(rt, recorder)

    steps = [1 if isinstance(body, Tick) else -len(body.accounts) for body in mail if isinstance(body, (Tick, Ticked))]
    assert max(itertools.accumulate(steps)) == 7
    assert sum(steps) == 0
    assert {event["slot"] for event in recorder.of("slot.fired")} == {NOON}


def test_a_turn_answers_all_its_ticks_in_one_message(runtime, time, recorder):
    mail, statements = [], []
    rt = runtime(environment=Environment(clock=time.clock, actor_mailbox=watched(mail)))
    rt.scheduler.add_many(many(100))
    settle(rt, recorder)
    rt.boot.store._writer.set_trace_callback(statements.append)

    advance_to(time, NOON + 1)
    recorder.wait_for("slot.fired", count=100)
    settle(rt, recorder)

    answers = [len(body.accounts) for body in mail if isinstance(body, Ticked)]
    assert sum(answers) == sum(isinstance(body, Tick) for body in mail) == 100
    assert len(answers) <= statements.count("begin immediate")


def test_a_tick_that_a_broker_took_to_its_grave_is_sent_again_at_once(scheduled, time, recorder):
    rt = scheduled()
    schedule = rt.scheduler.add("work", "0 * * * *")
    settle(rt, recorder)
    rt.boot.post.find("scheduler")._sent[schedule] = time.elapsed + 3600
    advance_to(time, NOON + 1)
    recorder.until(lambda: not any(len(rt.boot.post.find(name).mailbox) for name in ("broker", "scheduler")))

    rt.boot.post.tell("scheduler", Resync(rt.boot.post.new_id(), rt.boot.id))

    assert recorder.wait_for("slot.fired", schedule=schedule)["slot"] == NOON


def test_a_schedule_whose_ticks_are_refused_does_not_hold_up_the_others(scheduled, time, recorder, tmp_path):
    rt = scheduled(turn_messages_max=1)
    bad, *sound = sorted(rt.scheduler.add_many(many(4)))
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as db:
        db.execute(
            f"""create trigger bad before insert on lamplighter_slots when new.schedule_id = '{bad}'
                begin select raise(abort, 'no'); end"""
        )
        db.commit()

    def are_stored():
        # The scheduler may still be being started.
        scheduler = rt.boot.post.find("scheduler")
        if is_idle(rt) or (scheduler is not None and scheduler._sent.keys() == {bad}):
            time.advance(NOON + 1 - time.wall if time.wall < NOON else 11)
        return len(rt.jobs.list()) >= 3

    recorder.until(are_stored, "the jobs of the others")

    assert {job.schedule for job in rt.jobs.list()} >= set(sound)
    assert recorder.of("message.refused")
