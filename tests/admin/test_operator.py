"""Somebody outside of any runtime acts on its store: it is done, it is told by whom, and the proof is whole."""

from __future__ import annotations

import sqlite3
import time as walltime
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from lamplighter import JobSpec, Runtime, StoreUnavailable, UnknownJob, UnknownSchedule, UsageError
from lamplighter.admin.operator import Operator
from lamplighter.admin.sweeping import SWEPT_A_TURN_MAX, Swept
from lamplighter.broker.host_transactions import finish
from lamplighter.environment import Environment
from lamplighter.environment.failpoints import Failpoints
from lamplighter.messages.jobs import JobParent, NewJob
from lamplighter.messages.mail import MarkDone
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.tables.schema import VERSION
from lamplighter.testing.draining import is_idle

from ..faults.kit import eventually


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def ada(store: Path) -> Operator:
    return Operator(store, by="ada", via="cli")


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def failing(job: Any) -> None:
    raise ValueError("not yet")


def state_in(store: Path, job_id: str) -> str:
    """The state of a job in a file that no runtime has open."""
    with closing(sqlite3.connect(store)) as connection:
        return str(connection.execute("select state from lamplighter_jobs where id = ?", (job_id,)).fetchone()[0])


def test_a_person_acts_beside_a_runtime_which_tells_it_and_the_proof_is_whole(runtime, recorder, store, ada):
    rt = runtime()
    rt.jobs.add_handler("fails", failing, max_attempts=1)
    rt.jobs.add_handler("sleeps", lambda job: job.sleep(60))
    dead, running = rt.jobs.queue("fails", id="dead"), rt.jobs.queue("sleeps", id="running")
    waiting = rt.jobs.queue("nobody's", id="waiting")
    recorder.wait_for("job.dead")
    recorder.wait_for("job.started", job_id=running.id)

    requeued = ada.requeue(dead, reason="mended").state
    recorder.wait_for("job.dead", count=2)
    acted = [
        ada.cancel(running.id, reason="too long").reason,
        ada.cancel(waiting, reason="not wanted").state,
    ]
    ada.pause("fails", reason="the other side is down")
    recorder.wait_for("operator.acted", count=4)
    rt.stop()

    assert requeued == "queued"
    assert acted == ["cancelled by ada while it ran: too long", "cancelled"]
    told = [(line["by"], line["via"], line["action"], line["reason"], line["told"]) for line in told_acts(recorder)]
    assert told == [
        ("ada", "cli", "requeued", "mended", 1),
        ("ada", "cli", "cancelled", "too long", 1),
        ("ada", "cli", "cancelled", "not wanted", 1),
        ("ada", "cli", "name.paused", "the other side is down", 1),
    ]
    report = recorder.audit(store)
    assert (report.findings, report.acts, report.crashes, report.boots) == ((), 4, 0, 1)
    assert report.summary.endswith("1 boot, 0 crashes, 4 acts; 0 unfinished")
    assert recorder.of("runtime.recovered") == []


def told_acts(recorder: Any) -> list[dict[str, Any]]:
    return sorted(recorder.of("operator.acted"), key=lambda line: line["seq"])


def test_the_runtime_hears_of_it_at_once(runtime, recorder, store, ada, monkeypatch):
    # No poll would find it within the test.
    monkeypatch.setattr("lamplighter.broker.peer_watcher.POLL_SECONDS", 3600)
    rt = runtime()
    rt.jobs.add_handler("sleeps", lambda job: job.sleep(60))
    job = rt.jobs.queue("sleeps")
    recorder.wait_for("job.started")
    recorder.until(lambda: is_idle(rt), "it to be idle")

    ada.cancel(job)

    recorder.wait_for("operator.acted")
    recorder.wait_for("job.fenced", job_id=job.id)


