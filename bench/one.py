"""One measurement in a process of its own: a workload that takes turns with raw SQLite. `run.py` starts it.

python bench/one.py SYSTEM WORKLOAD SIZE RESULT_FILE FOLDER [URL]
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from catalog import WORKLOADS, adapter
from measuring import SIZES, RawSqlite
from workloads.base import Bench


def measure(system: str, workload: str, size: str, folder: str, url: str = "") -> dict[str, Any]:
    """Do it once. A system that cannot, or is not there, says why."""
    try:
        peer = adapter(system)
    except ImportError as error:
        return {"skipped": f"not installed: {error.name}"}
    about = {
        "title": peer.title,
        "version": importlib.metadata.version(peer.package),
        "durability": peer.durability,
        "survives_power": peer.survives_power,
        "survives_worker": peer.survives_worker,
    }
    if workload in peer.cannot:
        return {**about, "skipped": peer.cannot[workload]}
    with tempfile.TemporaryDirectory(prefix="lamplighter-bench-", dir=folder, ignore_cleanup_errors=True) as name:
        place, room = Path(name), Path(name) / "room"
        room.mkdir()
        raw = RawSqlite(place / "raw.db")
        bench = Bench(folder=room, size=SIZES[size], make=lambda where: peer(where, url), raw=raw)
        figures = WORKLOADS[workload].run(bench)
        raw.close()
    return {**about, "figures": figures, "raw": statistics.median(bench.raws) if bench.raws else None}


def main() -> None:
    """Measure, write what was found, and leave: nobody waits for the threads of a system that was measured."""
    system, workload, size, result, folder, *url = sys.argv[1:]
    Path(result).write_text(json.dumps(measure(system, workload, size, folder, *url)), encoding="utf-8")
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
