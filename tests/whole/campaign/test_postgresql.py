"""A share of the campaign on a real PostgreSQL, and that a seed gives the same run again."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from lamplighter.testing.simulation.campaign import campaign
from postgres_workload import REACH, Book, scenario, simulation_of

from ...support.postgresql.fixtures import own_server
from ...support.postgresql.simulated import SETTINGS

SEEDS = int(os.environ.get("LAMPLIGHTER_SEEDS", "2000")) // 100
"""`make torture` runs 100. Each takes as long as dozens on a file."""

REACHED = REACH if SEEDS >= 100 else ("waits for a lock", "cut_session", "conflict", "freed")
"""All that the seeds must have reached; a few seeds do not reach it."""


@pytest.fixture(autouse=True, scope="module")
def server() -> Iterator[None]:
    with own_server(settings=SETTINGS) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMPLIGHTER_POSTGRESQL", server.url)
        yield


@pytest.mark.timeout(300 + 20 * SEEDS)
def test_no_seed_on_postgresql_breaks_a_promise() -> None:
    *_, summary = campaign(scenario, range(SEEDS))

    assert [f"seed {failure.seed}: {failure.says}" for failure in summary.failures] == []
    assert summary.seeds == SEEDS
    assert summary.missed(REACHED) == []


@pytest.mark.timeout(300)
def test_the_same_seed_on_postgresql_gives_the_same_log_byte_for_byte() -> None:
    logs = []
    for _ in range(2):
        with simulation_of(2, Book()) as simulation:
            simulation.run(seconds=3.0)
            logs.append(simulation.log)

    assert logs[0] == logs[1]
    assert logs[0].count("\n") > 100