def test_with_no_runtime_alive_the_next_start_tells_what_was_done(runtime, recorder, store, ada):
    with runtime() as rt:
        rt.jobs.add_handler("fails", failing, max_attempts=1)
        dead = rt.jobs.queue("fails")
        recorder.wait_for("job.dead")

    ada.requeue(dead)
    Operator(store, by="bob", via="web").cancel(dead)
    before = recorder.audit(store)
    runtime().stop()

    assert before.findings == ()
    assert [(line["by"], line["via"], line["action"]) for line in told_acts(recorder)] == [
        ("ada", "cli", "requeued"),
        ("bob", "web", "cancelled"),
    ]
    report = recorder.audit(store)
    assert (report.findings, report.acts, report.crashes) == ((), 2, 0)
    assert rows(store, "select * from lamplighter_boots") == []


def test_what_changes_nothing_is_told_by_nobody_and_leaves_no_row(runtime, recorder, store, ada):
    with runtime() as rt:
        rt.jobs.cancel(rt.jobs.queue("work", id="j"))
    before = rows(store, "select boots from lamplighter_store")

    assert ada.cancel("j").state == "cancelled"
    assert ada.requeue_dead(["j", "none"]) == 0
    with pytest.raises(UnknownJob):
        ada.requeue("none")

    assert rows(store, "select * from lamplighter_boots") == []
    assert rows(store, "select boots from lamplighter_store") == before


def test_one_killed_between_its_commit_and_its_hint_is_told_all_the_same(runtime, recorder, store):
    points = Failpoints("store.turn.committed=1*raise(SystemExit: killed)")
    rt = runtime()
    job = rt.jobs.queue("work", delay=60)

    with pytest.raises(SystemExit):
        Operator(store, by="ada", via="cli", environment=Environment(failpoints=points)).cancel(job)

    recorder.wait_for("operator.acted", by="ada", action="cancelled")
    rt.stop()
    assert recorder.audit(store).findings == ()


def test_more_operators_than_one_turn_tells_are_told_one_turn_after_the_other(runtime, recorder, store, ada):
    with runtime() as rt:
        rt.jobs.queue_many([("work", number) for number in range(25)])
        ids = [job.id for job in rt.jobs.list()]
    for job_id in ids:
        ada.cancel(job_id)

    rt = runtime()
    recorder.wait_for("operator.acted", count=25)
    rt.stop()

    assert {line["turn"] for line in recorder.of("operator.acted")} == {1}
    report = recorder.audit(store)
    assert (report.findings, report.acts) == ((), 25)


def test_schedules_are_paused_resumed_run_and_removed(runtime, recorder, store, ada):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.data)
    rt.jobs.add_handler("else", lambda job: None)
    kept = rt.scheduler.add("work", "@yearly", 7, key="kept", durable=True)
    declared = rt.scheduler.add("else", "@yearly")

    ada.pause_schedule(kept, reason="holidays")
    paused = rt.scheduler.get(kept).paused
    ada.resume_schedule(kept)
    job = ada.run_now(kept, reason="now")
    done = rt.jobs.join(job.id, timeout=15)
    with pytest.raises(UsageError, match="which code declares and would add again"):
        ada.remove_schedule(declared)
    ada.remove_schedule(kept)
    with pytest.raises(UnknownSchedule):
        ada.pause_schedule(kept)
    recorder.wait_for("operator.acted", count=4)
    rt.stop()

    assert (paused, done.result) == (True, 7)
    assert [line["action"] for line in told_acts(recorder)] == [
        "schedule.paused",
        "schedule.resumed",
        "queued",
        "schedule.removed",
    ]
    assert recorder.audit(store).findings == ()


