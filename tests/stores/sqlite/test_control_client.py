"""Who asks the boots on a file from outside, and what it thinks of those that do not answer."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
from lamplighter import Runtime, StoreUnavailable, UsageError
from lamplighter.messages.boots import BootRecord
from lamplighter.messages.jobs import Attribution
from lamplighter.messages.views import DeclaredView, RuntimeView
from lamplighter.rules.control_lines import AskRefused
from lamplighter.stores.asking import Heard, ask_all
from lamplighter.stores.presence import FilePresence
from lamplighter.stores.sqlite.control_client import FileControlClient
from lamplighter.stores.tables.control_client import PATIENT_AGAIN_SECONDS, SILENT_SECONDS

PATIENCE = 15.0
"""Seconds that a busy machine may take."""


def room(rt, timeout=PATIENCE):
    return FileControlClient(rt.boot.store.path, timeout)


def test_all_boots_on_a_file_are_asked_at_once_and_each_answers_for_itself(runtime):
    one, other = runtime(), runtime()
    boots = [rt.boot.id for rt in (one, other)]

    reached = room(one).views(boots)

    assert {boot: found.view.boot for boot, found in reached.items()} == dict(zip(boots, boots, strict=True))
    assert {(found.condition, found.is_alive, found.silent_since) for found in reached.values()} == {
        ("answers", True, None)
    }
    assert sorted(found.boot for found in room(one).found()) == sorted(boots)


def test_a_boot_is_asked_for_one_thing_and_an_answer_of_another_kind_is_refused(runtime):
    rt = runtime()

    assert room(rt).ask(rt.boot.id, "declares", DeclaredView).schedules == ()
    with pytest.raises(AskRefused, match="expected by to be"):
        room(rt).ask(rt.boot.id, "quiet", DeclaredView, Attribution("x" * 300))


@pytest.mark.parametrize("made", ["{folder}/{boot}", "../app.db-boots/{boot}", "", "\0"])
def test_an_id_that_is_a_path_reaches_no_runtime_of_another_store(runtime, tmp_path, made):
    rt = runtime()
    with Runtime(tmp_path / "other.db"):
        pass
    outside = FileControlClient(str(tmp_path / "other.db"), PATIENCE)
    boot = made.format(folder=f"{rt.boot.store.path}-boots", boot=rt.boot.id)

    with pytest.raises(UsageError, match="expected the id of a runtime instance"):
        outside.ask(boot, "view", RuntimeView)
    with pytest.raises(UsageError, match="expected the id of a runtime instance"):
        outside.views([boot])


def test_a_boot_that_is_gone_is_dead_if_its_lock_file_is_left_and_else_unknown(runtime, tmp_path):
    rt = runtime()
    gone = rt.boot.id
    path = rt.boot.store.path
    rt.stop()
    Path(f"{path}-boots", "dead.lock").touch()

    reached = FileControlClient(path).views([gone, "dead"])

    assert [(one.condition, one.is_alive, one.view) for one in reached.values()] == [
        ("unknown", None, None),
        ("dead", False, None),
    ]
    with pytest.raises(StoreUnavailable, match=f"expected runtime instance {gone} to answer, got: nobody answers"):
        FileControlClient(path).ask(gone, "view", RuntimeView)
    with pytest.raises(StoreUnavailable, match="its process is dead"):
        FileControlClient(path).ask("dead", "view", RuntimeView)


def test_a_boot_that_holds_its_lock_and_has_no_socket_is_silent(tmp_path):
    place = FilePresence(tmp_path / "jobs.db-boots")
    place.enter("one")
    record = BootRecord(boot="one", pid=os.getpid(), host=socket.gethostname(), started_at=1.0, hint=None, names=())

    found = FileControlClient(str(tmp_path / "jobs.db")).views(["one"], [record])["one"]

    place.leave("one")
    assert (found.condition, found.pid) == ("silent", os.getpid())
    assert "nobody answers at" in found.unheard
    assert found.silent_since is not None


@pytest.mark.parametrize(
    ("host", "state", "condition", "why"),
    [
        ("here", "stopped", "stopped", "a signal or a debugger has stopped process 7"),
        ("here", "alive", "silent", "nobody answers at"),
        ("elsewhere", "stopped", "silent", "nobody answers at"),
    ],
)
def test_a_boot_whose_process_is_stopped_is_known_as_such_on_its_own_host(
    tmp_path, monkeypatch, host, state, condition, why
):
    monkeypatch.setattr("lamplighter.stores.tables.control_client.state_of", lambda pid: state if pid == 7 else "gone")
    place = FilePresence(tmp_path / "jobs.db-boots")
    place.enter("one")
    where = socket.gethostname() if host == "here" else "elsewhere"
    record = BootRecord(boot="one", pid=7, host=where, started_at=1.0, hint=None, names=())

    found = FileControlClient(str(tmp_path / "jobs.db")).views(["one"], [record])["one"]

    place.leave("one")
    assert (found.condition, found.pid, why in found.unheard) == (condition, 7, True)


def test_each_time_that_a_boot_falls_silent_is_a_time_of_its_own(runtime, monkeypatch):
    rt = runtime()
    outside, waits, is_deaf = room(rt), [], []
    soon, later = 1.0, PATIENT_AGAIN_SECONDS + 1.0

    def ask(sockets, question, timeout, monotonic, **others):
        waits.extend(timeout for _ in sockets)
        if is_deaf:
            return {boot: Heard(None, "no answer") for boot in sockets}
        return ask_all(sockets, question, PATIENCE, time.monotonic, **others)

    def look(at):
        monkeypatch.setattr(outside._clock, "now", lambda: at)
        monkeypatch.setattr(outside._clock, "monotonic", lambda: at)
        return outside.views([rt.boot.id])[rt.boot.id].silent_since

    monkeypatch.setattr("lamplighter.stores.sqlite.control_client.ask_all", ask)
    is_deaf.append(True)
    first = [look(100.0 + seconds) for seconds in (0.0, soon, later, later + soon)]
    is_deaf.clear()
    between = look(200.0)
    is_deaf.append(True)
    second = [look(300.0 + seconds) for seconds in (0.0, soon, later)]

    assert (first, between, second) == ([100.0] * 4, None, [300.0] * 3)
    # After a while, and once it has answered, a boot gets the whole time again.
    assert waits == [PATIENCE, SILENT_SECONDS, PATIENCE, SILENT_SECONDS, PATIENCE, PATIENCE, SILENT_SECONDS, PATIENCE]


def test_an_answer_that_cannot_be_read_here_is_an_answer_all_the_same(runtime, monkeypatch):
    rt = runtime()
    monkeypatch.setattr("lamplighter.boot.control.encode_answer", lambda view: b'{"v":2,"answer":{}}\n')

    found = room(rt).views([rt.boot.id])[rt.boot.id]

    assert (found.condition, found.is_alive, found.view) == ("answers", True, None)
    assert "expected an answer of v=1, got: 2" in found.unheard
