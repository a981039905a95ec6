"""The boots on a file: who comes is found without a hint, a start that fails leaves none, and none is lost for ever."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import platform
import shutil
import sqlite3
import threading
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import lamplighter
import pytest
from lamplighter import Runtime, StoreError, UnknownJob
from lamplighter.boot.boot import Boot
from lamplighter.environment import Environment
from lamplighter.environment.threads import spawn
from lamplighter.history.audit.audit import Audit
from lamplighter.history.audit.store_check import StoreView
from lamplighter.history.log_files.lines import parse
from lamplighter.stores.controls import CONTROL
from lamplighter.stores.hints import ServerHints
from lamplighter.stores.presence import FilePresence
from lamplighter.stores.sqlite.control_client import FileControlClient
from lamplighter.testing.draining import is_idle


def lamplighter_threads():
    return {thread for thread in threading.enumerate() if thread.name.startswith("lamplighter ")}


def rows(path, query):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def without_hints():
    """An environment in which none is ever heard or sent."""
    return Environment(neighbours=lambda store, boot: (FilePresence(Path(f"{store.address}-boots")), ServerHints()))


def test_a_runtime_that_believes_to_be_alone_finds_a_neighbour_without_a_hint(runtime, recorder):
    alone = runtime(environment=without_hints())
    alone.jobs.add_handler("mail", lambda job: job.data)
    recorder.wait_for("actor.started", child="handler:mail")
    other = runtime(environment=without_hints())

    job = other.jobs.queue("mail", "hello")

    assert other.jobs.join(job, timeout=15).result == "hello"


def test_a_boot_says_what_it_is_and_which_versions_it_runs(runtime, recorder, tmp_path):
    runtime()

    (row,) = rows(tmp_path / "jobs.db", "select kind, version, python from lamplighter_boots")
    assert row == ("worker", lamplighter.__version__, platform.python_version())
    assert recorder.wait_for("runtime.started")["version"] == lamplighter.__version__


def test_a_cleaned_folder_buries_nobody_and_is_there_again(runtime, recorder, tmp_path):
    one, other = runtime(), runtime()
    folder = tmp_path / "jobs.db-boots"
    # A socket lies elsewhere where the path of the folder is too long for one.
    hints = rows(tmp_path / "jobs.db", "select hint from lamplighter_boots")
    left = [folder / f"{rt.boot.id}.lock" for rt in (one, other)] + [Path(hint) for (hint,) in hints]

    shutil.rmtree(folder)
    recorder.until(lambda: all(path.exists() for path in left), "both to be back")

    boots = {boot for (boot,) in rows(tmp_path / "jobs.db", "select boot from lamplighter_boots")}
    assert boots == {one.boot.id, other.boot.id}
    assert not recorder.of("runtime.recovered")


def test_a_neighbour_whose_lock_file_may_not_be_opened_keeps_its_jobs(runtime, recorder, tmp_path, monkeypatch):
    # It counted as alive, for ever, and health was green.
    one, other = runtime(), runtime()
    other.jobs.queue("nobody", id="held")
    hidden = tmp_path / "jobs.db-boots" / f"{one.boot.id}.lock"
    with closing(sqlite3.connect(tmp_path / "jobs.db", timeout=15)) as db, db:
        db.execute(
            "update lamplighter_jobs set state = 'running', claim_no = 1, boot = ?, counts_attempt = 1, claimed_at = 1",
            (one.boot.id,),
        )
    opened = os.open

    def refuse(path, *arguments, **options):
        if str(path) == str(hidden):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    recorder.until(lambda: other.health().status == "yellow", "the other to see that it may not look")

    (reason,) = other.health().reasons
    assert str(hidden) in reason and hidden.owner() in reason
    found = FileControlClient(tmp_path / "jobs.db").views([one.boot.id])[one.boot.id]
    assert found.condition == "answers"
    assert other.jobs.get("held").state == "running"
    monkeypatch.setattr(os, "open", opened)
    recorder.until(lambda: other.health().status == "green", "the other to see it again")


def test_a_lock_file_that_is_removed_again_much_later_buries_nobody_either(timed, time, recorder, tmp_path):
    # The time for which it had been missing once counted for the next time.
    rt = timed()
    other = FilePresence(tmp_path / "jobs.db-boots")
    other.enter("other")
    with closing(sqlite3.connect(tmp_path / "jobs.db", timeout=15)) as db:
        db.executescript(
            "create temp table other as select * from lamplighter_boots;"
            "update other set boot = 'other', boot_no = 0, hint = null, control = null;"
            "insert into lamplighter_boots select * from other;"
        )

    def pass_seconds(number):
        for _ in range(number):
            time.advance(1)
            recorder.until(lambda: is_idle(rt), "everything to be handled")

    pass_seconds(2)
    for _ in range(2):
        (tmp_path / "jobs.db-boots" / "other.lock").unlink()
        pass_seconds(3)
        other.keep("other")
        pass_seconds(10)
    other.leave("other")

    assert recorder.of("runtime.recovered") == []
    pass_seconds(10)
    assert recorder.wait_for("runtime.recovered")["dead_boot"] == "other"


def test_each_time_that_a_boot_cannot_have_its_files_again_is_told_once(runtime, recorder, tmp_path, monkeypatch):
    monkeypatch.setattr("lamplighter.broker.peer_watcher.POLL_SECONDS", 0.01)
    rt = runtime()
    folder, polls = tmp_path / "jobs.db-boots", []
    keep = rt.boot._standing.controls.keep
    monkeypatch.setattr(rt.boot._standing.controls, "keep", lambda: (keep(), polls.append(True)))
    for time in (1, 2):
        while not folder.is_file():
            # The runtime may make the folder anew at any moment.
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                folder.touch(exist_ok=False)
        said = [recorder.wait_for(trouble, count=time) for trouble in ("presence.lost", "control.lost")]
        more = len(polls) + 3
        recorder.until(lambda more=more: len(polls) >= more, "polls that tell nothing more")
        folder.unlink()
        files = [folder / f"{rt.boot.id}{end}" for end in (".lock", CONTROL)]
        recorder.until(lambda files=files: all(file.exists() for file in files), "its files to be back")

        assert "run all of them as one user" in said[0]["reason"]
        assert [len(recorder.of(trouble)) for trouble in ("presence.lost", "control.lost")] == [time, time]


def failing_at(name):
    """An environment in which the thread of this name cannot be started at first."""
    refused = []

    def start(run, thread_name):
        if thread_name == name and not refused:
            refused.append(name)
            raise RuntimeError("can't start new thread")
        return spawn(run, thread_name)

    return Environment(spawn=start)


@pytest.mark.parametrize("thread", ["subscriber", "hints", "supervisor", "watchdog"])
def test_a_start_that_fails_midway_ends_all_that_it_has_begun_and_a_later_one_works(
    runtime, recorder, tmp_path, thread
):
    before = lamplighter_threads()
    rt = runtime(start=False, environment=failing_at(thread))

    with pytest.raises(RuntimeError, match="can't start new thread"):
        rt.start()

    recorder.until(lambda: lamplighter_threads() <= before, "the end of every thread")
    assert not list((tmp_path / "jobs.db-boots").glob("*"))
    rt.jobs.add_handler("work", lambda job: 7)
    with rt:
        assert rt.jobs.join(rt.jobs.queue("work"), timeout=15).result == 7
        boots = rows(tmp_path / "jobs.db", "select boot from lamplighter_boots")
        alone = rt.boot.id
    assert boots == [(alone,)]


def test_a_start_that_fails_at_the_clock_ends_all_that_it_has_begun(runtime, recorder, tmp_path, monkeypatch):
    before, start = lamplighter_threads(), threading.Thread.start

    def refuse(thread):
        if thread.name == "lamplighter clock":
            raise RuntimeError("can't start new thread")
        start(thread)

    rt = runtime(start=False)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="can't start new thread"):
        patch.setattr(threading.Thread, "start", refuse)
        rt.start()

    recorder.until(lambda: lamplighter_threads() <= before, "the end of every thread")
    assert rows(tmp_path / "jobs.db", "select boot from lamplighter_boots") == []


def test_a_start_that_is_interrupted_at_its_end_runs_no_job(runtime, tmp_path, monkeypatch):
    begin = Boot.start

    def interrupted(boot):
        begin(boot)
        raise KeyboardInterrupt

    rt, ran = runtime(start=False), []
    rt.jobs.add_handler("work", ran.append)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Boot, "start", interrupted)
        rt.start()

    with Runtime(tmp_path / "jobs.db") as other:
        other.jobs.queue("work")
        boots = rows(tmp_path / "jobs.db", "select boot from lamplighter_boots")
        alone = other.boot.id

    assert boots == [(alone,)]
    assert ran == []
    assert rt.boot is None


def bury(path, boot):
    """What a neighbour does that takes a boot for dead, or an older copy of the file."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("delete from lamplighter_boots where boot = ?", (boot,))


