"""What a workload is, and what it gets."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from measuring import RawSqlite, Size
from peers.base import Peer

Figures = dict[str, float]
"""What a measurement has found: `per_second`, `p50_ms`, ... The report knows what to do with each name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One measurement.

    Attributes:
        folder: an empty one.
        size: how much to do.
        make: opens the system that does it.
        raw: SQLite itself, on the same disk.
        raws: what raw SQLite did, each time that it was measured.
    """

    folder: Path
    size: Size
    make: Callable[[Path], Peer]
    raw: RawSqlite
    raws: list[float] = field(default_factory=list)

    def open(self) -> Peer:
        """The system, open in the folder."""
        return self.make(self.folder)

    def look_at_raw(self) -> float:
        """Measure raw SQLite now. A disk that others use too may be ten times slower a second later, so this is done
        as close to what is compared with it as can be."""
        self.raws.append(self.raw.commits_per_second(self.size.raw_seconds))
        return self.raws[-1]

    def rate(self, work: Callable[[float], int]) -> Figures:
        """Do something again and again, in rounds that take turns with raw SQLite.

        Args:
            work: does it for so many seconds and gives how many jobs that were.

        Returns:
            medians of jobs a second and of the ratio to raw SQLite around each round, and the processor's time a job.
        """
        rates, ratios, jobs, cpu = [], [], 0, 0.0
        before = self.look_at_raw()
        for _ in range(self.size.rounds):
            began, used = time.perf_counter(), time.process_time()
            done = work(self.size.seconds)
            lasted = time.perf_counter() - began
            cpu += time.process_time() - used
            after = self.look_at_raw()
            jobs += done
            rates.append(done / lasted)
            ratios.append(rates[-1] / ((before + after) / 2))
            before = after
        return {
            "per_second": statistics.median(rates),
            "ratio": statistics.median(ratios),
            "cpu_us": cpu / max(1, jobs) * 1e6,
            "jobs": jobs,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Something that is measured.

    Attributes:
        id: its name on the command line and in the results.
        title: what it is, for the tables.
        run: does it once and gives the figures.
        systems: `all` for each system that can, `lamplighter` for Lamplighter with its events at info only, `both` for
            Lamplighter with and without them, `servers` for Lamplighter on a RabbitMQ or a PostgreSQL.
        when: `always`; `ours` for one that a quick run does with Lamplighter alone; `long` for one that it leaves out;
            `rare` for one that only a run with --full does.
    """

    id: str
    title: str
    run: Callable[[Bench], Figures]
    systems: str = "lamplighter"
    when: str = "always"
