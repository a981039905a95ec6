"""clean-dead-archives: what it deletes, what it keeps, and that it may be interrupted anywhere."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_job import FakeJob
from hashbase.dat import folder_of
from hashbase.database import Archive, DeadArchive, User, UserArchive
from hashbase.host import Host
from hashbase.jobs import clean_dead_archives
from hashbase.jobs.clean_dead_archives import NotCleaned
from sqlalchemy import delete, event, select

A, B, C = "aa" * 32, "bb" * 32, "cc" * 32


class Crash(BaseException):
    """The process is gone: nothing that catches errors catches it."""


def _add(host: Host, *keys: str, hosted: bool = False, record: bool = True, files: bool = True) -> None:
    with host.database.write() as session:
        for key in keys:
            if record:
                session.add(Archive(key=key, createdAt=0))
            session.add(DeadArchive(key=key))
    for key in keys if files else ():
        for feed in ("metadata", "content"):
            folder = folder_of(host.config.archives_dir, key) / feed
            folder.mkdir(parents=True)
            (folder / "data").write_bytes(b"bytes")
    if hosted:
        _host(host, *keys)


def _host(host: Host, *keys: str) -> None:
    """A user begins to host archives, as the host's own code would note it."""
    with host.database.write() as session:
        if session.get(User, "u") is None:
            session.add(User(id="u", username="u", email="u@people.example", createdAt=0))
            session.flush()
        for key in keys:
            if session.get(Archive, key) is None:
                session.add(Archive(key=key, createdAt=1))
                session.flush()
            session.add(UserArchive(userId="u", archiveKey=key))


def _run(host: Host, job: FakeJob | None = None) -> dict[str, int]:
    in_hand: Any = job or FakeJob()
    return clean_dead_archives(in_hand, host)


def _left(host: Host) -> dict[str, set[str]]:
    """Everything there is: records, listings, and files by the key whose they are."""
    with host.database.read() as session:
        records = set(session.scalars(select(Archive.key)))
        listed = set(session.scalars(select(DeadArchive.key)))
    files = {path.parent.name + path.name for path in host.config.archives_dir.glob("*/*")}
    return {"records": records, "listed": listed, "files": files}


NOTHING: dict[str, set[str]] = {"records": set(), "listed": set(), "files": set()}


def test_a_dead_archive_loses_files_record_and_listing(host: Host) -> None:
    _add(host, A, B)
    job = FakeJob()

    assert _run(host, job) == {"deleted": 2, "kept": 0, "refused": 0}
    assert _left(host) == NOTHING
    assert job.reports == [(0, 2, A[:8]), (1, 2, B[:8])]


def test_an_archive_that_gained_a_user_is_kept_and_no_longer_listed(host: Host) -> None:
    _add(host, A)
    _add(host, B, hosted=True)

    assert _run(host) == {"deleted": 1, "kept": 1, "refused": 0}
    assert _left(host) == {"records": {B}, "listed": set(), "files": {B}}


def test_archives_that_are_not_listed_are_left_alone(host: Host) -> None:
    _add(host, A, B)
    with host.database.write() as session:
        session.delete(session.get_one(DeadArchive, B))

    _run(host)

    assert _left(host) == {"records": {B}, "listed": set(), "files": {B}}


@pytest.mark.parametrize("left", [{"record": False}, {"files": False}, {"record": False, "files": False}])
def test_what_an_earlier_run_has_deleted_is_no_error(host: Host, left: dict[str, bool]) -> None:
    _add(host, A, **left)

    assert _run(host) == {"deleted": 1, "kept": 0, "refused": 0}
    assert _left(host) == NOTHING


def test_nothing_listed_is_nothing_to_do(host: Host) -> None:
    assert _run(host) == {"deleted": 0, "kept": 0, "refused": 0}


def test_a_cancelled_job_ends_between_two_archives(host: Host) -> None:
    _add(host, A)

    assert _run(host, FakeJob(cancelled=True)) == {"deleted": 0, "kept": 0, "refused": 0}
    assert _left(host) == {"records": {A}, "listed": {A}, "files": {A}}


@pytest.mark.parametrize(
    "key", ["..", "../../precious", "", "A" * 64, "a" * 63, "a" * 65, "/" + "a" * 63, "aa/" + "b" * 61]
)
def test_a_listing_that_is_no_key_deletes_nothing_and_holds_up_nobody(host: Host, key: str) -> None:
    precious = host.config.data_dir / "precious"
    precious.mkdir()
    with host.database.write() as session:
        session.add(DeadArchive(key=key))
    _add(host, B)
    job = FakeJob()

    assert _run(host, job) == {"deleted": 1, "kept": 0, "refused": 1}
    assert _left(host) == {"records": set(), "listed": {key}, "files": set()}
    assert precious.is_dir()
    assert [line["event"] for line in job.logged] == ["dead_archive.refused"]


def test_a_link_is_deleted_and_what_it_points_at_is_not(host: Host, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / "file").write_bytes(b"precious")
    _add(host, A, files=False)
    _add(host, B)
    folder = folder_of(host.config.archives_dir, A)
    folder.parent.mkdir()
    folder.symlink_to(target)
    (folder_of(host.config.archives_dir, B) / "content/link").symlink_to(target)

    _run(host)

    assert _left(host) == NOTHING
    assert (target / "file").read_bytes() == b"precious"