def test_a_buried_boot_goes_on_as_another_and_nothing_that_was_asked_of_it_is_lost(runtime, recorder, tmp_path):
    rt = runtime()
    was = rt.boot.id
    rt.jobs.add_handler("work", lambda job: job.data)
    rt.jobs.join(rt.jobs.queue("work", 1), timeout=15)
    bury(tmp_path / "jobs.db", was)

    done = rt.jobs.join(rt.jobs.queue("work", 2), timeout=15)

    assert done.result == 2
    assert rt.boot.id != was
    assert rows(tmp_path / "jobs.db", "select boot from lamplighter_boots") == [(rt.boot.id,)]
    recorder.wait_for("runtime.started", count=2)
    (renewed,) = recorder.of("runtime.renewed")
    assert (renewed["boot"], renewed["next_boot"]) == (was, rt.boot.id)
    assert [line["boot"] for line in recorder.of("runtime.started")] == [was, rt.boot.id]
    assert rt.health().boot == rt.boot.id and rt.health().status == "green"


def test_what_a_buried_boot_runs_is_taken_back_unblamed_and_its_ending_is_fenced(runtime, recorder, tmp_path):
    rt = runtime()
    go, runs = threading.Event(), []

    def once(job):
        runs.append(job.record.boot)
        if len(runs) == 1:
            go.wait(15)
        return len(runs)

    rt.jobs.add_handler("work", once, concurrency=2)
    was, job = rt.boot.id, rt.jobs.queue("work", id="held")
    recorder.wait_for("job.started", job_id="held")
    bury(tmp_path / "jobs.db", was)

    rt.jobs.queue("nobody")
    failed = recorder.wait_for("job.failed", job_id="held")
    go.set()
    done = rt.jobs.join(job, timeout=15)

    assert (failed["outcome"], failed["boot_was"]) == ("interrupted", was)
    assert (done.result, runs) == (2, [was, rt.boot.id])
    assert (done.record.claim_no, done.record.interruptions) == (2, 0)


