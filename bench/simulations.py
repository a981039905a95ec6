"""How many simulations a second does one core do? Sixty jobs, two handlers, every fault, the real store, the audit.

python bench/simulations.py [--seeds 200]
"""

from __future__ import annotations

import argparse
import time

from lamplighter import Job, Runtime, StoreUnavailable
from lamplighter.testing import Faults, Simulation

JOBS = 60
FAULTS = Faults(
    crash_actor=0.004, crash_handler=0.01, hang=0.01, store_error=0.002, commit_unknown=0.002, kill_process=1e-4
)


def register(runtime: Runtime) -> None:
    """Two handlers."""
    for name in ("one", "two"):
        runtime.jobs.add_handler(name, work, concurrency=2, timeout=30, backoff=[1])


def work(job: Job) -> object:
    """A job that takes a moment."""
    job.sleep(0.2)
    return job.data


def host(runtime: Runtime) -> None:
    """Queues its jobs, a few at a time, and insists."""
    for first in range(0, JOBS, 6):
        jobs = [("one" if number % 2 else "two", number) for number in range(first, first + 6)]
        for _ in range(20):
            try:
                runtime.jobs.queue_many(jobs)
                break
            except StoreUnavailable:
                runtime.environment.event().wait(1.0)


def simulate(seeds: int) -> float:
    """Run so many, audit each, and give the seconds of processor time that they took."""
    began = time.process_time()
    for seed in range(seeds):
        with Simulation(register, host=host, seed=seed, faults=FAULTS, restarts_max=1000) as simulation:
            simulation.run(minutes=2, until=lambda: simulation.runtime.jobs.counts()["done"] >= JOBS)
            simulation.check()
    return time.process_time() - began


def main() -> None:
    """Run and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    seeds = parser.parse_args().seeds
    seconds = simulate(seeds)
    print(f"{seeds} simulations of {JOBS} jobs, audited: {seeds / seconds:.1f} a second of processor time")


if __name__ == "__main__":
    main()
