"""One measurement in a process of its own: a workload that takes turns with raw SQLite. `run.py` starts it.

python bench/one.py SYSTEM WORKLOAD SIZE RESULT_FILE FOLDER [URL]
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

from catalog import WORKLOADS, adapter
from measuring import SIZES, RawSqlite
from workloads.base import Bench


def measure(system: str, workload: str, size: str, folder: str, url: str = "") -> dict[str, object]:
    """Do it once."""
    with tempfile.TemporaryDirectory(prefix="lamplighter-bench-", dir=folder) as name:
        place, room = Path(name), Path(name) / "room"
        room.mkdir()
        raw = RawSqlite(place)
        bench = Bench(folder=room, size=SIZES[size], make=lambda where: adapter(system)(where, url), raw=raw)
        figures = WORKLOADS[workload].run(bench)
        raw.close()
    return {"figures": figures, "raw": statistics.median(bench.raws) if bench.raws else None}


def main() -> None:
    """Measure, and write what was found."""
    system, workload, size, result, folder, *url = sys.argv[1:]
    Path(result).write_text(json.dumps(measure(system, workload, size, folder, *url)), encoding="utf-8")


if __name__ == "__main__":
    main()
