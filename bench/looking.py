"""What does it cost to look at a store of two million jobs by the command? Each is a process of its own, from start to
end, by the clock and by processor time, and next to a Python that does nothing.

python bench/looking.py [--jobs 2000000] [--store PATH]

The file is that of `big_store.py`. What writes all there is (`export`) takes as long as that is, and is not among them.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from big_store import given_store

ROUNDS = 5

NOTHING = ("-c", "pass")
"""What Python costs that does nothing."""

HELP, HEALTH = "--help", "health"

COMMANDS = (
    "jobs list",
    "jobs list state:dead error:timeout",
    "jobs list --state queued",
    "jobs list data.user.id=4711",
    "jobs show ID",
    "jobs why ID",
    "jobs count",
    "jobs count name:name-7 state:queued",
    "jobs requeue --where state:dead --dry-run",
    "jobs copy ID --dry-run",
    "errors list",
    "errors show GROUP",
    "errors requeue GROUP --dry-run",
    "names list",
    "names show name-7",
    "names pause name-7 --dry-run",
    "schedules list",
    "schedules next",
    "schedules show SCHEDULE",
    "schedules explain SCHEDULE",
    "runtimes list",
    "doctor",
    "stats",
    "stats --by time --since 3h",
    "metrics",
    "top --once",
    "trace ID --store STORE",
)


def commands(store: Path) -> Sequence[str]:
    """Each of them, about a job, a schedule and a group of failures that are there."""
    of = {
        "ID": _id("jobs list --state queued --limit 1", store),
        "GROUP": _id("errors list", store),
        "SCHEDULE": _id("schedules list --limit 1", store),
        "STORE": str(store),
    }
    return [" ".join(of.get(word, word) for word in command.split()) for command in COMMANDS]


def _id(listing: str, store: Path) -> str:
    """The id of the first of what is listed."""
    command = [sys.executable, *of_command(listing), "--json", "-s", str(store)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return listed.partition('"id":"')[2].partition('"')[0]


def timed(arguments: Sequence[str], store: Path, rounds: int = ROUNDS) -> tuple[float, float]:
    """The best of a few runs of Python, in milliseconds by the clock and by processor time."""
    clock = processor = float("inf")
    for _ in range(rounds):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, "LAMPLIGHTER_STORE": str(store)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        clock = min(clock, (time.perf_counter() - began) * 1e3)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = min(processor, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3)
    return clock, processor


class Cost(NamedTuple):
    """What a command takes, in milliseconds by the clock and of the processor; and how many starts of Python it is."""

    clock: float
    processor: float
    starts: float


def cost_of(command: str, store: Path, rounds: int = ROUNDS) -> Cost:
    """What a command takes at best, next to a Python that does nothing, each round of both after the other: on a busy
    machine all takes longer.
    """
    taken = [(*timed(of_command(command), store, 1), timed(NOTHING, store, 1)[1]) for _ in range(rounds)]
    clock, processor, nothing = map(min, zip(*taken, strict=True))
    return Cost(clock, processor, processor / nothing)


def of_command(command: str) -> Sequence[str]:
    """What Python is told to run a command."""
    return ("-m", "lamplighter", *command.split())


def main() -> None:
    """Measure and tell."""
    with given_store(__doc__) as (path, _):
        print("   clock   processor   times a Python that does nothing")
        for command in (HELP, HEALTH, *commands(path)):
            cost = cost_of(command, path)
            print(f"{cost.clock:8.0f} ms {cost.processor:8.0f} ms {cost.starts:6.1f}  {command}")


if __name__ == "__main__":
    main()
