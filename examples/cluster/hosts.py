"""The common part of both demos: hosts are started, given jobs, and one of them is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lamplighter import Runtime

JOBS, HOSTS = 600, 3
JOIN_SECONDS_MAX = 60.0


@contextmanager
def hosts(url: str, folder: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Host processes that are ready, each with a log in the folder."""
    started = [start(url, folder / f"host-{number}.log") for number in range(1, HOSTS + 1)]
    try:
        say(f"{HOSTS} hosts are ready: processes {', '.join(str(host.pid) for host in started)}")
        yield started
    finally:
        for host in started:
            assert host.stdin is not None
            host.stdin.close()
            host.wait()


def start(url: str, log: Path) -> subprocess.Popen[str]:
    """A host process that is ready."""
    command = [sys.executable, "-P", "-m", "cluster.worker", url, str(log)]
    host = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert host.stdout is not None
    assert host.stdout.readline() == "ready\n"
    return host


def play(runtime: Runtime, started: list[subprocess.Popen[str]]) -> None:
    """Queue jobs, kill a host in the middle, and wait for every job."""
    began = time.monotonic()
    jobs = runtime.jobs.queue_many([("resize", {"number": number}) for number in range(JOBS)])
    say(f"{len(jobs)} jobs are queued, durably, after {time.monotonic() - began:.2f} s")
    for job in jobs[: JOBS // 4]:
        runtime.jobs.join(job, timeout=JOIN_SECONDS_MAX)
    started[0].kill()
    say(f"kill -9 {started[0].pid}, with jobs in its hands")
    ended = [runtime.jobs.join(job, timeout=JOIN_SECONDS_MAX) for job in jobs]
    again = sum(job.record.claim_no > 1 for job in ended)
    say(f"all {len(ended)} jobs are done after {time.monotonic() - began:.2f} s; {again} were given out again")
    for host, number in sorted(Counter(job.result["worker"] for job in ended).items()):
        say(f"  process {host} has done {number}")
    assert [job.result["number"] for job in ended] == list(range(JOBS))


def say(text: str) -> None:
    """One line of the story."""
    print(f"  {text}", flush=True)
