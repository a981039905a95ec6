"""Processes and servers that die under load: every accepted job ends, and what is run twice is counted."""

from __future__ import annotations

import random
import resource
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from lamplighter import Runtime, StoreUnavailable

from ....conftest import Recorder
from ....faults.kit import SECONDS_MAX, Host, count, eventually, now_in
from .conftest import Vhosts
from .kit import Effects, Fleet, Producer, finish, left_in

GROWN_BYTES_MAX = 20_000_000
"""What a host may grow by while its server is away, however long."""

TAKEOVER_SECONDS_MAX = 10.0
"""The longest that slots wait for another runtime to fire them, once their leader's process is dead."""


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
        finish(fleet, producer, effects, SECONDS_MAX)
    assert left_in(url, "work") == 0, f"seed {seed}"
    print(
        f"\n{jobs} jobs, {kills} SIGKILLs over 4 workers and a producer: {effects.repeated()} jobs run to their end "
        f"again, {time.monotonic() - began:.1f} s, seed {seed}"
    )


@pytest.mark.timeout(3600)
def test_a_server_that_is_killed_and_restarted_under_load_loses_nothing(
    tmp_path: Path, vhosts: Vhosts, url: str
) -> None:
    jobs, restarts, seed = count(2_000, 40_000), count(1, 20), random.randrange(2**32)
    chance, effects, began = random.Random(seed), Effects(tmp_path / "effects"), time.monotonic()
    node = vhosts.server.nodes[0]
    with Fleet(url, effects, tmp_path) as fleet, Producer(url, jobs, tmp_path) as producer:
        fleet.start(2)
        for done in range(restarts):
            goal = jobs * (done + 1) // (restarts + 1)
            while producer.accepted < goal:
                producer.listen(0.2)
            node.let_sync()
            node.restart(clean=chance.random() < 0.3)
        finish(fleet, producer, effects, SECONDS_MAX)
    assert left_in(url, "work") == 0, f"seed {seed}"
    print(
        f"\n{jobs} jobs, {restarts} restarts of the server: {effects.repeated()} jobs run to their end again, "
        f"{producer.unavailable} calls told StoreUnavailable, {time.monotonic() - began:.1f} s, seed {seed}"
    )


@pytest.mark.timeout(3600)
def test_a_leader_killed_at_random_instants_leaves_no_second_without_a_slot(tmp_path: Path, url: str) -> None:
    kills, seed = count(3, 50), random.randrange(2**32)
    chance, effects, takeovers = random.Random(seed), Effects(tmp_path / "effects"), list[float]()
    with Fleet(url, effects, tmp_path, "--every-second") as fleet:
        fleet.start(3)
        leader = the_leader(fleet)
        for _ in range(kills):
            slots = len(effects.lines("tick"))
            eventually(lambda: len(effects.lines("tick")) > slots, what="a slot")  # noqa: B023
            fleet.hosts[leader].lines_until(now_in(chance.uniform(0.0, 1.5)))
            began = time.monotonic()
            fleet.replace(leader)
            leader = the_leader(fleet)
            takeovers.append(time.monotonic() - began)
        slots = len(effects.lines("tick"))
        eventually(lambda: len(effects.lines("tick")) > slots + 1, what="two slots more")
        fleet.end()
    told = Counter(float(slot) for _, slot, _ in effects.lines("tick"))
    seconds = range(int(min(told)), int(max(told)) + 1)
    missing = [second for second in seconds if second not in told]
    print(
        f"\n{kills} leaders killed: another led after {max(takeovers):.2f} s at most, {len(seconds)} slots, "
        f"{sum(told.values()) - len(told)} run twice, seed {seed}"
    )
    assert not missing, f"seed {seed}: no job for {missing} of {seconds}"
    assert max(takeovers) < TAKEOVER_SECONDS_MAX


def the_leader(fleet: Fleet) -> int:
    """Which of the hosts says that it leads, as soon as one does."""
    found: list[int] = []

    def look() -> bool:
        for which, host in enumerate(fleet.hosts):
            if "leads" in _said(host):
                found.append(which)
        return bool(found)

    eventually(look, what="a leader")
    return found[-1]


def _said(host: Host) -> list[str]:
    return host.lines_until(now_in(0.0))


@pytest.mark.timeout(900)
def test_a_server_that_is_away_for_long_costs_no_memory_and_is_found_again_soon(
    vhosts: Vhosts, url: str, runtime: Callable[..., Runtime], recorder: Recorder
) -> None:
    away_seconds, node = count(3, 300), vhosts.server.nodes[0]
    one = runtime(url, reply_seconds_max=0.5)
    one.jobs.add_handler("work", lambda job: job.data)
    one.jobs.join(one.jobs.queue("work", 0), timeout=SECONDS_MAX)
    node.let_sync()

    node.kill()
    recorder.wait_for("store.unavailable")
    before, until, refused, slowest = resident_bytes(), time.monotonic() + away_seconds, 0, 0.0
    while time.monotonic() < until:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            one.jobs.queue("work", "x" * 100_000)
        refused, slowest = refused + 1, max(slowest, time.monotonic() - began)
    grown = resident_bytes() - before
    node.start()
    began = time.monotonic()
    recorder.wait_for("store.available", timeout=SECONDS_MAX)
    healed = time.monotonic() - began

    assert one.jobs.join(one.jobs.queue("work", 1), timeout=SECONDS_MAX).result == 1
    print(
        f"\naway for {away_seconds} s: {refused} calls refused, the slowest after {slowest:.2f} s, "
        f"{grown / 1e6:.1f} MB more; working again {healed:.2f} s after the server"
    )
    assert grown < GROWN_BYTES_MAX


def resident_bytes() -> int:
    """What this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