def test_another_boots_first_turn_is_told_though_its_broker_dies(runtime, recorder, tmp_path):
    rt, go = runtime(), threading.Event()
    rt.jobs.add_handler("work", lambda job: go.wait(15), concurrency=2)
    job = rt.jobs.queue("work", id="held")
    recorder.wait_for("job.started", job_id="held")
    rt.environment.failpoints.arm("store.turn.committed", "1*raise(SystemExit: killed)->off")
    bury(tmp_path / "jobs.db", rt.boot.id)

    recovered = recorder.wait_for("turn.recovered")
    go.set()
    rt.jobs.join(job, timeout=15)

    assert (recovered["boot"], recovered["turn"]) == (rt.boot.id, 1)
    assert rows(tmp_path / "jobs.db", "select boot, boot_no from lamplighter_boots") == [(rt.boot.id, 2)]
    assert (recorder.audit().findings, recorder.audit(tmp_path / "jobs.db").findings) == ((), ())


def test_an_idle_boot_notices_that_it_was_buried(runtime, recorder, tmp_path):
    rt = runtime()
    recorder.wait_for("actor.started", child="scheduler")
    was = rt.boot.id

    bury(tmp_path / "jobs.db", was)

    assert recorder.wait_for("runtime.renewed")["boot"] == was
    recorder.until(lambda: rows(tmp_path / "jobs.db", "select boot from lamplighter_boots") == [(rt.boot.id,)])


