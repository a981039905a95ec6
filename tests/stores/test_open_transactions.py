"""Who of this process has a transaction open."""

from __future__ import annotations

import contextlib
import gc
import sqlite3
import threading
from pathlib import Path
from typing import Any

from lamplighter.stores.open_transactions import OwnConnection, likely_holder, open_transactions


def begun(path: Path, **options: Any) -> contextlib.closing[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None, **options)
    connection.execute("begin")
    return contextlib.closing(connection)


def test_a_transaction_is_named_by_its_thread_whoever_asks(tmp_path: Path) -> None:
    asked: list[Any] = []
    with begun(tmp_path / "host.db"):
        here = open_transactions()
        other = threading.Thread(target=lambda: asked.extend(open_transactions()))
        other.start()
        other.join(15)

    assert here == ["a connection"], "to its own thread it does not say whose it is"
    assert asked == ["MainThread"]
    assert open_transactions() == []


def test_all_threads_that_have_one_open_are_named(tmp_path: Path) -> None:
    has_begun, may_end, asked = threading.Event(), threading.Event(), []

    def work() -> None:
        with begun(tmp_path / "other.db"):
            has_begun.set()
            may_end.wait(15)

    with begun(tmp_path / "host.db"), begun(tmp_path / "another.db"):
        worker = threading.Thread(target=work, name="worker")
        worker.start()
        assert has_begun.wait(15)
        asker = threading.Thread(target=lambda: asked.append(likely_holder()))
        asker.start()
        asker.join(15)
        may_end.set()
        worker.join(15)

    assert asked == [
        "this process has a transaction open (MainThread, worker): if it has written, end it before the runtime is "
        "called, or pass connection="
    ]


def test_the_thread_of_an_open_transaction_may_have_ended(tmp_path: Path) -> None:
    left = []
    worker = threading.Thread(target=lambda: left.append(begun(tmp_path / "host.db")))
    worker.start()
    worker.join(15)

    assert open_transactions() == ["a thread that has ended"]
    # Another thread may not close it.
    del left[:]
    gc.collect()
    assert open_transactions() == []


def test_connections_of_our_own_those_that_rest_and_closed_ones_do_not_count(tmp_path: Path) -> None:
    closed = sqlite3.connect(tmp_path / "host.db")
    closed.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "host.db")), begun(tmp_path / "own.db", factory=OwnConnection):
        assert open_transactions() == []
        assert likely_holder() == "another process has a transaction open that has written"


def test_an_object_that_says_it_is_a_connection_is_not_asked(tmp_path: Path) -> None:
    """A lazy object makes itself when somebody asks for its class."""

    class Lazy:
        @property
        def __class__(self) -> Any:
            raise AssertionError("it was made")

    lazy = [Lazy()]

    assert open_transactions() == []
    assert len(lazy) == 1
