"""The connections that a store is read by: how many there are, and that a fork finds none of them open."""

from __future__ import annotations

import contextlib
import sqlite3
import threading

import pytest
from lamplighter import StoreUnavailable
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.tables import readers
from lamplighter.stores.tables.readers import IDLE_MAX, READERS_MAX, Readers


class Connection:
    """What `Readers` lends here."""

    is_closed = False

    def close(self):
        self.is_closed = True


def pool_of(connect):
    """Readers, and the list of the connections that they have opened."""
    opened = []
    return Readers(lambda: opened.append(connect()) or opened[-1]), opened


def test_no_more_read_at_once_than_there_may_be_connections(monkeypatch):
    monkeypatch.setattr(readers, "READ_SECONDS_MAX", 0.01)
    pool, opened = pool_of(Connection)
    lent = [pool.lend() for _ in range(READERS_MAX)]
    for one in lent:
        one.__enter__()

    with pytest.raises(StoreUnavailable, match=f"{READERS_MAX} threads read"), pool.lend():
        pass

    lent[0].__exit__(None, None, None)
    with pool.lend() as connection:
        assert connection is opened[0]
    assert len(opened) == READERS_MAX


def test_of_connections_that_are_back_no_more_stay_open_than_may_be_idle():
    pool, opened = pool_of(Connection)
    with contextlib.ExitStack() as lent:
        for _ in range(READERS_MAX):
            lent.enter_context(pool.lend())

    assert sum(not one.is_closed for one in opened) == IDLE_MAX < len(opened)


def test_a_connection_that_is_of_no_use_any_more_is_closed_and_another_is_lent():
    pool, opened = pool_of(Connection)
    pool.is_usable = lambda connection: False
    for _ in range(2):
        with pool.lend():
            pass

    assert [one.is_closed for one in opened] == [True, False]


@pytest.mark.parametrize("end", ["well", "with an error", "without a connection"])
def test_readers_that_were_all_lent_once_are_all_lent_again(monkeypatch, end):
    monkeypatch.setattr(readers, "READ_SECONDS_MAX", 0.0)
    unable = [sqlite3.OperationalError("unable to open database file")] * (
        READERS_MAX * (end == "without a connection")
    )

    def connect():
        if unable:
            raise unable.pop()
        return Connection()

    pool = Readers(connect)
    error = ZeroDivisionError if end == "with an error" else None
    for _ in range(len(unable)):
        with pytest.raises(sqlite3.OperationalError), pool.lend():
            pass
    for _ in range(3):
        lent = [pool.lend() for _ in range(READERS_MAX)]
        for one in lent:
            one.__enter__()
        with pytest.raises(StoreUnavailable), pool.lend():
            pass
        for one in lent:
            with contextlib.suppress(ZeroDivisionError):
                one.__exit__(error, None if error is None else error(), None)


def test_a_connection_that_is_being_closed_is_not_back_yet():
    """A fork in that moment would hand it to the child, whose SQLite would then believe in locks that nobody holds."""
    frozen = []

    class Closing(Connection):
        def close(self):
            frozen.append(pool.freeze(0))
            super().close()

    pool, opened = pool_of(Closing)

    with pytest.raises(ZeroDivisionError), pool.lend():
        raise ZeroDivisionError

    assert (frozen, opened[0].is_closed, pool.freeze(0)) == ([False], True, True)


def test_a_connection_that_is_lent_over_a_closing_is_closed_when_it_is_back():
    pool, opened = pool_of(Connection)

    with pool.lend():
        pool.close()
        while_lent = opened[0].is_closed

    assert (while_lent, opened[0].is_closed) == (False, True)


def test_who_waits_for_all_to_be_back_is_woken_though_others_wait_to_read(monkeypatch):
    pool, _ = pool_of(Connection)
    pool.most = 1
    waiting, frozen = threading.Semaphore(0), []
    may_lend = pool._may_lend

    def looked():
        """Under the lock, which who looks in vain lets go of only by waiting."""
        answer = may_lend()
        if not answer:
            waiting.release()
        return answer

    def read():
        with pool.lend():
            pass

    reading = [threading.Thread(target=read) for _ in range(3)]
    freezing = threading.Thread(target=lambda: frozen.append(pool.freeze(60)))
    with pool.lend():
        monkeypatch.setattr(pool, "_may_lend", looked)
        for thread in reading:
            thread.start()
            assert waiting.acquire(timeout=10)
        freezing.start()
        while not pool._frozen:
            threading.Event().wait(0.001)

    freezing.join(8)
    assert frozen == [True]
    pool.thaw()
    for thread in reading:
        thread.join(10)


def test_after_a_fork_a_job_that_another_process_queued_meanwhile_is_found(tmp_path):
    one, other = SqliteStore(str(tmp_path / "jobs.db")), SqliteStore(str(tmp_path / "jobs.db"))
    one.open()
    other.open()
    with one.turn("b", 1.0) as turn:
        before = turn.version
    one.freeze()
    with other.turn("c", 2.0) as turn:
        turn.jobs.pause("a name", paused=True)
    one.thaw()

    with one.turn("b", 3.0) as turn:
        after = turn.version
    one.close()
    other.close()

    assert before != after
