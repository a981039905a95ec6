"""Three nodes: one that leads a queue is killed under load, hangs, or is cut off from the others, and comes back."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lamplighter import Runtime

from ....faults.kit import TORTURE, count, eventually
from .conftest import own_server, skip_or_fail
from .kit import Effects, Fleet, Producer, finish, left_in
from .network import Network, NoNetwork
from .server import Node, Server

pytestmark = pytest.mark.skipif(not TORTURE, reason="takes three servers and some minutes; set LAMPLIGHTER_TORTURE=1")

PAUSE_SECONDS_MAX = ENDED_SECONDS_MAX = 400.0
"""Retries that were on their way down the ladder when a node died have been seen to come more than a minute late."""

ANOTHER_SECONDS_MAX = 60.0
"""A runtime looks for the node of its results for ten seconds, and for whatever else is slow on a busy machine."""

CUT_JOBS, CUTS = 10_000, 2
"""How many jobs are on their way while nodes are cut off, and how often one is: each cut may take minutes."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Three nodes on the loopback."""
    # The detector of dead nodes: a node that is stopped, and not dead, is found by it alone.
    with own_server(tmp_path_factory.mktemp("cluster"), nodes=3, configuration="net_ticktime = 5") as server:
        yield server


@pytest.fixture(scope="module")
def parted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Network]]:
    """Three nodes, each in a network namespace of its own."""
    with contextlib.ExitStack() as stack:
        try:
            network = stack.enter_context(Network(3))
        except NoNetwork as error:
            skip_or_fail(error)
        folder = tmp_path_factory.mktemp("parted")
        server = own_server(folder, nodes=3, configuration="net_ticktime = 5", places=network.places)
        yield stack.enter_context(server), network


def url_of(server: Server) -> str:
    """All nodes: a runtime takes any of them."""
    nodes = ",".join(f"{node.address}:{node.port}" for node in server.nodes)
    return f"amqp://guest:guest@{nodes}/?heartbeat=5"


def leader_of(server: Server, queue: str) -> Node:
    """The node that leads a queue."""
    for line in server.nodes[0].ctl("list_queues", "name", "leader").splitlines():
        name, _, leader = line.partition("\t")
        if name == queue:
            return next(node for node in server.nodes if node.name == leader)
    raise AssertionError(f"no queue {queue}")


@pytest.mark.timeout(1800)
def test_a_queues_leading_node_that_is_killed_under_load_loses_nothing_confirmed(
    cluster: Server, tmp_path: Path
) -> None:
    jobs, effects = count(3_000, 30_000), Effects(tmp_path / "effects")
    kills, pauses = count(1, 6), list[float]()
    with Fleet(url_of(cluster), effects, tmp_path) as fleet, Producer(url_of(cluster), jobs, tmp_path) as producer:
        fleet.start(2)
        for done in range(kills):
            while producer.accepted < jobs * (done + 1) // (kills + 2):
                producer.listen(0.2)
            node = leader_of(cluster, "lamplighter.job.work")
            before = len(effects.lines("end"))
            node.kill()
            began = time.monotonic()
            enough = min(before + 50, jobs)
            eventually(lambda: len(effects.lines("end")) >= enough, PAUSE_SECONDS_MAX, what="work after the kill")  # noqa: B023
            pauses.append(time.monotonic() - began)
            node.start()
        finish(fleet, producer, effects, ENDED_SECONDS_MAX)
    assert left_in(cluster.nodes[0].url, "work") == 0
    print(
        f"\n{jobs} jobs, {kills} leaders of the queue killed: 50 more jobs had ended "
        f"{', '.join(f'{pause:.1f}' for pause in pauses)} s after each, {effects.repeated()} jobs run again"
    )


@pytest.mark.timeout(300)
def test_a_runtime_whose_node_is_killed_and_stays_away_goes_on_with_another(cluster: Server) -> None:
    with Runtime(url_of(cluster), reply_seconds_max=ANOTHER_SECONDS_MAX) as runtime:
        runtime.jobs.add_handler("own", lambda job: job.data)
        before = runtime.jobs.join(runtime.jobs.queue("own", 1), timeout=ANOTHER_SECONDS_MAX)
        (node,) = {node for node in cluster.nodes if node.name in cluster.nodes[0].ctl("list_connections", "pid")}
        node.kill()
        began = time.monotonic()
        try:
            after = runtime.jobs.join(runtime.jobs.queue("own", 2), timeout=ANOTHER_SECONDS_MAX)
            pause = time.monotonic() - began
        finally:
            node.start()
    print(f"\nthe node that had the connection killed: another job had ended {pause:.1f} s later")
    assert (before.result, after.result) == (1, 2)


