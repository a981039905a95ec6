"""Callers of `join` are answered with ends that a turn has counted, and told that a job is gone only where that is
known.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from lamplighter import UnknownJob
from lamplighter.broker.state import Joins
from lamplighter.environment.replies import ThreadReply
from lamplighter.messages.jobs import JobState
from lamplighter.stores.ports import HostTurn, Store
from lamplighter.stores.sqlite.store import SqliteStore

from support.conformance.kit import NOW, new, put

from ..stores.rabbitmq.model_world import World


def finish_in_a_transaction_of_its_own(store: Store, path: Path) -> None:
    """What an application does that marks a job done in its own transaction."""

    def finish(turn: HostTurn) -> None:
        job = turn.find("a")
        assert job is not None
        turn.finish(job, "8")

    assert store.host is not None
    with closing(sqlite3.connect(path)) as host:
        store.host.join(host, NOW, finish)
        host.commit()


def test_an_end_in_a_transaction_of_an_application_is_told_once_a_turn_counted_it(tmp_path: Path) -> None:
    # Whoever is told of an end before may ask the next moment for what only the turn does: a log line, what follows.
    store, joins, reply = SqliteStore(tmp_path / "jobs.db"), Joins(), ThreadReply()
    store.open()
    put(store, new("a"))
    joins.add("a", reply)
    finish_in_a_transaction_of_its_own(store, tmp_path / "jobs.db")

    joins.look(store)
    told_before = reply.cancelled()
    with store.turn("b", NOW) as turn:
        turn.jobs.refresh()
    joins.look(store)

    assert (told_before, reply.wait(0).state) == (False, JobState.DONE)
    assert joins.awaited() == []
    store.close()


def test_only_a_store_with_a_table_can_tell_that_a_job_is_gone(tmp_path: Path) -> None:
    # On a server a job that this runtime does not know may run elsewhere, and its end may still come.
    with_table, without = SqliteStore(tmp_path / "jobs.db"), World().store()
    with_table.open()
    joins, reply = Joins(), ThreadReply()
    joins.add("elsewhere", reply)

    joins.look(without)
    assert (reply.cancelled(), joins.awaited()) == (False, ["elsewhere"])
    joins.look(with_table)

    with pytest.raises(UnknownJob, match="elsewhere"):
        reply.wait(0)
    assert joins.awaited() == []
    with_table.close()


def test_a_look_answers_whom_it_can_and_leaves_the_others_waiting(tmp_path: Path) -> None:
    store, joins = SqliteStore(tmp_path / "jobs.db"), Joins()
    store.open()
    put(store, new("queued"), new("cancelled"))
    replies = {job_id: ThreadReply() for job_id in ("queued", "cancelled", "gone")}
    for job_id, reply in replies.items():
        joins.add(job_id, reply)
    with store.turn("b", NOW) as turn:
        turn.jobs.cancel(turn.jobs.get(["cancelled"])["cancelled"], "not needed")

    joins.look(store)

    assert joins.awaited() == ["queued"]
    assert [job_id for job_id, reply in replies.items() if reply.cancelled()] == ["cancelled", "gone"]
    store.close()
