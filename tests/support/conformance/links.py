"""Promises about jobs that wait for others, which a store may let them."""

from __future__ import annotations

from lamplighter.messages.jobs import Instant, JobParent, JobRecord, JobState
from lamplighter.messages.outcomes import Outcome, Verdict
from lamplighter.stores.ports import JobTable, Store
from lamplighter.stores.turn_ports import JobLinks, Turn

from .kit import DEAD, DONE, FAILED, NOW, SUCCEEDED, StoreCase, claim_in, job_of, new, put, take

A_AND_B = (JobParent("a"), JobParent("b"))


class LinkPromises(StoreCase):
    """Promises about links. Each docstring quotes the port."""

    def links_of(self, turn: Turn) -> JobLinks:
        """The port, or the end of the test."""
        self.needs("links")
        assert turn.links is not None
        return turn.links

    def table_of(self, store: Store) -> JobTable:
        """What is read of links outside of turns, or the end of the test."""
        self.needs("links", "table")
        assert store.table is not None
        return store.table

    def end(self, store: Store, outcome: Outcome = SUCCEEDED, verdict: Verdict = DONE, now: Instant = NOW) -> None:
        """The next job is claimed, and ends."""
        with store.turn("b", now) as turn:
            (claim,) = claim_in(turn)
            assert turn.jobs.settle(claim.job, outcome, verdict) is not None

    def free(self, store: Store, most: int = 100) -> bool:
        """Have those follow whose parents have ended, in a turn of their own."""
        with store.turn("b", NOW) as turn:
            return self.links_of(turn).free(most)

    def states(self, store: Store, *job_ids: str) -> list[tuple[str, bool]]:
        """In which states jobs are, and whether they wait for others or share their fate."""
        jobs = [job_of(store, job_id) for job_id in job_ids]
        return [(job.state, job.is_linked) for job in jobs if job is not None]

    def waiting(self, store: Store) -> JobRecord:
        """A job that waits for two others."""
        self.needs("links")
        put(store, new("a"), new("b"))
        (child,) = put(store, new("child", parents=A_AND_B))
        return child

    def test_a_job_that_waits_is_not_claimed(self, store: Store) -> None:
        """JobLinks: A job that is inserted with parents waits for them: it is queued, and not claimed."""
        self.waiting(store)

        assert self.states(store, "child") == [("queued", True)]
        assert [job.id for job in take(store, begun=9)] == ["a", "b"]

    def test_the_last_end_judges_what_waits(self, store: Store) -> None:
        """JobLinks: When the last of them has ended, it is judged: by what all of them are then, whichever road has led
        there."""
        self.waiting(store)
        self.end(store, FAILED, DEAD)
        assert not self.free(store)
        assert self.states(store, "child") == [("queued", True)]
        self.end(store)
        self.free(store)

        assert self.states(store, "child") == [("dead", True)]

    def test_whose_parents_are_unknown_is_known_before(self, store: Store) -> None:
        """JobLinks.unknown: Those of these ids that no job has. A job with parents is inserted only if all of them are
        known."""
        self.waiting(store)

        with store.turn("b", NOW) as turn:
            assert list(self.links_of(turn).unknown(["a", "x", "child", "y"])) == ["x", "y"]

    def test_what_is_born_when_all_is_over_is_judged_at_once(self, store: Store) -> None:
        """JobLinks.judge_births: Judge the jobs that this turn has inserted, if all their parents have ended: the jobs
        now, by `row_id`."""
        self.waiting(store)
        self.end(store)

        with store.turn("b", NOW) as turn:
            turn.jobs.insert([new("late", parents=A_AND_B[:1]), new("early", parents=A_AND_B)])
            judged = self.links_of(turn).judge_births()

        assert [(job.row_id == row_id, job.id, job.state, job.is_linked) for row_id, job in judged.items()] == [
            (True, "late", JobState.QUEUED, False)
        ]
        assert self.states(store, "late", "early") == [("queued", False), ("queued", True)]

    def test_so_many_links_are_looked_at_and_the_rest_by_the_next_turn(self, store: Store) -> None:
        """JobLinks.free: At most so many links are looked at, and one job's; whether there are more, which the next
        turn is for."""
        self.needs("links")
        put(store, new("a"))
        put(store, *(new(f"c{number}", parents=A_AND_B[:1]) for number in range(5)))
        self.end(store)

        turns = 1
        while self.free(store, 2):
            turns += 1

        assert turns in (3, 4, 5)
        assert self.states(store, *(f"c{number}" for number in range(5))) == [("queued", False)] * 5

    def test_what_has_died_of_a_job_is_revived_with_it(self, store: Store) -> None:
        """JobLinks.free: Have those follow that wait for jobs which have ended, or have shared the fate of jobs which
        were queued again since: free them, end them with those, or have them wait again."""
        self.waiting(store)
        self.end(store)
        self.end(store, FAILED, DEAD)
        self.free(store)
        assert self.states(store, "child") == [("dead", True)]
        with store.turn("b", NOW) as turn:
            turn.jobs.requeue(turn.jobs.get(("b",))["b"], NOW)
        self.free(store)
        assert self.states(store, "child") == [("queued", True)]
        self.end(store)
        self.free(store)

        assert self.states(store, "child") == [("queued", False)]

    def test_a_job_knows_one_that_waits_for_it(self, store: Store) -> None:
        """JobLinks.child_of: The id of a job in the store that waits for this one, or has; None if there is none."""
        self.waiting(store)

        with store.turn("b", NOW) as turn:
            jobs = turn.jobs.get(("a", "child"))
            assert [self.links_of(turn).child_of(jobs[job_id]) for job_id in ("a", "child")] == ["child", None]

    def test_the_parents_of_a_job_are_known_and_which_of_them_may_end_in_any_way(self, store: Store) -> None:
        """JobLinks.parents_of: The jobs that this one waits for, or has waited for, in the order of the call that has
        queued it."""
        put(store, *(new(job_id) for job_id in "abc"))
        parents = (JobParent("c"), JobParent("a"), JobParent("b", any_end=True))
        put(store, new("child", parents=parents))
        self.end(store)

        with store.turn("b", NOW) as turn:
            jobs = turn.jobs.get(("a", "child"))
            assert [self.links_of(turn).parents_of(jobs[job_id]) for job_id in ("a", "child")] == [(), parents]

    def test_parents_are_read_in_the_order_of_the_call(self, store: Store) -> None:
        """JobTable.parents: The jobs that one, by its `row_id`, waits for or has waited for, in the order of the call
        that has queued it: so many at most, without the first `after`."""
        table = self.table_of(store)
        put(store, *(new(job_id) for job_id in "abc"))
        (child,) = put(store, new("child", parents=tuple(map(JobParent, "cab"))))

        assert [parent.id for parent in table.parents(child.row_id, 0, 2)] == ["c", "a"]
        assert [parent.id for parent in table.parents(child.row_id, 2, 2)] == ["b"]

    def test_parents_that_retention_has_removed_are_kept_apart(self, store: Store) -> None:
        """JobTable.gone_parents: Those of the jobs that one has waited for which retention has removed, in the same
        order."""
        table = self.table_of(store)
        put(store, *(new(job_id) for job_id in "abc"))
        (child,) = put(store, new("child", parents=tuple(map(JobParent, "cba"))))
        for later in range(4):
            # Of jobs that have ended at one instant, any may be removed first.
            self.end(store, now=NOW + later / 10)
            self.free(store)
        with store.turn("b", NOW + 1) as turn:
            turn.prune(done_before=NOW + 1, dead_before=NOW + 1, slots_before=None, batch=2)

        assert [(gone.id, gone.state) for gone in table.gone_parents(child.row_id, 9)] == [("b", "done"), ("a", "done")]
        assert [parent.id for parent in table.parents(child.row_id, 0, 9)] == ["c"]
        assert {job.id for job in table.graph("c", 9).jobs} == {"c", "child"}

    def test_the_graph_of_a_job_has_all_that_hang_together(self, store: Store) -> None:
        """JobTable.graph: The graph of a job, at most so many: the job, those that have the root of one of these, and
        those for which one of these waits, or has waited, or which wait for one of these, or have."""
        table = self.table_of(store)
        put(store, *(new(job_id) for job_id in "abx"), new("of-a", root_id="a"))
        put(store, new("child", parents=A_AND_B), new("of-x", root_id="x"))
        put(store, new("last", parents=(JobParent("child"),)))
        whole = ["a", "b", "of-a", "child", "last"]

        for asked in whole:
            assert [job.id for job in table.graph(asked, 9).jobs] == whole
        assert [job.id for job in table.graph("of-x", 9).jobs] == ["x", "of-x"]
        assert [job.is_waiting for job in table.graph("a", 9).jobs] == [False, False, False, True, True]
        of = {job.row_id: job.id for job in table.graph("a", 9).jobs}
        links = [(of[child], of[parent]) for child, parent, _ in table.graph("a", 9).links]
        assert links == [("child", "a"), ("child", "b"), ("last", "child")]
        capped = table.graph("a", 2)
        assert (len(capped.jobs), capped.is_capped, table.graph("nobody", 9).jobs) == (2, True, [])

    def test_a_job_that_is_queued_again_among_others_waits_again(self, store: Store) -> None:
        """JobLinks.wait_again: Queue a job that has ended, and let it wait again for those of its parents that have
        not. None when it has no such parent: nothing changes."""
        self.waiting(store)
        with store.turn("b", NOW) as turn:
            child, links = turn.jobs.get(["child"])["child"], self.links_of(turn)
            cancelled = turn.queued.cancel(child, "by somebody")
            assert not cancelled.is_linked
            moved = links.wait_again(cancelled)
            assert moved is not None and (moved.state, moved.is_linked) == ("queued", True)
        for _ in range(2):
            self.end(store)
        self.free(store)
        with store.turn("b", NOW) as turn:
            child = turn.jobs.get(["child"])["child"]
            assert (child.state, child.is_linked) == ("queued", False)
            assert self.links_of(turn).wait_again(turn.jobs.get(["a"])["a"]) is None

    def test_children_are_read_the_oldest_first(self, store: Store) -> None:
        """JobTable.linked: The jobs that wait for one, or have, the oldest first."""
        table = self.table_of(store)
        (parent,) = put(store, new("a"))
        put(store, *(new(job_id, parents=A_AND_B[:1]) for job_id in ("z", "y", "x")))
        self.end(store)
        self.free(store)

        assert [child.id for child in table.linked(parent.row_id, 2)] == ["z", "y"]

    def test_for_whom_a_job_waits_is_counted_and_some_are_named(self, store: Store) -> None:
        """JobTable.awaited: How many others a job waits for, and the ids of some that have not ended."""
        table = self.table_of(store)
        put(store, *(new(job_id) for job_id in "abc"))
        (child,) = put(store, new("child", parents=tuple(map(JobParent, "abc"))))
        self.end(store)
        self.free(store)

        awaited = table.awaited(child.row_id, 1)

        assert (awaited.total, awaited.open, list(awaited.ids)) == (3, 2, ["b"])
