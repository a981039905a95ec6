"""What do jobs cost that wait for others, as a ratio to the same work without? In one run, by processor time.

python bench/waiting.py [--jobs 10000]

Turns of the store itself, on a file: what is measured is what one runtime's broker has to do, without its threads.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lamplighter.messages.boots import BootRecord
from lamplighter.messages.jobs import JobParent, JobState, NewJob
from lamplighter.messages.outcomes import Outcome, OutcomeKind, Verdict
from lamplighter.rules.limits import Limits
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.tables.turn import TableTurn
from lamplighter.stores.turn_ports import Want

NOW = 1_000_000.0
ROUNDS = 300
"""Of a small turn: the median is told."""

BATCH = 500
"""Jobs that are queued at once."""

CHAIN_MAX = 2_000
"""Links of a chain."""

SUCCEEDED = Outcome(kind=OutcomeKind.SUCCEEDED, result="7")
DONE = Verdict(state=JobState.DONE, event="job.done", reason=None, attempt=1)
FAILED = Outcome(kind=OutcomeKind.FAILED, error="E")
DEAD = Verdict(state=JobState.DEAD, event="job.dead", reason="failed", attempt=1)


class Measured:
    """One store, and what is done to it in turns."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteStore(str(folder / "jobs.db"), durability="os")
        self.store.open()
        self.jobs = 0
        with self.store.turn("b", NOW) as turn:
            turn.boots.register(BootRecord(boot="b", pid=1, host="h", started_at=NOW, hint=None, names=[]))

    def queue(self, number: int, parents: Sequence[str] = (), name: str = "work") -> tuple[list[str], float]:
        """Queue so many jobs; their ids, and the seconds that it took."""
        links = tuple(map(JobParent, parents))
        ids = [f"j{self.jobs + one}" for one in range(number)]
        self.jobs += number
        began = time.thread_time()
        for first in range(0, number, BATCH):
            some = [NewJob(one, name, "null", 0, NOW, NOW, one, parents=links) for one in ids[first : first + BATCH]]
            with self.store.turn("b", NOW) as turn:
                turn.jobs.insert(some)
                assert turn.links is not None
                turn.links.judge_births()
        return ids, time.thread_time() - began

    def work(self, jobs: int, name: str = "work", *, dead: bool = False) -> float:
        """One turn: end what runs, free what waits, claim so many; the seconds that it took."""
        began = time.thread_time()
        with self.store.turn("b", NOW) as turn:
            self._work(turn, jobs, name, dead)
        return time.thread_time() - began

    def _work(self, turn: TableTurn, jobs: int, name: str, dead: bool) -> None:
        ended = (FAILED, DEAD) if dead else (SUCCEEDED, DONE)
        for job in turn.jobs.open_claims("b", name):
            turn.jobs.settle(job, *ended)
        assert turn.links is not None
        turn.links.free(Limits().freed_links_max)
        turn.jobs.claim([Want(name, "b", 1, jobs, 0, 3)], suspect=False)

    def free_all(self) -> list[float]:
        """Pass on what has ended, in as many turns as that takes: the seconds of each."""
        took: list[float] = []
        while True:
            began = time.thread_time()
            with self.store.turn("b", NOW) as turn:
                assert turn.links is not None
                is_more = turn.links.free(Limits().freed_links_max)
            took.append(time.thread_time() - began)
            if not is_more:
                return took


@contextmanager
def measured() -> Iterator[Measured]:
    """A store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        one = Measured(Path(folder))
        try:
            yield one
        finally:
            one.store.close()


class Cost(NamedTuple):
    """What something costs, beside the same without.

    Attributes:
        seconds: of the processor, for each.
        times: how many times the same without that is; None where there is none.
        longest: the seconds of the longest of its turns, where there are several.
    """

    says: str
    seconds: float
    times: float | None = None
    longest: float | None = None


def idle_links(jobs: int, rounds: int = ROUNDS) -> Cost:
    """What a job pays that waits for nobody, while somewhere one does."""
    with measured() as without, measured() as beside:
        (parent,), _ = beside.queue(1, name="elsewhere")
        beside.queue(1, [parent], name="elsewhere")
        for one in (without, beside):
            one.queue(rounds * jobs * 2)
            one.work(jobs)
        took = [(without.work(jobs), beside.work(jobs)) for _ in range(rounds)]
    plain, with_links = map(statistics.median, zip(*took, strict=True))
    says = f"a turn with {jobs} claims and {jobs} endings, while a job of another name waits"
    return Cost(says, with_links, with_links / plain)


def storing(jobs: int) -> tuple[Cost, Cost]:
    """What it costs to store jobs that wait."""
    with measured() as store:
        parents, plain = store.queue(jobs)
        _, children = store.queue(jobs, parents[:1])
        _, child = store.queue(1, parents)
    return (
        Cost("to store a child of one parent", children / jobs, children / plain),
        Cost(f"to store one job that waits for {jobs:,}", child),
    )


def fan_out(jobs: int, *, dead: bool) -> Cost:
    """One parent ends, and so many children follow."""
    with measured() as store:
        (parent,), _ = store.queue(1, name="parent")
        store.queue(jobs, [parent])
        _, plain = store.queue(jobs, name="plain")
        store.work(1, "parent")
        first = store.work(1, "parent", dead=dead)
        turns = [first, *store.free_all()]
    what = "die with" if dead else "are freed by"
    says = f"each of {jobs:,} children that {what} one parent, in {len(turns)} turns, next to storing a plain job"
    return Cost(says, sum(turns) / jobs, sum(turns) / plain, max(turns))


def fan_in(jobs: int) -> tuple[Cost, Cost]:
    """So many parents end, twenty a turn, and one child waits for all of them."""
    with measured() as without, measured() as store:
        parents, _ = store.queue(jobs)
        store.queue(1, parents, name="child")
        without.queue(jobs)
        plain = waited = 0.0
        without.work(20), store.work(20)
        turns = max(1, jobs // 20 - 1)
        for _ in range(turns):
            plain += without.work(20)
            waited += store.work(20)
        last = store.work(20)
    return (
        Cost("a turn in which 20 parents of one job end", waited / turns, waited / plain),
        Cost("the turn with the last parent's end, and its child freed", last),
    )


def chain(jobs: int) -> Cost:
    """Each waits for the one before it."""
    with measured() as without, measured() as store:
        without.queue(jobs)
        last: list[str] = []
        for _ in range(jobs):
            last, _ = store.queue(1, last)
        plain = sum(without.work(1) for _ in range(jobs))
        linked = sum(store.work(1) for _ in range(jobs))
    return Cost("each link of a chain", linked / jobs, linked / plain)


def costs(jobs: int) -> Iterator[Cost]:
    """All of it, with so many children, or parents."""
    yield idle_links(1)
    yield idle_links(20)
    yield from storing(jobs)
    yield fan_out(jobs, dead=False)
    yield fan_out(jobs, dead=True)
    yield from fan_in(jobs)
    yield chain(min(jobs, CHAIN_MAX))


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000, help="how many children, or parents (10000)")
    for one in costs(parser.parse_args().jobs):
        times = "" if one.times is None else f"  {one.times:.2f} times the same without"
        longest = "" if one.longest is None else f"  the longest turn {one.longest * 1e3:.1f} ms"
        print(f"{one.seconds * 1e6:10.1f} us  {one.says}{times}{longest}", flush=True)


if __name__ == "__main__":
    main()
