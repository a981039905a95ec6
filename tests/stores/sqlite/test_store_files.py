"""The file of a store that is open: deleted, moved away, replaced, cleaned of what lies beside it; and many readers."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing

import pytest
from lamplighter import Runtime, StoreGone
from lamplighter.stores.sqlite import posix_lock_guard
from lamplighter.stores.sqlite.store import SqliteStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.db"


def beside(path, suffix):
    return path.with_name(path.name + suffix)


def remove_all(path):
    for suffix in ("", "-wal", "-shm"):
        os.unlink(beside(path, suffix))


def replace(path):
    other = SqliteStore(str(beside(path, ".other")))
    other.open()
    other.close()
    os.replace(beside(path, ".other"), path)


def remove_log(path):
    os.unlink(beside(path, "-wal"))


@pytest.mark.parametrize("harm", [remove_all, replace, remove_log], ids=lambda harm: harm.__name__)
def test_an_idle_runtime_notices_that_its_file_is_gone_and_accepts_nothing_more(runtime, recorder, path, harm):
    rt = runtime()
    rt.jobs.queue("mail")

    harm(path)

    said = recorder.wait_for("store.unavailable")
    recorder.until(lambda: rt.health().status == "red", "health to be red")
    with pytest.raises(StoreGone, match="start") as refused:
        rt.jobs.queue("mail")
    assert str(refused.value) == said["reason"]
    assert str(refused.value) in rt.health().reasons
    rt.stop()


def test_callers_that_wait_for_a_job_are_told_that_the_file_is_gone(runtime, recorder, caller, path):
    rt = runtime()
    job = rt.jobs.queue("mail")
    joined = caller(rt.jobs.join, job, timeout=20)
    recorder.until(rt.boot.joins.awaited, "it to be waited for")

    remove_all(path)

    with pytest.raises(StoreGone):
        joined.result(15)
    with pytest.raises(StoreGone):
        rt.jobs.join(job, timeout=15)
    with pytest.raises(StoreGone):
        asyncio.run(rt.jobs.ajoin(job, timeout=15))


@pytest.mark.parametrize("harm", [remove_all, replace, remove_log], ids=lambda harm: harm.__name__)
def test_nothing_is_acknowledged_into_a_file_that_is_gone(runtime, path, harm):
    rt = runtime()
    rt.jobs.queue("mail", id="before")

    harm(path)

    with pytest.raises(StoreGone):
        rt.jobs.queue("mail", id="after")


def test_a_runtime_goes_on_when_its_file_is_back_and_loses_nothing_that_has_ended(runtime, recorder, path, tmp_path):
    rt, go = runtime(), threading.Event()
    rt.jobs.add_handler("mail", lambda job: go.wait(15))
    job = rt.jobs.queue("mail", id="held")
    recorder.wait_for("job.started", job_id="held")

    os.rename(path, tmp_path / "away.db")
    recorder.wait_for("store.unavailable")
    go.set()
    os.rename(tmp_path / "away.db", path)

    assert rt.jobs.join(job, timeout=15).result is True
    recorder.wait_for("store.available")
    assert rt.health().status == "green"


def test_a_runtime_that_is_started_anew_works_on_the_file_that_is_there_now(runtime, recorder, path):
    rt = runtime()
    rt.jobs.queue("mail", id="old")
    was = rt.boot.store.store_id
    replace(path)
    recorder.wait_for("store.unavailable")
    rt.stop()
    # They belong to the old file, and SQLite would apply the one to the new.
    for suffix in ("-wal", "-shm"):
        beside(path, suffix).unlink(missing_ok=True)

    rt.start()

    assert rt.boot.store.store_id != was
    assert rt.jobs.queue("mail", id="new").state.value == "queued"
    assert [job.id for job in rt.jobs.list()] == ["new"]


def test_a_scheduler_outlives_its_file(runtime, recorder, path):
    rt = runtime()
    rt.scheduler.add("mail", "* * * * * *")
    recorder.wait_for("slot.fired")

    remove_all(path)

    recorder.wait_for("store.unavailable")
    recorder.until(lambda: rt.health().status == "red", "health to be red")
    assert not recorder.of("actor.crashed")


def test_a_fork_changes_nothing_of_what_the_file_is_taken_for(runtime, path):
    rt = runtime()

    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    assert rt.jobs.queue("mail").state.value == "queued"
    assert rt.health().reasons == ("no living runtime has a handler for 'mail', and 1 of its jobs wait",)


def in_another_program(path, script):
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(path)], check=True, timeout=60)


LOOK = """
    import contextlib, sqlite3, sys
    with contextlib.closing(sqlite3.connect(sys.argv[1])) as db:
        db.execute("select count(*) from lamplighter_jobs").fetchone()
