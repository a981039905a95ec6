"""Who counts as alive on a store's file, whatever befalls the lock file, its folder and its process."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import threading
from pwd import getpwuid

import pytest
from lamplighter import StoreUnavailable, UsageError
from lamplighter.environment.threads import spawn
from lamplighter.messages.boots import BootRecord
from lamplighter.stores import locks, presence
from lamplighter.stores.hints import EAR_PREFIX, SocketHints
from lamplighter.stores.presence import FilePresence
from lamplighter.stores.sqlite.place import FilePlace


def record(boot, hint=None):
    return BootRecord(boot=boot, pid=1, host="here", started_at=1.0, hint=hint, names=(), turn=())


@pytest.fixture(params=["locks of open files", "flock"])
def kind(request, monkeypatch):
    """With either kind of lock, as systems have them."""
    if request.param == "flock":
        monkeypatch.delattr(fcntl, "F_OFD_SETLK", raising=False)
        monkeypatch.delattr(fcntl, "F_OFD_GETLK", raising=False)
    elif not hasattr(fcntl, "F_OFD_SETLK"):
        pytest.skip("this system has none")


@pytest.fixture
def place(tmp_path):
    """Where boots meet; whatever a test has entered is left at its end."""
    at = FilePresence(tmp_path / "jobs.db-boots")
    yield at
    for path in list(presence._own):
        at.leave(os.path.basename(path).removesuffix(".lock"))


def test_a_boot_lives_from_its_entering_to_its_leaving(place, kind):
    before = place.is_alive("one")
    place.enter("one")
    within = place.is_alive("one")
    place.leave("one")

    assert (before, within, place.is_alive("one")) == (None, True, None)


def test_to_ask_for_a_lock_does_not_take_it(tmp_path, kind):
    path = tmp_path / "lock"
    with contextlib.ExitStack() as stack:
        first, second, third = (os.open(path, os.O_CREAT | os.O_RDWR) for _ in range(3))
        for descriptor in (first, second, third):
            stack.callback(os.close, descriptor)

        free = [locks.is_taken(second), locks.is_taken(third)]
        had = locks.take(first)

        assert (free, had) == ([False, False], True)
        assert (locks.is_taken(second), locks.take(second)) == (True, False)


def test_a_system_that_refuses_the_locks_of_open_files_has_flock(tmp_path, monkeypatch):
    def refuse(descriptor, command, argument=0):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    first, second = (os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR) for _ in range(2))

    had = locks.take(first)

    assert (had, locks.is_taken(second)) == (True, True)
    os.close(first)
    assert not locks.is_taken(second)
    os.close(second)


def test_a_backup_that_reads_the_lock_files_takes_nobodys_life(place, tmp_path, kind):
    place.enter("one")

    for path in (tmp_path / "jobs.db-boots").iterdir():
        path.read_bytes()

    assert place.is_alive("one")


def test_of_a_boot_whose_lock_file_is_gone_nothing_tells_until_it_looks(place, tmp_path, kind):
    place.enter("one")
    shutil.rmtree(tmp_path / "jobs.db-boots")
    gone = place.is_alive("one")

    place.keep("one")

    assert (gone, place.is_alive("one")) == (None, True)


def test_a_boot_whose_descriptors_were_closed_locks_again_and_closes_no_others_file(place, tmp_path):
    place.enter("one")
    (held,) = presence._own.values()
    os.close(held.descriptor)
    stranger = os.open(tmp_path / "strangers", os.O_CREAT | os.O_RDWR)
    assert stranger == held.descriptor

    dead = place.is_alive("one")
    place.keep("one")

    assert (dead, place.is_alive("one")) == (False, True)
    os.write(stranger, b"still open")
    os.close(stranger)


def test_to_keep_a_sound_lock_changes_nothing(place, tmp_path):
    place.enter("one")
    before = (tmp_path / "jobs.db-boots" / "one.lock").stat().st_ino

    place.keep("one")

    assert (tmp_path / "jobs.db-boots" / "one.lock").stat().st_ino == before
    assert len(presence._own) == 1


def test_nobody_sees_a_lock_file_that_is_not_locked_yet(place, tmp_path, monkeypatch):
    seen = []
    taken = locks.take

    def take(descriptor):
        seen.append((place.is_alive("one"), (tmp_path / "jobs.db-boots" / "one.lock").exists()))
        return taken(descriptor)

    monkeypatch.setattr(locks, "take", take)

    place.enter("one")

    assert seen == [(None, False)]


@pytest.mark.parametrize(
    ("error", "kind_of_error"),
    [(errno.EACCES, UsageError), (errno.EROFS, UsageError), (errno.EMFILE, StoreUnavailable)],
)
@pytest.mark.parametrize("what", ["open", "rename"])
def test_a_place_that_cannot_be_used_is_said_and_how_to_mend_it(
    place, tmp_path, monkeypatch, what, error, kind_of_error
):
    def refuse(*arguments, **options):
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patched:
        patched.setattr(os, what, refuse)
        with pytest.raises(kind_of_error, match="run all of them as one user"):
            place.enter("one")

    assert list((tmp_path / "jobs.db-boots").iterdir()) == []


@pytest.fixture
def forbidden(monkeypatch):
    """Has the lock file of a boot refuse to be opened: root, as whom tests may run, may open all."""
    opened, refused = os.open, set()

    def refuse(path, *arguments, **options):
        if os.path.basename(path) in refused:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    return lambda boot: refused.add(f"{boot}.lock")


def test_a_boot_whose_lock_file_may_not_be_opened_is_unknown(place, forbidden, tmp_path):
    place.enter("one")
    seen = place.is_alive("one"), place.hidden("one")
    forbidden("one")

    assert seen == (True, None)
    assert place.is_alive("one") is None
    path = tmp_path / "jobs.db-boots" / "one.lock"
    assert place.hidden("one") == f"{path} cannot be opened (Permission denied); it belongs to {path.owner()}"
    place.tidy(())
    assert path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
@pytest.mark.parametrize(
    ("uid", "named"),
    [(65534, getpwuid(65534).pw_name), (54_321, "user 54321"), (None, "somebody whom nobody may see here")],
)
def test_the_owner_is_told_of_the_lock_file_that_may_not_be_opened(place, forbidden, tmp_path, uid, named):
    place.enter("one")
    path = tmp_path / "jobs.db-boots" / "one.lock"
    if uid is None:
        path.unlink()
    else:
        os.chown(path, uid, 0)
    forbidden("one")

    assert place.hidden("one") == f"{path} cannot be opened (Permission denied); it belongs to {named}"


def test_a_lock_file_that_cannot_be_opened_for_a_while_takes_nobodys_life(place, monkeypatch):
    place.enter("one")

    def refuse(*arguments, **options):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "open", refuse)

    assert (place.is_alive("one"), place.hidden("one")) == (True, None)


def test_a_boot_whose_lock_cannot_be_asked_for_lives_until_it_can(tmp_path, monkeypatch):
    place = FilePresence(tmp_path)
    (tmp_path / "one.lock").touch()
    before = place.is_alive("one")

    def refuse(descriptor):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks, "is_taken", refuse)

    assert (before, place.is_alive("one")) == (False, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_a_lock_file_that_root_makes_belongs_to_the_owner_of_the_folder(place, tmp_path):
    folder = tmp_path / "jobs.db-boots"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)

    place.enter("one")

    assert (folder / "one.lock").stat().st_uid == 65534


def test_who_is_buried_leaves_neither_lock_nor_socket(place, tmp_path):
    folder = tmp_path / "jobs.db-boots"
    folder.mkdir()
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ear.bind(str(folder / "dead.sock"))
    for end in presence.LEFT:
        (folder / f"dead{end}").touch()
    (folder / "other.sock").touch()
    entered = place.entered()
    (folder / "other.sock").unlink()

    place.bury(record("dead", str(folder / "dead.sock")))

    assert (entered, list(folder.iterdir())) == (["dead"], [])
    ear.close()


def test_nothing_but_a_boots_own_socket_is_removed_for_what_the_store_says(place, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("kept")
    named_alike = tmp_path / "dead.sock"
    named_alike.write_text("kept")

    for hint in (precious, named_alike):
        place.bury(record("dead", str(hint)))

    assert precious.read_text() == named_alike.read_text() == "kept"


def test_what_the_unknown_dead_have_left_is_tidied_away_and_nothing_of_the_living(place, tmp_path):
    folder = tmp_path / "jobs.db-boots"
    place.enter("living")
    place.enter("entering")
    for name in ("dead.lock", "dead.sock", "known.lock", "readme"):
        (folder / name).touch()

    place.tidy({"living", "known"})

    assert sorted(path.name for path in folder.iterdir()) == [
        "entering.lock",
        "known.lock",
        "living.lock",
        "readme",
    ]


@contextlib.contextmanager
def listening(folder, boot="one"):
    """Hints that count what they hear."""
    hints, heard = SocketHints(folder, boot), threading.Semaphore(0)
    hints.listen(heard.release, spawn)
    try:
        yield hints, heard
    finally:
        hints.close()


def test_a_socket_that_was_cleaned_away_is_made_anew_when_its_boot_looks(tmp_path):
    with listening(tmp_path / "boots") as (hints, heard), listening(tmp_path / "boots", "two") as (other, _):
        shutil.rmtree(tmp_path / "boots")

        hints.keep()
        other.send([hints.address])

        assert heard.acquire(timeout=10)


def test_a_socket_that_no_thread_can_listen_at_is_made_anew_at_the_next_look(tmp_path):
    with listening(tmp_path / "boots") as (hints, heard), listening(tmp_path / "boots", "two") as (other, _):
        shutil.rmtree(tmp_path / "boots")
        lend = hints._lend_ear

        def no_thread(ear):
            raise RuntimeError("can't start new thread")

        hints._lend_ear = no_thread
        hints.keep()
        hints._lend_ear = lend
        hints.keep()
        other.send([hints.address])

        assert heard.acquire(timeout=10)


@pytest.mark.parametrize(
    ("mounts", "kind"),
    [
        (["/ ext4"], None),
        (["/ ext4", "{here} nfs4"], "nfs4"),
        (["{here} nfs4", "/ ext4"], "nfs4"),
        (["/ ext4", "{here}-other nfs4"], None),
        (["/ ext4", "{above} nfs4", "{here} ext4"], None),
        # A mount over another hides it.
        (["/ ext4", "{here} ext4", "{here} nfs4"], "nfs4"),
        (["/ ext4", "{here} nfs4", "{here} ext4"], None),
        (["/ nfs"], "nfs"),
    ],
)
def test_a_store_lies_on_the_file_system_that_is_mounted_nearest_and_last(tmp_path, monkeypatch, mounts, kind):
    here = tmp_path / "a folder"
    here.mkdir()
    places = {"here": str(here).replace(" ", r"\040"), "above": str(tmp_path)}
    lines = [f"device {line.format(**places)} rw 0 0\n" for line in mounts]
    (tmp_path / "mounts").write_text("".join(lines))
    monkeypatch.setattr(presence, "MOUNTS", tmp_path / "mounts")

    assert FilePlace(str(here / "jobs.db")).network_filesystem() == kind


def test_a_path_too_long_for_a_socket_has_it_in_a_folder_that_nobody_can_have_made(tmp_path):
    long = tmp_path / ("l" * 120)
    long.mkdir()
    with listening(long / "boots") as (hints, heard), listening(long / "boots", "two") as (other, _):
        folders = [os.path.dirname(one.address) for one in (hints, other)]

        other.send([hints.address])

        assert heard.acquire(timeout=10)
        assert all(os.path.basename(folder).startswith(EAR_PREFIX) for folder in folders)
        assert all(os.stat(folder).st_mode & 0o077 == 0 and os.stat(folder).st_uid == os.getuid() for folder in folders)
        assert folders[0] != folders[1]
    assert not any(map(os.path.exists, folders))


def test_without_a_usable_temporary_folder_there_are_no_hints_and_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "not there"))

    with listening(tmp_path / ("l" * 120) / "boots") as (hints, _):
        assert hints.address is None
        hints.send(["/nowhere"])


def test_the_thread_that_listens_ends_though_the_socket_is_gone(tmp_path):
    threads = []

    def keep_thread(run, name):
        threads.append(spawn(run, name))

    hints = SocketHints(tmp_path / "boots", "one")
    hints.listen(lambda: None, keep_thread)
    os.unlink(hints.address)

    hints.close()

    threads[0].join(10)
    assert not threads[0].is_alive()
