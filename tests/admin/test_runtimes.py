"""The boots on a store as people see them: its rows, who lives, and what those that live say."""

from __future__ import annotations

import contextlib

import pytest
from lamplighter import UsageError
from lamplighter.admin.control_client import ControlClient
from lamplighter.admin.inspectors import readable_file
from lamplighter.admin.operator import Operator
from lamplighter.admin.runtimes import Runtimes
from lamplighter.messages.boots import BootRecord


class Rows:
    """A store of which only the rows of its boots are asked."""

    address = "amqp://here"
    path = None

    def __init__(self, *boots):
        self._boots = [
            BootRecord(boot=boot, pid=1, host="h", started_at=1.0, hint=None, names=(), boot_no=number)
            for number, boot in enumerate(boots, 1)
        ]

    @contextlib.contextmanager
    def snapshot(self):
        yield self

    def boots(self):
        return self._boots


def test_rows_are_joined_with_what_their_boots_say(runtime):
    worker, producer = runtime(), runtime(start=False).start(work=False)
    store = worker.boot.store

    seen = Runtimes(store, ControlClient(store.path, 15.0)).all()

    assert [(one.boot, one.kind, one.condition) for one in seen] == [
        (worker.boot.id, "worker", "answers"),
        (producer.boot.id, "producer", "answers"),
    ]
    assert [one.view.boot for one in seen] == [one.boot for one in seen]


def test_who_has_only_acted_is_none_that_runs(runtime):
    rt = runtime()
    path = rt.boot.store.path
    rt.stop()
    Operator(path, by="ada", via="test").pause("work")
    store = readable_file(path, "tallies")

    with store.snapshot() as seen:
        kinds = [boot.kind for boot in seen.boots()]

    assert kinds == ["operator"]
    assert Runtimes(store, ControlClient(path)).all() == []
    store.close()


def test_where_nobody_can_be_asked_the_rows_are_all_that_is_known():
    (seen,) = Runtimes(Rows("a1"), None).all()

    assert (seen.condition, seen.is_alive, seen.view) == ("unknown", True, None)


@pytest.mark.parametrize(("named", "boot"), [("a1b2", "a1b2"), ("a1", "a1b2"), ("2", "c3d4"), ("c", "c3d4")])
def test_a_boot_is_named_by_its_id_the_beginning_of_it_or_its_number(named, boot):
    assert Runtimes(Rows("a1b2", "c3d4"), None).one(named).boot == boot


def test_a_number_means_the_boot_that_has_it_though_the_id_of_another_begins_so():
    assert Runtimes(Rows("2b1a", "c3d4"), None).one("2").boot == "c3d4"


def test_a_name_of_none_finds_none_and_one_of_several_is_refused():
    runtimes = Runtimes(Rows("a1b2", "a1c3"), None)

    assert runtimes.one("x") is None
    with pytest.raises(UsageError, match="expected the id of one runtime instance, got: 'a1', which may be a1b2, a1c3"):
        runtimes.one("a1")
