"""Promises about claims: who gets which job, and who may end it."""

from __future__ import annotations

import pytest
from lamplighter.messages.jobs import ClaimKey, JobState
from lamplighter.messages.names import NameLimits, Rate
from lamplighter.messages.outcomes import Outcome, OutcomeKind
from lamplighter.stores.ports import Store
from lamplighter.stores.tables.moves import TOGETHER_MIN

from .kit import DONE, FAILED, NOW, RETRY, SUCCEEDED, StoreCase, claim_in, new, put, take, want


class ClaimPromises(StoreCase):
    """Promises about claims. Each docstring quotes the port."""

    def test_claim_moves_due_jobs_of_one_name_each_with_a_new_claim_no(self, store: Store) -> None:
        """JobQueue.claim: Move due jobs from queued to running, each with a new `claim_no`."""
        put(store, new("a"), new("later", run_at=NOW + 10), new("other", name="else"))

        claimed = take(store, begun=5)

        assert [(job.id, job.state, job.claim_no, job.boot, job.counts_attempt) for job in claimed] == [
            ("a", "running", 1, "b", 1)
        ]
        assert take(store, begun=5) == []

    def test_jobs_that_were_claimed_before_are_claimed_together_with_new_ones(self, store: Store) -> None:
        """JobQueue.claim: Move due jobs from queued to running, each with a new `claim_no`."""
        put(store, new("a"), new("b"))
        with store.turn("b", NOW) as turn:
            for job in (claim.job for claim in claim_in(turn, begun=2)):
                assert turn.jobs.settle(job, FAILED, RETRY) is not None
        before = {job_id: job.claim_no for job_id, job in store.jobs.known(("a", "b")).items()}
        put(store, *(new(f"new{number}") for number in range(4)))

        claimed = {job.id: job.claim_no for job in take(store, begun=9)}

        assert len(claimed) == 6
        assert all(claimed[job_id] > claim_no for job_id, claim_no in before.items())

    def test_claim_goes_by_priority_then_run_at_then_queue_order(self, store: Store) -> None:
        """JobQueue.claim: Order: higher priority, then `run_at`, then queue order."""
        self.needs("priority")
        put(
            store,
            new("d"),
            new("e"),
            new("c", run_at=NOW - 1),
            new("b", priority=1),
            new("a", priority=1, run_at=NOW - 9),
            new("f", priority=-1, run_at=NOW - 99),
        )

        assert [job.id for job in take(store, begun=9)] == list("abcdef")

    def test_what_waited_and_what_did_not_is_claimed_in_one_order(self, store: Store) -> None:
        """JobQueue.claim: Order: higher priority, then `run_at`, then queue order."""
        self.needs("at_once", "place", "priority")
        put(
            store,
            new("d", run_at=NOW + 2, priority=1),
            new("a", priority=2, run_at=NOW + 3),
            new("c", priority=1),
            new("e"),
            new("b", priority=2, run_at=NOW + 4),
            new("later", priority=9, run_at=NOW + 99),
        )

        order = [take(store, NOW + 5)[0].id for _ in range(3)] + [job.id for job in take(store, NOW + 5, begun=9)]

        assert order == ["a", "b", "c", "d", "e"]

    def test_claim_takes_no_job_that_is_paused_or_expired(self, store: Store) -> None:
        """JobQueue.claim: No job that is paused, expired, or held back by `overlap="queue_one"`"""
        put(store, new("a"), new("old", expires_at=NOW))
        with store.turn("b", NOW) as turn:
            turn.jobs.pause("work", paused=True)
        while_paused = take(store, begun=9)
        with store.turn("b", NOW) as turn:
            turn.jobs.pause("work", paused=False)

        assert while_paused == []
        assert [job.id for job in take(store, begun=9)] == ["a"]

    def test_a_job_waits_while_another_of_its_schedule_runs_if_only_one_may(self, store: Store) -> None:
        """JobQueue.claim: No job that is paused, expired, or held back by `overlap="queue_one"`"""
        self.needs("table")
        put(
            store,
            new("a", schedule="s", one_at_a_time=True),
            new("b", schedule="s", one_at_a_time=True),
            new("c", schedule="t", one_at_a_time=True),
        )
        (first, other) = take(store, begun=9)

        held_back = take(store, begun=9)
        with store.turn("b", NOW) as turn:
            turn.jobs.settle(first, SUCCEEDED, DONE)

        assert (first.id, other.id, held_back) == ("a", "c", [])
        assert [job.id for job in take(store, begun=9)] == ["b"]

    def test_no_more_running_ones_in_the_whole_store_than_total(self, store: Store) -> None:
        """JobQueue.claim: no more running ones in the whole store than `NameLimits.total`"""
        self.needs("table")
        put(store, *(new(str(n)) for n in range(5)))
        take(store, begun=2)

        assert len(take(store, begun=9, total=3)) == 1
        assert take(store, begun=9, total=3) == []

    def test_no_more_claims_than_the_rate_leaves_room_for(self, store: Store) -> None:
        """JobQueue.claim: no more claims than `NameLimits.rate` leaves room for, each of which takes of it"""
        self.needs("table")
        put(store, *(new(str(number)) for number in range(9)))
        rate = Rate(10, per=10.0, burst=2)

        first = take(store, begun=2, prefetched=4, rate=rate)
        with store.turn("b", NOW + 0.9) as turn:
            claimed = turn.jobs.claim([want(9, limits=NameLimits(rate=rate))], suspect=True)
        (opens,) = claimed.next_due.values()

        assert (len(first), claimed.claims["work"]) == (2, [])
        assert NOW + 0.99 < opens < NOW + 1.01
        assert len(take(store, opens, begun=9, rate=rate)) == 1
        assert take(store, opens + 0.9, begun=9, rate=rate) == []
        assert len(take(store, opens + 99.0, begun=9, rate=rate)) == 2

    def test_a_claim_takes_of_the_rate_whatever_becomes_of_it(self, store: Store) -> None:
        """JobQueue.claim: each of which takes of it, whatever becomes of it"""
        self.needs("table", "place")
        put(store, new("a"))
        rate = Rate(1, per=10.0)
        for _ in range(3):
            # Nothing is due, so nothing is taken of it.
            assert take(store, begun=9, name="else", rate=rate) == []
        put(store, new("e", name="else"))

        with store.turn("b", NOW) as turn:
            turn.jobs.release(claim_in(turn, rate=rate)[0].job, "not started")

        assert len(take(store, name="else", rate=rate)) == 1
        assert take(store, NOW + 9.0, rate=rate) == []
        assert len(take(store, NOW + 10.1, rate=rate)) == 1

    def test_a_clock_that_was_set_back_does_not_close_a_rate(self, store: Store) -> None:
        """JobQueue.claim: no more claims than `NameLimits.rate` leaves room for"""
        self.needs("table")
        put(store, new("a"), new("b", run_at=NOW - 9e6), new("c", run_at=NOW - 9e6))
        rate = Rate(1, per=10.0)
        take(store, rate=rate)

        back = NOW - 1e6
        assert take(store, back, rate=rate) == []
        assert len(take(store, back + 10.1, rate=rate)) == 1

    def test_at_most_one_suspect(self, store: Store) -> None:
        """JobQueue.claim: at most one suspect of all names together, and none unless `suspect`."""
        put(store, new("a"), new("b"), new("c"))
        suspect = RETRY._replace(suspect_until=NOW + 60)
        with store.turn("b", NOW) as turn:
            for claim in claim_in(turn, begun=2):
                turn.jobs.settle(claim.job, FAILED, suspect)

        assert [job.id for job in take(store, begun=9, suspect=False)] == ["c"]
        assert [job.id for job in take(store, begun=9)] == ["a"]
        assert take(store, begun=9, suspect=False) == []

    def test_at_most_one_suspect_of_all_names(self, store: Store) -> None:
        """JobQueue.claim: at most one suspect of all names together, and none unless `suspect`."""
        put(store, new("a"), new("b", name="else"))
        suspect = RETRY._replace(suspect_until=NOW + 60)
        wants = [want(9), want(9, name="else")]
        with store.turn("b", NOW) as turn:
            for claims in turn.jobs.claim(wants, suspect=True).claims.values():
                turn.jobs.settle(claims[0].job, FAILED, suspect)

        with store.turn("b", NOW) as turn:
            claims = turn.jobs.claim(wants, suspect=True).claims

        assert [one.job.id for name in ("work", "else") for one in claims[name]] == ["a"]

    def test_a_job_that_has_become_a_suspect_in_a_turn_can_be_claimed_in_it(self, store: Store) -> None:
        """JobQueue.claim: at most one suspect of all names together, and none unless `suspect`."""
        self.needs("at_once")
        put(store, new("a"))
        suspect = RETRY._replace(suspect_until=NOW + 60)
        with store.turn("b", NOW) as turn:
            (claim,) = claim_in(turn)
            turn.jobs.settle(claim.job, FAILED, suspect)

            assert [claim.job.claim_no for claim in claim_in(turn)] == [2]

    def test_prefetched_claims_are_not_begun(self, store: Store) -> None:
        """Want.begun: how many of each kind, at most."""
        put(store, new("a"), new("b"), new("c"))

        assert [(job.id, job.counts_attempt) for job in take(store, begun=1, prefetched=1)] == [("a", 1), ("b", 0)]

    def test_a_job_that_must_begin_is_not_claimed_in_advance(self, store: Store) -> None:
        """Want.begun: how many of each kind, at most."""
        put(store, new("a"))
        (claimed,) = take(store)
        with store.turn("b", NOW) as turn:
            turn.jobs.settle(claimed, FAILED, RETRY._replace(must_begin=True))

        assert take(store, begun=0, prefetched=5) == []
        assert [job.counts_attempt for job in take(store, begun=1)] == [1]

    def test_claim_no_only_rises(self, store: Store) -> None:
        """JobQueue.claim: Move due jobs from queued to running, each with a new `claim_no`."""
        put(store, new("a"))
        numbers = []
        for n in range(4):
            (claimed,) = take(store)
            numbers.append(claimed.claim_no)
            with store.turn("b", NOW) as turn:
                assert turn.jobs.settle(claimed, FAILED, RETRY) if n % 2 else turn.jobs.release(claimed, "test")

        assert numbers == [1, 2, 3, 4]

    def test_settle_records_how_a_claim_ended(self, store: Store) -> None:
        """JobQueue.settle: Record how a claim ended: running to the verdict's state"""
        put(store, new("a"), new("b"))
        (first, second) = take(store, begun=2)
        later = RETRY._replace(run_at=NOW + 60)

        with store.turn("b", NOW) as turn:
            done = turn.jobs.settle(first, SUCCEEDED, DONE)
            again = turn.jobs.settle(second, FAILED, later)

        assert done is not None
        assert again is not None
        assert (done.state, done.result, done.attempt, done.ended_at) == ("done", "7", 1, NOW)
        assert (again.state, again.error, again.attempt, again.run_at) == ("queued", "E", 1, NOW + 60)
        assert again.ended_at is None
        assert take(store) == []

    def test_a_job_that_has_ended_keeps_who_ran_it_and_nobody_holds_it(self, store: Store) -> None:
        """JobQueue.settle: A job that has ended keeps its `boot`"""
        states = (JobState.DONE, JobState.DEAD, JobState.CANCELLED)
        put(store, new("a"), new("b"), new("c"))
        claimed = take(store, NOW + 7, begun=3)

        with store.turn("b", NOW + 8) as turn:
            ended = [
                turn.jobs.settle(job, SUCCEEDED, DONE._replace(state=state, event=f"job.{state.value}"))
                for job, state in zip(claimed, states, strict=True)
            ]
        with store.turn("b", NOW + 9) as turn:
            open_claims, orphans = turn.jobs.open_claims("b"), turn.jobs.orphans()

        assert [(job.state, job.boot, job.claimed_at, job.incarnation) for job in ended if job] == [
            (state, "b", NOW + 7, None) for state in states
        ]
        assert (open_claims, orphans) == ([], []), "they are not taken for running ones"

    def test_a_job_that_is_queued_again_has_nobody_who_runs_it(self, store: Store) -> None:
        """JobQueue.settle: one that is queued again, by this, by `release` or by `requeue`, has none."""
        put(store, new("a"), new("b"), new("c"))
        first, second, third = take(store, begun=3)

        with store.turn("b", NOW) as turn:
            again = [
                turn.jobs.settle(first, FAILED, RETRY),
                turn.jobs.release(second, "test"),
                turn.jobs.requeue(third, NOW),
            ]

        assert [(job.state, job.boot) for job in again if job] == [("queued", None)] * 3

    def test_settle_is_refused_once_the_claim_is_not_the_current_one(self, store: Store) -> None:
        """JobQueue.settle: only if the claim is still the current one. None when it is not: nothing changes."""
        put(store, new("a"))
        (first,) = take(store)
        with store.turn("b", NOW) as turn:
            turn.jobs.settle(first, FAILED, RETRY)
        (second,) = take(store)

        with store.turn("b", NOW) as turn:
            stale = turn.jobs.settle(first, SUCCEEDED, DONE)
            nothing = list(turn.transitions)
            fresh = turn.jobs.settle(second, SUCCEEDED, DONE)

        assert (stale, nothing) == (None, [])
        assert fresh is not None
        assert (fresh.state, fresh.result, fresh.settled_no) == ("done", "7", 2)

    def test_settle_is_refused_after_a_requeue(self, store: Store) -> None:
        """JobQueue.settle: only if the claim is still the current one. None when it is not: nothing changes."""
        self.needs("table")
        put(store, new("a"))
        (first,) = take(store)
        with store.turn("b", NOW) as turn:
            turn.jobs.requeue(first, NOW)

        with store.turn("b", NOW) as turn:
            stale = turn.jobs.settle(first, SUCCEEDED, DONE)
            after = turn.jobs.get(("a",)).get("a")

        assert stale is None
        assert after is not None
        assert (after.state, after.claim_no) == ("queued", 1)

    def test_a_claim_of_another_boot_with_the_same_number_ends_nothing(self, store: Store) -> None:
        """JobQueue.settle: only if the claim is still the current one. None when it is not: nothing changes."""
        self.needs("table")
        put(store, *(new(f"j{number}") for number in range(TOGETHER_MIN + 1)))
        jobs = take(store, begun=9)
        # Of a boot that has claimed them before the store went back.
        stale = [job._replace(boot="another") for job in jobs]

        with store.turn("b", NOW) as turn:
            ended = turn.jobs.settle_all([(job, SUCCEEDED, DONE) for job in stale])
            alone = turn.jobs.settle(stale[0], SUCCEEDED, DONE), turn.jobs.release(stale[0], "test")
            deferred = turn.jobs.defer(stale[0], None, 0.0, 3)
        with store.turn("another", NOW) as turn:
            turn.jobs.note_progress(stale[0].key, "1")

        assert (ended, alone, deferred) == ([None] * len(jobs), (None, None), False)
        assert {(job.state, job.progress) for job in store.jobs.known([job.id for job in jobs]).values()} == {
            ("running", None)
        }

    def test_a_job_is_settled_once(self, store: Store) -> None:
        """JobQueue.settle: only if the claim is still the current one. None when it is not: nothing changes."""
        put(store, new("a"))
        (claimed,) = take(store)

        with store.turn("b", NOW) as turn:
            assert turn.jobs.settle(claimed, SUCCEEDED, DONE) is not None
            assert turn.jobs.settle(claimed, FAILED, RETRY) is None

    def test_many_are_settled_in_order_and_each_for_itself(self, store: Store) -> None:
        """JobQueue.settle_all: `settle` each, in order."""
        put(store, *(new(f"j{number}") for number in range(12)))
        jobs = take(store, begun=12)
        stale, retried = jobs[3]._replace(claim_no=7), jobs[8]

        with store.turn("b", NOW) as turn:
            ends = [(job, SUCCEEDED, DONE) for job in jobs if job is not retried]
            ends[3] = (stale, SUCCEEDED, DONE)
            settled = turn.jobs.settle_all([*ends, (retried, FAILED, RETRY), (jobs[0], FAILED, RETRY)])

        done = [(job.id, "done") for job, *_ in ends]
        assert [job and (job.id, job.state) for job in settled] == [
            *done[:3],
            None,
            *done[4:],
            (retried.id, "queued"),
            None,
        ]

    def test_release_puts_a_job_at_its_old_place_as_if_it_had_not_been_claimed(self, store: Store) -> None:
        """JobQueue.release: Running to queued, at its old place, as if it had not been claimed. None when the claim is
        not current."""
        self.needs("place")
        put(store, new("a"), new("b"))
        (first,) = take(store)

        with store.turn("b", NOW) as turn:
            released = turn.jobs.release(first, "not started in time")
            again = turn.jobs.release(first, "twice")

        assert released is not None
        assert (released.state, released.attempt, again) == ("queued", 0, None)
        assert take(store)[0].id == "a"

    def test_a_deferred_claim_lives_on_and_can_still_be_settled(self, store: Store) -> None:
        """JobQueue.defer: Note that the handler has returned and the claim lives on, for `timeout` seconds, of which
        some have passed. A job without `max_attempts` of its own gets these. False when the claim is not current.
        `log` is what it has logged by then."""
        put(store, new("a"))
        (claimed,) = take(store)

        with store.turn("b", NOW) as turn:
            noted = turn.jobs.defer(claimed, 60.0, 20.0, 7)
            held = turn.jobs.get(["a"])["a"]
            settled = turn.jobs.settle(claimed, SUCCEEDED, DONE)
            too_late = turn.jobs.defer(claimed, 60.0, 20.0, 7)

        assert (noted, held.deferred, held.timeout, held.expires_at, held.max_attempts) == (True, 1, 60.0, NOW + 40, 7)
        assert not too_late
        assert settled is not None
        assert (settled.state, settled.deferred, settled.expires_at) == ("done", 0, None)

    def test_progress_is_kept_only_of_the_current_claim(self, store: Store) -> None:
        """JobQueue.note_progress: Keep how far a job is, only if the claim is current."""
        put(store, new("a"))
        (claimed,) = take(store)

        with store.turn("b", NOW) as turn:
            turn.jobs.note_progress(claimed.key, "1")
            turn.jobs.note_progress(ClaimKey(claimed.row_id, claimed.claim_no - 1), "0")
            (held,) = turn.jobs.open_claims("b")

        assert held.progress == "1"

    def test_open_claims_are_the_running_jobs_that_a_boot_holds(self, store: Store) -> None:
        """JobQueue.open_claims: Running jobs that a boot holds. In a table, a claim whose handler has returned does not
        need its boot."""
        put(store, new("a"), new("b", name="else"), new("c"))
        (first,) = take(store)
        with store.turn("other", NOW) as turn:
            claim_in(turn, name="else", boot="other", incarnation=2)
            mine, theirs = turn.jobs.open_claims("b"), turn.jobs.open_claims("other", "else", 2)
            earlier = turn.jobs.open_claims("other", "else", 1)

            turn.jobs.defer(first, None, 0.0, 20)
            left = turn.jobs.open_claims("b")

        assert [job.id for job in mine] == ["a"]
        assert [job.id for job in theirs] == ["b"]
        assert earlier == []
        assert [job.id for job in left] == ([] if store.table is not None else ["a"])

    def test_a_claim_whose_handler_has_returned_is_overdue_after_its_timeout(self, store: Store) -> None:
        """JobQueue.overdue: A batch of the claims whose handler has returned and whose time is over, whichever boot has
        made them."""
        put(store, new("a"), new("b"), new("c"), new("d"))
        over, later, ever, runs = take(store, begun=4)
        with store.turn("b", NOW) as turn:
            turn.jobs.defer(over, 60.0, 60.0, 20)
            turn.jobs.defer(later, 60.0, 10.0, 20)
            turn.jobs.defer(ever, None, 10.0, 20)
        with store.turn("other", NOW) as turn:
            overdue = turn.jobs.overdue()

        assert [job.id for job in overdue] == [over.id]
        assert runs.expires_at is None
        assert store.jobs.outlook([], NOW).expiry == pytest.approx(NOW, abs=5)

    def test_attempts_that_failed_or_were_interrupted_are_kept_oldest_first(self, store: Store) -> None:
        """JobTable.attempts: The ended claims of a job that failed or were interrupted, oldest first."""
        self.needs("table")
        put(store, new("a"))
        for kind, blamed in (
            (OutcomeKind.FAILED, False),
            (OutcomeKind.INTERRUPTED, True),
            (OutcomeKind.SNOOZED, False),
        ):
            (claimed,) = take(store)
            with store.turn("b", NOW) as turn:
                turn.jobs.settle(claimed, Outcome(kind=kind, error="E", blamed=blamed), RETRY)

        kept = store.table.attempts("a")

        assert [(attempt.outcome, attempt.claim_no, attempt.error) for attempt in kept] == [
            ("failed", 1, "E"),
            ("interrupted", 2, "E"),
        ]

    def test_what_a_claim_has_logged_is_kept_however_it_ends(self, store: Store) -> None:
        """JobTable.logged: The numbers of the claims of a job that have logged by `job.log`, with the lines of each as
        JSON text."""
        self.needs("table")
        put(store, new("a"))
        for kind in (OutcomeKind.FAILED, OutcomeKind.SNOOZED, OutcomeKind.INTERRUPTED, OutcomeKind.FAILED):
            (claimed,) = take(store)
            log = None if claimed.claim_no == 4 else f"[{claimed.claim_no}]"
            with store.turn("b", NOW) as turn:
                turn.jobs.settle(claimed, Outcome(kind=kind, error="E", log=log), RETRY)
        (claimed,) = take(store)
        with store.turn("b", NOW) as turn:
            turn.jobs.defer(claimed, 60.0, 0.0, 7, "[5]")
            turn.jobs.settle(claimed, Outcome(kind=OutcomeKind.TIMED_OUT, error="E"), RETRY)
        (claimed,) = take(store)
        with store.turn("b", NOW) as turn:
            turn.jobs.settle(claimed, Outcome(kind=OutcomeKind.SUCCEEDED, log="[6]"), DONE)

        assert store.table.logged("a") == [(1, "[1]"), (2, "[2]"), (3, "[3]"), (5, "[5]"), (6, "[6]")]
        assert [(attempt.claim_no, attempt.outcome) for attempt in store.table.attempts("a")] == [
            (1, "failed"),
            (4, "failed"),
            (5, "timed_out"),
        ]
        with store.turn("b", NOW) as turn:
            assert turn.jobs.recent_interruptions(("a",), NOW - 1) == {}

    def test_of_claims_that_did_not_fail_the_lines_of_the_last_are_kept(self, store: Store) -> None:
        """JobQueue.settle: The lines of claims that did not fail are kept for the last few."""
        self.needs("table")
        put(store, new("a"))
        for _ in range(13):
            (claimed,) = take(store)
            with store.turn("b", NOW) as turn:
                turn.jobs.settle(claimed, Outcome(kind=OutcomeKind.SNOOZED, log="[]"), RETRY)

        assert [claim_no for claim_no, _ in store.table.logged("a")] == list(range(4, 14))

    def test_only_blamed_interruptions_are_counted(self, store: Store) -> None:
        """JobQueue.recent_interruptions: How many blamed interruptions each job had since then, if any."""
        self.needs("table")
        put(store, new("a"))
        for blamed in (True, False, True):
            (claimed,) = take(store)
            with store.turn("b", NOW) as turn:
                turn.jobs.settle(claimed, Outcome(kind=OutcomeKind.INTERRUPTED, error="E", blamed=blamed), RETRY)

        with store.turn("b", NOW) as turn:
            assert turn.jobs.recent_interruptions(("a", "b"), NOW - 1) == {"a": 2}
            assert turn.jobs.recent_interruptions(("a",), NOW + 1) == {}
