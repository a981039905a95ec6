"""What every measurement is made of: raw SQLite to compare with, percentiles, and what a process has used.

Times are seconds of `time.perf_counter`, which is one clock for all threads of a process.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sqlite3
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROW_BYTES = 100
"""What a raw row carries beside its key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much a measurement does.

    Attributes:
        rounds: how often raw SQLite and the system take turns within a measurement.
        seconds: how long a round lasts; nothing that has an end of its own goes on for much longer than all of them.
        jobs: how many are drained, if they can be queued and drained in about that time.
        raw_seconds: how long raw SQLite is measured before, after and between rounds.
        share: of the numbers that a workload has in its name.
    """

    rounds: int
    seconds: float
    jobs: int
    raw_seconds: float
    share: float = 1.0

    def of(self, number: int) -> int:
        """So many, made smaller by the share."""
        return max(1, int(number * self.share))

    @property
    def seconds_all(self) -> float:
        """Of all rounds."""
        return self.rounds * self.seconds


SIZES = {
    "full": Size(rounds=20, seconds=0.15, jobs=50_000, raw_seconds=0.05),
    "quick": Size(rounds=6, seconds=0.1, jobs=4_000, raw_seconds=0.02, share=0.1),
    "tiny": Size(rounds=1, seconds=0.02, jobs=20, raw_seconds=0.01, share=0.001),
}
"""`full` is what docs/performance.md shows, `quick` a look, `tiny` only shows that a workload runs."""


class RawSqlite:
    """SQLite itself, in WAL with synchronous=FULL, one row a commit: what one sync a job costs at that moment."""

    def __init__(self, path: Path, row_bytes: int = ROW_BYTES) -> None:
        self._row = (b"x" * row_bytes,)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = full")
        self._connection.execute("create table raw (no integer primary key, data blob not null)")

    def commits_per_second(self, seconds: float) -> float:
        """Commit for so long, and give the rate."""
        commits, began = 0, time.perf_counter()
        while (lasted := time.perf_counter() - began) < seconds:
            self._connection.execute("insert into raw (data) values (?)", self._row)
            commits += 1
        return commits / lasted

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def percentiles_ms(waits: Sequence[float]) -> dict[str, float]:
    """The median and the 99th percentile of waits in seconds, as milliseconds."""
    ordered = sorted(waits)
    return {
        "p50_ms": statistics.median(ordered) * 1000,
        "p99_ms": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000,
    }


def resident_bytes() -> int:
    """Memory of this process that is in use now."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def settled_bytes() -> int:
    """The same, once what is no longer used was given back."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        # The C library keeps what was freed; those that have no such call keep it.
        ctypes.CDLL(None).malloc_trim(0)
    return resident_bytes()


def idle_for(seconds: float) -> dict[str, float]:
    """What this process uses while its main thread does nothing: share of a core, and how often its threads wake up."""
    woken, used, began = _wake_ups(), time.process_time(), time.perf_counter()
    time.sleep(seconds)
    used, lasted = time.process_time() - used, time.perf_counter() - began
    # One of them is the sleeper's own.
    woken = max(0, _wake_ups() - woken - 1)
    return {"idle_cpu_percent": used / lasted * 100, "wake_ups_per_second": woken / lasted}


def _wake_ups() -> int:
    counted = 0
    for status in Path("/proc/self/task").glob("*/status"):
        for line in status.read_text("ascii", errors="replace").splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                counted += int(line.split()[1])
    return counted


def file_bytes(path: Path) -> int:
    """What a SQLite file takes on the disk, with its log."""
    return sum(found.stat().st_size for found in path.parent.glob(f"{path.name}*") if found.is_file())
