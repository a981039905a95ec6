"""Jobs that wait for others, in the store: random histories of ends and requeues, held against the rule itself.

Where one turn looks at one link, the next at another, and in between parents end, are queued again or are removed, what
becomes of a job in the end must be what the ends of its parents say.
"""

from __future__ import annotations

import random

import pytest
from lamplighter.errors import KeyTaken
from lamplighter.messages.jobs import ENDED, FAILED_END, JobParent, JobRecord, JobState, NewJob
from lamplighter.rules.lifecycle import fate
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.tables.turn import TableTurn

from ...support.conformance.kit import DEAD, DONE, FAILED, NOW, SUCCEEDED, a_boot, new, want

HISTORIES = 60
"""Each on a store of its own."""

TURNS = 60
"""Of one history."""


class History:
    """One history: in each turn one or two things happen, and some links are looked at."""

    def __init__(self, store: SqliteStore, seed: int) -> None:
        self.store, self.chance = store, random.Random(seed)
        self.now, self.jobs = NOW, 0
        with store.turn("b", NOW) as turn:
            turn.boots.register(a_boot("b"))

    def run(self) -> None:
        most = self.chance.choice((1, 2, 3, 100))
        for _ in range(TURNS):
            self.now += 1.0
            with self.store.turn("b", self.now) as turn:
                for _ in range(self.chance.choice((1, 1, 2))):
                    self.chance.choice((self.queue, self.queue, self.end, self.end, self.requeue, self.leave))(turn)
                self.free(turn, most)
        while True:
            with self.store.turn("b", self.now) as turn:
                if not self.free(turn, most):
                    break
        self.check()

    def free(self, turn: TableTurn, most: int) -> bool:
        before = len(turn.transitions)
        assert turn.links is not None
        more = turn.links.free(most)
        # A fate may change once more in the same turn; what was freed stays so.
        for moved in turn.transitions[before:]:
            if moved.event == "job.freed":
                ends = self.ends(turn, moved.job)
                assert fate(ends) == JobState.QUEUED, f"{moved.job.id} was freed by {ends}"
        return more

    def queue(self, turn: TableTurn) -> None:
        known = [f"j{number}" for number in range(self.jobs)]
        parents = self.chance.sample(known, min(len(known), self.chance.choice((0, 1, 1, 2, 3))))
        links = tuple(JobParent(job_id, any_end=self.chance.choice((0, 0, 0, 1, FAILED_END))) for job_id in parents)
        job: NewJob = new(f"j{self.jobs}", run_at=self.now, queued_at=self.now, parents=links)
        turn.jobs.insert([job])
        self.jobs += 1

    def end(self, turn: TableTurn) -> None:
        for claim in turn.jobs.claim([want()], suspect=False).claims["work"]:
            assert not claim.job.is_linked
            outcome, verdict = self.chance.choice(((SUCCEEDED, DONE), (FAILED, DEAD)))
            assert turn.jobs.settle(claim.job, outcome, verdict) is not None

    def requeue(self, turn: TableTurn) -> None:
        job = self.any(turn)
        if job is None or job.state == JobState.RUNNING:
            return
        assert turn.links is not None
        if job.state in ENDED and self.chance.random() < 0.5 and turn.links.wait_again(job) is not None:
            return
        turn.jobs.requeue(job, self.now)

    def leave(self, turn: TableTurn) -> None:
        job = self.any(turn)
        if job is not None and job.state == JobState.QUEUED:
            assert turn.queued is not None
            self.chance.choice((lambda: turn.queued.cancel(job, "c"), lambda: turn.queued.finish(job, "7")))()

    def any(self, turn: TableTurn) -> JobRecord | None:
        job_id = f"j{self.chance.randrange(self.jobs)}" if self.jobs else ""
        return turn.jobs.get((job_id,)).get(job_id)

    def ends(self, turn: TableTurn, job: JobRecord) -> list[tuple[str, int]]:
        return turn.connection.execute(
            """select p.state, l.any_end from lamplighter_links l join lamplighter_jobs p on p.no = l.parent
               where l.child = ?""",
            (job.row_id,),
        ).fetchall()

    def check(self) -> None:
        """Who waits has somebody to wait for, and who has shared a fate shares it still."""
        with self.store.turn("b", self.now) as turn:
            for number in range(self.jobs):
                job = turn.jobs.get((f"j{number}",))[f"j{number}"]
                ends = self.ends(turn, job)
                if job.is_linked and job.state == JobState.QUEUED:
                    assert not all(state in ENDED for state, _ in ends), f"{job.id} is left waiting by {ends}"
                elif job.is_linked:
                    wanted = JobState.CANCELLED if fate(ends) == JobState.DONE else fate(ends)
                    assert wanted == job.state, f"{job.id} is {job.state}, and its parents {ends}"


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_whatever_happens_in_whatever_turns_the_rule_holds(store: SqliteStore, seed: int) -> None:
    History(store, seed).run()


def test_a_key_that_is_taken_keeps_one_child_from_being_revived_and_no_other(store: SqliteStore) -> None:
    with store.turn("b", NOW) as turn:
        turn.boots.register(a_boot("b"))
        turn.jobs.insert([new("p")])
        links = (JobParent("p"),)
        turn.jobs.insert([new("with", parents=links, unique_key="k"), new("without", parents=links)])
        (claim,) = turn.jobs.claim([want()], suspect=False).claims["work"]
        turn.jobs.settle(claim.job, FAILED, DEAD)
        assert turn.links is not None
        assert not turn.links.free(100)
        turn.jobs.insert([new("holder", unique_key="k")])

    with store.turn("b", NOW + 1) as turn:
        turn.jobs.requeue(turn.jobs.get(("p",))["p"], NOW + 1)
        assert turn.links is not None
        assert not turn.links.free(100)
        found = turn.jobs.get(("with", "without"))
        news = turn.news

    assert [(found[one].state, found[one].waits) for one in ("with", "without")] == [("dead", 0), ("queued", 2)]
    assert [(event, fields["asked_id"], fields["job_id"]) for event, fields in news] == [
        ("job.deduplicated", "with", "holder")
    ]
    with store.turn("b", NOW + 2) as turn, pytest.raises(KeyTaken):
        turn.jobs.requeue(turn.jobs.get(("with",))["with"], NOW + 2)