def test_a_job_is_queued_and_a_living_runtime_does_it(runtime, recorder, store, ada):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.data["n"] + 1)

    job = ada.queue("work", {"n": 1}, id="j", reason="by hand")
    again = ada.queue("work", {"n": 5}, id="j")
    done = rt.jobs.join(job.id, timeout=15)
    recorder.wait_for("operator.acted")
    rt.stop()

    assert (done.result, again.id, again.deduplicated, again.data) == (2, "j", True, {"n": 1})
    assert [(line["by"], line["action"], line["reason"]) for line in told_acts(recorder)] == [
        ("ada", "queued", "by hand")
    ]
    assert recorder.audit(store).findings == ()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"prio": 1}, "unknown option prio; did you mean priority"),
        ({"priority": 1.5}, "expected priority to be a whole number"),
        ({"delay": 1, "at": datetime(2030, 1, 1, tzinfo=UTC)}, "expected delay or at, got both"),
        ({"delay": 60, "expires": 60}, "expected expires to be more than delay, got: 60 s, and delay is 60 s"),
        ({"data": {"x": object()}}, "expected a JSON-serializable value at data"),
        ({"data": "x" * 2_000_000}, "expected data of at most"),
    ],
)
def test_a_job_that_cannot_be_is_refused_before_anything_is_stored(runtime, store, ada, options, says):
    runtime().stop()

    for call in (ada.queue, ada.check):
        with pytest.raises(UsageError, match=says):
            call("work", **options)

    assert rows(store, "select * from lamplighter_jobs") == []
    assert rows(store, "select boots from lamplighter_store") == [(1,)]


def test_a_check_refuses_a_parent_that_is_not_there_and_stores_nothing(runtime, store, ada):
    runtime().jobs.queue("work", id="parent")

    ada.check("work")
    ada.check("work", after="parent")
    for parents in ("nowhere", ["parent", "nowhere"]):
        with pytest.raises(UnknownJob, match="'nowhere'"):
            ada.check("work", after=parents)

    assert rows(store, "select id from lamplighter_jobs") == [("parent",)]


def test_a_copy_of_a_job_has_other_data_and_an_own_life(runtime, recorder, store, ada):
    with runtime() as rt:
        rt.jobs.pause("work")
        data = {"user": {"id": 1}, "items": [1, 2]}
        rt.jobs.queue("work", data, id="j", priority=3, max_attempts=2, timeout=9, unique="key", expires=3600)
    before = rows(store, "select * from lamplighter_jobs")

    taken = ada.copy("j")
    ada.cancel("j")
    copy = ada.copy("j", changes={"user.id": 7, "items[1]": "x", "user.new": None}, id="copy", delay=60)
    again = ada.copy("copy", changes={"": 5}, id="again")
    rt = runtime()

    assert (taken.id, taken.deduplicated) == ("j", True)
    assert copy.data == {"user": {"id": 7, "new": None}, "items": [1, "x"]}
    assert (again.id, again.deduplicated) == ("copy", True)
    record = rt.jobs.get("copy").record
    assert (record.name, record.priority, record.max_attempts, record.timeout) == ("work", 3, 2, 9.0)
    assert (record.unique_key, record.root_id, record.expires_at) == ("key", "copy", None)
    assert rt.jobs.get("j").data == data and before[0][1] == "j"
    rt.stop()
    assert recorder.audit(store).findings == ()


def test_a_copy_of_a_job_that_waits_for_others_waits_for_them_too(runtime, recorder, store, ada):
    rt = runtime()
    rt.jobs.queue("nobody", id="p")
    rt.jobs.queue("nobody", id="q")
    rt.jobs.queue("merge", id="m", after="p", after_ended="q")

    copy = ada.copy("m", changes={"": 5}, id="copy")
    rt.jobs.mark_done("p", 5)
    assert copy.waits
    rt.jobs.cancel("q")
    rt.jobs.add_handler("merge", lambda job: [parent.result for parent in job.parents()])

    assert rt.jobs.join("copy", timeout=15).result == rt.jobs.join("m", timeout=15).result == [5, None]
    assert rt.jobs.join(ada.copy("m"), timeout=15).result == [5, None]
    rt.stop()
    assert recorder.audit(store).findings == ()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"a.b": 1}, "expected data with an object at data.a, got: 1"),
        ({"b.c": 1}, "expected data with something at data.b, got: nothing there"),
        ({"list[2]": 1}, r"expected data with a list of more than 2 at data.list, got: \[1, 2\]"),
        ({"list.x": 1}, "expected data with an object at data.list"),
        ({"[0]": 1}, "expected data with a list of more than 0 at data, got"),
        ({"a..b": 1}, "expected a key"),
        ({"a": object()}, "expected a JSON-serializable value at data"),
    ],
)
def test_a_copy_with_a_change_that_cannot_be_is_refused(runtime, store, ada, changes, says):
    with runtime() as rt:
        rt.jobs.queue("work", {"a": 1, "list": [1, 2]}, id="j")

    with pytest.raises(UsageError, match=says):
        ada.copy("j", changes=changes)
    with pytest.raises(UnknownJob):
        ada.copy("none")

    assert rows(store, "select id from lamplighter_jobs") == [("j",)]


