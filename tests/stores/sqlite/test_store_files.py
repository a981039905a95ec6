"""The file of a store that is open: deleted, moved away, replaced, cleaned of what lies beside it; and many readers."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import threading

import pytest
from lamplighter import Runtime, StoreGone
from lamplighter.environment import Environment
from lamplighter.environment.replies import ThreadReply
from lamplighter.stores import locks
from lamplighter.stores.sqlite import connections, posix_lock_guard
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.troubles import CommitUnknown

from support.conformance.kit import NOW, new, put


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


HARMS = pytest.mark.parametrize("harm", [remove_all, replace, remove_log], ids=lambda harm: harm.__name__)


@HARMS
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
    waits = threading.Event()

    class NotedReply(ThreadReply):
        def wait(self, seconds):
            waits.set()
            return super().wait(seconds)

    rt = runtime(environment=Environment(reply=NotedReply))
    job = rt.jobs.queue("mail")
    waits.clear()
    # Before it waits, the caller reads the job. While the file goes, it would be told that it cannot be opened.
    joined = caller(rt.jobs.join, job, timeout=20)
    assert waits.wait(15)

    remove_all(path)

    with pytest.raises(StoreGone):
        joined.result(15)
    with pytest.raises(StoreGone):
        rt.jobs.join(job, timeout=15)
    with pytest.raises(StoreGone):
        asyncio.run(rt.jobs.ajoin(job, timeout=15))


@HARMS
def test_nothing_is_acknowledged_into_a_file_that_is_gone(runtime, path, harm):
    rt = runtime()
    rt.jobs.queue("mail", id="before")

    harm(path)

    with pytest.raises(StoreGone):
        rt.jobs.queue("mail", id="after")


def clocked(monkeypatch, folder_time):
    """Let files have been changed at instant 1, and their folder at `folder_time`. Returns the paths asked for."""
    asked, seen, identity = [], connections._seen, connections.identity

    def clocked_seen(path):
        asked.append(path)
        found = seen(path)
        return None if found is None else (found[0], folder_time if os.path.isdir(path) else 1)

    def heard_identity(path):
        asked.append(path)
        return identity(path)

    monkeypatch.setattr(connections, "_seen", clocked_seen)
    monkeypatch.setattr(connections, "identity", heard_identity)
    return asked


@pytest.fixture
def stored(path):
    """A store in which something was stored."""
    store = SqliteStore(str(path))
    store.open()
    put(store, new("before"))
    yield store
    store.close()


@HARMS
def test_a_change_in_the_same_tick_as_another_is_noticed(stored, path, monkeypatch, harm):
    clocked(monkeypatch, folder_time=1)
    put(stored, new("again"))

    harm(path)

    with pytest.raises(StoreGone):
        put(stored, new("after"))


@HARMS
def test_a_change_is_noticed_though_the_times_of_its_folder_are_put_back(stored, path, harm):
    put(stored, new("again"))
    was = os.stat(path.parent)

    harm(path)
    os.utime(path.parent, ns=(was.st_atime_ns, was.st_mtime_ns))

    with pytest.raises(StoreGone):
        put(stored, new("after"))


@HARMS
def test_nothing_is_acknowledged_into_a_file_that_goes_before_the_commit(stored, path, harm):
    with pytest.raises(CommitUnknown), stored.turn("b", NOW) as turn:
        turn.jobs.insert([new("after")])
        harm(path)


def test_a_folder_that_is_gone_is_no_unchanged_one(stored, path):
    put(stored, new("again"))

    os.rename(path.parent, path.parent.with_name("away"))

    with pytest.raises(StoreGone):
        put(stored, new("after"))
    os.rename(path.parent.with_name("away"), path.parent)


def test_a_turn_looks_at_a_quiet_folder_alone(stored, path, monkeypatch):
    asked = clocked(monkeypatch, folder_time=0)
    put(stored, new("again"))
    asked.clear()

    put(stored, new("after"))

    assert asked == [str(path.parent)] * 2


@HARMS
def test_a_look_for_commits_of_others_asks_for_each_file(stored, path, monkeypatch, harm):
    # Something may have been mounted over one of them.
    clocked(monkeypatch, folder_time=0)
    put(stored, new("again"))

    harm(path)

    with pytest.raises(StoreGone):
        stored.changed()
    # The folder looks as it did before, all the same.
    with pytest.raises(StoreGone):
        put(stored, new("after"))


@HARMS
def test_a_new_connection_that_reads_asks_for_each_file(stored, path, monkeypatch, harm):
    clocked(monkeypatch, folder_time=0)
    put(stored, new("again"))

    harm(path)

    with pytest.raises(StoreGone):
        stored.jobs.known(["before"])


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


def is_guarded(path):
    descriptor = os.open(path, os.O_RDWR)
    try:
        return locks.is_byte_taken(descriptor, posix_lock_guard.SHARED[0])
    finally:
        os.close(descriptor)


@pytest.mark.skipif(not hasattr(fcntl, "F_OFD_SETLK"), reason="this system has no locks of open files")
def test_the_file_at_a_path_is_guarded_until_the_last_who_uses_it_lets_it_go(path, monkeypatch):
    monkeypatch.setattr(posix_lock_guard, "_kept", locks.ClosedInChild())
    path.touch()
    first, second = [posix_lock_guard.take(str(path), posix_lock_guard.SHARED) for _ in range(2)]
    assert posix_lock_guard.kept_open(str(path), posix_lock_guard.SHARED) is first is second
    seen = [is_guarded(path)]
    for held in (first, second):
        posix_lock_guard.release(held)
        seen.append(is_guarded(path))

    path.unlink()
    path.touch()
    seen.append(is_guarded(path))
    closed = posix_lock_guard.take(str(path), posix_lock_guard.SHARED)
    seen.append(is_guarded(path))
    # As a daemon does with all that it finds open.
    os.close(closed.descriptor)
    third = posix_lock_guard.take(str(path), posix_lock_guard.SHARED)
    seen.append(is_guarded(path))
    posix_lock_guard.release(third)

    assert (seen, is_guarded(path)) == ([True, True, False, False, True, True], False)


def test_few_files_stay_open_for_stores_that_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(posix_lock_guard, "KEPT_MAX", 2)
    monkeypatch.setattr(posix_lock_guard, "_kept", locks.ClosedInChild())

    for number in range(5):
        store = SqliteStore(str(tmp_path / f"{number}.db"))
        store.open()
        store.close()

    assert len(posix_lock_guard._kept) == 2


def test_a_copy_of_the_folder_is_a_store_of_its_own(runtime, recorder, path, tmp_path):
    rt = runtime()
    rt.jobs.queue("mail", id="held")
    rt.stop()
    shutil.copytree(tmp_path, tmp_path.with_name("copy"))

    with Runtime(tmp_path.with_name("copy") / "jobs.db") as copy:
        assert copy.jobs.get("held").state.value == "queued"
    shutil.rmtree(tmp_path.with_name("copy"))
