"""As SQLite tests itself: the first call of the store fails, then the second alone, and so on until there is none left.

https://sqlite.org/testing.html#i_o_error_testing
"""

from __future__ import annotations

import itertools

import pytest
from lamplighter import Job, Runtime, StoreUnavailable
from lamplighter.testing import Simulation

IO_ERROR = "sqlite3.OperationalError: disk I/O error"
CALLS = [
    *((point, IO_ERROR) for point in ("store.turn.begin", "store.turn.commit", "store.turn.committed", "store.read")),
    *((point, "SystemExit: made to") for point in ("actor.receive", "actor.received", "broker.let_out")),
]
CALLS_MIN = 3
"""A run that made fewer has tested little."""


def register(runtime: Runtime) -> None:
    runtime.jobs.add_handler("work", work, concurrency=2, backoff=[1])
    runtime.scheduler.add("work", "*/20 * * * * *", 1)


def work(job: Job) -> object:
    if job.data == 2 and job.attempt == 1:
        raise ValueError("the first attempt fails")
    return job.data


def host(runtime: Runtime) -> None:
    for number in range(4):
        for _ in range(50):
            try:
                runtime.jobs.queue("work", number, id=f"job-{number}")
                break
            except StoreUnavailable:
                runtime.environment.event().wait(0.5)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("point", "error"), CALLS, ids=[point for point, _ in CALLS])
def test_whichever_call_fails_alone_nothing_is_lost(point, error):
    for number in itertools.count():
        armed = f"{point}={number}*off->1*raise({error})->off"
        with Simulation(register, host=host, failpoints=armed) as simulation:
            simulation.run(minutes=1)
            simulation.check()
            jobs = [simulation.runtime.jobs.get(f"job-{n}") for n in range(4)]

            assert [job.result for job in jobs] == [0, 1, 2, 3], f"call {number} of {point} failed"
            if not simulation.reached["failpoint"]:
                break

    assert number >= CALLS_MIN