def test_a_sweep_of_states_that_there_are_not_is_refused(runtime, ada):
    runtime().stop()

    with pytest.raises(UsageError, match=r"expected each state to be one of 'queued', 'running'.* got: 'waiting'"):
        ada.sweep([["j"]], "cancel", states=["waiting"])
    with pytest.raises(UsageError, match="expected states to be states of jobs, got: 5"):
        ada.sweep([["j"]], "cancel", states=5)


def test_a_sweep_acts_on_what_still_is_what_was_found(runtime, recorder, store, ada):
    with runtime() as rt:
        rt.jobs.queue_many([("work", number) for number in range(SWEPT_A_TURN_MAX + 100)])
        found = rt.jobs.list(limit=1000)
        changed, gone, again = found[0], found[-1], found[5]
        rt.jobs.requeue(rt.jobs.cancel(again))
        rt.jobs.cancel(changed)

    pages = iter([found[:300], [*found[300:], "no such id"]])
    steps = list(ada.sweep(pages, "cancel", reason="a wrong batch"))

    assert [step.asked for step in steps] == [300, 601]
    assert steps[-1] == Swept(asked=601, done=599, changed=2, refused=0)
    assert gone.id and set(rows(store, "select state from lamplighter_jobs")) == {("cancelled",)}
    runtime().stop()
    report = recorder.audit(store)
    assert (report.findings, report.acts) == ((), 2)
    assert {line["by"] for line in recorder.of("operator.acted")} == {"ada"}


def test_a_sweep_by_ids_leaves_what_has_ended_again_since_somebody_looked(timed, time, store, ada):
    with timed() as rt:
        first, again = rt.jobs.queue("work"), rt.jobs.queue("work")
        rt.jobs.cancel(first)
        rt.jobs.cancel(again)
        rt.jobs.requeue(again)
        time.advance(1)
        rt.jobs.cancel(again)
        until = rt.jobs.get(first).ended_at
    ids = [first.id, again.id]

    assert list(ada.sweep([ids], "requeue", until=until)) == [Swept(asked=2, done=1, changed=1)]
    assert [state_in(store, job_id) for job_id in ids] == ["queued", "cancelled"]
    with pytest.raises(UsageError, match="expected until to be a datetime with a time zone, got: 5"):
        ada.sweep([ids], "requeue", until=5)


def test_a_sweep_leaves_a_job_that_is_in_the_same_state_by_another_claim(runtime, recorder, store, ada):
    with runtime() as rt:
        rt.jobs.add_handler("fails", failing, max_attempts=1)
        rt.jobs.add_handler("sleeps", lambda job: job.sleep(60))
        again, same, runs = rt.jobs.queue("fails"), rt.jobs.queue("fails"), rt.jobs.queue("sleeps")
        recorder.wait_for("job.dead", count=2)
        recorder.wait_for("job.started", job_id=runs.id)
        dead, running = rt.jobs.list(state="dead"), [rt.jobs.get(runs)]
        rt.jobs.requeue(again)
        recorder.wait_for("job.dead", count=3)
        rt.jobs.requeue(rt.jobs.cancel(runs))
        recorder.wait_for("job.started", job_id=runs.id, count=2)

        assert list(ada.sweep([dead], "requeue")) == [Swept(asked=2, done=1, changed=1)]
        assert list(ada.sweep([running], "cancel")) == [Swept(asked=1, changed=1)]
        recorder.wait_for("job.dead", count=4)
        assert rt.jobs.get(runs).state == "running"
        assert [rt.jobs.get(job).record.claim_no for job in (again, same)] == [2, 2]


