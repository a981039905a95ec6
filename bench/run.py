"""Measures Lamplighter, and what one would use instead, on this machine.

    python bench/run.py                        everything, three times: the tables of docs/performance.md
    python bench/run.py --quick                a look, in under two minutes
    python bench/run.py --systems lamplighter --workloads enqueue-1 drain-1

Each measurement has a process of its own. The systems take turns, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import report
from catalog import SYSTEMS, WORKLOADS, takes_part
from machine import about_machine
from results import medians
from servers import NoServer, Servers
from workloads.base import Workload

HERE = Path(__file__).parent
SECONDS_MAX = {"full": 3600, "quick": 60}
"""What one measurement may take."""


def main() -> None:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small numbers, one run")
    parser.add_argument("--full", action="store_true", help="ten million jobs too, which takes long")
    parser.add_argument("--runs", type=int, help="of each; the median counts (default: 3, or 1 when quick)")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), metavar="SYSTEM")
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, metavar="WORKLOAD")
    parser.add_argument(
        "--output", type=Path, help="JSON lines, one a measurement (default: bench/results.jsonl of a whole run)"
    )
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="on which disk (default: the temporary one)")
    given = parser.parse_args()
    # So that a run that is told to end ends its servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    size = "quick" if given.quick else "full"
    whole = not given.quick and given.workloads is None and given.systems == list(SYSTEMS)
    output = given.output or HERE / ("results.jsonl" if whole else "results-quick.jsonl")
    chosen = given.workloads or [name for name, one in WORKLOADS.items() if wanted(one, given)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True, dir=given.folder) as folder, output.open("w") as lines:
        servers = Servers(Path(folder))
        found = [{"machine": about_machine(given.folder), "size": size}]
        print(json.dumps(found[0]), file=lines)
        try:
            for run in range(given.runs or (1 if given.quick else 3)):
                for workload in chosen:
                    for system in given.systems:
                        if takes_part(system, WORKLOADS[workload], quick=given.quick and given.workloads is None):
                            head = {"system": system, "workload": workload, "run": run}
                            found.append({**head, **measured(system, workload, size, given.folder, servers)})
                            print(json.dumps(found[-1]), file=lines, flush=True)
                            print(told(found[-1]), flush=True)
        finally:
            servers.stop()
    print(f"\nmedians of {len(found) - 1} measurements in {time.monotonic() - began:.0f} s, kept in {output}")
    for one in medians(found):
        print(told(one))
    if output == HERE / "results.jsonl":
        report.write(found, report.PAGE)
        print(f"wrote {report.PAGE}")


def wanted(workload: Workload, given: argparse.Namespace) -> bool:
    """Whether a run does a workload that was not asked for by name."""
    return workload.when in ("always", "ours") or (not given.quick and workload.when == "long") or given.full


def measured(system: str, workload: str, size: str, folder: str, servers: Servers) -> dict[str, Any]:
    """One measurement in a fresh process."""
    server = SYSTEMS[system].server
    try:
        url = [] if server is None else [servers.url(server)]
    except NoServer as error:
        return {"skipped": str(error)}
    with tempfile.TemporaryDirectory() as place:
        result, errors = Path(place) / "result.json", Path(place) / "errors.txt"
        command = [sys.executable, str(HERE / "one.py"), system, workload, size, str(result), folder, *url]
        with errors.open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            process.wait(SECONDS_MAX[size])
        except subprocess.TimeoutExpired:
            return {"failed": f"it did not end within {SECONDS_MAX[size]} s"}
        finally:
            # Its children are of its group: whoever is left when it was too slow, or when the run is broken off.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if not result.exists():
            return {"failed": errors.read_text("utf-8", errors="replace")[-2000:]}
        found: dict[str, Any] = json.loads(result.read_text("utf-8"))
        return found


def told(found: dict[str, Any]) -> str:
    """One measurement as a line."""
    head = f"{found['workload']:18} {found['system']:20}"
    if "figures" not in found:
        kind = "skipped" if "skipped" in found else "failed"
        return f"{head} {kind}: {found[kind]}"
    figures = ", ".join(f"{name} {value:,.{2 if value < 100 else 0}f}" for name, value in found["figures"].items())
    return f"{head} {figures}" + (f"  (raw {found['raw']:,.0f})" if found["raw"] else "")


if __name__ == "__main__":
    main()
