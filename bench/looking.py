"""What does it cost to look at a store of two million jobs by the command? Each is a process of its own, from start to
end, by the clock and by processor time.

python bench/looking.py [--jobs 2000000] [--store PATH]

The file is that of `finding.py`.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from finding import fill

ROUNDS = 5

COMMANDS = (
    "jobs list",
    "jobs list state:dead error:timeout",
    "jobs list --state queued",
    "jobs list data.user.id=4711",
    "jobs show ID",
    "jobs why ID",
    "jobs count",
    "jobs count name:name-7 state:queued",
    "errors list",
    "names list",
    "names show name-7",
    "schedules list",
    "schedules next",
)


def timed(command: list[str], store: Path) -> tuple[float, float]:
    """The best of a few runs, in milliseconds by the clock and by processor time."""
    clock = processor = float("inf")
    for _ in range(ROUNDS):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "lamplighter", *command],
            env={**os.environ, "LAMPLIGHTER_STORE": str(store)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        clock = min(clock, (time.perf_counter() - began) * 1e3)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = min(processor, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3)
    return clock, processor


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2_000_000)
    parser.add_argument("--store", type=Path, help="a file that an earlier run has left")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.store or Path(folder) / "jobs.db"
        if not path.exists():
            fill(path, given.jobs)
        listed = subprocess.run(
            [sys.executable, "-m", "lamplighter", "jobs", "list", "--state", "queued", "--limit", "1", "-s", str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
        job = listed.stdout.splitlines()[1].split()[0]
        print("   clock   processor")
        for command in ("--version", *COMMANDS):
            clock, processor = timed(command.replace("ID", job).split(), path)
            print(f"{clock:8.0f} ms {processor:8.0f} ms  {command}")


if __name__ == "__main__":
    main()