def test_an_operator_may_be_used_by_several_threads_and_sweeps_at_once(runtime, store, ada):
    with runtime() as rt:
        ids = [rt.jobs.queue("work").id for _ in range(4)]

    with ThreadPoolExecutor(4) as threads:
        queued = list(threads.map(lambda n: ada.queue("work", n), range(40)))
    first, second = ada.sweep([ids[:1], ids[1:2]], "cancel"), ada.sweep([ids[2:3], ids[3:]], "cancel")
    swept = [next(first), next(second), *first, *second]

    assert len({job.id for job in queued}) == 40
    assert swept[0].done == swept[1].done == 1
    assert [state_in(store, job_id) for job_id in ids] == ["cancelled"] * 4


def test_a_sweep_cancels_what_the_end_of_another_has_freed(runtime, store, ada):
    with runtime() as rt:
        first = JobSpec(name="work", id="first")
        found = rt.jobs.queue_many([first, JobSpec(name="work", after_ended=first)])

    assert list(ada.sweep([found], "cancel")) == [Swept(asked=2, done=2)]

    assert rows(store, "select state from lamplighter_jobs") == [("cancelled",), ("cancelled",)]


def test_a_sweep_of_more_than_a_turn_takes_several_and_stops_with_whoever_asks(runtime, store, ada):
    with runtime() as rt:
        rt.jobs.queue_many([("work", number) for number in range(2 * SWEPT_A_TURN_MAX)])
        ids = [job.id for job in rt.jobs.list(limit=5000)]

    first = next(ada.sweep([ids], "cancel"))

    assert first == Swept(asked=SWEPT_A_TURN_MAX, done=SWEPT_A_TURN_MAX)
    assert rows(store, "select count(*) from lamplighter_jobs where state = 'queued'") == [(SWEPT_A_TURN_MAX,)]


def test_dead_jobs_are_requeued_unless_they_are_dead_no_longer_or_their_key_is_taken(runtime, recorder, store, ada):
    with runtime() as rt:
        rt.jobs.add_handler("fails", failing, max_attempts=1)
        for number in range(3):
            rt.jobs.queue("fails", id=f"j{number}", unique=f"key{number}")
        recorder.wait_for("job.dead", count=3)
        found = rt.jobs.list(state="dead")
        rt.jobs.pause("fails")
        rt.jobs.queue("fails", id="another", unique="key1")
        rt.jobs.requeue("j2")

    before = {job_id: state_in(store, job_id) for job_id in ("j0", "j1", "j2")}

    assert list(ada.sweep([found], "requeue")) == [Swept(asked=3, done=1, changed=1, refused=1)]

    assert before == {"j0": "dead", "j1": "dead", "j2": "queued"}
    assert {job_id: state_in(store, job_id) for job_id in before} == {"j0": "queued", "j1": "dead", "j2": "queued"}


def test_requeue_dead_counts_the_dead_that_it_has_requeued_and_no_others(runtime, recorder, store, ada):
    with runtime() as rt:
        rt.jobs.add_handler("fails", failing, max_attempts=1)
        for number in range(3):
            rt.jobs.queue("fails", id=f"j{number}")
        recorder.wait_for("job.dead", count=3)
        rt.jobs.pause("fails")
        rt.jobs.requeue("j2")

    assert ada.requeue_dead(["j0", "j1", "j2"]) == 2
    assert [state_in(store, f"j{number}") for number in range(3)] == ["queued"] * 3
    assert ada.requeue_dead(["j0", "j1", "j2"]) == 0


