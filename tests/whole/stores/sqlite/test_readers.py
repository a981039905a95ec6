"""The connections that a store is read by: how many there are, and that a fork finds none of them open."""

from __future__ import annotations

import contextlib
import os
import threading

from lamplighter import StoreError, StoreUnavailable
from lamplighter.admin.operator import Operator
from lamplighter.broker.boot_registration import BootRegistration
from lamplighter.stores.locks import identity
from lamplighter.stores.sqlite import schema
from lamplighter.stores.sqlite import store as sqlite
from lamplighter.stores.sqlite.store import SqliteStore

from support.asked import Asked


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


def open_files(path):
    """How many descriptors of this process are of the file."""
    found = identity(path)
    return sum(identity(descriptor) == found for descriptor in range(256))


def opens(path):
    """Whether a store can be opened: 0, or 1 where the fork is said to prevent it."""
    try:
        SqliteStore(path).open()
    except StoreError as error:
        return 1 if "fork again" in str(error) else 2
    return 0


@contextlib.contextmanager
def stopped_at(monkeypatch, owner, name):
    """Whoever calls this waits in front of it until the block ends. Yields what is set when somebody does."""
    call, come, go = getattr(owner, name), threading.Event(), threading.Event()

    def waits(*args, **kwargs):
        come.set()
        assert go.wait(60)
        return call(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, waits)
        try:
            yield come
        finally:
            go.set()


def test_a_child_that_was_forked_while_a_runtime_starts_has_no_open_connection(runtime, monkeypatch):
    rt = runtime(start=False)
    starting = threading.Thread(target=rt.start)
    with stopped_at(monkeypatch, BootRegistration, "register") as come:
        starting.start()
        assert come.wait(60)
        in_the_child = in_child(lambda: open_files(rt.address))
        in_the_parent = open_files(rt.address)
    starting.join(60)

    assert in_the_child == 0 < in_the_parent
    assert rt.jobs.queue("mail").state.value == "queued"


def test_a_fork_does_not_overlook_a_store_that_another_thread_is_opening(tmp_path, monkeypatch):
    store = SqliteStore(str(tmp_path / "jobs.db"))
    opening = threading.Thread(target=store.open)
    monkeypatch.setattr(sqlite, "FREEZE_SECONDS_MAX", 0.01)
    with stopped_at(monkeypatch, schema, "migrate") as come:
        opening.start()
        assert come.wait(60)
        in_the_middle = in_child(lambda: opens(store.address))
    opening.join(60)

    assert (in_the_middle, in_child(lambda: opens(store.address))) == (1, 0)
    store.close()


def test_a_store_that_is_opened_during_a_fork_waits_for_its_end(tmp_path, monkeypatch):
    store, other = SqliteStore(str(tmp_path / "jobs.db")), SqliteStore(str(tmp_path / "other.db"))
    other.open()
    opening, freeze, files = threading.Thread(target=store.open), other.freeze, []
    monkeypatch.setattr(sqlite, "_stores_lock", Asked(sqlite._stores_lock))

    def opens_meanwhile():
        sqlite._stores_lock.meet(opening)
        files.append(open_files(store.address))
        return freeze()

    monkeypatch.setattr(other, "freeze", opens_meanwhile)
    in_child(lambda: 0)
    opening.join(60)

    assert files == [0] < [open_files(store.address)]
    monkeypatch.undo()
    store.close()
    other.close()


def test_an_operator_with_an_open_store_acts_after_a_fork_and_its_child_does_not(runtime):
    rt = runtime()

    def acts(operator):
        try:
            operator.queue("mail")
        except StoreUnavailable as error:
            return 1 if "closed" in str(error) else 2
        return 0

    with Operator(rt.address, by="ada", via="a test") as operator:
        in_the_child = in_child(lambda: open_files(rt.address) or acts(operator))

        assert (in_the_child, acts(operator)) == (1, 0)


def test_a_child_that_was_forked_in_the_middle_of_a_read_may_not_open_the_file(runtime, tmp_path, monkeypatch):
    rt = runtime()
    rt.jobs.queue("mail", id="held")
    store = rt.current_boot.get().store
    monkeypatch.setattr(sqlite, "FREEZE_SECONDS_MAX", 0.01)

    with store._reading():
        in_the_middle = in_child(lambda: opens(store.address))
        after_its_own_fork = in_child(lambda: in_child(lambda: 0) or opens(store.address))
    monkeypatch.undo()
    when_idle = in_child(lambda: opens(store.address))

    assert (in_the_middle, after_its_own_fork, when_idle) == (1, 1, 0)
    assert rt.jobs.get("held").state.value == "queued"
