"""Many simulations, each with a seed of its own, on all cores; and what they reached between them."""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait

from .verdict import Violation

Scenario = Callable[[int], "Counter[str]"]
"""Runs one simulation with a seed, checks it, and gives back what it reached. Raises what it found."""

CHUNK_SEEDS = 50
"""Seeds of one worker process: the memory that killed tasks leave behind goes with it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A seed that broke something, and what it says."""

    seed: int
    says: str


@dataclass(slots=True)
class Summary:
    """What a campaign has done so far.

    Attributes:
        reached: how often each fault struck and each event of note was said, over all seeds.
        cpu_seconds: processor time of all workers together.
    """

    seeds: int = 0
    failures: list[Failure] = field(default_factory=list)
    reached: Counter[str] = field(default_factory=Counter)
    cpu_seconds: float = 0.0

    @property
    def per_core_second(self) -> float:
        """Simulations that one core does in a second."""
        return self.seeds / self.cpu_seconds if self.cpu_seconds else 0.0

    def missed(self, wanted: Iterable[str]) -> list[str]:
        """What should have been reached, and was not."""
        return [name for name in wanted if not self.reached[name]]


def campaign(
    scenario: Scenario, seeds: Sequence[int], *, workers: int | None = None, failures_max: int = 10
) -> Iterator[Summary]:
    """Run a scenario with each seed; gives the growing summary after each chunk, and ends early after many failures."""
    summary = Summary()
    chunks = [seeds[start : start + CHUNK_SEEDS] for start in range(0, len(seeds), CHUNK_SEEDS)]
    # Forked, so that a scenario need not be importable by name, and a worker costs milliseconds.
    context = multiprocessing.get_context("fork")
    running: dict[Connection, multiprocessing.process.BaseProcess] = {}
    try:
        while chunks or running:
            while chunks and len(running) < (workers or os.cpu_count() or 1):
                ours, theirs = context.Pipe(duplex=False)
                running[ours] = context.Process(target=_work, args=(scenario, chunks.pop(0), theirs), daemon=True)
                running[ours].start()
                theirs.close()
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                _take(summary, connection, running.pop(connection))
                yield summary
            if len(summary.failures) >= failures_max:
                return
    finally:
        for worker in running.values():
            worker.terminate()


def _take(summary: Summary, connection: Connection, worker: multiprocessing.process.BaseProcess) -> None:
    try:
        part: Summary = connection.recv()
    except EOFError:
        worker.join()
        summary.failures.append(Failure(-1, f"a worker died with exit code {worker.exitcode}"))
        return
    worker.join()
    summary.seeds += part.seeds
    summary.failures += part.failures
    summary.reached += part.reached
    summary.cpu_seconds += part.cpu_seconds


def _work(scenario: Scenario, seeds: Sequence[int], result: Connection) -> None:
    part = Summary()
    began = time.process_time()
    for seed in seeds:
        try:
            part.reached += scenario(seed)
        except Exception as error:
            says = str(error) if isinstance(error, Violation) else traceback.format_exc()
            part.failures.append(Failure(seed, says))
        part.seeds += 1
    part.cpu_seconds = time.process_time() - began
    result.send(part)
    # Without the exit handlers of the process that was forked.
    os._exit(0)
