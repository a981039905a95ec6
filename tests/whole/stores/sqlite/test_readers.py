"""The connections that a store is read by: how many there are, and that a fork finds none of them open."""

from __future__ import annotations

import os

from lamplighter import StoreError
from lamplighter.stores.sqlite import store as sqlite
from lamplighter.stores.sqlite.store import SqliteStore


def in_child(act):
    """What a forked child finds: the number that a function gives there."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = act()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_that_was_forked_in_the_middle_of_a_read_may_not_open_the_file(runtime, tmp_path, monkeypatch):
    rt = runtime()
    rt.jobs.queue("mail", id="held")
    store = rt.current_boot.get().store
    monkeypatch.setattr(sqlite, "FREEZE_SECONDS_MAX", 0.01)

    def opens():
        try:
            SqliteStore(store.address).open()
        except StoreError as error:
            return 1 if "fork again" in str(error) else 2
        return 0

    with store._reading():
        in_the_middle = in_child(opens)
    monkeypatch.undo()
    when_idle = in_child(opens)

    assert (in_the_middle, when_idle, rt.jobs.get("held").state.value) == (1, 0, "queued")