"""


def test_a_host_that_reads_its_own_file_keeps_the_log_that_it_commits_to(runtime, path):
    # Its close has dropped SQLite's locks, so the other program believes to be the last on the file.
    rt = runtime()
    rt.jobs.queue("mail", id="before")
    log = os.stat(beside(path, "-wal"))

    path.read_bytes()
    in_another_program(path, LOOK)

    assert os.path.samestat(os.stat(beside(path, "-wal")), log)
    assert rt.jobs.queue("mail", id="after").state.value == "queued"
    rt.stop()
    assert not beside(path, "-wal").exists()


def test_a_host_that_reads_the_memory_that_it_shares_is_not_taken_for_gone(runtime, path):
    # Who believes to be the first on the file cuts that memory to nothing: the host died of a bus error.
    rt = runtime()
    rt.jobs.queue("mail")

    beside(path, "-shm").read_bytes()

    in_another_program(
        path,
        """
        import fcntl, sys
        with open(sys.argv[1] + "-shm", "rb+") as shared:
            try:
                fcntl.lockf(shared, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 128)  # as SQLite asks whether it is the first
            except BlockingIOError:
                sys.exit(0)
        sys.exit("nobody has the file open")
        """,
    )


def test_a_runtime_that_stops_writes_nothing_over_what_others_stored_in_a_new_log(runtime, path):
    rt = runtime()
    rt.stop()
    rt.start()
    for number in range(100):
        rt.jobs.queue("mail", "x" * 500, id=f"ours-{number}")
    for suffix in ("-wal", "-shm"):
        os.unlink(beside(path, suffix))

    in_another_program(
        path,
        """
        import sys
        from lamplighter import Runtime
        with Runtime(sys.argv[1]) as runtime:
            for number in range(100):
                runtime.jobs.queue("mail", "y" * 500, id=f"theirs-{number}")
        """,
    )
    rt.stop()

    with closing(sqlite3.connect(path)) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
        theirs = db.execute("select count(*) from lamplighter_jobs where id like 'theirs-%'").fetchone()
    assert theirs == (100,)


def test_a_log_that_was_removed_is_stored_when_its_only_runtime_stops(runtime, path):
    rt = runtime()
    rt.jobs.queue("mail", id="held")
    remove_log(path)

    rt.stop()
    rt.start()

    assert rt.jobs.get("held").state.value == "queued"


def test_whoever_reads_begins_no_other_log_where_it_was_removed(path):
    # The runtime's own log was then taken for an older one than that of somebody else, and was not stored.
    store = SqliteStore(str(path))
    store.open()
    remove_log(path)

    with pytest.raises(StoreGone):
        store.jobs.known(["held"])

    assert not beside(path, "-wal").exists()
    store.close()


def test_a_child_that_outlives_its_host_does_not_keep_the_log(path):
    host = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOST_WITH_A_CHILD), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert host.stdout.readline() == b"forked\n"
    host.kill()
    host.wait(timeout=60)

    in_another_program(path, LOOK)

    assert not beside(path, "-wal").exists()
    host.communicate(timeout=60)  # the end of its input is what the child waits for


HOST_WITH_A_CHILD = """
    import logging, os, sys
    logging.getLogger("lamplighter").setLevel(100)
    from lamplighter import Runtime
    with Runtime(sys.argv[1]) as runtime:
        runtime.jobs.queue("mail")
        if os.fork() == 0:
            sys.stdin.read()
            os._exit(0)
        runtime.jobs.queue("mail")
        print("forked", flush=True)
        runtime.wait()
"""


def test_few_files_stay_open_for_stores_that_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(posix_lock_guard, "KEPT_MAX", 2)
    monkeypatch.setattr(posix_lock_guard, "_kept", {})

    for number in range(5):
        store = SqliteStore(str(tmp_path / f"{number}.db"))
        store.open()
        store.close()

    assert len(posix_lock_guard._kept) == 2


MANY = """
    import logging, resource, sys, threading
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    logging.getLogger("lamplighter").setLevel(100)
    from lamplighter import Runtime
    runtime = Runtime(sys.argv[1])
    errors, together = [], threading.Barrier(200)

    def read():
        together.wait()
        try:
            for _ in range(5):
                runtime.jobs.get("held")
                runtime.jobs.counts()
        except Exception as error:
            errors.append(error)

    with runtime:
        runtime.jobs.queue("mail", id="held")
        threads = [threading.Thread(target=read) for _ in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(errors, runtime.jobs.get("held").state.value, *runtime.health().reasons)
"""


def test_two_hundred_threads_may_read_where_few_files_may_be_open(path):
    script = textwrap.dedent(MANY)

    said = subprocess.check_output([sys.executable, "-c", script, str(path)], text=True, timeout=60)

    assert said.strip() == "[] queued no living runtime has a handler for 'mail', and 1 of its jobs wait"


def test_a_copy_of_the_folder_is_a_store_of_its_own(runtime, recorder, path, tmp_path):
    rt = runtime()
    rt.jobs.queue("mail", id="held")
    rt.stop()
    shutil.copytree(tmp_path, tmp_path.with_name("copy"))

    with Runtime(tmp_path.with_name("copy") / "jobs.db") as copy:
        assert copy.jobs.get("held").state.value == "queued"
    shutil.rmtree(tmp_path.with_name("copy"))
