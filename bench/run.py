"""Measures Lamplighter, and what one would use instead, on this machine.

    python bench/run.py                        everything, three times: the tables of docs/performance.md
    python bench/run.py --quick                a look, in under two minutes
    python bench/run.py --systems lamplighter --workloads enqueue-1 drain-1

Each measurement has a process of its own. The systems take turns, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from catalog import SYSTEMS, WORKLOADS, takes_part

HERE = Path(__file__).parent
SECONDS_MAX = 900


def main() -> None:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small numbers, one run")
    parser.add_argument("--runs", type=int, help="of each; the median counts (default: 3, or 1 when quick)")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), metavar="SYSTEM")
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="WORKLOAD")
    parser.add_argument("--output", type=Path, help="JSON lines, one a measurement (default: bench/results.jsonl)")
    parser.add_argument(
        "--folder", default=tempfile.gettempdir(), help="on which disk (default: where temporary files go)"
    )
    given = parser.parse_args()
    size = "quick" if given.quick else "full"
    results = []
    for run in range(given.runs or (1 if given.quick else 3)):
        for workload in given.workloads:
            for system in given.systems:
                if takes_part(system, WORKLOADS[workload]):
                    found = {
                        "system": system,
                        "workload": workload,
                        "run": run,
                        **measure(system, workload, size, given.folder),
                    }
                    results.append(found)
                    print(told(found), flush=True)
    output = given.output or HERE / ("results-quick.jsonl" if given.quick else "results.jsonl")
    output.write_text("".join(f"{json.dumps(found)}\n" for found in results), encoding="utf-8")
    print("\nmedians")
    for workload in given.workloads:
        for system in given.systems:
            found = [one for one in results if one["system"] == system and one["workload"] == workload]
            good = [one for one in found if "figures" in one]
            if good:
                figures = {name: statistics.median(one["figures"][name] for one in good) for name in good[0]["figures"]}
                raw = statistics.median(one["raw"] for one in good) if good[0]["raw"] else None
                print(told({"system": system, "workload": workload, "figures": figures, "raw": raw}))


def measure(system: str, workload: str, size: str, disk: str) -> dict[str, object]:
    """One measurement in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, str(HERE / "one.py"), system, workload, size, str(result), disk]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
        except subprocess.TimeoutExpired:
            return {"failed": f"it did not end within {SECONDS_MAX} s"}
        if ended.returncode != 0 or not result.exists():
            return {"failed": ended.stderr[-2000:]}
        found: dict[str, object] = json.loads(result.read_text("utf-8"))
        return found


def told(found: dict) -> str:
    """One measurement as a line."""
    head = f"{found['workload']:20} {found['system']:20}"
    if "failed" in found:
        return f"{head} failed: {found['failed']}"
    figures = ", ".join(
        f"{name} {value:,.3g}" if value < 100 else f"{name} {value:,.0f}" for name, value in found["figures"].items()
    )
    return f"{head} {figures}  (raw {found['raw'] or 0:,.0f})"


if __name__ == "__main__":
    main()
