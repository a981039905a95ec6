"""What turns and rates cost, and how well they keep to what they say.

- `claim`: a claim and an ending among a million queued jobs of which 990,000 are of one group that is full, against the
  same among as many jobs without groups, by processor time.
- `fair`: Jain's index over the starts of ten groups, one of which has a hundred times the jobs of the others.
- `rate`: how near two processes on one file come to 100 starts a second, and the most of any second. Where a machine is
  busy, a burst of some lets them catch up.

python bench/turns.py [--jobs 1000000] [--seconds 60]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median

from lamplighter.messages.jobs import JobState, NewJob
from lamplighter.messages.names import NO_LIMITS, NameLimits
from lamplighter.messages.outcomes import Outcome, OutcomeKind, Verdict
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.turn_ports import Want

NOW = 1.8e9
TURNS, BLOCKS = 200, 5
LIMIT = 2
RATE, WORKERS = 100, 2

DONE = Verdict(state=JobState.DONE, event="job.done", reason=None, attempt=1)
SUCCEEDED = Outcome(kind=OutcomeKind.SUCCEEDED, result="null")

WORKER = """
import sys, time
from lamplighter import Rate, Runtime
runtime = Runtime(sys.argv[1])
rate = Rate(int(sys.argv[3]), per=1, burst=int(sys.argv[4]))
runtime.jobs.add_handler("call", lambda job: None, concurrency=4, rate=rate)
with runtime:
    print("started", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def filled(folder: str, jobs: int, group_of: Callable[[int], str | None]) -> SqliteStore:
    """A store with so many queued jobs."""
    store = SqliteStore(f"{folder}/jobs.db", durability="os")
    store.open()
    for first in range(0, jobs, 500):
        some = [
            NewJob(f"j{number}", "work", "null", 0, NOW, NOW, f"j{number}", group_key=group_of(number))
            for number in range(first, min(jobs, first + 500))
        ]
        with store.turn("b", NOW) as turn:
            turn.jobs.insert(some)
    return store


def claim_cost(jobs: int, group_of: Callable[[int], str | None], limits: NameLimits) -> float:
    """Microseconds of processor time for a turn that claims one job and ends it: the median of some blocks of turns."""
    with tempfile.TemporaryDirectory() as folder:
        store, now = filled(folder, jobs, group_of), NOW + 1.0
        for _ in range(limits.per_group or 0):
            with store.turn("b", now) as turn:
                # These stay: the group is full, and keeps its place in front of all others.
                turn.jobs.claim([want(1, limits)], suspect=True)
                turn.connection.execute("update lamplighter_turns set next = 0.0 where group_key = 'big'")
        costs = []
        for _ in range(BLOCKS):
            began = time.process_time()
            for _ in range(TURNS):
                now += 0.003
                with store.turn("b", now) as turn:
                    for one in turn.jobs.claim([want(1, limits)], suspect=True).claims["work"]:
                        turn.jobs.settle(one.job, SUCCEEDED, DONE)
            costs.append((time.process_time() - began) / TURNS * 1e6)
        store.close()
        return median(costs)


def claims(jobs: int) -> tuple[float, float]:
    """The same without groups; and with a group of 99 of a hundred jobs, which has all that it may."""
    return (
        claim_cost(jobs, lambda number: None, NO_LIMITS),
        claim_cost(jobs, lambda number: "big" if number % 100 else f"g{number}", NameLimits(per_group=LIMIT)),
    )


def want(begun: int, limits: NameLimits) -> Want:
    """What a broker with that many free lanes asks for."""
    return Want("work", "b", 1, begun, 0, 3, limits)


def jain(groups: int = 10, jobs: int = 100, heavy: int = 100) -> float:
    """Jain's index over the starts of groups while all of them have jobs."""
    with tempfile.TemporaryDirectory() as folder:
        light = jobs * (groups - 1)
        store = filled(folder, light + jobs * heavy, lambda n: "heavy" if n >= light else f"g{n % (groups - 1)}")
        starts, now = Counter[str | None](), NOW
        while sum(starts.values()) < jobs * groups:
            now += 0.01
            with store.turn("b", now) as turn:
                for one in turn.jobs.claim([want(4, NO_LIMITS)], suspect=True).claims["work"]:
                    starts[one.job.group_key] += 1
                    turn.jobs.settle(one.job, SUCCEEDED, DONE)
        store.close()
    shares = list(starts.values())
    return sum(shares) ** 2 / (groups * sum(share * share for share in shares))


def rate(seconds: float, burst: int) -> tuple[float, int]:
    """Starts a second of two processes, and the most in any second."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.db"
        store = SqliteStore(str(path))
        store.open()
        for first in range(0, int(seconds * RATE * 2), 500):
            with store.turn("b", NOW) as turn:
                turn.jobs.insert([NewJob(f"j{first + n}", "call", "null", 0, 0.0, 0.0, "j") for n in range(500)])
        command = [sys.executable, "-P", "-c", WORKER, str(path), str(seconds), str(RATE), str(burst)]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(WORKERS)]
        for worker in workers:
            worker.wait()
        with store.turn("b", NOW) as turn:
            query = "select claimed_at from lamplighter_jobs where claimed_at is not null order by claimed_at"
            starts = [row[0] for row in turn.connection.execute(query)]  # type: ignore[attr-defined]
        store.close()
    if len(starts) < 2:
        return 0.0, len(starts)
    most, first = 0, 0
    for place, at in enumerate(starts):
        while at - starts[first] >= 1.0:
            first += 1
        most = max(most, place - first + 1)
    return (len(starts) - 1) / (starts[-1] - starts[0]), most


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    plain, in_turns = claims(given.jobs)
    print(f"claim: {plain:.0f} us without groups, {in_turns:.0f} us in turns: {in_turns / plain:.2f} times")
    print(f"fair: Jain's index {jain():.4f}")
    for burst in (1, 5):
        a_second, most = rate(given.seconds, burst)
        print(f"rate, burst={burst}: {a_second:.2f} starts a second of {RATE}, at most {most} in any second")


if __name__ == "__main__":
    main()
