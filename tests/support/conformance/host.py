"""Promises about an application's own transactions, which a store may take part in."""

from __future__ import annotations

from typing import Any

import pytest
from lamplighter.errors import StoreUnavailable, UsageError
from lamplighter.messages.jobs import Attribution, JobRecord, JobState, NewJob
from lamplighter.messages.outcomes import Outcome, OutcomeKind, Verdict
from lamplighter.messages.schedules import HostChange, ScheduleRecord
from lamplighter.rules.lifecycle import AWAITS
from lamplighter.stores.ports import HostTransactions, HostTurn, Store

from .kit import DONE, NOW, SUCCEEDED, StoreCase, a_boot, a_schedule, job_of, new, put, take


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

    def test_an_error_takes_back_what_was_to_hold_wholly_and_no_more(self, store: Store) -> None:
        """HostTurn.wholly: While this lasts, what is done holds wholly or, if an error comes out, not at all"""
        self.needs("host")
        host = self.connect_host(store)

        def fail(turn: HostTurn) -> None:
            turn.insert(new("a"))
            with pytest.raises(ZeroDivisionError), turn.wholly():
                turn.insert(new("b"))
                raise ZeroDivisionError

        self.host_of(store).join(host, NOW, fail)
        host.commit()
        host.close()

        assert (job_of(store, "a") is None, job_of(store, "b") is None) == (False, True)

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

    def test_what_follows_an_end_in_a_hosts_transaction_is_told_with_it(self, store: Store) -> None:
        """HostTurn.follow: Jobs that were inserted here follow one that has ended here: one turn makes moves of all of
        them, and ties them.
        """
        self.needs("host", "table")
        put(store, new("a"))
        host = self.connect_host(store)

        def finish(turn: HostTurn) -> None:
            job = turn.find("a")
            assert job is not None
            turn.finish(job, "8")
            turn.follow(job, [turn.insert(new(job_id))[0] for job_id in ("b", "c")])

        self.host_of(store).join(host, NOW, finish)
        host.commit()
        host.close()
        with store.turn("b", NOW) as turn:
            # One of them is asked for first.
            turn.jobs.get(("c",))
            turn.jobs.refresh()
            moves = [(one.job.id, one.fields.get("then"), one.fields.get("then_of")) for one in turn.transitions]

        assert moves == [("a", 2, None), ("b", None, "a"), ("c", None, "a")]

    def test_nobody_changes_a_job_that_a_hosts_transaction_has_found(self, store: Store) -> None:
        """HostTurn.find: Nobody else changes it until the application's transaction has ended."""
        self.needs("host", "table")
        put(store, new("a"))
        host = self.connect_host(store)

        def find(turn: HostTurn) -> None:
            turn.find("a")
            with pytest.raises(StoreUnavailable), store.turn("b", NOW) as other:
                assert other.queued is not None
                other.queued.cancel(other.jobs.find(("a",))["a"], "by another")

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

    def change(self, store: Store, *changes: ScheduleRecord | str, at: float = NOW, end: str = "commit") -> None:
        """Add schedules, or remove those with these ids, in one transaction of an application."""
        host = self.connect_host(store)
        for one in changes:
            gone = isinstance(one, str)
            change = HostChange(one, at, None) if gone else HostChange(one.id, at, one)
            self.host_of(store).join(host, at, lambda turn, change=change: turn.change_schedule(change))
        getattr(host, end)()
        host.close()

    def test_a_schedule_follows_the_hosts_transaction_and_one_turn_carries_it_out(self, store: Store) -> None:
        """HostTurn.change_schedule: Add, change or remove a schedule: `ScheduleBook.refresh` carries it out."""
        self.needs("host")
        self.change(store, a_schedule(), end="rollback")
        none = store.schedules.one("s"), store.jobs.outlook((), NOW).is_due
        self.change(store, a_schedule(), at=NOW - 90)
        before = store.schedules.one("s"), store.jobs.outlook((), NOW).is_due

        with store.turn("b", NOW) as turn:
            turn.boots.register(a_boot("b"))
            told = [[(record.id, news) for record, news in turn.schedules.refresh()] for _ in range(2)]
        after = store.schedules.one("s"), store.jobs.outlook((), NOW).is_due
        self.change(store, "s")
        gone = store.schedules.one("s")
        with store.turn("b", NOW) as turn:
            removed = [(record.id, news) for record, news in turn.schedules.refresh()]

        assert none == (None, False)
        assert before[1]
        assert told == [[("s", "added")], []]
        assert before[0] is not None and after[0] is not None
        assert (before[0].definition, after[1]) == (after[0].definition, False)
        assert (after[0].accounted_to, after[0].changed_at) == (NOW - 90, NOW - 90)
        assert (gone, removed, store.schedules.all()) == (None, [("s", "removed")], [])

    def test_what_a_host_changes_counts_from_where_it_is_accounted_for(self, store: Store) -> None:
        """ScheduleBook.refresh: counts from when the application said so, or from where it is accounted for, if that is
        later; never from later than now."""
        self.needs("host")
        with store.turn("b", NOW) as turn:
            turn.schedules.declare([a_schedule()])
            turn.schedules.account("s", NOW + 60, NOW + 60)
        self.change(store, a_schedule(when="0 * * * *"), at=NOW + 30)
        self.change(store, a_schedule(id="ahead"), at=NOW + 9_999)

        with store.turn("b", NOW + 120) as turn:
            told = {record.id: (news, record.accounted_to) for record, news in turn.schedules.refresh()}

        assert told == {"s": ("changed", NOW + 60), "ahead": ("added", NOW + 120)}

    def test_what_is_forgotten_is_not_carried_out_later(self, store: Store) -> None:
        """ScheduleBook.forget: Remove a schedule, and what `refresh` has not carried out of it."""
        self.needs("host")
        self.change(store, a_schedule())

        with store.turn("b", NOW) as turn:
            gone = turn.schedules.forget("s"), turn.schedules.forget("s")
            told = turn.schedules.refresh()

        assert (gone, told, store.schedules.all()) == ((True, False), [], [])

    def test_a_hosts_transaction_sees_what_it_has_made_of_a_schedule(self, store: Store) -> None:
        """HostTurn.schedule: A schedule, as this transaction and those before it have left it."""
        self.needs("host")
        self.change(store, a_schedule())
        host = self.connect_host(store)

        def look(turn: HostTurn) -> list[ScheduleRecord | None]:
            found = [turn.schedule("s")]
            turn.change_schedule(HostChange("s", NOW, None))
            return [*found, turn.schedule("s"), turn.schedule("nobody")]

        first, *then = self.host_of(store).join(host, NOW, look)
        host.rollback()
        host.close()

        assert first is not None and store.schedules.one("s") is not None
        assert then == [None, None]

    def test_a_signal_in_an_own_transaction_wakes_the_job_when_a_turn_has_told_of_it(self, store: Store) -> None:
        """HostTurn.send: `refresh` tells of it, and wakes the job."""
        self.needs("host", "table", "steps")
        put(store, new("a"))
        (claimed,) = take(store)
        waits = Verdict(JobState.QUEUED, "job.snoozed", f"{AWAITS}approval", 0, run_at=NOW + 1000.0)
        with store.turn("b", NOW) as turn:
            turn.jobs.settle(claimed, Outcome(kind=OutcomeKind.SNOOZED, signal="approval"), waits)
        host = self.connect_host(store)

        def send(turn: HostTurn) -> bool:
            job = turn.find("a")
            assert job is not None
            return turn.send(job, "approval", "1", Attribution(by="ann"))[1]

        sent = [self.host_of(store).join(host, NOW, send) for _ in range(2)]
        host.commit()
        host.close()
        with store.turn("b", NOW) as turn:
            turn.jobs.refresh()
            notes = [move for _, move in turn.notes]
            events = [moved.event for moved in turn.transitions]

        assert sent == [True, False]
        assert [(note["k"], note["by"]) for note in notes] == [("signalled", "ann")]
        assert events == ["job.woken"]
        assert [one.id for one in take(store)] == ["a"]

    def test_a_step_in_an_own_transaction_is_told_by_whichever_boot_takes_a_turn(self, store: Store) -> None:
        """HostTurn.keep: Keep a step of the current claim of a job that was found here. `refresh` tells of it."""
        self.needs("host", "table", "steps")
        table = store.table
        assert table is not None
        put(store, new("a"))
        (claimed,) = take(store)

        def keep(turn: HostTurn) -> None:
            job = turn.find("a")
            assert job is not None
            turn.keep(job, "debit", "7", 0.5)

        for end in ("rollback", "commit"):
            host = self.connect_host(store)
            self.host_of(store).join(host, NOW, keep)
            getattr(host, end)()
            host.close()
            kept = [(step.name, step.result, step.claim_no) for step in table.steps(claimed.row_id)]
            assert kept == ([] if end == "rollback" else [("debit", "7", 1)])
        seen = table.steps_seen(claimed.row_id, 9).newest
        with store.turn("other", NOW) as turn:
            turn.jobs.refresh()
            ((_, note),) = turn.notes
            ((event, line),) = turn.news

        assert [(step.name, step.claim_no) for step in seen] == [("debit", 1)]
        assert (note["k"], note["r"], note["c"], note["b"]) == ("stepped", 2, 1, "b")
        assert (event, line["step"], line["took"]) == ("job.stepped", "debit", 0.5)
        assert [(step.result, step.claim_no) for step in table.steps(claimed.row_id)] == [("7", 1)]
        with store.turn("b", NOW) as turn:
            turn.jobs.refresh()
            assert not turn.notes
            assert turn.jobs.settle(claimed, SUCCEEDED, DONE) is not None
