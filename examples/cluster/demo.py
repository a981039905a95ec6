"""The demo: a RabbitMQ of its own, three workers of which one is killed, and every job ends. `make demo-cluster`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from lamplighter import Runtime
from server import NoServer, Server

JOBS, WORKERS = 600, 3
JOIN_SECONDS_MAX = 60.0


def main() -> int:
    """Run the demo; the exit code."""
    try:
        with tempfile.TemporaryDirectory(prefix="lamplighter-demo-") as folder:
            say("starting a RabbitMQ on a free port, in a temporary folder")
            with Server(Path(folder)) as server:
                return play(server.url)
    except NoServer as error:
        print(f"demo-cluster: {error}", file=sys.stderr)
        return 2


def play(url: str) -> int:
    """Queue jobs, kill a worker in the middle, and wait for every job."""
    workers = [start_worker(url) for _ in range(WORKERS)]
    try:
        say(f"{WORKERS} workers are ready: processes {', '.join(str(worker.pid) for worker in workers)}")
        runtime = Runtime(url)
        with runtime:
            began = time.monotonic()
            jobs = runtime.jobs.queue_many([("resize", {"number": number}) for number in range(JOBS)])
            say(f"{len(jobs)} jobs are queued, durably, after {time.monotonic() - began:.2f} s")
            for job in jobs[: JOBS // 4]:
                runtime.jobs.join(job, timeout=JOIN_SECONDS_MAX)
            workers[0].kill()
            say(f"kill -9 {workers[0].pid}, with jobs in its hands")
            ended = [runtime.jobs.join(job, timeout=JOIN_SECONDS_MAX) for job in jobs]
            again = sum(job.record.claim_no > 1 for job in ended)
            say(f"all {len(ended)} jobs are done after {time.monotonic() - began:.2f} s; {again} were given out again")
            for worker, number in sorted(Counter(job.result["worker"] for job in ended).items()):
                say(f"  process {worker} has done {number}")
        assert [job.result["number"] for job in ended] == list(range(JOBS))
        return 0
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def start_worker(url: str) -> subprocess.Popen[str]:
    """A worker process that is ready."""
    worker = subprocess.Popen(
        [sys.executable, "-P", "-m", "cluster.worker", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    return worker


def say(text: str) -> None:
    """One line of the story."""
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
