"""Promises about the kept steps of jobs, which a store may have."""

from __future__ import annotations

from lamplighter.messages.jobs import JobRecord
from lamplighter.messages.steps import SIGNAL, StepMark, StepRecord, StepsSeen
from lamplighter.stores.ports import Store
from lamplighter.stores.turn_ports import KeptNow, StepBook, Turn

from .kit import DEAD, DONE, FAILED, NOW, RETRY, SUCCEEDED, StoreCase, job_of, new, put, take


class StepPromises(StoreCase):
    """Promises about steps. Each docstring quotes the port."""

    def book_of(self, turn: Turn) -> StepBook:
        """The port, or the end of the test."""
        self.needs("steps")
        assert turn.steps is not None
        return turn.steps

    def keep(self, store: Store, claimed: JobRecord, name: str, result: str = "1", at: float = NOW) -> KeptNow | None:
        """Keep a step in a turn of its own."""
        with store.turn("b", at) as turn:
            return self.book_of(turn).keep(claimed, name, result)

    def kept(self, store: Store, row_id: int) -> list[tuple[str, str, int]]:
        """The steps of a job, by their names, results and claims."""
        self.needs("steps", "table")
        assert store.table is not None
        return [(step.name, step.result, step.claim_no) for step in store.table.steps(row_id)]

    def claimed(self, store: Store) -> JobRecord:
        """A job that runs."""
        self.needs("steps")
        put(store, new("a"))
        (claimed,) = take(store)
        return claimed

    def test_a_step_of_the_current_claim_is_kept_once(self, store: Store) -> None:
        """StepBook.keep: Returns the kept record under the name: the first result stays."""
        claimed = self.claimed(store)

        first = self.keep(store, claimed, "one", "1")
        again = self.keep(store, claimed, "one", "2", at=NOW + 5.0)

        step = StepRecord("one", "1", 1, NOW)
        assert (first, again) == (KeptNow(step, 2, is_new=True), KeptNow(step, 2, is_new=False))
        assert self.kept(store, claimed.row_id) == [("one", "1", 1)]

    def test_a_step_of_a_claim_that_is_over_is_not_kept(self, store: Store) -> None:
        """StepBook.keep: Keep the result of a step, only if the claim is the current one, and the job's holder is the
        one that it names."""
        first = self.claimed(store)
        with store.turn("b", NOW) as turn:
            turn.jobs.settle(first, FAILED, RETRY)
        assert self.keep(store, first, "between") is None
        (second,) = take(store)

        assert self.keep(store, first, "late") is None
        assert self.keep(store, second._replace(boot="another"), "strange") is None
        assert self.keep(store, second._replace(row_id=second.row_id + 1), "none") is None
        assert self.keep(store, second, "in time") is not None
        assert self.kept(store, first.row_id) == [("in time", "1", 2)]

    def test_steps_are_read_the_oldest_first(self, store: Store) -> None:
        """JobTable.steps: The kept steps of the job with this `row_id`, the oldest first."""
        first = self.claimed(store)
        self.keep(store, first, "z", at=NOW)
        self.keep(store, first, "y", at=NOW + 1.0)
        with store.turn("b", NOW) as turn:
            turn.jobs.settle(first, FAILED, RETRY)
        (second,) = take(store)
        self.keep(store, second, "a", "2", at=NOW - 9.0)

        assert self.kept(store, first.row_id) == [("z", "1", 1), ("y", "1", 1), ("a", "2", 2)]
        assert self.kept(store, first.row_id + 1) == []

    def test_steps_go_with_an_end_as_done_and_with_no_other(self, store: Store) -> None:
        """StepBook.keep: Whatever ends a job as done, or removes it, removes its steps."""
        claimed = self.claimed(store)
        self.keep(store, claimed, "one")
        self.keep(store, claimed, "two")
        with store.turn("b", NOW) as turn:
            turn.jobs.settle(claimed, FAILED, DEAD)
        assert len(self.kept(store, claimed.row_id)) == 2
        with store.turn("b", NOW) as turn:
            dead = turn.jobs.find(["a"])["a"]
            turn.jobs.requeue(dead, NOW)
        (again,) = take(store)
        assert len(self.kept(store, claimed.row_id)) == 2

        with store.turn("b", NOW) as turn:
            turn.jobs.settle(again, SUCCEEDED, DONE)

        assert self.kept(store, claimed.row_id) == []
        assert turn.transitions[0].fields["steps"] == 2

    def test_steps_go_with_a_job_that_is_marked_done_while_it_is_queued(self, store: Store) -> None:
        """StepBook.keep: Whatever ends a job as done, or removes it, removes its steps."""
        self.needs("table")
        claimed = self.claimed(store)
        self.keep(store, claimed, "one")
        with store.turn("b", NOW) as turn:
            turn.jobs.settle(claimed, FAILED, RETRY)
        queued = job_of(store, "a")
        assert queued is not None

        with store.turn("b", NOW) as turn:
            assert turn.queued is not None
            turn.queued.finish(queued, None)

        assert self.kept(store, claimed.row_id) == []

    def test_steps_go_with_a_job_that_is_forgotten_or_pruned(self, store: Store) -> None:
        """StepBook.keep: Whatever ends a job as done, or removes it, removes its steps."""
        self.needs("table")
        claimed = self.claimed(store)
        put(store, new("b"))
        (other,) = take(store)
        for one in (claimed, other):
            self.keep(store, one, "one")
            with store.turn("b", NOW) as turn:
                turn.jobs.settle(one, FAILED, DEAD)
        dead = job_of(store, "a")
        assert dead is not None

        with store.turn("b", NOW) as turn:
            assert turn.queued is not None
            turn.queued.forget(dead)
        assert self.kept(store, claimed.row_id) == []
        with store.turn("b", NOW + 9.0) as turn:
            turn.prune(done_before=NOW, dead_before=NOW + 1.0, slots_before=None, batch=10)

        assert self.kept(store, other.row_id) == []

    def test_steps_are_removed(self, store: Store) -> None:
        """StepBook.remove: Remove all steps of a job, and say how many."""
        claimed = self.claimed(store)
        put(store, new("b"))
        (other,) = take(store)
        for name in ("one", "two"):
            self.keep(store, claimed, name)
        self.keep(store, other, "one")

        with store.turn("b", NOW) as turn:
            removed = [self.book_of(turn).remove(claimed) for _ in range(2)]

        assert removed == [2, 0]
        assert (self.kept(store, claimed.row_id), self.kept(store, other.row_id)) == ([], [("one", "1", 1)])

    def test_who_looks_sees_how_far_a_job_has_come_and_no_results(self, store: Store) -> None:
        """JobTable.steps_seen: How many steps of the job with this `row_id` are kept, and the newest, so many at most,
        without results."""
        claimed = self.claimed(store)
        for number, name in enumerate(("z", "y", "x")):
            self.keep(store, claimed, name, "12345", at=NOW + number)
        assert store.table is not None

        seen = store.table.steps_seen(claimed.row_id, 2)

        assert seen == StepsSeen(3, [StepMark("y", 5, 1, NOW + 1.0), StepMark("x", 5, 1, NOW + 2.0)])
        assert store.table.steps_seen(claimed.row_id + 1, 2) == StepsSeen(0, [])

    def test_the_first_signal_of_a_name_is_kept_and_goes_with_the_end(self, store: Store) -> None:
        """StepBook.send: Returns what is kept of the wait's end, and whether this call has kept it."""
        claimed = self.claimed(store)
        with store.turn("b", NOW) as turn:
            book = self.book_of(turn)
            first, again = book.send(claimed, "approval", "1"), book.send(claimed, "approval", "2")
            over = book.keep(claimed, SIGNAL + "approval", "null")

        kept = StepRecord(SIGNAL + "approval", "1", 0, NOW)
        assert (first, again) == ((kept, True), (kept, False))
        assert over is not None and over.step == kept
        assert self.kept(store, claimed.row_id) == [(SIGNAL + "approval", "1", 0)]
        with store.turn("b", NOW) as turn:
            turn.jobs.settle(claimed, SUCCEEDED, DONE)
        assert self.kept(store, claimed.row_id) == []

    def test_what_has_ended_a_wait_is_found(self, store: Store) -> None:
        """StepBook.sent: What has ended the wait for a signal, if anything has."""
        claimed = self.claimed(store)
        with store.turn("b", NOW) as turn:
            assert self.book_of(turn).sent(claimed, "approval") is None
            self.book_of(turn).send(claimed, "approval", "1")
        with store.turn("b", NOW) as turn:
            sent = self.book_of(turn).sent(claimed, "approval")
            assert self.book_of(turn).sent(claimed, "other") is None

        assert sent == StepRecord(SIGNAL + "approval", "1", 0, NOW)

    def test_one_step_is_read_by_its_name(self, store: Store) -> None:
        """JobTable.step: The kept step of this name."""
        claimed = self.claimed(store)
        self.keep(store, claimed, "one", "1")
        assert store.table is not None

        assert store.table.step(claimed.row_id, "one") == StepRecord("one", "1", 1, NOW)
        assert store.table.step(claimed.row_id, "two") is None

    def test_a_job_that_waits_is_due_when_its_signal_has_come(self, store: Store) -> None:
        """WaitingJobs.wake: Have a queued job be due now, as its signal has come."""
        self.needs("steps")
        put(store, new("a", run_at=NOW + 1000.0))
        assert take(store) == []
        with store.turn("b", NOW) as turn:
            assert turn.queued is not None
            woken = turn.queued.wake(turn.jobs.find(["a"])["a"], "approval")

        assert (woken.run_at, woken.move_no) == (NOW, 2)
        assert [one.id for one in take(store)] == ["a"]
