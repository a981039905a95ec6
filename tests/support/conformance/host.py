"""Promises about an application's own transactions, which a store may take part in."""

from __future__ import annotations

from typing import Any

import pytest
from lamplighter.errors import StoreUnavailable, UsageError
from lamplighter.messages.jobs import JobRecord, NewJob
from lamplighter.stores.ports import HostTransactions, HostTurn, Store

from .kit import DONE, NOW, SUCCEEDED, StoreCase, job_of, new, put, take


class HostPromises(StoreCase):
    """Promises about an application's transactions. Each docstring quotes the port."""

    def host_of(self, store: Store) -> HostTransactions:
        """The port, or the end of the test."""
        self.needs("host")
        assert store.host is not None
        return store.host

    def queue(self, store: Store, connection: Any, job: NewJob) -> tuple[JobRecord, bool]:
        """Insert a job in an application's transaction."""
        return self.host_of(store).join(connection, NOW, lambda turn: turn.insert(job))

    def test_a_job_exists_if_and_only_if_the_hosts_transaction_commits(self, store: Store) -> None:
        """HostTurn.insert: A transaction of the application that job state takes part in: it is there if
        that commits."""
        self.needs("host", "table")
        host = self.connect_host(store)
        _, fresh = self.queue(store, host, new("lost"))
        host.rollback()
        host.close()
        host = self.connect_host(store)
        self.queue(store, host, new("kept"))
        host.commit()
        host.close()

        with store.turn("b", NOW) as turn:
            turn.jobs.refresh()
        assert fresh
        assert job_of(store, "lost") is None
        assert [job.id for job in take(store, begun=9)] == ["kept"]

    def test_what_is_no_connection_to_the_store_is_refused(self, store: Store) -> None:
        """HostTransactions.join: UsageError: it is no connection, or not one to this store"""
        host = self.host_of(store)
        nonsense: Any = object()

        with pytest.raises(UsageError):
            host.join(nonsense, NOW, lambda turn: None)

    def test_a_known_id_in_a_hosts_transaction_gives_the_stored_job(self, store: Store) -> None:
        """HostTurn.insert: As `JobQueue.insert`."""
        self.needs("host")
        put(store, new("a", data="1"))
        host = self.connect_host(store)

        stored, fresh = self.queue(store, host, new("a", data="2"))
        host.close()

        assert (stored.data, fresh) == ("1", False)

    def test_a_hosts_transaction_ends_a_running_job(self, store: Store) -> None:
        """HostTurn.settle: Record how the current claim of a job that was found here ended."""
        self.needs("host", "table")
        put(store, new("a"))
        take(store)
        host = self.connect_host(store)

        def settle(turn: HostTurn) -> JobRecord | None:
            job = turn.find("a")
            assert job is not None
            turn.settle(job, SUCCEEDED, DONE)
            return turn.find("a")

        within = self.host_of(store).join(host, NOW + 1, settle)
        host.commit()
        host.close()

        stored = job_of(store, "a")
        assert within == stored
        assert stored is not None
        assert (stored.state, stored.result, stored.attempt, stored.settled_no, stored.boot, stored.ended_at) == (
            "done",
            "7",
            1,
            1,
            "b",
            NOW + 1,
        )

    def test_a_hosts_transaction_finishes_a_queued_job(self, store: Store) -> None:
        """HostTurn.finish: Queued to done."""
        self.needs("host", "table")
        put(store, new("a"))
        host = self.connect_host(store)

        def finish(turn: HostTurn) -> JobRecord | None:
            job = turn.find("a")
            assert job is not None
            turn.finish(job, "8")
            return turn.find("nobody")

        none = self.host_of(store).join(host, NOW, finish)
        host.commit()
        host.close()

        stored = job_of(store, "a")
        assert stored is not None
        assert (stored.state, stored.result, stored.settled_no, none) == ("done", "8", 0, None)
        assert take(store) == []

    def test_nobody_changes_a_job_that_a_hosts_transaction_has_found(self, store: Store) -> None:
        """HostTurn.find: Nobody else changes it until the application's transaction has ended."""
        self.needs("host", "table")
        put(store, new("a"))
        host = self.connect_host(store)

        def find(turn: HostTurn) -> None:
            turn.find("a")
            with pytest.raises(StoreUnavailable), store.turn("b", NOW) as other:
                other.jobs.pause("work", paused=True)

        self.host_of(store).join(host, NOW, find)
        host.rollback()
        host.close()

        assert [job.id for job in take(store)] == ["a"]

    def test_what_a_host_changed_is_counted_by_the_next_turn(self, store: Store) -> None:
        """JobQueue.refresh: Make moves of what nobody has told: what hosts changed in their own transactions"""
        self.needs("host")
        host = self.connect_host(store)
        self.queue(store, host, new("a"))
        host.commit()
        host.close()
        before = store.jobs.outlook((), NOW).is_due

        with store.turn("b", NOW) as turn:
            turn.jobs.refresh()
            told = [(step.event, step.job.id) for step in turn.transitions]

        assert (before, told, store.jobs.outlook((), NOW).is_due) == (True, [("job.queued", "a")], False)