def test_a_store_that_goes_back_is_said_and_its_claims_of_then_run_again(runtime, recorder, tmp_path):
    path = tmp_path / "jobs.db"
    rt = runtime()
    go, runs = threading.Event(), []

    def work(job):
        runs.append(job.id)
        if runs == ["held"]:
            go.wait(15)

    rt.jobs.add_handler("work", work)
    rt.jobs.queue("work", id="held")
    recorder.wait_for("job.started", job_id="held")
    with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(":memory:")) as copy:
        db.backup(copy)
        go.set()
        rt.jobs.join("held", timeout=15)
        rt.jobs.join(rt.jobs.queue("work", id="later"), timeout=15)
        copy.backup(db)

    rt.jobs.join("held", timeout=15)

    recorder.until(lambda: rt.jobs.get("held").state == "done", "the end of what the older copy had running")
    assert recorder.wait_for("store.went_back")["turn_was"] > 0
    assert runs == ["held", "later", "held"]
    assert rt.jobs.list(state="running") == []


def test_a_runtime_stores_nothing_in_another_store_that_was_put_into_its_file(runtime, recorder, tmp_path):
    rt = runtime()
    rt.jobs.queue("work", id="mine")
    runtime(tmp_path / "another.db").stop()
    files = (tmp_path / "jobs.db", ":memory:", tmp_path / "another.db")

    with ExitStack() as stack:
        file, copy, another = (stack.enter_context(closing(sqlite3.connect(path))) for path in files)
        file.backup(copy)
        another.backup(file)
        with pytest.raises(StoreError, match="put back a backup"):
            rt.jobs.queue("work", id="stray")
        copy.backup(file)

    recorder.until(lambda: rt.health().status != "red", "the runtime to work on its own store again")
    rt.jobs.queue("work", id="more")
    assert {job.id for job in rt.jobs.list()} - {"stray"} == {"mine", "more"}
    assert recorder.of("runtime.renewed") == []


def test_an_attempt_from_before_a_store_went_back_ends_no_claim_of_the_same_number(runtime, recorder, tmp_path):
    path = tmp_path / "jobs.db"
    rt = runtime()
    go, runs = threading.Event(), []

    def work(job):
        runs.append(job.record.boot)
        if len(runs) == 1:
            go.wait(15)
            job.progress(9)
            return "old"
        return "new"

    with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(":memory:")) as copy:
        rt.jobs.queue("work", id="held")
        db.backup(copy)
        rt.jobs.add_handler("work", work, concurrency=2)
        recorder.wait_for("job.started", job_id="held")
        copy.backup(db)
    recorder.wait_for("job.waiting", job_id="held", claim_no=1)
    go.set()

    done = rt.jobs.join("held", timeout=15)

    assert (done.result, done.record.claim_no, len(set(runs)), done.record.progress) == ("new", 1, 2, None)
    assert recorder.wait_for("job.fenced", job_id="held")["outcome"] == "succeeded"


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("how", ["an older copy was put back", "retention has removed it"])
def test_a_caller_that_waits_for_a_job_that_has_left_the_store_is_told_so(
    runtime, recorder, caller, tmp_path, how, is_async
):
    # It waited for ever, without a word, and health was green.
    path = tmp_path / "jobs.db"
    rt = runtime()
    with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(":memory:")) as copy:
        db.backup(copy)
        job = rt.jobs.queue("nobody")
        joined = caller(lambda: asyncio.run(rt.jobs.ajoin(job)) if is_async else rt.jobs.join(job))
        recorder.until(lambda: rt.boot.joins.awaited() and is_idle(rt), "the caller to wait")

        if how == "an older copy was put back":
            copy.backup(db)
        else:
            with db:
                db.execute("delete from lamplighter_jobs where id = ?", (job.id,))

        with pytest.raises(UnknownJob, match=job.id):
            joined.result(15)


