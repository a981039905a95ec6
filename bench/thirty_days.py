"""Thirty virtual days of a host with 20 schedules, 5 handlers and some 50,000 jobs: how long do they take?

python bench/thirty_days.py [--days 30] [--faults]
"""

from __future__ import annotations

import argparse
import time

from lamplighter import Job, Runtime
from lamplighter.testing import Faults, Simulation

NAMES = ("fetch", "parse", "mail", "report", "clean")
SCHEDULES = 20


def register(runtime: Runtime) -> None:
    """Five handlers; twenty schedules, of which together about 1,680 slots a day come due."""
    for name in NAMES:
        runtime.jobs.add_handler(name, work, concurrency=2, timeout=60)
    for number in range(SCHEDULES):
        when = f"@every {900 + 9 * number}s" if number % 4 else f"{number} */20 * * * *"
        runtime.scheduler.add(NAMES[number % len(NAMES)], when, number, key=f"schedule {number}")


def work(job: Job) -> object:
    """A job that takes a moment."""
    job.sleep(0.5)
    return job.data


def main() -> None:
    """Run and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--faults", action="store_true", help="with crashes, kills and steps of the clock")
    given = parser.parse_args()
    faults = Faults(crash_actor=1e-4, kill_process=1e-5, clock_jump=1e-5, hang=1e-4) if given.faults else Faults()
    began = time.perf_counter()
    with Simulation(register, faults=faults, level="info", keep_done_seconds=3600.0) as simulation:
        simulation.run(days=given.days)
        lived = time.perf_counter() - began
        report = simulation.check()
    audited = time.perf_counter() - began
    print(f"{given.days:g} virtual days: {lived:.1f} s, with the audit {audited:.1f} s; {report.summary}")


if __name__ == "__main__":
    main()