def test_one_archive_that_cannot_be_deleted_does_not_hold_up_the_others(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    _add(host, A, B, C)
    real = shutil.rmtree

    def refuse(path: Path) -> None:
        if B[2:] in path.name and path.exists():
            raise PermissionError(13, "Permission denied")
        real(path)

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", refuse)
        with pytest.raises(NotCleaned, match="1 of 3 archives could not be deleted, first bbbbbbbb: Permission denied"):
            _run(host)
    assert _left(host)["listed"] == {B}

    assert _run(host) == {"deleted": 1, "kept": 0, "refused": 0}
    assert _left(host) == NOTHING


class _CrashAt:
    """Ends the process, as it were, at its n-th call to the file system or the database, just before it happens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, host: Host, n: int) -> None:
        self._left = n
        for name in ("rename", "unlink", "rmdir"):
            monkeypatch.setattr(f"os.{name}", self._wrapped(getattr(os, name)))
        engine = host.database._engine
        event.listen(engine, "before_cursor_execute", self._step)
        event.listen(engine, "commit", self._step)

    def _wrapped(self, call: Callable[..., None]) -> Callable[..., None]:
        def step_and_call(*args: Any, **options: Any) -> None:
            self._step()
            call(*args, **options)

        return step_and_call

    def _step(self, *_: object, **__: object) -> None:
        self._left -= 1
        if self._left == 0:
            raise Crash


def _crashes(open_host: Callable[[], Host], monkeypatch: pytest.MonkeyPatch, n: int) -> bool:
    """Runs the job in a life of its own that ends at step n; False when the job ended before."""
    host = open_host()
    with monkeypatch.context() as patch:
        _CrashAt(patch, host, n)
        try:
            _run(host)
        except Crash:
            return True
        finally:
            host.close()
    return False


# begin, select; then begin, two statements and a commit for each of three transactions; then files and folders
STEPS_MIN = 20


def test_it_may_be_interrupted_at_any_step_and_repeated(
    open_host: Callable[[], Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    n = 1
    while True:
        host = open_host()
        _add(host, A)
        _add(host, B, hosted=True)
        crashed = _crashes(open_host, monkeypatch, n)
        left_listed = _left(host)["listed"]

        assert A in left_listed or A not in _left(host)["records"] | _left(host)["files"], f"step {n} forgot {A}"
        _run(host)

        assert _left(host) == {"records": {B}, "listed": set(), "files": {B}}, f"interrupted at step {n}"
        if not crashed:
            break
        _forget(host, B)
        n += 1
    assert n > STEPS_MIN


def test_it_may_be_interrupted_again_and_again(open_host: Callable[[], Host], monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random("interruptions")
    for round_ in range(40):
        host = open_host()
        _add(host, A)
        steps = [rng.randrange(1, 30) for _ in range(3)]

        for n in steps:
            _crashes(open_host, monkeypatch, n)
            left = _left(host)
            assert A in left["listed"] or left == NOTHING, f"round {round_}: forgotten after steps {steps}"
        _run(host)

        assert _left(host) == NOTHING, f"round {round_}: steps {steps}"


@pytest.mark.parametrize("came_back", ["with its record", "as a new archive"])
def test_an_archive_that_gains_a_user_after_an_interruption_is_kept(
    open_host: Callable[[], Host], monkeypatch: pytest.MonkeyPatch, came_back: str
) -> None:
    seen = 0
    n = 1
    while True:
        host = open_host()
        _add(host, A)
        crashed = _crashes(open_host, monkeypatch, n)
        at_crash = _left(host)
        still_known = A in at_crash["records"]
        if crashed and still_known == (came_back == "with its record"):
            seen += 1
            _host(host, A)
            _run(host)

            after = _left(host)
            assert (after["records"], after["listed"]) == ({A}, set()), f"interrupted at step {n}"
            assert after["files"] == at_crash["files"] & {A}, f"interrupted at step {n}"
            if still_known:
                assert (folder_of(host.config.archives_dir, A) / "content/data").read_bytes() == b"bytes"
        if not crashed:
            break
        _forget(host, A)
        n += 1
    assert seen > 2


@pytest.mark.parametrize("moment", range(1, 7))
def test_a_user_who_comes_between_any_two_steps_is_not_robbed(
    host: Host, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    _add(host, A)
    steps = 0
    had_files = False
    write, rmtree = host.database.write, shutil.rmtree

    def arrive() -> None:
        # Only between transactions: inside one, the write lock keeps the user waiting.
        nonlocal steps, had_files
        steps += 1
        if steps == moment:
            had_files = A in _left(host)["files"]
            with monkeypatch.context() as patch:
                patch.setattr(host.database, "write", write)
                _host(host, A)

    monkeypatch.setattr(host.database, "write", lambda: (arrive(), write())[1])
    monkeypatch.setattr("shutil.rmtree", lambda path: (arrive(), rmtree(path)))

    _run(host)

    assert steps >= moment - 1, "one moment after the last step is enough"
    assert _left(host) == {
        "records": {A} if steps >= moment else set(),
        "listed": set(),
        "files": {A} if had_files else set(),
    }


def _forget(host: Host, key: str) -> None:
    """Takes an archive out of the world, for the next round."""
    with host.database.write() as session:
        session.execute(delete(UserArchive).where(UserArchive.archiveKey == key))
        for table in (Archive, DeadArchive):
            session.execute(delete(table).where(table.key == key))
    shutil.rmtree(folder_of(host.config.archives_dir, key), ignore_errors=True)
