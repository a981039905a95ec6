"""A store's file, looked at from outside of any runtime."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lamplighter.errors import SchemaTooNew, StoreError
from lamplighter.stores.sqlite.read_only import ReadOnlyStore
from lamplighter.stores.sqlite.store import SqliteStore

from support.conformance.kit import NOW, a_boot, new, put


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def store(file: Path):
    one = SqliteStore(str(file))
    one.open()
    yield one
    one.close()


@pytest.fixture(params=["its own", "read-only"])
def readable(request, store, file):
    if request.param == "its own":
        yield store
        return
    one = ReadOnlyStore(str(file))
    yield one
    one.close()


def test_a_snapshot_has_what_is_stored(store, readable):
    put(store, new("j1"))
    with store.turn("b", NOW) as turn:
        turn.boots.register(a_boot("b"))

    with readable.snapshot() as seen:
        assert seen.jobs.known(("j1",))["j1"].name == "work"
        assert [boot.boot for boot in seen.boots()] == ["b"]
        assert seen.schedules.all() == []


def test_a_snapshot_stays_as_it_is_while_others_write(store, readable):
    put(store, new("j1"))

    with readable.snapshot() as seen:
        before = seen.jobs.counts(None)
        put(store, new("j2"))
        assert seen.jobs.counts(None) == before
    with readable.snapshot() as seen:
        assert seen.jobs.counts(None) != before


def test_a_file_can_be_looked_at_whoever_holds_its_write_lock(store, readable, file):
    put(store, new("j1"))
    hung = sqlite3.connect(file, isolation_level=None)
    hung.execute("begin immediate")

    with readable.snapshot() as seen:
        assert "j1" in seen.jobs.known(("j1",))
    hung.close()


def test_a_file_is_looked_at_after_its_last_process_was_killed(file):
    # What it has left beside its file is as a killed process leaves it.
    dead = sqlite3.connect(file, isolation_level=None)
    left = SqliteStore(str(file))
    left.open()
    put(left, new("j1"))
    names = ("", "-wal", "-shm")
    copies = {name: Path(f"{file}{name}").read_bytes() for name in names}
    left.close()
    dead.close()
    for name, content in copies.items():
        Path(f"{file}{name}").write_bytes(content)

    one = ReadOnlyStore(str(file))
    with one.snapshot() as seen:
        assert "j1" in seen.jobs.known(("j1",))
    one.close()

    assert file.read_bytes() == copies[""]
    assert Path(f"{file}-wal").read_bytes() == copies["-wal"]


def test_two_who_look_at_different_times_can_tell_whether_somebody_has_committed(store, file):
    put(store, new("j1"))
    one, other = ReadOnlyStore(str(file)), ReadOnlyStore(str(file))
    with one.snapshot(), other.snapshot():
        pass
    was = one.version()

    with other.snapshot() as seen:
        seen.jobs.known(("j1",))
    assert other.version() == was

    put(store, new("j2"))
    assert one.version() == other.version() != was
    one.close()
    other.close()


def new_file(path: Path, job_id: str) -> Path:
    """A file with one job, complete without a log beside it."""
    other = SqliteStore(str(path))
    other.open()
    put(other, new(job_id))
    other.close()
    return path


def take_away(file: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        Path(f"{file}{ending}").unlink(missing_ok=True)


def jobs_in(readable: ReadOnlyStore) -> list[str]:
    with readable.snapshot() as seen:
        return sorted(seen.jobs.known(("j1", "j2", "j3")))


def put_in_place(file: Path, other: Path) -> None:
    content = other.read_bytes()
    Path(f"{file}-wal").unlink()
    Path(f"{file}-shm").unlink()
    file.write_bytes(content)


def put_instead(file: Path, other: Path) -> None:
    take_away(file)
    other.rename(file)


@pytest.fixture
def reader(file: Path):
    """A reader with two connections to a file whose job is in the log beside it still."""
    worker = SqliteStore(str(file))
    worker.open()
    put(worker, new("j1"))
    one = ReadOnlyStore(str(file))
    with one.snapshot() as first, one.snapshot() as second:
        assert first.jobs.known(("j1",)).keys() == second.jobs.known(("j1",)).keys() == {"j1"}
    worker.close()
    assert Path(f"{file}-wal").stat().st_size > 0
    yield one
    one.close()


@pytest.mark.parametrize("restore", [put_instead, put_in_place])
@pytest.mark.parametrize("is_watch_first", [False, True])
def test_a_file_that_was_put_in_the_place_of_the_old_one_is_read(reader, file, tmp_path, restore, is_watch_first):
    with reader.watch() as state:
        was = [state(), state()]
        restore(file, new_file(tmp_path / "other.db", "j2"))
        if is_watch_first:
            restored, found = state(), [jobs_in(reader)]
        else:
            found, restored = [jobs_in(reader)], state()
        worker = SqliteStore(str(file))
        worker.open()
        found.append(jobs_in(reader))
        before = state()
        put(worker, new("j3"))
        after = state()
        with reader.snapshot(), reader.snapshot():
            found.append(jobs_in(reader))
        worker.close()

    assert found == [["j2"], ["j2"], ["j2", "j3"]]
    assert restored not in was and before != after


def test_a_file_that_is_gone_is_said_to_be_and_read_when_it_is_there_again(reader, file, tmp_path):
    with reader.watch() as state:
        states = [state()]
        take_away(file)
        states.append(state())
        with pytest.raises(StoreError, match="which is no file"):
            jobs_in(reader)
        new_file(file, "j2")
        states.append(state())

    assert jobs_in(reader) == ["j2"]
    assert len(set(states)) == 3


def test_who_reads_while_the_file_is_replaced_sees_the_old_one_and_the_next_the_new(reader, file, tmp_path):
    with reader.snapshot() as old:
        put_instead(file, new_file(tmp_path / "other.db", "j2"))
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda _: jobs_in(reader), range(8)))
        assert old.jobs.known(("j1", "j2")).keys() == {"j1"}

    assert [*found, jobs_in(reader)] == [["j2"]] * 9


def test_nothing_can_be_written_by_looking(store, file):
    one = ReadOnlyStore(str(file))
    with one.snapshot() as seen, pytest.raises(sqlite3.Error):
        seen._connection.execute("delete from lamplighter_jobs")
    one.close()


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda path: None, "which is no file"),
        (
            lambda path: path.write_text("no database" * 999),
            "expected a store of Lamplighter",
        ),
        (lambda path: sqlite3.connect(path).execute("create table t (a)"), "expected a store of Lamplighter"),
    ],
)
def test_what_is_no_store_is_said_not_to_be_one(file, made, says):
    made(file)

    with pytest.raises(StoreError, match=says), ReadOnlyStore(str(file)).snapshot():
        pass


@pytest.mark.parametrize(("version", "error"), [(1, StoreError), (99, SchemaTooNew)])
def test_a_file_of_another_version_is_refused(store, file, version, error):
    with sqlite3.connect(file) as connection:
        connection.execute("update lamplighter_store set schema_version = ?", (version,))
    connection.close()

    with pytest.raises(error, match=f"got: {version} in "), ReadOnlyStore(str(file)).snapshot():
        pass
