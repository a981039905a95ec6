"""Promises about jobs as they come, wait, are looked at and go, also in a host's own transaction."""

from __future__ import annotations

from typing import Any

import pytest
from lamplighter.errors import KeyTaken, NotSupported, UnknownJob, UsageError
from lamplighter.messages.outcomes import Outcome, OutcomeKind
from lamplighter.stores.ports import Store

from .kit import DONE, FAILED, NOW, RETRY, SUCCEEDED, StoreCase, die, new, put, take, want


class JobPromises(StoreCase):
    """Promises about jobs. Each docstring quotes the port."""

    def test_a_job_is_added(self, store: Store) -> None:
        """Turn.insert: Add a job."""
        job = new("a", data='{"x":1}', run_at=NOW + 5, timeout=3.0, max_attempts=2, corr="root")

        with store.turn("b", NOW) as turn:
            stored, fresh = turn.insert(job)

        assert fresh
        assert (stored.id, stored.name, stored.data, stored.state) == ("a", "work", '{"x":1}', "queued")
        assert (stored.queued_at, stored.run_at, stored.corr) == (NOW, NOW + 5, "root")
        assert (stored.timeout, stored.max_attempts, stored.attempt, stored.claim_no) == (3.0, 2, 0, 0)

    def test_a_known_id_gives_the_stored_job_and_false(self, store: Store) -> None:
        """Turn.insert: A known id, or an unfinished job with its unique key, gives the stored one and False."""
        self.needs("get")
        put(store, new("a", data="1"))

        with store.turn("b", NOW) as turn:
            stored, fresh = turn.insert(new("a", data="2"))
            changed = turn.transitions

        assert (stored.data, fresh, changed) == ("1", False, [])

    def test_an_unfinished_job_with_its_unique_key_gives_the_stored_one_and_false(self, store: Store) -> None:
        """Turn.insert: A known id, or an unfinished job with its unique key, gives the stored one and False."""
        self.needs("unique")
        put(store, new("a", unique_key="k"))

        with store.turn("b", NOW) as turn:
            stored, fresh = turn.insert(new("b", unique_key="k"))
            _, other_name = turn.insert(new("c", name="else", unique_key="k"))

        assert (stored.id, fresh, other_name) == ("a", False, True)

    def test_a_unique_key_is_free_again_once_its_job_has_ended(self, store: Store) -> None:
        """Turn.insert: A known id, or an unfinished job with its unique key, gives the stored one and False."""
        self.needs("unique")
        put(store, new("a", unique_key="k"))
        (claimed,) = take(store)

        with store.turn("b", NOW) as turn:
            while_running = turn.insert(new("b", unique_key="k"))[1]
            turn.settle(claimed, SUCCEEDED, DONE)
            afterwards = turn.insert(new("b", unique_key="k"))[1]

        assert (while_running, afterwards) == (False, True)

    def test_many_jobs_are_added_in_order(self, store: Store) -> None:
        """Turn.insert_many: `insert` each, in order."""
        jobs = [new(f"j{n}", data=f"{n}", timeout=2.0 if n % 40 == 7 else None) for n in range(60)]

        with store.turn("b", NOW) as turn:
            stored = turn.insert_many(jobs)
            changed = [step.job for step in turn.transitions]

        assert [(job.id, job.data, job.timeout) for job, _ in stored] == [(j.id, j.data, j.timeout) for j in jobs]
        assert changed == [job for job, fresh in stored if fresh]
        assert [store.known(job.id) for job in jobs] == changed
        assert [job.id for job in take(store, begun=60)] == [job.id for job in jobs]

    def test_of_many_jobs_those_that_are_there_already_leave_no_gap(self, store: Store) -> None:
        """Turn.insert_many: `insert` each, in order. One may be the twin of another that comes before it."""
        self.needs("get")
        self.needs("unique")
        put(store, new("a"), new("b", unique_key="k"))

        with store.turn("b", NOW) as turn:
            stored = turn.insert_many([new("c"), new("a"), new("d", unique_key="k"), new("c"), new("e")])
            after = turn.insert(new("f"))

        assert [(job.id, fresh) for job, fresh in stored] == [
            ("c", True),
            ("a", False),
            ("b", False),
            ("c", False),
            ("e", True),
        ]
        assert [job.no for job, fresh in [*stored, after] if fresh] == [3, 4, 5]
        assert [store.get(job.id) for job, _ in stored] == [job for job, _ in stored]

    def test_a_turn_sees_its_own_changes(self, store: Store) -> None:
        """Turn.job: The job as this turn sees it."""
        self.needs("get")
        with store.turn("b", NOW) as turn:
            turn.insert(new("a"))
            (claim,) = turn.claim(want())
            seen, unknown = turn.job("a"), turn.job("nobody")

        assert (seen, unknown) == (claim.job, None)

    def test_a_host_finds_the_job_that_runs_by_its_id_and_is_told_if_there_is_none(self, store: Store) -> None:
        """Turn.find: The job that a host names by its id. Raises: UnknownJob: there is none. NotSupported: the store
        cannot look for it."""
        put(store, new("a"))
        (claimed,) = take(store)

        with store.turn("b", NOW) as turn:
            found = turn.find("a")
            with pytest.raises((UnknownJob, NotSupported)):
                turn.find("nobody")

        assert found == claimed

    def test_one_job_is_what_was_stored(self, store: Store) -> None:
        """Store.get: One job."""
        self.needs("get")
        (stored,) = put(store, new("a"))

        assert store.get("a") == stored
        assert store.get("b") is None

    def test_a_job_is_known_where_it_was_queued_or_is_held(self, store: Store) -> None:
        """Store.known: One job, as far as it concerns this runtime: that it queued it, holds it, or was told of its
        end."""
        (queued,) = put(store, new("a"))
        before = store.known("a")
        (claimed,) = take(store)
        during = store.known("a")
        with store.turn("b", NOW) as turn:
            ended = turn.settle(claimed, SUCCEEDED, DONE)

        assert (before, during, store.known("a"), store.known("b")) == (queued, claimed, ended, None)

    def test_jobs_are_listed_newest_first_by_name_and_state_page_by_page(self, store: Store) -> None:
        """Store.list: Jobs, newest first; `before` is the last one of the page before."""
        self.needs("list")
        put(store, *(new(str(n), name="work" if n % 2 else "else") for n in range(6)))
        take(store)

        first = store.list(name=None, state=None, limit=4, before=None)
        rest = store.list(name=None, state=None, limit=4, before=first[-1])

        assert [job.id for job in [*first, *rest]] == ["5", "4", "3", "2", "1", "0"]
        assert [job.id for job in store.list(name="work", state="queued", limit=9, before=None)] == ["5", "3"]

    def test_a_dead_job_that_a_host_names_is_found(self, store: Store) -> None:
        """Store.at_hand: While the block lasts, a turn finds the job that a host names, if the store can find it at
        all."""
        put(store, new("a"))
        die(store)

        with store.at_hand("a"), store.turn("b", NOW) as turn:
            found = turn.find("a")

        assert (found.id, found.state) == ("a", "dead")

    def test_the_dead_are_at_hand_by_name_but_for_some(self, store: Store) -> None:
        """Store.dead_at_hand: The ids of dead jobs, of one name or all, oldest first, `but` for some: all of them, or
        the first many."""
        put(store, new("a"))
        die(store)
        put(store, new("b"))
        die(store)

        with store.dead_at_hand("work", ()) as all_of_them, store.turn("b", NOW) as turn:
            states = [turn.find(job_id).state for job_id in all_of_them]
        with store.dead_at_hand(None, ("a",)) as but_a:
            pass
        with store.dead_at_hand("else", ()) as none_of_them:
            pass

        assert (list(all_of_them), states, list(but_a), list(none_of_them)) == (["a", "b"], ["dead"] * 2, ["b"], [])

    def test_a_store_that_is_well_suffers_from_nothing(self, store: Store) -> None:
        """Store.ailments: What it suffers from. Asked by any thread, and answered at once."""
        put(store, new("a"))

        assert list(store.ailments()) == []

    def test_jobs_are_counted_in_every_state(self, store: Store) -> None:
        """Store.counts: How many jobs are in each state."""
        self.needs("counts")
        put(store, new("a"), new("b"), new("c", name="else"))
        take(store)

        assert store.counts("work") == {"queued": 1, "running": 1, "done": 0, "dead": 0, "cancelled": 0}
        assert store.counts(None)["queued"] == 2

    def test_due_sees_only_what_could_be_claimed(self, store: Store) -> None:
        """Store.due: Whether a queued job of these names is due."""
        self.needs("forecast")
        put(store, new("later", run_at=NOW + 10))
        early = store.due(["work"], NOW)
        put(store, new("now"))
        late = store.due(["else", "work"], NOW), store.due(["else"], NOW), store.due([], NOW)
        with store.turn("b", NOW) as turn:
            turn.pause("work", paused=True)

        assert (early, late) == (False, (True, False, False))
        assert not store.due(["work"], NOW)

    def test_next_due_is_when_the_first_of_those_that_wait_for_their_time_becomes_due(self, store: Store) -> None:
        """Store.next_due: When the next queued job of this name that is not due yet becomes due."""
        self.needs("forecast")
        put(store, new("now"), new("b", run_at=NOW + 20), new("a", run_at=NOW + 10), new("c", name="else"))

        assert store.next_due("work", NOW) == NOW + 10
        assert store.next_due("work", NOW + 10) == NOW + 20
        assert store.next_due("else", NOW) is None

    def test_first_due_is_the_earliest_of_all_that_are_queued(self, store: Store) -> None:
        """Turn.first_due: From when on the first queued job of a name is due, or was; None when none is queued."""
        self.needs("forecast")
        put(store, new("a", run_at=NOW + 10), new("b", run_at=NOW - 10, priority=-1))

        with store.turn("b", NOW) as turn:
            assert (turn.first_due("work"), turn.first_due("else")) == (NOW - 10, None)

    def test_a_queued_job_can_be_finished(self, store: Store) -> None:
        """Turn.finish: Queued to done."""
        self.needs("remove")
        (job,) = put(store, new("a"))

        with store.turn("b", NOW + 1) as turn:
            done = turn.finish(job, "7")

        assert (done.state, done.result, done.ended_at) == ("done", "7", NOW + 1)
        assert take(store) == []

    def test_a_queued_job_can_be_cancelled(self, store: Store) -> None:
        """Turn.cancel: Queued to cancelled."""
        self.needs("remove")
        (job,) = put(store, new("a"))

        with store.turn("b", NOW + 1) as turn:
            cancelled = turn.cancel(job, "not wanted")

        assert (cancelled.state, cancelled.reason, cancelled.ended_at) == ("cancelled", "not wanted", NOW + 1)
        assert take(store) == []

    def test_expired_jobs_are_cancelled_with_the_reason_expired(self, store: Store) -> None:
        """Turn.expire: Cancel, with the reason `expired`, a batch of queued jobs whose `expires_at` has passed."""
        self.needs("expiry")
        put(store, new("a", expires_at=NOW + 1), new("b", expires_at=NOW + 9), new("c"))

        with store.turn("b", NOW + 1) as turn:
            turn.expire()
            told = [(step.event, step.job.id, step.job.reason) for step in turn.transitions]

        assert told == [("job.cancelled", "a", "expired")]
        assert sorted(job.id for job in take(store, begun=9)) == ["b", "c"]

    def test_a_job_that_was_started_does_not_expire(self, store: Store) -> None:
        """Turn.expire: A job of which an attempt has ended without an end of the job, or which was requeued, has none
        any more."""
        self.needs("expiry")
        kinds = (OutcomeKind.FAILED, OutcomeKind.TIMED_OUT, OutcomeKind.INTERRUPTED)
        put(store, *[new(kind.value, expires_at=NOW + 5) for kind in kinds])
        claimed = take(store, begun=3)

        with store.turn("b", NOW) as turn:
            for job, kind in zip(claimed, kinds, strict=True):
                turn.settle(job, Outcome(kind=kind, error="E"), RETRY)
        with store.turn("b", NOW + 9) as turn:
            turn.expire()

        assert store.next_expiry() is None
        assert len(take(store, NOW + 9, begun=3)) == 3

    def test_a_job_that_was_snoozed_still_expires(self, store: Store) -> None:
        """Turn.expire: Cancel, with the reason `expired`, a batch of queued jobs whose `expires_at` has passed."""
        self.needs("expiry")
        put(store, new("a", expires_at=NOW + 5))
        (claimed,) = take(store)

        with store.turn("b", NOW) as turn:
            turn.settle(claimed, Outcome(kind=OutcomeKind.SNOOZED, seconds=99.0), RETRY._replace(run_at=NOW + 99))

        assert store.next_expiry() == NOW + 5

    def test_a_job_that_was_requeued_does_not_expire(self, store: Store) -> None:
        """Turn.expire: A job of which an attempt has ended without an end of the job, or which was requeued, has none
        any more."""
        self.needs("expiry", "requeue")
        put(store, new("a", expires_at=NOW + 5))
        with store.turn("b", NOW + 9) as turn:
            turn.expire()

        with store.turn("b", NOW + 9) as turn:
            turn.requeue(turn.find("a"), NOW + 9)
            turn.expire()

        assert [job.id for job in take(store, NOW + 9)] == ["a"]

    def test_the_next_expiry_is_that_of_a_queued_job(self, store: Store) -> None:
        """Store.next_expiry: When the next queued job expires."""
        self.needs("expiry")
        none = store.next_expiry()
        put(store, new("b", expires_at=NOW + 9), new("a", expires_at=NOW + 5))
        soon = store.next_expiry()
        take(store)

        assert (none, soon) == (None, NOW + 5)

    def test_a_turn_knows_that_nothing_expires_before_its_expiry(self, store: Store) -> None:
        """Turn.expiry: no queued job expires before this instant; None when none does."""
        self.needs("expiry")
        with store.turn("b", NOW) as turn:
            before = turn.expiry
            turn.insert(new("a", expires_at=NOW + 9))
            turn.insert(new("b", expires_at=NOW + 5))
            within = turn.expiry
        with store.turn("b", NOW) as turn:
            after = turn.expiry

        assert (before, within, after) == (None, NOW + 5, NOW + 5)

    def test_a_job_that_is_queued_again_may_expire_in_this_very_turn(self, store: Store) -> None:
        """Turn.expiry: no queued job expires before this instant; None when none does."""
        self.needs("expiry")
        put(store, new("a", expires_at=NOW + 5))
        (claimed,) = take(store)
        with store.turn("b", NOW + 1) as turn:
            while_running = turn.expiry
            turn.release(claimed, "not started")
            released = turn.expiry

        assert (while_running, released) == (None, NOW + 5)

    def test_requeue_resets_the_attempts_and_keeps_id_and_claim_no(self, store: Store) -> None:
        """Turn.requeue: Any state to queued, attempts reset; id and `claim_no` stay."""
        self.needs("requeue")
        put(store, new("a"))
        (claimed,) = take(store)
        with store.turn("b", NOW) as turn:
            settled = turn.settle(claimed, FAILED, RETRY)
            assert settled is not None
            moved = turn.requeue(settled, NOW + 5)

        assert (moved.id, moved.claim_no, moved.attempt, moved.error, moved.run_at) == ("a", 1, 0, None, NOW + 5)
        assert moved.state == "queued"

    def test_requeue_is_refused_when_another_unfinished_job_holds_its_unique_key(self, store: Store) -> None:
        """Turn.requeue: KeyTaken: another unfinished job holds its unique key."""
        self.needs("requeue", "unique", "remove", "get")
        (first,) = put(store, new("a", unique_key="k"))
        with store.turn("b", NOW) as turn:
            ended = turn.cancel(first, "test")
            turn.insert(new("b", unique_key="k"))

        with pytest.raises(KeyTaken), store.turn("b", NOW) as turn:
            turn.requeue(ended, NOW)

        unchanged = store.get("a")
        assert unchanged is not None
        assert unchanged.state == "cancelled"

    def test_prune_removes_what_is_older_in_batches_and_never_what_is_unfinished(self, store: Store) -> None:
        """Turn.prune: Remove at most a batch of ended jobs and, unless None, of slots; say how many."""
        self.needs("list", "remove")
        jobs = put(store, *(new(str(n)) for n in range(7)), new("open"))
        with store.turn("b", NOW) as turn:
            for job in jobs[:7]:
                turn.finish(job, None)

        removed = []
        for _ in range(3):
            with store.turn("b", NOW + 100) as turn:
                removed.append(turn.prune(done_before=NOW + 50, dead_before=NOW, slots_before=NOW, batch=5))

        assert removed == [5, 2, 0]
        assert [job.id for job in store.list(name=None, state=None, limit=9, before=None)] == ["open"]

    def test_a_job_exists_if_and_only_if_the_hosts_transaction_commits(self, store: Store) -> None:
        """Store.queue_on: Insert through the host's own open connection, in its transaction."""
        self.needs("connection", "get")
        host = self.connect_host(store)
        _, fresh = store.queue_on(host, new("lost"))
        host.rollback()
        host.close()
        host = self.connect_host(store)
        store.queue_on(host, new("kept"))
        host.commit()
        host.close()

        with store.turn("b", NOW) as turn:
            turn.count_host_moves()
        assert fresh
        assert store.get("lost") is None
        assert [job.id for job in take(store, begun=9)] == ["kept"]

    def test_what_is_no_connection_to_the_store_is_refused(self, store: Store) -> None:
        """Store.queue_on: UsageError: it is no connection, or not one to this store."""
        self.needs("connection")
        nonsense: Any = object()

        with pytest.raises(UsageError):
            store.queue_on(nonsense, new("a"))

    def test_a_hosts_transaction_ends_a_job_only_by_the_claim_that_holds_it(self, store: Store) -> None:
        """Store.finish_on: Running (by this claim) or queued (without one) to done, in the host's transaction."""
        self.needs("connection", "get")
        put(store, new("running"), new("queued", run_at=NOW + 1))
        (claimed,) = take(store)
        host = self.connect_host(store)

        stale = [store.finish_on(host, "running", None, no, "1", NOW) for no in (None, claimed.claim_no + 1)]
        done = [
            store.finish_on(host, "running", None, 1, "1", NOW),
            store.finish_on(host, "queued", None, None, None, NOW),
        ]
        host.commit()
        host.close()

        assert (stale, done) == ([False, False], [True, True])
        stored = [store.get("running"), store.get("queued")]
        assert [(job.state, job.result) for job in stored if job is not None] == [("done", "1"), ("done", None)]

    def test_what_a_host_changed_is_counted_by_the_next_turn(self, store: Store) -> None:
        """Turn.count_host_moves: Make moves of what hosts changed in their own transactions."""
        self.needs("connection")
        host = self.connect_host(store)
        store.queue_on(host, new("a"))
        host.commit()
        host.close()
        before = store.has_host_moves()

        with store.turn("b", NOW) as turn:
            turn.count_host_moves()
            told = [(step.event, step.job.id) for step in turn.transitions]

        assert (before, told, store.has_host_moves()) == (True, [("job.queued", "a")], False)

    def test_all_is_counted_unless_a_host_has_changed_something(self, store: Store) -> None:
        """Store.has_host_moves: Whether a host's own transaction changed something that no turn has counted yet."""
        put(store, new("a"))

        assert not store.has_host_moves()
