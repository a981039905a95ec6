"""Several processes on one file, a process that is killed, and one that does nothing."""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import Any

from hosts import Host
from lamplighter import Runtime
from measuring import idle_for
from peers.variants import Silent, silent
from starts import ran

from .base import Bench, Figures, Workload
from .shared import closed

IN_FLIGHT_JOBS = 10_000
IDLE_SECONDS = 10.0
TOGETHER, LOOK_SECONDS, DRAIN_SECONDS_MAX = 4, 0.05, 300.0


def processes(number: int, bench: Bench) -> Figures:
    """So many processes queue from eight threads each and work, on one file, at the same time."""
    file = bench.folder / "jobs.db"
    hosts = [Host("mate", file, bench.size.seconds_all) for _ in range(number)]
    for host in hosts:
        host.hear()
    before = bench.look_at_raw()
    for host in hosts:
        host.say("begin")
    told = [host.hear() for host in hosts]
    for host in hosts:
        host.process.kill()
        host.process.wait()
    per_second = sum(one["ran"] + one["queued"] for one in told) / bench.size.seconds_all
    return {
        "per_second": per_second,
        "ratio": per_second / ((before + bench.look_at_raw()) / 2),
        "queued_per_second": sum(one["queued"] for one in told) / bench.size.seconds_all,
        "jain": min(jain([one["queued"] for one in told]), jain([one["ran"] for one in told])),
        "locked": sum(one["refused"] + one["locked"] for one in told),
    }


def jain(shares: list[Any]) -> float:
    """Jain's index of fairness: 1 when all have the same, 1/n when one has all."""
    squares = sum(share * share for share in shares)
    return float(sum(shares) ** 2 / (len(shares) * squares)) if squares else 1.0


def recovery(bench: Bench) -> Figures:
    """A process is killed with jobs in flight; the next one opens the file and starts the first of them."""
    jobs, file = bench.size.of(IN_FLIGHT_JOBS), bench.folder / "jobs.db"
    host = Host("hold", file, jobs)
    running = host.hear()["running"]
    host.process.kill()
    host.process.wait()
    ran.expect(1)
    began = time.perf_counter()
    peer = Silent(bench.folder)
    peer.work()
    ran.wait(60.0)
    return closed(peer, {"first_start_s": ran.at[0][1] - began, "jobs": running})


def idle(bench: Bench) -> Figures:
    """Alone on a file, with a handler, and nothing to do."""
    peer = Silent(bench.folder)
    peer.work()
    # What a start leaves to do is done before it is looked at.
    time.sleep(1.0 * bench.size.share)
    return closed(peer, idle_for(IDLE_SECONDS * bench.size.share))


def idle_together(bench: Bench) -> Figures:
    """The same with a second process on the file, which has nothing to do either."""
    file, seconds = bench.folder / "jobs.db", IDLE_SECONDS * bench.size.share
    host, other = Host("sit", file, seconds), Host("sit", file, seconds)
    for one in (host, other):
        one.hear()
    time.sleep(1.0 * bench.size.share)
    host.say("count")
    found = host.hear()
    for one in (host, other):
        one.process.kill()
        one.process.wait()
    return {name: found[name] for name in ("idle_cpu_percent", "wake_ups_per_second", "resident_mb")}


def drain_together(number: int, bench: Bench) -> Figures:
    """So many processes work off a queue on a server; next to one process, in turns."""
    peer: Any = bench.open()
    url = peer.url
    peer.close()
    pairs = [(drained_by(1, url, bench), drained_by(number, url, bench)) for _ in range(bench.size.rounds)]
    return {
        "per_second": statistics.median(sum(many) for _, many in pairs),
        "ratio": statistics.median(sum(many) / sum(one) for one, many in pairs),
        "jain": statistics.median(jain(many) for _, many in pairs),
        "jobs": bench.size.jobs,
    }


def drained_by(number: int, url: str, bench: Bench) -> list[float]:
    """How many jobs a second each of so many processes works off that were started before the first is queued."""
    hosts = [Host("drain", url, 0) for _ in range(number)]
    for host in hosts:
        host.hear()
    with Runtime(url, logger=silent()).start(work=False) as producer:
        producer.jobs.pause("nothing")
        producer.jobs.queue_many([("nothing", job) for job in range(bench.size.jobs)])
        began = time.perf_counter()
        producer.jobs.resume("nothing")
        ran = [0]
        while sum(ran) < bench.size.jobs:
            if time.perf_counter() - began > DRAIN_SECONDS_MAX:
                raise RuntimeError(f"expected {bench.size.jobs} jobs to be worked off, got: {sum(ran)}")
            time.sleep(LOOK_SECONDS)
            for host in hosts:
                host.say("count")
            ran = [host.hear()["ran"] for host in hosts]
        lasted = time.perf_counter() - began
    for host in hosts:
        host.process.kill()
        host.process.wait()
    return [jobs / lasted for jobs in ran]


WORKLOADS = (
    *(
        Workload(
            id=f"drain-together-{number}" if number != TOGETHER else "drain-together",
            title=f"{number} processes drain a queue on a server, next to one",
            run=partial(drain_together, number),
            systems="servers",
        )
        for number in (2, TOGETHER, 8)
    ),
    Workload(id="processes-1", title="one process on one file", run=partial(processes, 1)),
    Workload(id="processes-2", title="two processes on one file", run=partial(processes, 2)),
    Workload(id="processes-4", title="four processes on one file", run=partial(processes, 4)),
    Workload(id="recovery", title="SIGKILL with 10,000 jobs in flight", run=recovery),
    Workload(id="idle", title="alone on a file, nothing to do", run=idle),
    Workload(id="idle-2", title="two on a file, nothing to do", run=idle_together),
)