def test_a_durable_schedule_fires_on_after_its_store_went_back(timed, time, recorder, tmp_path):
    # The scheduler had not heard of which boot it is. It took the next one for its first, went on by what it knew of
    # the newer store, and each of its ticks was refused.
    rt = timed()
    rt.scheduler.add("nobody", "*/5 * * * * *", durable=True)

    def pass_seconds(number):
        for _ in range(number):
            time.advance(1)
            recorder.until(lambda: is_idle(rt), "everything to be handled")

    pass_seconds(6)
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as db, closing(sqlite3.connect(":memory:")) as copy:
        db.backup(copy)
        pass_seconds(10)
        copy.backup(db)
    # No slot comes within these, so no tick that is refused tells the scheduler of its schedule.
    pass_seconds(2)
    assert recorder.of("store.went_back")
    fired = len(recorder.of("slot.fired"))
    pass_seconds(10)

    assert len(recorder.of("slot.fired")) >= fired + 2


def test_the_schedules_that_a_host_declares_are_in_an_older_copy_of_its_store_too(runtime, recorder, tmp_path):
    path = tmp_path / "jobs.db"
    rt = runtime()
    with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(":memory:")) as copy:
        db.backup(copy)
        schedule = rt.scheduler.add("work", "0 3 * * *")
        copy.backup(db)

    recorder.wait_for("runtime.renewed")
    recorder.until(lambda: len(recorder.of("schedule.added")) == 2, "the schedule to be declared anew")

    assert [found.id for found in rt.scheduler.list()] == [schedule]


def test_jobs_that_run_for_a_boot_without_a_row_are_taken_back_by_the_next_start(runtime, recorder, tmp_path):
    path = tmp_path / "jobs.db"
    first = runtime()
    first.jobs.queue("work", id="held")
    first.stop()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "update lamplighter_jobs"
            " set state = 'running', claim_no = 1, boot = 'gone', counts_attempt = 1, claimed_at = 1.0"
        )

    second = runtime(start=False)
    second.jobs.add_handler("work", lambda job: "ran")
    with second:
        done = second.jobs.join("held", timeout=15)

    assert (done.result, done.record.interruptions) == ("ran", 0)


def test_a_broker_that_dies_before_its_boot_is_registered_has_that_done_by_the_next(runtime, recorder, tmp_path):
    rt = runtime()
    rt.environment.failpoints.arm("store.turn.commit", "1*raise(SystemExit)")
    bury(tmp_path / "jobs.db", rt.boot.id)

    rt.jobs.queue("nobody")

    recorder.wait_for("actor.crashed", child="broker")
    recorder.until(lambda: rows(tmp_path / "jobs.db", "select boot from lamplighter_boots") == [(rt.boot.id,)])


def test_an_audit_names_a_job_that_runs_for_a_boot_without_a_row(runtime, recorder, tmp_path):
    rt, go = runtime(), threading.Event()
    rt.jobs.add_handler("work", lambda job: go.wait(15))
    rt.jobs.queue("work", id="held")
    recorder.wait_for("job.started", job_id="held")
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as db, closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        db.backup(copy)
    bury(tmp_path / "copy.db", rt.boot.id)
    go.set()

    reports = []
    for store in ("jobs.db", "copy.db"):
        audit = Audit()
        for event in recorder.events[: recorder.events.index(recorder.of("job.started")[0])]:
            audit.feed(parse(json.dumps(event).encode()))
        reports.append([str(one) for one in audit.finish(StoreView(tmp_path / store)).findings if one.kind == "orphan"])

    assert [len(found) for found in reports] == [0, 1]
    assert "job held is running for boot" in reports[1][0]


def test_a_log_in_which_a_runtime_becomes_another_boot_is_well(runtime, recorder, tmp_path):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.data)
    rt.jobs.join(rt.jobs.queue("work", 1), timeout=15)
    bury(tmp_path / "jobs.db", rt.boot.id)
    rt.jobs.join(rt.jobs.queue("work", 2), timeout=15)
    rt.stop()
    stopped = recorder.wait_for("runtime.stopped")

    begun = recorder.of("runtime.started")[-1]
    assert {key: stopped[key] for key in ("store_id", "boot_no")} == {
        key: begun[key] for key in ("store_id", "boot_no")
    }
    audit = Audit()
    for event in recorder.events:
        audit.feed(parse(json.dumps(event).encode()))
    report = audit.finish(StoreView(tmp_path / "jobs.db"))

    assert [str(finding) for finding in report.findings] == []
    assert (report.boots, report.unfinished) == (2, 0)
