"""Processes and servers that die under load: every accepted job ends, and what is run twice is counted."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from ..faults.kit import SECONDS_MAX, count
from .conftest import own_server
from .kit import Effects, Fleet, Producer, left_in


@pytest.mark.timeout(3600)
def test_workers_and_a_producer_killed_at_random_instants_lose_nothing(tmp_path: Path, url: str) -> None:
    jobs, kills, seed = count(600, 20_000), count(8, 100), random.randrange(2**32)
    chance, effects, began = random.Random(seed), Effects(tmp_path / "effects"), time.monotonic()
    with Fleet(url, effects, tmp_path) as fleet, Producer(url, jobs, tmp_path) as producer:
        fleet.start(4)
        for done in range(kills):
            goal = jobs * (done + 1) // (kills + 1)
            producer.listen(chance.uniform(0.1, 0.7))
            while producer.accepted < goal:
                producer.listen(0.2)
            which = chance.randrange(5)
            if which == 4:
                producer.replace()
            else:
                fleet.replace(which)
        producer.until_idle(SECONDS_MAX)
        effects.until_all_ended(producer.ids, SECONDS_MAX)
        fleet.end()
    assert left_in(url, "work") == 0, f"seed {seed}"
    print(
        f"\n{jobs} jobs, {kills} SIGKILLs over 4 workers and a producer: {effects.repeated()} jobs run to their end "
        f"again, {time.monotonic() - began:.1f} s, seed {seed}"
    )


@pytest.mark.timeout(3600)
def test_a_server_that_is_killed_and_restarted_under_load_loses_nothing(tmp_path: Path) -> None:
    jobs, restarts, seed = count(2_000, 40_000), count(1, 20), random.randrange(2**32)
    chance, effects, began = random.Random(seed), Effects(tmp_path / "effects"), time.monotonic()
    with (
        own_server(tmp_path / "server") as server,
        Fleet(server.url, effects, tmp_path) as fleet,
        Producer(server.url, jobs, tmp_path) as producer,
    ):
        fleet.start(2)
        for done in range(restarts):
            goal = jobs * (done + 1) // (restarts + 1)
            while producer.accepted < goal:
                producer.listen(0.2)
            producer.listen(chance.uniform(0.0, 0.5))
            server.nodes[0].let_sync()
            server.nodes[0].restart(clean=chance.random() < 0.3)
        producer.until_idle(SECONDS_MAX)
        effects.until_all_ended(producer.ids, SECONDS_MAX)
        fleet.end()
        assert left_in(server.url, "work") == 0, f"seed {seed}"
    print(
        f"\n{jobs} jobs, {restarts} restarts of the server: {effects.repeated()} jobs run to their end again, "
        f"{producer.unavailable} calls told StoreUnavailable, {time.monotonic() - began:.1f} s, seed {seed}"
    )
