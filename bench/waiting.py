"""What do jobs cost that wait for others, as a ratio to the same work without? In one run, by processor time.

python bench/waiting.py [--jobs 10000]

Turns of the store itself, on a file: what is measured is what one runtime's broker has to do, without its threads.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lamplighter.messages.boots import BootRecord
from lamplighter.messages.jobs import JobParent, JobState, NewJob
from lamplighter.messages.outcomes import Outcome, OutcomeKind, Verdict
from lamplighter.rules.limits import Limits
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.sqlite.turn import SqliteTurn
from lamplighter.stores.turn_ports import Want

NOW = 1_000_000.0
ROUNDS = 300
"""Of a small turn: the median is told."""

BATCH = 500
"""Jobs that are queued at once."""

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

    def _work(self, turn: SqliteTurn, jobs: int, name: str, dead: bool) -> None:
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


def say(what: str, seconds: float, count: int, without: float | None = None) -> None:
    """Tell a figure, and its ratio to the same without."""
    ratio = "" if without is None else f"{seconds / without:6.2f} times the same without"
    print(f"{seconds / count * 1e6:10.1f} us  {what}  {ratio}", flush=True)


def idle_links(jobs: int) -> None:
    """What a job pays that waits for nobody, while somewhere one does."""
    with measured() as without, measured() as beside:
        (parent,), _ = beside.queue(1, name="elsewhere")
        beside.queue(1, [parent], name="elsewhere")
        for one in (without, beside):
            one.queue(ROUNDS * jobs * 2)
            one.work(jobs)
        took = [(without.work(jobs), beside.work(jobs)) for _ in range(ROUNDS)]
        plain, with_links = map(statistics.median, zip(*took, strict=True))
        say(f"a turn with {jobs} claims and {jobs} endings", plain, 1)
        say("the same while a job of another name waits", with_links, 1, plain)


def storing(jobs: int) -> None:
    """What it costs to store jobs that wait."""
    with measured() as store:
        parents, plain = store.queue(jobs)
        _, children = store.queue(jobs, parents[:1])
        _, child = store.queue(1, parents)
        say("to store a plain job", plain, jobs)
        say("to store a child of one parent", children, jobs, plain)
        print(f"{child * 1e3:10.1f} ms  to store one job that waits for {jobs:,}")


def fan_out(jobs: int, *, dead: bool) -> None:
    """One parent ends, and so many children follow."""
    with measured() as store:
        (parent,), _ = store.queue(1, name="parent")
        store.queue(jobs, [parent])
        _, plain = store.queue(jobs, name="plain")
        store.work(1, "parent")
        first = store.work(1, "parent", dead=dead)
        rest = store.free_all()
        says = "die with" if dead else "are freed by"
        say(f"of each of {jobs:,} children that {says} one parent", first + sum(rest), jobs, plain)
        print(f"{max(first, *rest) * 1e3:10.1f} ms  the longest of {len(rest) + 1} turns")


def fan_in(jobs: int) -> None:
    """So many parents end, twenty a turn, and one child waits for all of them."""
    with measured() as without, measured() as store:
        parents, _ = store.queue(jobs)
        store.queue(1, parents, name="child")
        without.queue(jobs)
        plain = waited = 0.0
        without.work(20), store.work(20)
        for _ in range(jobs // 20 - 1):
            plain += without.work(20)
            waited += store.work(20)
        say("of each of the parents' turns of 20", waited, jobs // 20, plain)
        print(f"{store.work(20) * 1e3:10.1f} ms  the turn with the last parent's end, and its child freed")


def chain(jobs: int) -> None:
    """Each waits for the one before it."""
    with measured() as without, measured() as store:
        without.queue(jobs)
        last: list[str] = []
        for _ in range(jobs):
            last, _ = store.queue(1, last)
        plain = sum(without.work(1) for _ in range(jobs))
        say("of each link of a chain", sum(store.work(1) for _ in range(jobs)), jobs, plain)


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000, help="how many children, or parents (10000)")
    jobs = parser.parse_args().jobs
    parts: tuple[Callable[[], None], ...] = (
        lambda: idle_links(1),
        lambda: idle_links(20),
        lambda: storing(jobs),
        lambda: fan_out(jobs, dead=False),
        lambda: fan_out(jobs, dead=True),
        lambda: fan_in(jobs),
        lambda: chain(min(jobs, 2_000)),
    )
    for part in parts:
        part()


if __name__ == "__main__":
    main()
