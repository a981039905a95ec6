"""Many simulations, each with a seed of its own, on all cores; and what they reached between them."""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from ...errors import UsageError
from .verdict import Violation

Scenario = Callable[[int], "Counter[str]"]
"""Runs one simulation with a seed, checks it, and gives back what it reached. Raises what it found."""

CHUNK_SEEDS = 50
"""Seeds of one worker process: the memory that killed tasks leave behind goes with it."""

SEEDS_SHOWN_MAX = 8


@dataclass(frozen=True, slots=True)
class Failure:
    """A seed that broke something, and what it says."""

    seed: int
    says: str


@dataclass(slots=True)
class Summary:
    """The progress of a campaign so far.

    Attributes:
        seeds: how many were run, whatever became of them.
        not_run: those of workers that died: what they had found and reached is not known.
        reached: how often each fault struck and each event of note was said, over all seeds.
        cpu_seconds: processor time of all workers together.
    """

    seeds: int = 0
    not_run: list[int] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    reached: Counter[str] = field(default_factory=Counter)
    cpu_seconds: float = 0.0

    @property
    def per_core_second(self) -> float:
        """Simulations that one core does in a second."""
        return self.seeds / self.cpu_seconds if self.cpu_seconds else 0.0

    def missed(self, wanted: Iterable[str]) -> list[str]:
        """Points that should have been reached, and were not."""
        return [name for name in wanted if not self.reached[name]]


def campaign(
    scenario: Scenario, seeds: Sequence[int], *, workers: int | None = None, failures_max: int = 10
) -> Iterator[Summary]:
    """Run a scenario with each seed; gives the growing summary after each chunk, and ends early after many failures."""
    summary = Summary()
    chunks = [seeds[start : start + CHUNK_SEEDS] for start in range(0, len(seeds), CHUNK_SEEDS)]
    # Forked, so that a scenario need not be importable by name, and a worker costs milliseconds.
    context = multiprocessing.get_context("fork")
    running: dict[Connection, _Worker] = {}
    try:
        while chunks or running:
            while chunks and len(running) < (workers or os.cpu_count() or 1):
                ours, theirs = context.Pipe(duplex=False)
                chunk, at = chunks.pop(0), context.RawValue("q", 0)
                process = context.Process(target=_work, args=(scenario, chunk, at, theirs), daemon=True)
                running[ours] = _Worker(process, chunk, at)
                process.start()
                theirs.close()
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                _take(summary, connection, running.pop(connection))
                yield summary
            if len(summary.failures) >= failures_max:
                return
    finally:
        for worker in running.values():
            if worker.process.pid is not None:
                worker.process.terminate()


@dataclass(frozen=True, slots=True)
class _Worker:
    """A process with its seeds; `at.value` is the place among them of the one that it has come to."""

    process: multiprocessing.process.BaseProcess
    seeds: Sequence[int]
    at: Any


def _take(summary: Summary, connection: Connection, worker: _Worker) -> None:
    try:
        part: Summary | UsageError = connection.recv()
    except EOFError:
        worker.process.join()
        seed, code = worker.seeds[worker.at.value], worker.process.exitcode
        says = f"its worker died with exit code {code}; not run, or not known, are the seeds {_named(worker.seeds)}"
        summary.failures.append(Failure(seed, says))
        summary.not_run += worker.seeds
        return
    worker.process.join()
    if isinstance(part, UsageError):
        raise part
    summary.seeds += part.seeds
    summary.failures += part.failures
    summary.reached += part.reached
    summary.cpu_seconds += part.cpu_seconds


def _named(seeds: Sequence[int]) -> str:
    """The seeds as text: from and to where they follow one another."""
    if len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} to {seeds[-1]}"
    more = f" and {len(seeds) - SEEDS_SHOWN_MAX} more" if len(seeds) > SEEDS_SHOWN_MAX else ""
    return ", ".join(map(str, seeds[:SEEDS_SHOWN_MAX])) + more


def _work(scenario: Scenario, seeds: Sequence[int], at: Any, result: Connection) -> None:
    part = Summary()
    began = time.process_time()
    for index, seed in enumerate(seeds):
        # Objects that the parent has made live as long as this process, and so do the killed tasks of the seeds before:
        # the collector need not look through them again and again.
        gc.freeze()
        at.value = index
        try:
            reached = scenario(seed)
        except Exception as error:
            says = str(error) if isinstance(error, Violation) else traceback.format_exc()
            part.failures.append(Failure(seed, says))
        else:
            if not isinstance(reached, Mapping):
                name, wanted = getattr(scenario, "__name__", scenario), "what it reached, as `simulation.reached`"
                result.send(UsageError(f"expected {name}(seed) to return {wanted}, got: {reached!r:.200}"))
                os._exit(1)
            part.reached.update(reached)
        part.seeds += 1
    part.cpu_seconds = time.process_time() - began
    result.send(part)
    # Without the exit handlers of the process that was forked.
    os._exit(0)