@pytest.mark.timeout(1800)
def test_a_node_that_hangs_is_left_behind_and_nothing_confirmed_is_lost(cluster: Server, tmp_path: Path) -> None:
    jobs, effects, chance = count(2_000, 20_000), Effects(tmp_path / "effects"), random.Random()
    with Fleet(url_of(cluster), effects, tmp_path) as fleet, Producer(url_of(cluster), jobs, tmp_path) as producer:
        fleet.start(2)
        while producer.accepted < jobs // 3:
            producer.listen(0.2)
        node = chance.choice(cluster.nodes)
        node.signal(signal.SIGSTOP)
        before, began = len(effects.lines("end")), time.monotonic()
        try:
            enough = min(before + 200, jobs)
            eventually(lambda: len(effects.lines("end")) >= enough, PAUSE_SECONDS_MAX, what="work beside it")
        finally:
            node.signal(signal.SIGCONT)
        pause = time.monotonic() - began
        finish(fleet, producer, effects, ENDED_SECONDS_MAX)
    assert left_in(cluster.nodes[0].url, "work") == 0
    print(f"\n{jobs} jobs, one node hung for {pause:.1f} s: {effects.repeated()} jobs run again")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("whom", ["its peers", "everybody"])
def test_a_queues_leading_node_that_is_cut_off_under_load_loses_nothing_confirmed(
    parted: tuple[Server, Network], whom: str, tmp_path: Path
) -> None:
    cluster, network = parted
    cut, mend = (network.part, network.unite) if whom == "its peers" else (network.isolate, network.connect)
    effects, pauses, others = Effects(tmp_path / "effects"), list[float](), list[float]()
    with Fleet(url_of(cluster), effects, tmp_path) as fleet, Producer(url_of(cluster), CUT_JOBS, tmp_path) as producer:
        fleet.start(2)
        for done in range(CUTS):
            while producer.accepted < CUT_JOBS * (done + 1) // (CUTS + 2):
                producer.listen(0.2)
            number = cluster.nodes.index(leader_of(cluster, "lamplighter.job.work"))
            # What it has accepted while nobody listened was accepted before.
            producer.listen(0.2)
            before, accepted, began = len(effects.lines("end")), producer.accepted, time.monotonic()
            cut(number)
            try:
                enough = min(before + 50, CUT_JOBS)
                eventually(lambda: len(effects.lines("end")) >= enough, PAUSE_SECONDS_MAX, what="work beside the cut")  # noqa: B023
                pauses.append(time.monotonic() - began)
                while producer.accepted == accepted and producer.accepted < CUT_JOBS:
                    producer.listen(0.2)
                others.append(time.monotonic() - began)
                # Long enough for the others to have noticed, and for what was cut off to have stopped.
                eventually(lambda: len(running(cluster, 1 if number == 0 else 0)) == 2, what="two nodes")  # noqa: B023
            finally:
                mend(number)
            eventually(lambda: len(running(cluster, number)) == 3, PAUSE_SECONDS_MAX, what="a whole cluster")  # noqa: B023
        finish(fleet, producer, effects, ENDED_SECONDS_MAX)
    assert left_in(cluster.nodes[0].url, "work") == 0
    print(
        f"\n{CUT_JOBS} jobs, {CUTS} leaders of the queue cut off from {whom}: 50 more jobs had ended "
        f"{', '.join(f'{pause:.1f}' for pause in pauses)} s after each, another was accepted after "
        f"{', '.join(f'{pause:.1f}' for pause in others)} s; {effects.repeated()} jobs run again"
    )


RUNNING = 'io:format("~s", [lists:join(" ", [atom_to_list(Node) || Node <- rabbit_nodes:list_running()])]).'


def running(server: Server, number: int) -> list[str]:
    """The nodes that one of them sees; none while it is stopped itself."""
    try:
        return server.nodes[number].ctl("eval", RUNNING).splitlines()[0].split()
    except RuntimeError:
        return []
