"""A soak: a steady stream of jobs with retries and failures; memory and the file must stay level.

`python tests/whole/soak/soak.py SECONDS [JOBS_PER_SECOND]` prints a line every ten seconds (more often in a short run)
and a verdict, and exits non-zero if memory has risen by more than `RISE_BYTES_MAX`, or the file by more than
`FILE_RISE_MAX`, since the start of the level stretch (after one minute, or after a third of a shorter run).
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from lamplighter import Job, Runtime

RISE_BYTES_MAX = 10 * 1024 * 1024
FILE_RISE_MAX = 0.5
"""As a share of its size at the start of the level stretch."""

KEEP_SECONDS = 60


def resident_bytes() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def file_bytes(path: Path) -> int:
    """The database and its write-ahead log."""
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*") if file.is_file())


def work(job: Job[dict[str, int]]) -> int:
    """Fails once in ten jobs at first, and for ever in one of a hundred."""
    number = job.data["n"]
    if number % 100 == 7 or (number % 10 == 3 and job.attempt == 1):
        raise ValueError(f"job {number} fails on purpose")
    return number


def soak(seconds: float, rate: int, folder: Path) -> list[tuple[float, int, int]]:
    """Run and measure: (seconds since the start, resident bytes, file bytes)."""
    # Failures are what this is about; their lines would be most of the output.
    logging.getLogger("lamplighter").setLevel(logging.CRITICAL)
    path = folder / "soak.db"
    runtime = Runtime(str(path), keep_done_seconds=KEEP_SECONDS, keep_dead_seconds=KEEP_SECONDS)
    options: dict[str, Any] = {"concurrency": 4, "max_attempts": 2, "backoff": [0.5]}
    runtime.jobs.add_handler("work", work, **options)
    measured: list[tuple[float, int, int]] = []
    look_seconds = min(10.0, seconds / 8)
    pace = threading.Event()
    with runtime:
        start = time.monotonic()
        sent, next_look = 0, look_seconds
        while (elapsed := time.monotonic() - start) < seconds:
            due = int(elapsed * rate) - sent
            if due > 0:
                runtime.jobs.queue_many([("work", {"n": sent + n}) for n in range(due)])
                sent += due
            if elapsed >= next_look:
                measured.append((elapsed, resident_bytes(), file_bytes(path)))
                print(
                    f"{elapsed:7.0f} s  {measured[-1][1] / 2**20:7.1f} MiB  {measured[-1][2] / 2**20:6.2f} MiB on disk"
                )
                next_look += look_seconds
            pace.wait(0.05)
        counts = runtime.jobs.counts()
        print(f"{sent} jobs queued; at the end {counts}")
    return measured


def main() -> int:
    """Soak and judge."""
    seconds = float(sys.argv[1])
    rate = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    with tempfile.TemporaryDirectory() as folder:
        measured = soak(seconds, rate, Path(folder))
    warm = [memory for at, memory, _ in measured if at >= min(60.0, seconds / 3)]
    # The file is level only once retention has begun to remove what the first jobs left.
    level = [size for at, _, size in measured if at >= min(60.0 + KEEP_SECONDS * 1.5, seconds / 3)]
    rise = max(warm) - warm[0]
    growth = max(level) / level[0] - 1
    print(f"memory rose by {rise / 2**20:.1f} MiB after the first minute, the file by {growth:.0%} once it was level")
    return 0 if rise <= RISE_BYTES_MAX and (growth <= FILE_RISE_MAX or seconds < 4 * KEEP_SECONDS) else 1


if __name__ == "__main__":
    sys.exit(main())
