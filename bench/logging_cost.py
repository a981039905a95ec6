"""What the log costs: the same run with nobody listening, at info to a file, and at debug to a file.

    python bench/logging_cost.py [--jobs 5000] [--rounds 9]

Each run queues so many jobs that do nothing on a new file store and waits until all are done. The three kinds of run
take turns, so that a machine that slows down slows all of them; what is printed are medians, and ratios to the first.
On a machine that does other work, the processor's time for a job says more than the jobs per second.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lamplighter import Runtime, configure_logging

POLL_SECONDS = 0.002


def off(_: Path) -> logging.Logger:
    """A logger that hears nothing of what a healthy run says."""
    logger = logging.getLogger("bench.off")
    logger.setLevel(logging.CRITICAL)
    return logger


def at(level: str) -> Callable[[Path], logging.Logger]:
    """Lines of at least this level in a file."""

    def configure(folder: Path) -> logging.Logger:
        configure_logging(folder / "run.log", console=False, level=level)
        return logging.getLogger("lamplighter")

    return configure


KINDS = {"off": off, "info": at("info"), "debug": at("debug")}


def run(kind: str, jobs: int) -> tuple[float, float]:
    """Of one run: jobs per second, and microseconds of the processor's time for a job."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        logger = KINDS[kind](folder)
        runtime = Runtime(folder / "jobs.db", logger=logger)
        runtime.jobs.add_handler("nothing", lambda job: None, concurrency=2)
        with runtime:
            runtime.jobs.join(runtime.jobs.queue("nothing"), timeout=30)
            begun, used = time.perf_counter(), time.process_time()
            runtime.jobs.queue_many([("nothing", None)] * jobs)
            while runtime.jobs.counts("nothing")["done"] <= jobs:
                time.sleep(POLL_SECONDS)
            return jobs / (time.perf_counter() - begun), (time.process_time() - used) / jobs * 1e6


def main() -> None:
    """Take turns, print medians."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--jobs", type=int, default=5000)
    options.add_argument("--rounds", type=int, default=9)
    given = options.parse_args()
    run("off", given.jobs)
    runs: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for _ in range(given.rounds):
        for kind in KINDS:
            runs[kind].append(run(kind, given.jobs))
    medians = {
        kind: [statistics.median(figures) for figures in zip(*found, strict=True)] for kind, found in runs.items()
    }
    silent_rate, silent_cpu = medians["off"]
    for kind, (rate, cpu) in medians.items():
        rates = [rate for rate, _ in runs[kind]]
        print(
            f"{kind:6}{rate:7.0f} jobs/s ({min(rates):.0f} to {max(rates):.0f}), {(1 - rate / silent_rate) * 100:.1f} %"
            f" slower than off; {cpu:.0f} us of processor a job, {(cpu / silent_cpu - 1) * 100:.1f} % more"
        )


if __name__ == "__main__":
    main()
