"""The campaign of hosts on a real PostgreSQL: two or three processes, whose turns overlap statement by statement.

LAMPLIGHTER_POSTGRESQL=postgresql://... python -m lamplighter simulate postgres_workload:scenario --seeds 200

Each process of the campaign makes a schema of its own in that database. On a server with `SETTINGS`, and with one
process at a time, a seed gives the same run again. With the variable set, `workload:scenario` has its hosts there too:
they do all that there is, and take a hundred times as long as on a file.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from functools import partial

import paths  # noqa: F401 (first: by it support is found)
from lamplighter import Debounce, Job, JobSpec, LamplighterError, Rate, Runtime
from lamplighter.testing import Simulation
from weave import address_of, in_own_transaction

from support.postgresql.simulated import OF_A_SERVER, PostgresFaults, SimulatedPostgres

FAMILIES = 2
"""How many families of jobs each process queues."""

SECONDS = 5.0
"""Virtual time with faults."""

TROUBLES = {
    "none": PostgresFaults(),
    "sessions": PostgresFaults(cut_session=0.01),
    "conflicts": PostgresFaults(conflict=0.02),
    "kills": PostgresFaults(kill_process=0.003),
    "restarts": PostgresFaults(restart_server=0.003, kill_process=0.001),
    "rows": PostgresFaults(lose_row=0.02, lose_lock=0.02),
    "people": PostgresFaults(operator=0.03, conflict=0.005),
    "all": PostgresFaults(
        cut_session=0.004,
        conflict=0.006,
        kill_process=0.001,
        restart_server=0.001,
        crash_actor=0.002,
        crash_handler=0.01,
        clock_jump=0.001,
        lost_hint=0.2,
        operator=0.01,
    ),
}

REACH = (
    *OF_A_SERVER,
    "kill_process",
    "lose_row",
    "waits for a lock",
    "lock timeout",
    "store.waiting",
    "runtime.recovered",
    "operator acted",
    "freed",
    "own transaction",
)
"""A campaign that never reached one of these has not tested it."""


class Book:
    """What the hosts of one simulation have done.

    Attributes:
        done: ids of the parts whose function has come to its end.
        wrong: what must not be.
    """

    def __init__(self) -> None:
        self.done: set[str] = set()
        self.wrong: list[str] = []
        self.reached: Counter[str] = Counter()


def register(runtime: Runtime, book: Book) -> None:
    jobs = runtime.jobs

    def part(job: Job[int]) -> int:
        if job.data % 3 == 0 and job.attempt == 1:
            raise ValueError("once")
        job.sleep(0.02)
        book.done.add(job.id)
        return job.data

    def merge(job: Job[list[str]]) -> None:
        book.reached["freed"] += 1
        if missing := set(job.data) - book.done:
            book.wrong.append(f"{job.id} began before the end of {missing}")

    options = {"max_attempts": 50, "backoff": [0.2]}
    jobs.add_handler("part", part, concurrency=3, **options)
    jobs.add_handler("merge", merge, **options)
    jobs.add_handler("total", lambda job: job.sleep(0.05), concurrency_total=2, concurrency=2, **options)
    jobs.add_handler("grouped", lambda job: job.sleep(0.05), concurrency_per_group=1, concurrency=2, **options)
    jobs.add_handler("rated", lambda job: None, rate=Rate(4, per=1, burst=2), **options)
    jobs.add_handler("called", lambda job: None, **options)
    jobs.add_handler("tick", lambda job: None, **options)
    runtime.scheduler.add("tick", "*/5 * * * * *", catch_up="all", overlap="queue_one")


def host(runtime: Runtime, book: Book) -> None:
    """Queue the families, each again until the store has answered."""
    chance, who = runtime.environment.chance(), runtime.environment.new_id()[:6]
    for number in range(FAMILIES):
        parts = [f"{who}-{number}-part{one}" for one in range(2)]
        family = [
            *(JobSpec(name="part", data=place, id=one) for place, one in enumerate(parts)),
            JobSpec(name="merge", data=parts, id=f"{who}-{number}-merge", after=parts),
            JobSpec(name="total", data=None, id=f"{who}-{number}-total"),
            *(JobSpec(name="grouped", data=None, id=f"{who}-{number}-{one}", group=f"g{one}") for one in range(2)),
            JobSpec(name="rated", data=None, id=f"{who}-{number}-rated"),
        ]
        call = JobSpec(name="called", data=who, debounce=Debounce("all", quiet=0.5, at_most=2.0))
        _insist(runtime, partial(runtime.jobs.queue_many, family))
        _insist(runtime, partial(runtime.jobs.queue_many, [call]))
        address = address_of(runtime)
        if address is not None and chance.random() < 0.5:
            queue = partial(runtime.jobs.queue, "part", 1, id=f"{who}-{number}-own", after=parts[:1])
            book.reached["own transaction"] += in_own_transaction(address, queue)
        if chance.random() < 0.3:
            _insist(runtime, partial(runtime.jobs.requeue, f"{who}-{number}-part0"))
        runtime.environment.event().wait(chance.uniform(0.0, 2.0))


def _insist(runtime: Runtime, call: object) -> None:
    for _ in range(20):
        try:
            call()  # type: ignore[operator]
            return
        except LamplighterError:
            runtime.environment.event().wait(0.3)


def simulation_of(seed: int, book: Book) -> Simulation:
    """Half of the seeds have all troubles at once, and the others one after another."""
    name = list(TROUBLES)[seed // 2 % len(TROUBLES)] if seed % 2 else "all"
    return Simulation(
        partial(register, book=book),
        host=partial(host, book=book),
        seed=seed,
        faults=TROUBLES[name],
        processes=random.Random(seed).choice((2, 2, 3)),
        server=partial(SimulatedPostgres, url=os.environ["LAMPLIGHTER_POSTGRESQL"]),
        restarts_max=10_000,
    )


def scenario(seed: int) -> Counter[str]:
    """One simulation, checked."""
    book = Book()
    with simulation_of(seed, book) as simulation:
        simulation.run(seconds=SECONDS)
        simulation.check()
        assert not book.wrong, book.wrong[0]
        return simulation.reached + book.reached
