"""What does it cost a runtime to count what becomes of its jobs? Jobs are queued and joined one after the other, which
is two turns a job; now they are counted, now not, in turn and in the same process, by its processor time.

python bench/tallying.py [--jobs 25] [--rounds 400]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from lamplighter import Runtime
from lamplighter.broker.tallies import Tallies

WARM_UP_ROUNDS = 4


class Pair(NamedTuple):
    """What a job takes, in microseconds of the processor."""

    counted: float
    uncounted: float


def measured(folder: Path, jobs: int, rounds: int) -> Iterator[Pair]:
    """Pairs of many short rounds: what else a machine does changes more slowly than these follow one another."""
    runtime = Runtime(folder / "jobs.db", durability="os")
    runtime.jobs.add_handler("work", lambda job: None)
    take = Tallies.take
    with runtime:
        for _ in range(WARM_UP_ROUNDS):
            _round(runtime, jobs, take)
        for number in range(rounds):
            took = {how: _round(runtime, jobs, how) for how in ((take, _uncounted), (_uncounted, take))[number % 2]}
            yield Pair(took[take], took[_uncounted])


def _uncounted(*_: object) -> bool:
    """In the place of `Tallies.take`."""
    return False


def _round(runtime: Runtime, jobs: int, take: Callable[..., bool]) -> float:
    counting, Tallies.take = Tallies.take, take  # type: ignore[method-assign]
    began = time.process_time()
    try:
        for _ in range(jobs):
            runtime.jobs.join(runtime.jobs.queue("work"))
    finally:
        Tallies.take = counting  # type: ignore[method-assign]
    return (time.process_time() - began) / jobs * 1e6


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=400)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pairs = list(measured(Path(folder), given.jobs, given.rounds))
    counted, uncounted = (median(of) for of in zip(*pairs, strict=True))
    ratio = median(pair.counted / pair.uncounted for pair in pairs)
    print(f"{counted:.0f} us a job counted, {uncounted:.0f} us uncounted; {ratio:.4f} times in a pair")


if __name__ == "__main__":
    main()
