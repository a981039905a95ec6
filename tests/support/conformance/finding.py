"""Promises about finding jobs: those of a table, and the dead where they lie apart."""

from __future__ import annotations

import pytest
from lamplighter.messages.jobs import JobParent, JobState
from lamplighter.messages.queries import Census, DataTerm, JobQuery
from lamplighter.messages.tallies import EVER, OTHERS, Tally
from lamplighter.stores.ports import JobTable, Store

from .kit import DEAD, DONE, FAILED, NOW, SUCCEEDED, StoreCase, die, new, put, take

IS_DEAD = JobQuery(states=(JobState.DEAD,))


class FindingPromises(StoreCase):
    """Promises about finding jobs. Each docstring quotes the port."""

    def test_a_key_of_data_is_not_taken_for_one_that_goes_on_after_a_nul(self, store: Store) -> None:
        """JobTable.find: The jobs that match"""
        self.needs("table")
        put(store, new("a", data='{"a": 1}'), new("b", data='{"a\\u0000secret": 1}'))

        table = self.table_of(store)
        found = table.find(JobQuery(data=(DataTerm(("a",), 1),)), limit=9)

        assert [job.id for job in found.jobs] == ["a"]

    def test_what_is_queued_of_a_group_is_found_whatever_it_waits_for(self, store: Store) -> None:
        """JobTable.find: The jobs that match"""
        self.needs("links")
        table = self.table_of(store)
        put(store, new("due", group_key="g"), new("later", group_key="g", run_at=NOW + 60), new("other", group_key="h"))
        put(store, new("child", group_key="g", parents=(JobParent("other"),)), new("plain"))

        found = table.find(JobQuery(names=("work",), states=(JobState.QUEUED,), group="g"), limit=9)

        assert [job.id for job in found.jobs] == ["child", "later", "due"]

    def test_what_was_queued_last_is_found_first_page_by_page(self, store: Store) -> None:
        """JobTable.find: The jobs that match, so many at most: what was queued last comes first"""
        table = self.table_of(store)
        put(store, *(new(str(n), name="work" if n % 2 else "else") for n in range(6)))
        take(store)

        first = table.find(JobQuery(), limit=4)
        rest = table.find(JobQuery(), limit=4, after=first.next)
        queued = table.find(JobQuery(names=("work",), states=(JobState.QUEUED,)), limit=9)

        assert [job.id for job in [*first.jobs, *rest.jobs]] == ["5", "4", "3", "2", "1", "0"]
        assert (first.complete, rest.complete, rest.next) == (True, True, None)
        assert [job.id for job in queued.jobs] == ["5", "3"]

    def test_of_what_has_ended_what_ended_last_is_found_first(self, store: Store) -> None:
        """JobTable.find: where it is asked for what has ended, what ended last."""
        table = self.table_of(store)
        put(store, new("a"), new("b"), new("c"))
        for later, job in zip((2, 0, 1), take(store, begun=3), strict=True):
            with store.turn("b", NOW + later) as turn:
                turn.jobs.settle(job, SUCCEEDED, DONE)

        first = table.find(JobQuery(states=(JobState.DONE,)), limit=2)
        rest = table.find(JobQuery(states=(JobState.DONE,)), limit=2, after=first.next)
        since = table.find(JobQuery(ended_since=NOW + 1), limit=9)

        assert [[job.id for job in found.jobs] for found in (first, rest, since)] == [["a", "c"], ["b"], ["a", "c"]]

    def test_a_look_ends_after_so_many_jobs_and_the_next_goes_on(self, store: Store) -> None:
        """JobTable.find: It looks at no more jobs than `looked_max`, and says so if there are others."""
        table = self.table_of(store)
        for job_id in ("odd", *map(str, range(6))):
            put(store, new(job_id))
            die(store)

        for query in (JobQuery(words=("odd",)), JobQuery(states=(JobState.DEAD,), words=("odd",))):
            looks = [table.find(query, limit=9, looked_max=3)]
            while looks[-1].next is not None:
                looks.append(table.find(query, limit=9, after=looks[-1].next, looked_max=3))

            assert [([job.id for job in one.jobs], one.looked_at, one.complete) for one in looks] == [
                ([], 3, False),
                ([], 3, False),
                (["odd"], 1, True),
            ]

    def test_a_sweep_comes_by_all_that_matched_when_it_began_once(self, store: Store) -> None:
        """JobTable.sweep: The ids of the jobs that match, the oldest first, some at a time, which are looked for when
        they are asked for. Jobs that have come since the first were read, or have ended since where ended ones are
        asked for, are not among them."""
        table = self.table_of(store)
        put(store, *(new(str(n)) for n in range(12_000)))
        swept = table.sweep(JobQuery(states=(JobState.QUEUED,)))

        first = next(swept)
        put(store, new("late"))
        with store.turn("b", NOW) as turn:
            for job in turn.jobs.find(("11000", "11999")).values():
                turn.queued.cancel(job, "meanwhile")
        rest = [job_id for ids in swept for job_id in ids]

        assert 0 < len(first) < 11_000
        assert [*first, *rest] == [str(n) for n in range(12_000) if n not in (11_000, 11_999)]

    def test_a_sweep_of_what_has_ended_comes_by_no_job_that_ends_again(self, store: Store) -> None:
        """JobTable.sweep: Jobs that have come since the first were read, or have ended since where ended ones are asked
        for, are not among them."""
        table = self.table_of(store)
        for job_id in ("a", "b"):
            put(store, new(job_id))
            die(store)

        swept: list[str] = []
        for ids in table.sweep(IS_DEAD):
            swept += ids
            with store.turn("b", NOW + 1) as turn:
                for job in turn.jobs.find(ids).values():
                    turn.jobs.requeue(job, NOW + 1)
            for job in take(store, NOW + 1, begun=2):
                with store.turn("b", NOW + 2) as turn:
                    turn.jobs.settle(job, FAILED, DEAD)

        assert swept == ["a", "b"]
        assert len(table.find(IS_DEAD, limit=9).jobs) == 2

    def test_a_sweep_of_several_ends_comes_by_each_of_them(self, store: Store) -> None:
        """JobTable.sweep: The ids of the jobs that match, the oldest first, some at a time"""
        table = self.table_of(store)
        put(store, new("a"))
        die(store)
        (job,) = put(store, new("b"))
        with store.turn("b", NOW) as turn:
            turn.queued.cancel(job, "no")
        put(store, new("c"))

        swept = [job_id for ids in table.sweep(JobQuery(ended_since=NOW)) for job_id in ids]

        assert sorted(swept) == ["a", "b"]

    def test_unfinished_jobs_are_counted_by_name_up_to_a_cap(self, store: Store) -> None:
        """JobTable.census: How many unfinished jobs of each name there are, counted up to `cap` of each kind."""
        table = self.table_of(store)
        put(store, *(new(f"r{n}", run_at=NOW - n) for n in range(5)), new("urgent", priority=9, run_at=NOW - 2))
        put(store, *(new(f"w{n}", run_at=NOW + 10 + n) for n in range(3)), new("else", name="else"))
        take(store)

        now, later = (table.census(("work", "nobody"), 100, at) for at in (NOW, NOW + 11))
        capped = table.census(("work",), 3, NOW)["work"]

        assert now["work"] == Census(ready=5, scheduled=3, running=1, capped=False, oldest_ready=NOW - 4)
        assert now["nobody"] == Census(ready=0, scheduled=0, running=0, capped=False, oldest_ready=None)
        assert (later["work"].ready, later["work"].scheduled) == (7, 1)
        assert (capped.ready, capped.scheduled, capped.capped, capped.oldest_ready) == (3, 3, True, NOW - 4)

    def test_what_is_due_longest_is_known_though_it_comes_after_more_than_are_counted(self, store: Store) -> None:
        """JobTable.census: How many unfinished jobs of each name there are, counted up to `cap` of each kind."""
        table = self.table_of(store)
        put(store, *(new(f"u{n}", priority=n, run_at=NOW - 1) for n in range(1, 9)), new("old", run_at=NOW - 100))

        found = table.census(("work",), 4, NOW)["work"]

        assert (found.ready, found.capped, found.oldest_ready) == (4, True, NOW - 100)

    def test_jobs_are_counted_in_every_state_up_to_a_cap(self, store: Store) -> None:
        """JobTable.capped_counts: How many jobs are in each state, of one name or all, counted up to `cap`. The
        ended jobs of a name are counted among so many that ended last."""
        table = self.table_of(store)
        put(store, *(new(str(n)) for n in range(4)))
        for job in take(store, begun=4):
            with store.turn("b", NOW) as turn:
                turn.jobs.settle(job, SUCCEEDED, DONE)
        put(store, new("q"), new("later", run_at=NOW + 9), new("d", name="else"), new("r", name="runs"))
        take(store, name="runs")

        whole, low = (table.capped_counts(None, cap) for cap in (100, 3))
        of_work, of_else = (table.capped_counts(name, 3) for name in ("work", "else"))

        assert whole == ({"queued": 3, "running": 1, "done": 4, "dead": 0, "cancelled": 0}, frozenset())
        assert low == ({"queued": 3, "running": 1, "done": 3, "dead": 0, "cancelled": 0}, {"queued", "done"})
        assert (of_work.of["done"], of_work.of["queued"], of_work.capped) == (3, 2, {"done"})
        assert (of_else.of["done"], of_else.of["queued"], of_else.capped) == (0, 1, {"done"})

    def test_every_name_is_known_of_unfinished_jobs_and_of_what_was_tallied(self, store: Store) -> None:
        """JobTable.names: The names of all jobs that have not ended, and, as far as tallies tell, that ever were: in
        order, from one on, so many at most."""
        table = self.table_of(store)
        put(store, new("a", name="ready"), new("b", name="waits", run_at=NOW + 9), new("c", name="runs"))
        take(store, name="runs")
        with store.turn("b", NOW) as turn:
            assert turn.tallies is not None
            turn.tallies.add([Tally(EVER, 0, name, "queued", 1) for name in ("ready", "over", OTHERS)])

        assert list(table.names()) == ["over", "ready", "runs", "waits"]
        assert list(table.names("ready", 2)) == ["ready", "runs"]
        assert list(table.names("ready\0", 2)) == ["runs", "waits"]
        assert list(table.names(limit=1)) == ["over"]

    def test_the_names_that_have_due_jobs_are_found_in_the_table(self, store: Store) -> None:
        """JobTable.due_names: The names that have due jobs, in order, so many at most."""
        put(store, new("a"), new("b", name="else"), new("c", name="later", run_at=NOW + 60))

        assert list(self.table_of(store).due_names(NOW, 10)) == ["else", "work"]
        assert list(self.table_of(store).due_names(NOW, 1)) == ["else"]

    def test_what_descends_from_a_root_is_found_the_oldest_first(self, store: Store) -> None:
        """JobTable.children: The jobs that descend from a root, without itself, the oldest first."""
        table = self.table_of(store)
        put(store, new("a"), new("b", root_id="a"), new("c", root_id="b"), new("d", root_id="a"), new("e", root_id="a"))

        assert [job.id for job in table.children("a", 2)] == ["b", "d"]
        assert [job.id for job in table.children("d", 9)] == []
        assert [job.id for job in table.find(JobQuery(root_id="a"), limit=9).jobs] == ["e", "d", "b", "a"]

    def test_the_dead_that_match_are_at_hand_but_for_some(self, store: Store) -> None:
        """DeadJobs.all_at_hand: The ids of the dead jobs that match, oldest first, `but` for some: all of them, or the
        first many. While the block lasts, a turn finds each."""
        if store.dead is None:
            pytest.skip("the dead do not lie apart")
        put(store, new("a"))
        die(store)
        put(store, new("b"))
        die(store)
        of_work, of_else = JobQuery(names=("work",), error="e"), JobQuery(names=("else",))

        with store.dead.all_at_hand(of_work, ()) as all_of_them, store.turn("b", NOW) as turn:
            states = [job.state for job in turn.jobs.find(all_of_them).values()]
        with store.dead.all_at_hand(JobQuery(), ("a",)) as but_a:
            pass
        with store.dead.all_at_hand(of_else, ()) as none_of_them:
            pass

        assert (list(all_of_them), states, list(but_a), list(none_of_them)) == (["a", "b"], ["dead"] * 2, ["b"], [])

    def test_the_dead_are_found_newest_first_page_by_page(self, store: Store) -> None:
        """DeadJobs.find: The dead jobs that match, what died last first; `after` is the `next` of the page before."""
        if store.dead is None:
            pytest.skip("the dead do not lie apart")
        for number, job_id in enumerate(("a", "b", "c")):
            put(store, new(job_id))
            (claimed,) = take(store)
            with store.turn("b", NOW + number) as turn:
                turn.jobs.settle(claimed, FAILED, DEAD)

        first = store.dead.find(JobQuery(names=("work",)), limit=2)
        rest = store.dead.find(JobQuery(), limit=2, after=first.next)
        none = store.dead.find(JobQuery(error="other"), limit=2)

        assert [[job.id for job in page.jobs] for page in (first, rest, none)] == [["c", "b"], ["a"], []]
        assert (first.complete, rest.next, none.looked_at) == (True, None, 3)

    def table_of(self, store: Store) -> JobTable:
        """The store's table."""
        self.needs("table")
        assert store.table is not None
        return store.table
