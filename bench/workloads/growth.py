"""How cost grows: with a backlog, with the size of a payload, with the number of schedules."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from functools import partial

from hosts import Host
from lamplighter import Job
from measuring import RawSqlite, file_bytes, idle_for, percentiles_ms, resident_bytes, settled_bytes
from peers.variants import Silent
from starts import ran

from .base import Bench, Figures, Workload
from .shared import closed

CLAIM_ROUNDS = 10
CLAIM_JOBS = 1_000
"""How many jobs are drained in a round, whatever the backlog."""

RULES = 10
"""Different cron rules that all schedules that are not due share."""

ADD_BATCH = 1_000
DUE_EACH_SECOND = 100
DUE_SECONDS = 5.0
IDLE_SECONDS = 10.0


def backlog(jobs: int, bench: Bench) -> Figures:
    """Another process has left so many jobs: how soon the first one starts, and what the next ones cost."""
    number = bench.size.of(jobs)
    file = bench.folder / "jobs.db"
    Host("fill", file, number).process.wait()
    bytes_each = (file_bytes(file) - sum(len(str(n)) for n in range(number))) / number
    ran.expect(1)
    began = time.perf_counter()
    peer = Silent(bench.folder)
    peer.work()
    ran.wait(600.0)
    opened = ran.at[0][1] - began
    resident = resident_bytes()
    peer.jobs.pause("nothing")
    rounds = [_drain_some(peer, bench, number) for _ in range(CLAIM_ROUNDS)]
    walls, cpus = zip(*rounds, strict=True)
    found = {"first_start_s": opened, "resident_mb": max(resident, resident_bytes()) / 1e6}
    found |= {"file_bytes_each": bytes_each, "jobs": number}
    return closed(peer, {**found, "claim_us": statistics.median(walls), "claim_cpu_us": statistics.median(cpus)})


def _drain_some(peer: Silent, bench: Bench, backlog_jobs: int) -> tuple[float, float]:
    """Microseconds of time and of the processor for a job, over the next so many; a small backlog is refilled first."""
    count = min(bench.size.of(CLAIM_JOBS), backlog_jobs)
    _wait_for_quiet(peer)
    missing = backlog_jobs - peer.jobs.counts("nothing")["queued"] if backlog_jobs <= CLAIM_JOBS else 0
    if missing > 0:
        peer.jobs.queue_many([("nothing", number) for number in range(missing)])
    ran.expect(count)
    began, used = time.perf_counter(), time.process_time()
    peer.jobs.resume("nothing")
    ran.wait(600.0)
    lasted, used = time.perf_counter() - began, time.process_time() - used
    peer.jobs.pause("nothing")
    return lasted / len(ran.at) * 1e6, used / len(ran.at) * 1e6


def _wait_for_quiet(peer: Silent) -> None:
    while peer.jobs.list("nothing", "running", limit=1):
        time.sleep(0.002)


def payload(data_bytes: int, bench: Bench) -> Figures:
    """One by one, next to raw SQLite that writes as many bytes in a row."""
    raw = RawSqlite(bench.folder.parent / "raw-rows.db", data_bytes)
    beside = replace(bench, raw=raw, raws=bench.raws)
    peer = Silent(bench.folder)
    # JSON puts a string in quotes.
    text = "x" * (data_bytes - 2)

    def work(seconds: float) -> int:
        queued, until = 0, time.perf_counter() + seconds
        while not queued or time.perf_counter() < until:
            peer.jobs.queue("nothing", text)
            queued += 1
        return queued

    found = beside.rate(work)
    raw.close()
    return closed(peer, {**found, "mb_per_second": found["per_second"] * data_bytes / 1e6})


def schedules(number: int, bench: Bench) -> Figures:
    """So many that are not due: what adding, keeping and ignoring them costs; then a hundred more, due each second."""
    peer, many = Silent(bench.folder), bench.size.of(number)
    scheduler = peer.runtime.scheduler
    before = settled_bytes()
    began = time.perf_counter()
    for first in range(0, many, ADD_BATCH):
        scheduler.add_many(
            {"name": "far", "when": f"0 3 1 1 {n % RULES % 7}", "key": f"schedule {n}"}
            for n in range(first, min(first + ADD_BATCH, many))
        )
    added = many / (time.perf_counter() - began)
    bytes_each = (settled_bytes() - before) / many
    idle = idle_for(IDLE_SECONDS * bench.size.share)
    late: list[float] = []

    def due(job: Job) -> None:
        assert job.slot is not None
        late.append(time.time() - job.slot.timestamp())

    peer.jobs.add_handler("due", due)
    due_number = bench.size.of(DUE_EACH_SECOND)
    scheduler.add_many({"name": "due", "when": "* * * * * *", "key": f"due {n}"} for n in range(due_number))
    wanted = due_number * (1 + DUE_SECONDS * bench.size.share)
    give_up_at = time.perf_counter() + 60.0
    # The first second's slots are those that are due while the schedules are still being added.
    while len(late) < wanted and time.perf_counter() < give_up_at:
        time.sleep(0.01)
    lateness = {f"late_{name}": value for name, value in percentiles_ms(late[due_number:]).items()}
    found = {"per_second": added, "bytes_each": bytes_each, "schedules": many, "jobs": len(late)}
    return closed(peer, {**found, **idle, **lateness})


WORKLOADS = (
    Workload(id="backlog-1000", title="a backlog of 1,000 jobs", run=partial(backlog, 1_000)),
    Workload(id="backlog-1m", title="a backlog of 1,000,000 jobs", run=partial(backlog, 1_000_000), when="long"),
    Workload(id="backlog-10m", title="a backlog of 10,000,000 jobs", run=partial(backlog, 10_000_000), when="rare"),
    Workload(id="payload-100b", title="data of 100 bytes", run=partial(payload, 100)),
    Workload(id="payload-10kb", title="data of 10 kB", run=partial(payload, 10_000)),
    Workload(id="payload-1mb", title="data of 1 MiB", run=partial(payload, 1024 * 1024)),
    Workload(id="schedules-1000", title="1,000 schedules", run=partial(schedules, 1_000)),
    Workload(id="schedules-10000", title="10,000 schedules", run=partial(schedules, 10_000), when="long"),
    Workload(id="schedules-100000", title="100,000 schedules", run=partial(schedules, 100_000), when="long"),
)