def test_requeue_dead_counts_over_all_of_its_turns(runtime, recorder, ada, monkeypatch):
    with runtime() as rt:
        rt.jobs.add_handler("fails", failing, max_attempts=1)
        ids = [rt.jobs.queue("fails").id for _ in range(3)]
        recorder.wait_for("job.dead", count=3)
        rt.jobs.pause("fails")
    monkeypatch.setattr("lamplighter.admin.operator.SWEPT_A_TURN_MAX", 2)

    assert ada.requeue_dead(ids) == 3


def test_after_a_sweep_in_any_order_each_waits_for_its_parents_again(store, ada):
    with Runtime(store) as rt:
        parent = rt.jobs.queue("part")
        child = rt.jobs.queue("merge", after=parent)
        rt.jobs.cancel(parent)
        eventually(lambda: rt.jobs.get(child).state == "cancelled", what="the child shares its fate")

    assert list(ada.sweep([[child.id, parent.id]], "requeue")) == [Swept(asked=2, done=2)]

    with Runtime(store) as rt:
        assert [rt.jobs.get(job).waits for job in (parent, child)] == [False, True]


def test_a_follow_up_that_an_operator_counts_with_the_end_of_its_parent_is_freed(runtime, store, ada):
    # Found by a simulation: its link was closed as it was counted, nobody judged it, and it waited for ever.
    with Runtime(store) as rt:
        parent, now = rt.jobs.queue("parent"), rt.boot.clock.now()
    follows = NewJob("next", "work", "null", 0, now, now, "next", parents=(JobParent(parent.id, any_end=1),))
    end = MarkDone(parent.id, None, None, None, None, (follows,), None)
    host = SqliteStore(str(store)).host
    with closing(sqlite3.connect(store)) as connection:
        host.join(connection, now, partial(finish, end, now))
        connection.commit()

    ada.cancel(parent)

    rt = runtime(store)
    rt.jobs.add_handler("work", lambda job: None)
    assert rt.jobs.join("next", timeout=10).state == "done"


def test_a_held_write_lock_is_an_error_that_names_its_process(runtime, store, ada):
    rt = runtime()
    job = rt.jobs.queue("work", delay=60)
    with closing(sqlite3.connect(store, isolation_level=None)) as holder:
        holder.execute("begin immediate")
        began = walltime.monotonic()
        with pytest.raises(StoreUnavailable, match=r"locked: .* nothing was done: .*\(pid \d+ on "):
            ada.cancel(job)
        took = walltime.monotonic() - began
        holder.execute("rollback")

    assert took >= 1.5
    assert rt.jobs.get(job).state == "queued"


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path):
    with pytest.raises(UsageError, match="which is not there"):
        Operator(tmp_path / "none.db", by="ada", via="cli").pause("work")

    assert list(tmp_path.iterdir()) == []


def test_a_file_of_somebody_elses_is_left_as_it_is(tmp_path: Path):
    path = tmp_path / "own.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table orders (id integer)")
        db.commit()
    before = path.read_bytes()

    with pytest.raises(UsageError, match="which has none of its tables"):
        Operator(path, by="ada", via="cli").pause("work")

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_older_store_is_left_to_the_start_of_a_runtime(runtime, store, ada, monkeypatch):
    monkeypatch.setattr("lamplighter.stores.sqlite.schema.OLDEST", 1)
    runtime().stop()
    with closing(sqlite3.connect(store)) as db:
        db.execute("update lamplighter_store set schema_version = 1")
        db.commit()

    with pytest.raises(UsageError, match=f"expected a store of schema version {VERSION}, got: .* which has 1"):
        ada.pause("work")


@pytest.mark.parametrize("wrong", [{"by": ""}, {"via": ""}, {"by": None}])
def test_whoever_acts_has_a_name_and_says_by_which_way(store, wrong):
    with pytest.raises(UsageError, match=f"expected {next(iter(wrong))} to be a str"):
        Operator(store, **{"by": "ada", "via": "cli", **wrong})


def test_a_store_in_memory_can_have_no_operator():
    with pytest.raises(UsageError, match="its runtime has alone"):
        Operator(":memory:", by="ada", via="cli")
