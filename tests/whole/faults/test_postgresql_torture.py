"""Hosts on a PostgreSQL that are cut off, and one whose standby takes over. Only `make torture` runs these."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ...faults.kit import TORTURE, eventually, now_in
from ...support.postgresql.fixtures import own_server
from ...support.postgresql.server import PASSWORD, ROLE, Server
from .test_postgresql import Crowd, Place

pytestmark = [
    pytest.mark.skipif(not TORTURE, reason="make torture runs it"),
    pytest.mark.timeout(3600),
]

HOSTS, KILLS, RESTARTS, CUTS = 4, 100, 50, 20

CUT_SECONDS_MAX = 4.0
"""Shorter than what a runtime may be away before others take it for dead."""

NETWORK = "10.231"


def ip(*words: str) -> None:
    subprocess.run(("ip", *words), check=True, capture_output=True, text=True)


@pytest.fixture
def namespaces() -> Iterator[list[str]]:
    """Namespaces of the network, each with a link of its own to the server's."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("only root can make namespaces of the network, with `ip`")
    names = [f"lamplighter-{os.getpid()}-{number}" for number in range(HOSTS)]
    with ExitStack() as stack:
        for number, name in enumerate(names):
            try:
                ip("netns", "add", name)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"no namespaces of the network can be made here: {error.stderr}")
            stack.callback(ip, "netns", "del", name)
            ip("link", "add", link_of(number), "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("address", "add", f"{NETWORK}.{number}.1/24", "dev", link_of(number))
            ip("link", "set", link_of(number), "up")
            ip("-n", name, "address", "add", f"{NETWORK}.{number}.2/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names


def link_of(number: int) -> str:
    return f"ll{os.getpid() % 10_000}x{number}"


def wait(seconds: float) -> None:
    threading.Event().wait(seconds)


def test_hosts_that_are_killed_and_cut_off_lose_nothing_and_bury_nobody_who_lives(
    tmp_path: Path, namespaces: list[str]
) -> None:
    seed = random.randrange(2**32)
    chance, began = random.Random(seed), time.monotonic()
    tmp_path.chmod(0o755)
    with own_server(settings={"listen_addresses": "*"}) as server, ExitStack() as stack:
        server.allow(f"host all all {NETWORK}.0.0/16 scram-sha-256")
        places: list[Place] = [
            (server.url.replace("127.0.0.1", f"{NETWORK}.{number}.1"), ("ip", "netns", "exec", name))
            for number, name in enumerate(namespaces)
        ]
        crowd = Crowd(server, tmp_path, HOSTS, places=places)
        stack.callback(lambda: [host.__exit__() for host in crowd.hosts])
        for host in crowd.hosts:
            host.expect("started")
        acts = ["kill"] * KILLS + ["restart"] * RESTARTS + ["cut"] * CUTS
        chance.shuffle(acts)
        for act in acts:
            which = chance.randrange(HOSTS)
            crowd.note(which, crowd.hosts[which].lines_until(now_in(chance.uniform(0.1, 1.5))))
            match act:
                case "kill":
                    crowd.kill(which)
                case "restart":
                    server.kill() if chance.random() < 0.5 else server.stop("fast")
                    server.start()
                case "cut":
                    ip("link", "set", link_of(which), "down")
                    wait(chance.uniform(0.5, CUT_SECONDS_MAX))
                    ip("link", "set", link_of(which), "up")
        try:
            crowd.finish()
            crowd.check()
            crowd.audit()
            assert set(crowd.buried()) <= crowd.killed.keys()
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
        done = server.psql("select count(*) from lamplighter.lamplighter_jobs")
        print(f"\n{done} jobs in {time.monotonic() - began:.0f} s, {dict(Counter(acts))}, seed {seed}")


def pair(primary: Server, folder: Path, stack: ExitStack) -> tuple[Server, str]:
    """A standby of a server, and the address of both."""
    primary.allow("local replication all trust")
    standby = stack.enter_context(primary.copy(folder, "standby"))
    query = "select count(*) from pg_stat_replication where state = 'streaming'"
    eventually(lambda: primary.psql(query) == "1", what="the standby to follow")
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    return standby, f"postgresql://{ROLE}:{PASSWORD}@{hosts}/lamplighter?target_session_attrs=read-write"


def accept(crowd: Crowd, families: int) -> None:
    """Wait until each host has stored so many more families."""
    for which in range(len(crowd.hosts)):
        wanted = crowd.accepted[which] + families
        while crowd.accepted[which] < wanted:
            crowd.note(which, [f"accepted {crowd.hosts[which].expect('accepted')[0]}"])


def test_where_a_synchronous_standby_takes_over_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with own_server() as primary, ExitStack() as stack:
        standby, url = pair(primary, primary.folder.parent / "standby", stack)
        primary.psql("alter system set synchronous_standby_names = 'standby'")
        primary.psql("select pg_reload_conf()")
        eventually(
            lambda: primary.psql("select sync_state from pg_stat_replication") == "sync", what="commits to wait for it"
        )
        crowd = Crowd(primary, tmp_path, 3, url=url)
        stack.callback(lambda: [host.__exit__() for host in crowd.hosts])
        accept(crowd, 20)
        primary.kill()
        standby.psql("select pg_promote()")
        crowd.server = standby
        accept(crowd, 20)
        crowd.finish()
        crowd.check()
        crowd.audit()
        assert crowd.buried() == []
        assert all('"store.went_back"' not in log.read_text() for log in crowd.logs)


def test_where_an_asynchronous_standby_takes_over_runtimes_say_so_and_go_on(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with own_server() as primary, ExitStack() as stack:
        standby, url = pair(primary, primary.folder.parent / "standby", stack)
        crowd = Crowd(primary, tmp_path, 3, url=url)
        stack.callback(lambda: [host.__exit__() for host in crowd.hosts])
        accept(crowd, 20)
        # What is acknowledged from now on is lost.
        standby.stop("fast")
        accept(crowd, 20)
        primary.kill()
        standby.start()
        standby.psql("select pg_promote()")
        crowd.server = standby
        accept(crowd, 20)
        crowd.finish()
        text = "".join(log.read_text() for log in crowd.logs)
        assert '"store.went_back"' in text
        assert standby.psql("select distinct state from lamplighter.lamplighter_jobs") == "done"
