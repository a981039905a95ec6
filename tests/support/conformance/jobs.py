"""Promises about jobs as they come, wait, are looked at and go, also in a host's own transaction."""

from __future__ import annotations

import math
from typing import Any

import pytest
from lamplighter.boot.submitting import at_hand
from lamplighter.errors import KeyTaken
from lamplighter.messages.jobs import Instant, JobParent, NewJob
from lamplighter.messages.outcomes import Outcome, OutcomeKind
from lamplighter.messages.queries import JobQuery
from lamplighter.stores.ports import Store

from .kit import (
    DEAD,
    DONE,
    FAILED,
    NOW,
    RETRY,
    SUCCEEDED,
    StoreCase,
    claim_in,
    die,
    job_of,
    new,
    put,
    take,
    want,
)


def debounced(id: str, data: int, run_at: Instant, **changes: Any) -> NewJob:
    """A call with a debounce key."""
    until = changes.pop("debounce_until", NOW + 60)
    more = {"due_in": max(0.0, run_at - NOW), "debounce_key": "k", "debounce_until": until, **changes}
    return new(id, data=str(data), run_at=run_at, **more)


class JobPromises(StoreCase):
    """Promises about jobs. Each docstring quotes the port."""

    def test_a_job_is_added(self, store: Store) -> None:
        """JobQueue.insert: Add jobs, in order."""
        job = new("a", data='{"x":1}', run_at=NOW + 5, timeout=3.0, max_attempts=2, root_id="root")

        with store.turn("b", NOW) as turn:
            stored, fresh = turn.jobs.insert([job])[0]

        assert fresh
        assert (stored.id, stored.name, stored.data, stored.state) == ("a", "work", '{"x":1}', "queued")
        assert (stored.queued_at, stored.run_at, stored.root_id) == (NOW, NOW + 5, "root")
        assert (stored.timeout, stored.max_attempts, stored.attempt, stored.claim_no) == (3.0, 2, 0, 0)

    def test_a_job_keeps_what_it_carries_as_long_as_it_is_there(self, store: Store) -> None:
        """JobQueue.insert: Add jobs, in order."""
        put(store, new("a", carried='{"trace":"1"}'))
        (first,) = take(store)
        with store.turn("b", NOW) as turn:
            turn.jobs.settle(first, FAILED, RETRY)
        (second,) = take(store, RETRY.run_at or NOW)

        assert (first.carried, second.carried) == ('{"trace":"1"}',) * 2

    def test_a_known_id_gives_the_stored_job_and_false(self, store: Store) -> None:
        """JobQueue.insert: A known id, or an unfinished job with its unique key, gives the stored one and False."""
        self.needs("table")
        put(store, new("a", data="1"))

        with store.turn("b", NOW) as turn:
            stored, fresh = turn.jobs.insert([new("a", data="2")])[0]
            changed = turn.transitions

        assert (stored.data, fresh, changed) == ("1", False, [])

    def test_an_unfinished_job_with_its_unique_key_gives_the_stored_one_and_false(self, store: Store) -> None:
        """JobQueue.insert: A known id, or an unfinished job with its unique key, gives the stored one and False."""
        self.needs("table")
        put(store, new("a", unique_key="k"))

        with store.turn("b", NOW) as turn:
            stored, fresh = turn.jobs.insert([new("b", unique_key="k")])[0]
            _, other_name = turn.jobs.insert([new("c", name="else", unique_key="k")])[0]

        assert (stored.id, fresh, other_name) == ("a", False, True)

    def test_a_job_that_holds_its_debounce_key_becomes_what_the_next_says(self, store: Store) -> None:
        """JobQueue.insert: A job that holds its debounce key, from its birth until its next move, becomes what this one
        says, and is given with True: a move of its own."""
        self.needs("table")
        (first,) = put(store, debounced("a", 1, NOW + 5, priority=3, group_key="g"))

        with store.turn("b", NOW + 1) as turn:
            ((stored, is_new),) = turn.jobs.insert([debounced("b", 2, NOW + 6, queued_at=NOW + 1)])
            (moved,) = turn.transitions

        assert (stored, is_new) == (moved.job, True)
        assert (moved.event, moved.before, moved.job.move_no) == ("job.replaced", "queued", 2)
        assert stored == first._replace(
            data="2", run_at=NOW + 6, priority=0, group_key=None, due_in=5.0, waits=1, move_no=2
        )
        assert job_of(store, "a") == stored
        assert job_of(store, "b") is None

    def test_a_job_is_not_put_off_beyond_what_the_first_has_promised(self, store: Store) -> None:
        """JobQueue.insert: A job that holds its debounce key, from its birth until its next move, becomes what this one
        says"""
        self.needs("table")
        put(store, debounced("a", 1, NOW + 5, debounce_until=NOW + 8))

        with store.turn("b", NOW + 4) as turn:
            ((second, _),) = turn.jobs.insert([debounced("b", 2, NOW + 9, debounce_until=NOW + 12, queued_at=NOW + 4)])
            ((third, _),) = turn.jobs.insert([debounced("c", 3, NOW + 5, debounce_until=NOW + 5, queued_at=NOW + 4)])
            ((fourth, _),) = turn.jobs.insert([debounced("d", 4, NOW + 9, debounce_until=NOW + 12, queued_at=NOW + 4)])

        dues = [(job.run_at, job.due_in, job.debounce_until) for job in (second, third, fourth)]
        assert dues == [(NOW + 8, 4.0, NOW + 8), (NOW + 5, 1.0, NOW + 5), (NOW + 5, 1.0, NOW + 5)]

    def test_a_claim_lets_go_of_the_debounce_key_of_its_job(self, store: Store) -> None:
        """JobQueue.insert: A job that holds its debounce key, from its birth until its next move"""
        self.needs("table")
        put(store, debounced("a", 1, NOW))

        with store.turn("b", NOW) as turn:
            (claim,) = claim_in(turn)
            back = turn.jobs.release(claim.job, "not started")
            ((second, _),) = turn.jobs.insert([debounced("b", 2, NOW + 5)])
            ((third, _),) = turn.jobs.insert([debounced("c", 3, NOW + 5)])

        assert back is not None
        assert (back.data, back.debounce_key, back.debounce_until) == ("1", "k", None)
        assert (second.id, third.id) == ("b", "b")

    def test_whoever_acts_on_a_job_lets_go_of_its_debounce_key(self, store: Store) -> None:
        """JobQueue.insert: A job that holds its debounce key, from its birth until its next move"""
        self.needs("table")
        with store.turn("b", NOW) as turn:
            assert turn.queued is not None
            jobs = [job for job, _ in turn.jobs.insert([debounced(k, 1, NOW, debounce_key=k) for k in "abc"])]
            turn.jobs.requeue(jobs[0], NOW + 5)
            turn.queued.cancel(jobs[1], "not needed")
            turn.queued.finish(jobs[2], None)
            next_ones = turn.jobs.insert([debounced(f"{k}2", 2, NOW, debounce_key=k) for k in "abc"])

        assert [(job.id, is_new) for job, is_new in next_ones] == [("a2", True), ("b2", True), ("c2", True)]

    def test_a_known_id_is_the_job_itself_whatever_its_debounce_key(self, store: Store) -> None:
        """JobQueue.insert: A known id, or an unfinished job with its unique key, gives the stored one and False."""
        self.needs("table")
        put(store, debounced("a", 1, NOW + 5))

        with store.turn("b", NOW) as turn:
            turn.jobs.insert([debounced("b", 2, NOW + 5)])
            ((stored, is_new),) = turn.jobs.insert([debounced("a", 1, NOW + 5)])

        assert (stored.data, is_new) == ("2", False)

    def test_calls_of_one_turn_with_a_debounce_key_are_moves_of_one_job(self, store: Store) -> None:
        """JobQueue.insert: It may be the twin of another that comes before it."""
        self.needs("table")
        calls = [debounced("a", 1, NOW + 5), new("b"), *(debounced(f"a{n}", n, NOW + 5) for n in range(2, 5))]

        with store.turn("b", NOW) as turn:
            stored = turn.jobs.insert(calls)
            moved = [(move.event, move.job) for move in turn.transitions]

        assert [(job.id, job.data, job.move_no, fresh) for job, fresh in stored] == [
            ("a", "1", 1, True),
            ("b", calls[1].data, 1, True),
            *(("a", str(n), n, True) for n in range(2, 5)),
        ]
        assert moved == [
            (event, job) for event, (job, _) in zip(["job.queued"] * 2 + ["job.replaced"] * 3, stored, strict=True)
        ]
        assert job_of(store, "a") == stored[-1][0]

    def test_a_unique_key_is_free_again_once_its_job_has_ended(self, store: Store) -> None:
        """JobQueue.insert: A known id, or an unfinished job with its unique key, gives the stored one and False."""
        self.needs("table")
        put(store, new("a", unique_key="k"))
        (claimed,) = take(store)

        with store.turn("b", NOW) as turn:
            while_running = turn.jobs.insert([new("b", unique_key="k")])[0][1]
            turn.jobs.settle(claimed, SUCCEEDED, DONE)
            afterwards = turn.jobs.insert([new("b", unique_key="k")])[0][1]

        assert (while_running, afterwards) == (False, True)

    def test_many_jobs_are_added_in_order(self, store: Store) -> None:
        """JobQueue.insert: Add jobs, in order."""
        jobs = [new(f"j{n}", data=f"{n}", timeout=2.0 if n % 40 == 7 else None) for n in range(60)]

        with store.turn("b", NOW) as turn:
            stored = turn.jobs.insert(jobs)
            changed = [step.job for step in turn.transitions]

        assert [(job.id, job.data, job.timeout) for job, _ in stored] == [(j.id, j.data, j.timeout) for j in jobs]
        assert changed == [job for job, fresh in stored if fresh]
        assert [job_of(store, job.id) for job in jobs] == changed
        assert [job.id for job in take(store, begun=60)] == [job.id for job in jobs]

    def test_of_many_jobs_those_that_are_there_already_leave_no_gap(self, store: Store) -> None:
        """JobQueue.insert: It may be the twin of another that comes before it."""
        self.needs("table")
        self.needs("table")
        put(store, new("a"), new("b", unique_key="k"))

        with store.turn("b", NOW) as turn:
            stored = turn.jobs.insert([new("c"), new("a"), new("d", unique_key="k"), new("c"), new("e")])
            after = turn.jobs.insert([new("f")])[0]

        assert [(job.id, fresh) for job, fresh in stored] == [
            ("c", True),
            ("a", False),
            ("b", False),
            ("c", False),
            ("e", True),
        ]
        assert [job.row_id for job, fresh in [*stored, after] if fresh] == [3, 4, 5]
        assert [job_of(store, job.id) for job, _ in stored] == [job for job, _ in stored]

    def test_a_turn_sees_its_own_changes(self, store: Store) -> None:
        """JobQueue.get: Jobs by their ids."""
        self.needs("table")
        with store.turn("b", NOW) as turn:
            turn.jobs.insert([new("a")])
            (claim,) = claim_in(turn)
            seen = turn.jobs.get(("a", "nobody"))

        assert seen == {"a": claim.job}

    def test_a_host_finds_the_job_that_runs_by_its_id(self, store: Store) -> None:
        """JobQueue.find: The jobs that a host names by their ids. Without a table, those that run here"""
        put(store, new("a"))
        (claimed,) = take(store)

        with store.turn("b", NOW) as turn:
            found = turn.jobs.find(("a", "nobody"))

        assert found == {"a": claimed}

    def test_one_job_is_what_was_stored(self, store: Store) -> None:
        """JobReader.known: Jobs by their ids."""
        self.needs("table")
        (stored,) = put(store, new("a"))

        assert job_of(store, "a") == stored
        assert job_of(store, "b") is None

    def test_a_job_is_known_where_it_was_queued_or_is_held(self, store: Store) -> None:
        """JobReader.known: Without a table, as far as they concern this runtime: that it queued them, holds them, or
        was told of their end."""
        (queued,) = put(store, new("a"))
        before = job_of(store, "a")
        (claimed,) = take(store)
        during = job_of(store, "a")
        with store.turn("b", NOW) as turn:
            ended = turn.jobs.settle(claimed, SUCCEEDED, DONE)

        assert (before, during, job_of(store, "a"), job_of(store, "b")) == (queued, claimed, ended, None)

    def test_a_dead_job_that_a_host_names_is_found(self, store: Store) -> None:
        """DeadJobs.one_at_hand: While the block lasts, a turn finds this job, if it is dead."""
        put(store, new("a"))
        die(store)

        with at_hand(store, "a"), store.turn("b", NOW) as turn:
            found = turn.jobs.find(("a",))["a"]

        assert (found.id, found.state) == ("a", "dead")

    def test_a_store_that_is_well_suffers_from_nothing(self, store: Store) -> None:
        """Store.health_issues: The problems that it suffers from. Asked by any thread, and answered at once."""
        put(store, new("a"))

        assert list(store.health_issues()) == []

    def test_the_names_that_have_due_jobs_are_known(self, store: Store) -> None:
        """Store.due_names: The names that have due jobs, in order, so many at most."""
        names = [f"n{number}" for number in range(8)]
        put(
            store,
            new("a"),
            new("b"),
            new("c", name="else"),
            new("d", name="third"),
            *(new(one, name=one) for one in names),
        )
        put(store, new("e", name="later", run_at=NOW + 60))
        with store.turn("b", NOW) as turn:
            claim_in(turn, name="third")

        assert list(store.due_names(NOW, 20)) == ["else", *names, "work"]
        assert list(store.due_names(NOW, 1)) == ["else"]

    def test_jobs_are_counted_in_every_state(self, store: Store) -> None:
        """JobReader.counts: How many jobs are in each state, of one name or all, as far as the store keeps them."""
        self.needs("counts")
        put(store, new("a"), new("b"), new("c", name="else"))
        take(store)

        assert store.jobs.counts("work") == {"queued": 1, "running": 1, "done": 0, "dead": 0, "cancelled": 0}
        assert store.jobs.counts(None)["queued"] == 2

    def test_due_sees_only_what_could_be_claimed(self, store: Store) -> None:
        """JobReader.outlook: Whether a turn would find something to do, of jobs of these names and of all that expires;
        if not, when."""
        self.needs("forecast")
        put(store, new("later", run_at=NOW + 10))
        early = store.jobs.outlook(["work"], NOW).is_due
        put(store, new("now"))
        late = tuple(store.jobs.outlook(names, NOW).is_due for names in (["else", "work"], ["else"], []))
        with store.turn("b", NOW) as turn:
            turn.jobs.pause("work", paused=True)

        assert (early, late) == (False, (True, False, False))
        assert not store.jobs.outlook(["work"], NOW).is_due

    def test_next_due_is_when_the_first_of_those_that_wait_for_their_time_becomes_due(self, store: Store) -> None:
        """DueCheck.next_due: when the next queued job that is not due yet becomes due."""
        self.needs("forecast")
        put(store, new("now"), new("b", run_at=NOW + 20), new("a", run_at=NOW + 10), new("c", name="else"))

        assert store.jobs.outlook(["work"], NOW).next_due == NOW + 10
        assert store.jobs.outlook(["work"], NOW + 10).next_due == NOW + 20
        assert store.jobs.outlook(["else"], NOW).next_due is None

    def test_a_claim_says_from_when_on_there_is_something_to_claim_again(self, store: Store) -> None:
        """Claimed.next_due: from when on a job of a name can be claimed: infinite where none is queued. Not of names of
        which one that is due is left, unless its rate is what holds it back: then it is when that leaves room; or open
        turns of other boots hold it: then it is in `HELD_UP_SECONDS`"""
        self.needs("forecast")
        put(store, new("a"), new("b", run_at=NOW + 10), new("c", name="else"), new("d", name="held"))
        with store.turn("b", NOW) as turn:
            turn.jobs.pause("held", paused=True)

            claimed = turn.jobs.claim([want(9, name=name) for name in ("work", "else", "held", "none")], suspect=True)

        assert {name: [one.job.id for one in claims] for name, claims in claimed.claims.items() if claims} == {
            "work": ["a"],
            "else": ["c"],
        }
        assert claimed.next_due == {"work": NOW + 10, "else": math.inf, "none": math.inf}

    def test_a_queued_job_can_be_finished(self, store: Store) -> None:
        """WaitingJobs.finish: Queued to done."""
        self.needs("table")
        (job,) = put(store, new("a"))

        with store.turn("b", NOW + 1) as turn:
            done = turn.queued.finish(job, "7")

        assert (done.state, done.result, done.ended_at) == ("done", "7", NOW + 1)
        assert take(store) == []

    def test_a_queued_job_can_be_cancelled(self, store: Store) -> None:
        """WaitingJobs.cancel: Queued to cancelled."""
        self.needs("table")
        (job,) = put(store, new("a"))

        with store.turn("b", NOW + 1) as turn:
            cancelled = turn.queued.cancel(job, "not wanted")

        assert (cancelled.state, cancelled.reason, cancelled.ended_at) == ("cancelled", "not wanted", NOW + 1)
        assert take(store) == []

    def test_the_next_claim_sees_the_new_priority_of_a_queued_job(self, store: Store) -> None:
        """WaitingJobs.reprioritize: Give a queued job another priority, by which the next claim sees it."""
        self.needs("table")
        jobs = put(store, new("a"), new("b"), new("c", priority=1), new("d", run_at=NOW + 9), new("e", run_at=NOW + 9))

        with store.turn("b", NOW) as turn:
            for job, priority in ((jobs[1], 2), (jobs[2], -1), (jobs[4], 3)):
                moved = turn.queued.reprioritize(job, priority)
                assert moved == turn.jobs.find([job.id])[job.id] == job._replace(priority=priority, move_no=2)
            told = {(one.event, one.before, one.job.state) for one in turn.transitions}

        assert told == {("job.reprioritized", "queued", "queued")}
        assert [job.id for job in take(store, begun=9)] == ["b", "a", "c"]
        assert [job.id for job in take(store, NOW + 9, begun=9)] == ["e", "d"]

    def test_the_next_claim_sees_the_new_priority_of_a_job_with_a_group(self, store: Store) -> None:
        """WaitingJobs.reprioritize: Give a queued job another priority, by which the next claim sees it."""
        self.needs("table")
        jobs = put(store, *(new(f"{group}{number}", group_key=group) for number in range(2) for group in "ab"))

        with store.turn("b", NOW) as turn:
            turn.queued.reprioritize(jobs[3], 1)
            turn.queued.reprioritize(jobs[0], -1)
            turn.queued.reprioritize(jobs[2], 0)

        assert [job.id for job in take(store, begun=9)] == ["b1", "a1", "b0", "a0"]

    def test_a_job_that_waits_for_others_waits_for_them_with_its_new_priority(self, store: Store) -> None:
        """WaitingJobs.reprioritize: The job waits for the same as before."""
        self.needs("table", "links")
        (_, child, _) = put(
            store, new("a"), new("b", parents=(JobParent("a"),), group_key="g"), new("c", group_key="other")
        )

        with store.turn("b", NOW) as turn:
            turn.queued.reprioritize(child, 5)
        claimed = take(store, begun=9)
        with store.turn("b", NOW) as turn:
            turn.jobs.settle_all([(job, SUCCEEDED, DONE) for job in claimed])
            turn.links.free(100)

        assert [job.id for job in claimed] == ["a", "c"]
        assert [(job.id, job.priority) for job in take(store)] == [("b", 5)]

    def test_expired_jobs_are_cancelled_with_the_reason_expired(self, store: Store) -> None:
        """JobQueue.refresh: that a batch of queued jobs, whose `expires_at` has passed, is cancelled with the reason
        `expired`"""
        self.needs("expiry")
        put(store, new("a", expires_at=NOW + 1), new("b", expires_at=NOW + 9), new("c"))

        with store.turn("b", NOW + 1) as turn:
            turn.jobs.refresh()
            told = [(step.event, step.job.id, step.job.reason) for step in turn.transitions]

        assert told == [("job.cancelled", "a", "expired")]
        assert sorted(job.id for job in take(store, begun=9)) == ["b", "c"]

    def test_a_job_that_was_started_does_not_expire(self, store: Store) -> None:
        """JobQueue.refresh: A job of which an attempt has ended without an end of the job, or which was requeued, has
        none any more."""
        self.needs("expiry")
        kinds = (OutcomeKind.FAILED, OutcomeKind.TIMED_OUT, OutcomeKind.INTERRUPTED)
        put(store, *[new(kind.value, expires_at=NOW + 5) for kind in kinds])
        claimed = take(store, begun=3)

        with store.turn("b", NOW) as turn:
            for job, kind in zip(claimed, kinds, strict=True):
                turn.jobs.settle(job, Outcome(kind=kind, error="E"), RETRY)
        with store.turn("b", NOW + 9) as turn:
            turn.jobs.refresh()

        assert store.jobs.outlook((), NOW).expiry is None
        assert len(take(store, NOW + 9, begun=3)) == 3

    def test_a_job_that_was_snoozed_still_expires(self, store: Store) -> None:
        """JobQueue.refresh: that a batch of queued jobs, whose `expires_at` has passed, is cancelled with the reason
        `expired`"""
        self.needs("expiry")
        put(store, new("a", expires_at=NOW + 5))
        (claimed,) = take(store)

        with store.turn("b", NOW) as turn:
            turn.jobs.settle(claimed, Outcome(kind=OutcomeKind.SNOOZED, seconds=99.0), RETRY._replace(run_at=NOW + 99))

        assert store.jobs.outlook((), NOW).expiry == NOW + 5

    def test_a_job_that_was_requeued_does_not_expire(self, store: Store) -> None:
        """JobQueue.refresh: A job of which an attempt has ended without an end of the job, or which was requeued, has
        none any more."""
        self.needs("expiry", "table")
        put(store, new("a", expires_at=NOW + 5))
        with store.turn("b", NOW + 9) as turn:
            turn.jobs.refresh()

        with store.turn("b", NOW + 9) as turn:
            turn.jobs.requeue(turn.jobs.find(("a",))["a"], NOW + 9)
            turn.jobs.refresh()

        assert [job.id for job in take(store, NOW + 9)] == ["a"]

    def test_the_next_expiry_is_that_of_a_queued_job(self, store: Store) -> None:
        """DueCheck.expiry: when the next queued job expires."""
        self.needs("expiry")
        none = store.jobs.outlook((), NOW).expiry
        put(store, new("b", expires_at=NOW + 9), new("a", expires_at=NOW + 5))
        soon = store.jobs.outlook((), NOW).expiry
        take(store)

        assert (none, soon) == (None, NOW + 5)

    def test_a_turn_knows_that_nothing_expires_before_its_expiry(self, store: Store) -> None:
        """Turn.expiry: before this instant no queued job expires, and no claim is overdue, as far as is known"""
        self.needs("expiry")
        with store.turn("b", NOW) as turn:
            before = turn.expiry
            turn.jobs.insert([new("a", expires_at=NOW + 9)])
            turn.jobs.insert([new("b", expires_at=NOW + 5)])
            within = turn.expiry
        with store.turn("b", NOW) as turn:
            after = turn.expiry

        assert (before, within, after) == (None, NOW + 5, NOW + 5)

    def test_a_job_that_is_queued_again_may_expire_in_this_very_turn(self, store: Store) -> None:
        """Turn.expiry: before this instant no queued job expires, and no claim is overdue, as far as is known"""
        self.needs("expiry")
        put(store, new("a", expires_at=NOW + 5))
        (claimed,) = take(store)
        with store.turn("b", NOW + 1) as turn:
            while_running = turn.expiry
            turn.jobs.release(claimed, "not started")
            released = turn.expiry

        assert (while_running, released) == (None, NOW + 5)

    def test_requeue_resets_the_attempts_and_keeps_id_and_claim_no(self, store: Store) -> None:
        """JobQueue.requeue: Any state to queued, attempts reset; id and `claim_no` stay."""
        self.needs("table")
        put(store, new("a"))
        (claimed,) = take(store)
        with store.turn("b", NOW) as turn:
            settled = turn.jobs.settle(claimed, FAILED, RETRY)
            assert settled is not None
            moved = turn.jobs.requeue(settled, NOW + 5)

        assert (moved.id, moved.claim_no, moved.attempt, moved.error, moved.run_at) == ("a", 1, 0, None, NOW + 5)
        assert moved.state == "queued"

    def test_requeue_is_refused_when_another_unfinished_job_holds_its_unique_key(self, store: Store) -> None:
        """JobQueue.requeue: KeyTaken: another unfinished job holds its unique key."""
        self.needs("table")
        (first,) = put(store, new("a", unique_key="k"))
        with store.turn("b", NOW) as turn:
            ended = turn.queued.cancel(first, "test")
            turn.jobs.insert([new("b", unique_key="k")])

        with pytest.raises(KeyTaken), store.turn("b", NOW) as turn:
            turn.jobs.requeue(ended, NOW)

        unchanged = job_of(store, "a")
        assert unchanged is not None
        assert unchanged.state == "cancelled"

    def test_prune_removes_what_is_older_in_batches_and_never_what_is_unfinished(self, store: Store) -> None:
        """Turn.prune: Remove at most a batch of ended jobs and, unless None, of slots; say how many."""
        self.needs("table")
        jobs = put(store, *(new(str(n)) for n in range(7)), new("open"))
        with store.turn("b", NOW) as turn:
            for job in jobs[:7]:
                turn.queued.finish(job, None)

        removed, told = [], []
        for _ in range(3):
            with store.turn("b", NOW + 100) as turn:
                removed.append(turn.prune(done_before=NOW + 50, dead_before=NOW, slots_before=NOW, batch=5))
            told.append(turn.did and turn.did.moves)

        assert removed == [5, 2, 0]
        assert told == [[{"k": "pruned", "x": 5}], [{"k": "pruned", "x": 2}], None]
        assert [job.id for job in store.table.find(JobQuery(), limit=9).jobs] == ["open"]

    def test_the_twin_of_a_job_has_its_id_or_holds_its_key(self, store: Store) -> None:
        """WaitingJobs.twin: The stored job that has the id of this one, or else holds its key."""
        self.needs("table")
        put(store, new("a", unique_key="k"))

        with store.turn("b", NOW) as turn:
            twins = [turn.queued.twin(job) for job in (new("a"), new("b", unique_key="k"), new("b", unique_key="l"))]

        assert [twin and twin.id for twin in twins] == ["a", "a", None]

    def test_an_ended_job_that_is_forgotten_is_gone_and_so_are_its_attempts(self, store: Store) -> None:
        """WaitingJobs.forget: Remove a job that has ended, with its attempts. Its id is free then, and no other job
        gets its `row_id`."""
        self.needs("table")
        put(store, new("a"))
        (claimed,) = take(store)
        with store.turn("b", NOW) as turn:
            dead = turn.jobs.settle(claimed, FAILED, DEAD)
            assert dead is not None

        with store.turn("b", NOW) as turn:
            turn.queued.forget(dead)

        (again,) = put(store, new("a"))
        assert again.row_id > dead.row_id
        assert store.table.attempts("a") == []
