"""The boots on a store as people see them: its rows, who lives, and what those that live say."""

from __future__ import annotations

import pytest
from lamplighter import UsageError
from lamplighter.admin.inspector import readable_table
from lamplighter.admin.operator import Operator
from lamplighter.admin.runtimes import Runtimes, named
from lamplighter.messages.boots import BootRecord
from lamplighter.stores.control_client import boot_view
from lamplighter.stores.sqlite.control_client import FileControlClient


def seen(*boots):
    """Boots in the order of their starts."""
    rows = [
        BootRecord(boot=boot, pid=1, host="h", started_at=1.0, hint=None, names=(), boot_no=number)
        for number, boot in enumerate(boots, 1)
    ]
    return [boot_view(row, is_alive=True) for row in rows]


def test_rows_are_joined_with_what_their_boots_say(runtime):
    worker, producer = runtime(), runtime(start=False).start(work=False)
    store = worker.boot.store

    found = Runtimes(store, FileControlClient(store.path, 15.0)).all()

    assert [(one.boot, one.kind, one.condition) for one in found] == [
        (worker.boot.id, "worker", "answers"),
        (producer.boot.id, "producer", "answers"),
    ]
    assert [one.view.boot for one in found] == [one.boot for one in found]


def test_who_has_only_acted_is_none_that_runs(runtime):
    rt = runtime()
    path = rt.boot.store.path
    rt.stop()
    Operator(path, by="ada", via="test").pause("work")
    store = readable_table(path, "tallies")

    with store.snapshot() as inside:
        kinds = [boot.kind for boot in inside.boots()]

    assert kinds == ["operator"]
    assert Runtimes(store, FileControlClient(path)).all() == []
    store.close()


@pytest.mark.parametrize(("words", "boot"), [("a1b2", "a1b2"), ("a1", "a1b2"), ("2", "c3d4"), ("c", "c3d4")])
def test_a_boot_is_named_by_its_id_the_beginning_of_it_or_its_number(words, boot):
    assert named(seen("a1b2", "c3d4"), words).boot == boot


def test_a_number_means_the_boot_that_has_it_though_the_id_of_another_begins_so():
    assert named(seen("2b1a", "c3d4"), "2").boot == "c3d4"


def test_a_name_of_none_finds_none_and_one_of_several_is_refused():
    boots = seen("a1b2", "a1c3")

    assert named(boots, "x") is None
    with pytest.raises(UsageError, match="expected the id of one runtime instance, got: 'a1', which may be a1b2, a1c3"):
        named(boots, "a1")
