"""What is going on in a store, as somebody sees it who has no runtime: on files that real runtimes work on."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from lamplighter import JobSpec, Runtime, UnknownJob, UnknownSchedule
from lamplighter.admin import inspector as looks
from lamplighter.admin.inspector import Inspector, inspector_at, inspector_of, readable_table
from lamplighter.admin.operator import Operator
from lamplighter.environment.clock import SystemClock
from lamplighter.messages.boots import BootRecord
from lamplighter.messages.jobs import JobState
from lamplighter.messages.queries import JobQuery
from lamplighter.rules.codec import encode_own
from lamplighter.stores.sqlite.control_client import FileControlClient
from lamplighter.stores.sqlite.shared_memory import LOCKS, lock_kept_by
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.tables.rows import JobRows

from support.conformance.kit import new, put

ALL = JobQuery()


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "jobs.db")


@pytest.fixture
def inspector(file: str) -> Iterator[Inspector]:
    with inspector_at(file) as one:
        yield one


@pytest.fixture
def clear(file: str) -> Iterator[Inspector]:
    """A look by somebody who may see data."""
    with inspector_at(file, shows_data=True) as one:
        yield one


def failing(job: Any) -> None:
    raise ValueError(f"order {job.id} has no lines")


def busy(rt: Runtime, name: str) -> str:
    """Have a runtime be at a job of a name; its id."""
    begun = threading.Event()
    rt.jobs.add_handler(name, lambda job: begun.set() or job.sleep(60))
    job = rt.jobs.queue(name)
    assert begun.wait(10)
    return job.id


def test_an_overview_counts_what_waits_runs_and_is_dead(runtime, recorder, inspector):
    rt = runtime()
    busy(rt, "work")
    rt.jobs.add_handler("fails", failing, max_attempts=1)
    rt.jobs.queue("fails")
    recorder.wait_for("job.dead")
    rt.jobs.queue("work")
    rt.jobs.queue("work", delay=3600)
    rt.jobs.queue("nobody's")

    seen = inspector.overview()

    counts = seen.ready, seen.running, seen.scheduled, seen.parked, seen.dead
    assert [str(one) for one in counts] == ["2", "1", "1", "1", "1"]
    assert seen.oldest_ready is not None
    assert [name.name for name in seen.names] == ["fails", "nobody's", "work"]
    assert seen.health.status == "yellow"
    assert seen.health.reasons[-1] == 'no living runtime has a handler for "nobody\'s", and 1 of its jobs wait'


def test_a_store_on_which_nobody_works_is_red_as_soon_as_a_job_is_due(runtime, inspector, file):
    rt = runtime()
    job = rt.jobs.queue("work", delay=3600)
    rt.stop()

    assert inspector.overview().health.status == "yellow"
    Operator(file, by="ada", via="test").requeue(job.id)

    health = inspector.overview().health
    assert (health.status, health.reasons) == (
        "red",
        (f"no process runs jobs on {file}, and 1 due job waits",),
    )


def test_a_name_says_who_paused_it_who_handles_it_and_how_many_lanes_are_busy(runtime, inspector, file):
    rt = runtime()
    busy(rt, "work")
    Operator(file, by="ada", via="test").pause("work", reason="the server is down")

    name = inspector.name("work")

    assert name is not None
    assert name.pause is not None
    assert (name.pause.by, name.pause.reason) == ("ada", "the server is down")
    assert (name.boots, name.is_parked, name.lanes, name.busy) == ((rt.boot.id,), False, 1, 1)
    assert inspector.name("nothing") is None


def test_names_are_listed_some_at_a_time_and_of_one_only_that_is_counted(runtime, inspector, monkeypatch):
    rt = runtime(start=False)
    rt.start(work=False)
    rt.jobs.queue_many([(f"tenant-{number}", number) for number in range(5)])
    rt.jobs.pause("tenant-17")
    counted = []
    census = JobRows.census
    monkeypatch.setattr(
        JobRows, "census", lambda rows, names, *more: counted.append(names) or census(rows, names, *more)
    )

    assert [one.name for one in inspector.names(limit=2)] == ["tenant-0", "tenant-1"]
    assert [one.name for one in inspector.names(limit=3, after="tenant-1")] == ["tenant-17", "tenant-2", "tenant-3"]
    assert [one.name for one in inspector.names(limit=3, after="tenant-3")] == ["tenant-4"]
    assert inspector.name("tenant-3").ready.count == 1
    assert inspector.name("tenant-30") is None

    assert counted == [
        ["tenant-0", "tenant-1"],
        ["tenant-17", "tenant-2", "tenant-3"],
        ["tenant-4"],
        ["tenant-3"],
        ["tenant-4"],
    ]


def test_a_name_that_only_a_dead_runtime_handles_is_none_that_is_known(runtime, inspector, file):
    with runtime() as rt:
        rt.jobs.queue("work")
    with closing(SqliteStore(file)) as store:
        store.open()
        with store.turn("gone", 0.0) as turn:
            turn.boots.register(BootRecord("gone", 1, "h", 1.0, None, ("work", "ghost")))
    Path(f"{file}-boots", "gone.lock").touch()

    assert [(name.name, name.is_parked) for name in inspector.names()] == [("work", True)]
    assert [boot.condition for boot in inspector.boots()] == ["dead"]


def test_of_too_many_names_an_overview_says_that_there_are_more(runtime, inspector, monkeypatch):
    monkeypatch.setattr("lamplighter.admin.inspector.NAMES_MAX", 2)
    rt = runtime(start=False)
    rt.start(work=False)
    rt.jobs.queue_many([("a", 1), ("b", 1)])
    whole = inspector.overview()
    rt.jobs.queue("c")

    part = inspector.overview()

    assert (len(whole.names), whole.has_more_names, str(whole.ready)) == (2, False, "2")
    assert (len(part.names), part.has_more_names, str(part.ready)) == (2, True, "2+")
    assert "and 2+ due jobs wait" in part.health.reasons[0]


@pytest.mark.parametrize("before", ["ab", "abcd"])
def test_behind_too_many_names_those_that_wait_for_somebody_are_told(runtime, inspector, monkeypatch, before):
    monkeypatch.setattr("lamplighter.admin.inspector.NAMES_MAX", 2)
    rt = runtime()
    rt.jobs.queue_many([JobSpec(name=name, delay=3600) for name in before])
    rt.jobs.queue("parked")
    rt.jobs.pause("paused")

    reasons = inspector.overview().health.reasons

    assert any(reason.startswith("the jobs of 'paused' are paused") for reason in reasons)
    assert "no living runtime has a handler for 'parked', and 1 of its jobs wait" in reasons


def test_a_list_tells_of_each_job_why_it_waits(runtime, inspector):
    rt = runtime()
    running = busy(rt, "work")
    behind, parked = rt.jobs.queue("work", id="behind"), rt.jobs.queue("nobody's", id="parked")
    late = rt.jobs.queue("work", id="late", delay=3600)
    rt.jobs.cancel(rt.jobs.queue("work", id="gone", delay=3600))

    found = inspector.jobs(ALL, limit=10)

    codes = {job.id: None if job.why is None else job.why.code for job in found.jobs}
    assert codes == {
        running: "running",
        behind.id: "lanes_full",
        parked.id: "parked",
        late.id: "not_due",
        "gone": None,
    }
    assert (found.next, found.is_complete) == (None, True)


def test_a_job_tells_what_it_waits_for_and_what_waits_for_it(runtime, inspector):
    rt = runtime()
    parts = rt.jobs.queue_many([JobSpec(name="work", data=n, id=f"p{n}", delay=3600) for n in range(25)])
    whole = rt.jobs.queue("work", id="whole", after=parts)

    page, part, (why, *_) = inspector.job("whole"), inspector.job("p3"), inspector.why("whole")

    assert [job.id for job in page.parents] == [f"p{n}" for n in range(20)]
    assert (page.has_more_parents, page.waiting, part.parents) == (True, (), ())
    assert [(job.id, job.why.code) for job in part.waiting] == [("whole", "waits_for")]
    assert why.sentence == "it waits for 25 of 25 jobs: p0, p1, p2 and 22 more"
    assert inspector.name("work").scheduled.count == 26
    assert inspector.jobs(JobQuery(states=(JobState.QUEUED,)), limit=1).jobs[0].id == whole.id


@pytest.mark.parametrize("more", [None, "parents", "waiting", "children"])
def test_only_of_the_kind_of_which_there_are_more_than_a_page_shows_it_is_said(
    runtime, inspector, monkeypatch, file, more
):
    monkeypatch.setattr(looks, "CHILDREN_MAX", 2)
    monkeypatch.setattr(looks, "LINKED_MAX", 2)
    count = {kind: 2 + (kind == more) for kind in ("parents", "waiting", "children")}
    rt = runtime()
    parents = [rt.jobs.queue("nobody", id=f"parent{n}") for n in range(count["parents"])]
    rt.jobs.queue("nobody", id="middle", after=parents)
    for n in range(count["waiting"]):
        rt.jobs.queue("nobody", id=f"waits{n}", after="middle")
    with closing(SqliteStore(file)) as store:
        store.open()
        put(store, *(new(f"child{n}", root_id="middle") for n in range(count["children"])))

    page = inspector.job("middle")

    assert [len(getattr(page, kind)) for kind in count] == [2, 2, 2]
    assert [kind for kind in count if getattr(page, f"has_more_{kind}")] == ([] if more is None else [more])


def test_a_count_that_has_not_looked_at_all_is_no_exact_one(runtime, inspector, monkeypatch):
    rt = runtime()
    rt.jobs.queue_many([("other", None)] * 30)
    rt.jobs.queue_many([("work", None)] * 30)
    query = JobQuery(words=("work",))

    whole = inspector.count(query)
    monkeypatch.setattr(looks, "LOOKED_MAX", 20)
    part = inspector.count(query)

    assert (str(whole.amount), whole.looked_at) == ("30", 60)
    assert (str(part.amount), part.looked_at) == ("20+", 20)


def test_a_job_tells_of_what_it_has_waited_for_and_retention_has_removed(runtime, inspector, file):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)
    part = rt.jobs.queue("work", id="part")
    until = rt.jobs.join(rt.jobs.queue("work", id="whole", after=part), 10).record.ended_at
    rt.stop()
    store = SqliteStore(file)
    store.open()
    with store.turn("b", until) as turn:
        turn.prune(done_before=until, dead_before=until, slots_before=None, batch=1)
    store.close()

    page = inspector.job("whole")

    assert (page.parents, [(one["id"], one["name"], one["state"]) for one in page.gone_parents]) == (
        (),
        [("part", "work", "done")],
    )


def test_why_says_of_a_job_that_waits_that_it_does_not_start_then_either(runtime, inspector):
    rt = runtime()
    cancelled, ended, waits = (
        rt.jobs.queue("work", id=job_id, delay=3600) for job_id in ("cancelled", "ended", "waits")
    )
    rt.jobs.queue("gather", id="child", after=[cancelled, waits], after_ended=ended)
    rt.jobs.cancel(ended)
    said_before = inspector.why("child")[0].sentence
    rt.jobs.cancel(cancelled)

    why, *_ = inspector.why("child")

    assert said_before == "it waits for 2 of 3 jobs: cancelled and waits"
    assert why.sentence == "it waits for 1 of 3 jobs: waits; it does not start then either, as cancelled is cancelled"
    assert why.changes.startswith("a requeue of cancelled, for which it then waits again; or a requeue of this one")


def test_a_list_goes_on_where_the_page_before_has_ended(runtime, inspector):
    rt = runtime()
    for n in range(5):
        rt.jobs.queue("work", id=f"j{n}")

    first = inspector.jobs(ALL, limit=3)
    rest = inspector.jobs(ALL, limit=3, after=first.next)

    assert [job.id for job in (*first.jobs, *rest.jobs)] == ["j4", "j3", "j2", "j1", "j0"]
    assert rest.next is None


def test_data_is_told_by_its_shape_unless_somebody_may_see_it(runtime, inspector, clear):
    rt = runtime()
    rt.jobs.queue("work", {"to": "ada@example.org", "items": [1, 2], "paid": True}, id="j")

    (hidden,), (shown,) = inspector.jobs(ALL, limit=1).jobs, clear.jobs(ALL, limit=1).jobs

    assert hidden.data.shape == "object of 3: to (text), items (list of 2), paid (boolean)"
    assert "ada@example.org" not in encode_own(inspector.job("j")) + encode_own(hidden)
    assert shown.data.value == {"to": "ada@example.org", "items": [1, 2], "paid": True}


def test_a_job_is_told_with_its_attempts_its_children_and_its_schedule(runtime, recorder, clear):
    rt = runtime()
    rt.jobs.add_handler("parent", lambda job: [job.queue("child", n, delay=60) for n in range(2)] and "done")
    rt.jobs.add_handler("fails", failing, max_attempts=2, backoff=[0.0])
    parent, failed = rt.jobs.queue("parent"), rt.jobs.queue("fails")
    recorder.wait_for("job.dead")
    rt.jobs.join(parent, timeout=10)
    slot = rt.scheduler.run_now(rt.scheduler.add("report", "30 6 * * MON-FRI", key="daily"))

    page = clear.job(failed.id)
    assert [attempt.outcome for attempt in page.attempts or ()] == ["failed", "failed"]
    assert page.traceback is not None and "raise ValueError" in page.traceback
    assert [why.code for why in page.reasons] == ["dead"]

    page = clear.job(parent.id)
    assert [child.name for child in page.children] == ["child", "child"]
    assert page.job.result is not None and page.job.result.value == "done"

    named = clear.job(slot.id).schedule
    assert named is not None and (named.key, named.words) == ("daily", "at 06:30 on Monday to Friday")
    with pytest.raises(UnknownJob, match="no job 'nope'"):
        clear.job("nope")


def test_why_of_a_job_is_all_that_is_known_and_what_must_go_first(runtime, inspector, file):
    rt = runtime()
    busy(rt, "work")
    rt.jobs.queue("work")
    job = rt.jobs.queue("work")
    Operator(file, by="ada", via="test").pause("work")

    assert [why.code for why in inspector.why(job.id)] == ["paused", "lanes_full", "behind"]


def test_failures_are_shown_in_groups_each_with_its_jobs(runtime, recorder, inspector):
    rt = runtime()
    rt.jobs.add_handler("fails", failing, max_attempts=1)
    rt.jobs.add_handler("retries", failing, backoff=[3600.0])
    for n in range(3):
        rt.jobs.queue("fails", id=f"17{n}")
    rt.jobs.queue("retries", id="99")
    recorder.wait_for("job.dead", count=3)
    recorder.wait_for("job.failed")

    page = inspector.errors()

    assert [(group.name, group.message, group.dead, group.failing) for group in page.groups] == [
        ("fails", "order # has no lines", 3, 0),
        ("retries", "order # has no lines", 0, 1),
    ]
    assert page.groups[0].where == "admin/test_inspector.py:failing"
    assert (page.looked_at, page.is_capped) == (4, False)
    assert inspector.errors("retries").groups == page.groups[1:]
    group, jobs = inspector.failed_in(page.groups[0].id[:6], limit=2)
    assert (group, len(jobs)) == (page.groups[0], 2)
    assert inspector.failed_in("nope", limit=2) == (None, ())


def test_a_schedule_is_told_in_words_with_its_next_slots_and_who_declares_it(runtime, inspector):
    rt = runtime()
    rt.scheduler.add("report", "30 6 * * *", key="daily", timezone="Europe/Berlin")
    durable = rt.scheduler.add("report", "@every 1h", durable=True)

    daily, hourly = sorted(inspector.schedules(limit=10), key=lambda one: one.is_durable)

    assert (daily.words, daily.key, daily.declared_by) == ("at 06:30 every day", "daily", (rt.boot.id,))
    assert len(daily.next) == looks.NEXT_SLOTS
    assert all("T06:30:00+0" in slot.local for slot in daily.next)
    assert (hourly.id, hourly.words, hourly.declared_by) == (durable, "every hour", ())
    assert inspector.schedule("report", key="daily").schedule == daily
    assert [one.id for one in inspector.schedules("other", limit=10)] == []
    with pytest.raises(UnknownSchedule, match="no schedule 'nope'"):
        inspector.schedule("nope")


def test_who_declares_a_schedule_is_not_known_while_a_runtime_does_not_answer(runtime, inspector, monkeypatch):
    rt, silent = runtime(), runtime()
    rt.scheduler.add("report", "@daily", key="daily")
    answered = inspector.schedules(limit=10), inspector.schedule("report", key="daily").schedule
    silent.boot._standing.controls.close()
    monkeypatch.setattr(silent.boot._standing.controls, "keep", lambda: None)

    unheard = inspector.schedules(limit=10), inspector.schedule("report", key="daily").schedule

    assert [(one.declared_by, page.declared_by) for (one,), page in (answered, unheard)] == [
        ((rt.boot.id,), (rt.boot.id,)),
        (None, None),
    ]
    # It may fire, so its next slots are among those to come.
    coming, _ = inspector.coming_slots(limit=10, count=1)
    assert [slot.name for slot in coming] == ["report"]


def test_the_next_slots_are_those_to_come_though_nobody_has_accounted_for_others(timed, time, file):
    with timed() as rt:
        for name in ("a", "b"):
            rt.scheduler.add(name, "@every 1h", key="hourly", durable=True)
    time.advance(5 * 3600)
    now = time.clock().now()

    with inspector_at(file, now=time.clock().now) as inspector:
        (one, _), (coming, is_capped) = inspector.schedules(limit=9), inspector.coming_slots(limit=3, count=3)
        assert [slot.at > now for slot in one.next] == [True] * looks.NEXT_SLOTS
        assert sorted(slot.name for slot in coming[:2]) == ["a", "b"]
        assert [0 < slot.slot.at - now <= most for slot, most in zip(coming, (3600, 3600, 7200), strict=True)] == [
            True
        ] * 3
        assert one.next[0].at - now <= 3600
        assert (is_capped, inspector.coming_slots(limit=2, count=1)[1]) == (False, True)


def test_what_became_of_slots_is_told_with_those_to_come(runtime, recorder, inspector):
    rt = runtime()
    rt.jobs.add_handler("tick", lambda job: None)
    schedule = rt.scheduler.add("tick", "@every 1s")
    recorder.wait_for("slot.fired")

    page = inspector.schedule(schedule)
    outcomes = [slot.outcome for slot in page.slots]

    assert outcomes[0] == "fired"
    assert outcomes[-1] == "due"
    assert inspector.schedule(schedule, since=page.since, until=page.slots[0].slot).slots == ()


def test_jobs_are_counted_no_further_than_anybody_wants_to_know(runtime, inspector, monkeypatch):
    rt = runtime()
    monkeypatch.setattr(looks, "COUNTED_MAX", 3)
    for _ in range(5):
        rt.jobs.queue("work", delay=3600)

    counts = inspector.counts()

    assert (str(counts.of[JobState.QUEUED]), str(counts.of[JobState.DONE])) == ("3+", "0")
    assert str(inspector.overview().scheduled) == "3+"


def test_whoever_looks_leaves_no_trace_on_the_store(runtime, inspector, file):
    rt = runtime()
    rt.jobs.queue("work", id="j")
    with closing(sqlite3.connect(file)) as watching:
        before = watching.execute("pragma data_version").fetchone()
        (
            inspector.overview(),
            inspector.jobs(ALL, limit=9),
            inspector.job("j"),
            inspector.errors(),
            inspector.schedules(limit=9),
            inspector.boots(),
        )

        assert watching.execute("pragma data_version").fetchone() == before
    with closing(inspector_at(file)) as other:
        assert [boot.boot for boot in other.boots()] == [rt.boot.id]


@pytest.mark.skipif(not os.access(LOCKS, os.R_OK), reason="this system does not tell who holds a lock")
def test_who_keeps_the_write_lock_is_named_and_who_goes_on_is_not(runtime, inspector, file):
    runtime().jobs.queue("work")
    with closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("begin immediate")

        assert lock_kept_by(file, lambda seconds: None) == os.getpid()
        assert lock_kept_by(file, lambda seconds: holder.in_transaction and holder.execute("rollback")) is None


def test_names_with_the_same_trouble_are_one_reason_with_the_first_of_them(runtime, inspector):
    rt = runtime()
    rt.jobs.queue_many([(name, None) for name in "abcdefg"])
    for name in ("x", "y"):
        rt.jobs.pause(name)

    assert inspector.overview().health.reasons == (
        "2 names are paused: 'x', 'y'",
        "7 names with due jobs have no handler in a living runtime: 'a', 'b', 'c', 'd', 'e' and more",
    )


def test_a_store_at_one_instant_is_seen_the_same_by_all_and_asks_its_boots_once(tmp_path, runtime, monkeypatch):
    file, rt = str(tmp_path / "jobs.db"), runtime()
    room, asked = FileControlClient(file), []
    store, ask = readable_table(file, "list"), room.views
    monkeypatch.setattr(room, "views", lambda *given: asked.append(given) or ask(*given))

    with inspector_of(store, room, now=SystemClock().now, close=store.close) as inspector:
        with inspector.at_one_instant() as there:
            before = there.counts()
            rt.jobs.queue("work")
            assert there.counts().of == before.of
            assert tuple(there.boots()) == there.overview().boots

        assert inspector.counts().of["queued"].count == before.of["queued"].count + 1
    assert len(asked) == 1
