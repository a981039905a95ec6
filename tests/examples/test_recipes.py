"""What docs/recipes.md says of crashes, where a page that runs once cannot show it."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from lamplighter import Job, Runtime, Snooze
from lamplighter.testing import Faults, Simulation

CRASHES = Faults(crash_actor=0.005, kill_process=0.005)


def register(runtime: Runtime) -> None:
    """The chain, the fan-out and the mails about dead jobs, as the page has them."""
    jobs, chance = runtime.jobs, random.Random(7)

    def download(job: Job[int]) -> None:
        job.sleep(chance.random())
        job.queue("unpack", job.data, id=f"{job.id} unpack")
        job.sleep(chance.random())

    def album(job: Job[list[int]]) -> int:
        parts = [job.queue("square", number, id=f"{job.id} {number}") for number in job.data]
        job.sleep(chance.random())
        if any(part.state != "done" for part in parts):
            raise Snooze(1)
        return sum(part.result for part in parts)

    def square(job: Job[int]) -> int:
        job.sleep(chance.random())
        return int(job.data**2)

    def refuse(job: Job[int]) -> None:
        raise ValueError(job.data)

    def report_dead(job: Job[None]) -> None:
        for dead in jobs.list(state="dead", limit=1000):
            if dead.ended_at is not None and dead.ended_at > job.queued_at - timedelta(hours=12):
                job.queue("mail-admin", dead.id, id=f"{dead.id} died {dead.ended_at.isoformat()}")

    # So many crashes would make poison of some.
    for fn in (download, album, refuse, report_dead):
        jobs.add_handler(fn.__name__, fn, interruptions_max=1000, discard_on=ValueError)
    jobs.add_handler("square", square, interruptions_max=1000, concurrency=4)
    for name in ("unpack", "mail-admin"):
        jobs.add_handler(name, lambda job: job.data, interruptions_max=1000)
    runtime.scheduler.add("report_dead", "*/5 * * * *")


@pytest.mark.parametrize("seed", range(4))
def test_what_jobs_queue_is_there_once_however_often_they_are_interrupted(seed: int) -> None:
    queued: list[str] = []

    def host(runtime: Runtime) -> None:
        for number in range(5):
            for name, data in (("download", number), ("album", [10, 20, number]), ("refuse", number)):
                queued.append(runtime.jobs.queue(name, data, id=f"{name}-{number}").id)

    with Simulation(register, seed=seed, faults=CRASHES, host=host) as simulation:
        simulation.run(minutes=20)
        simulation.settle()
        jobs = simulation.runtime.jobs
        counts = {name: jobs.counts(name) for name in ("unpack", "album", "square", "mail-admin")}
        results = [jobs.get(f"album-{number}").result for number in range(5)]
        simulation.check()
        struck = simulation.reached["kill_process"] + simulation.reached["crash_actor"]

    assert {name: count["done"] for name, count in counts.items()} == {
        "unpack": 5,
        "album": 5,
        "square": 15,
        "mail-admin": 5,
    }
    assert [sum(count.values()) for count in counts.values()] == [5, 5, 15, 5]
    assert results == [500 + number**2 for number in range(5)]
    assert struck > 0
