"""Does each of Lamplighter's workloads once, with next to nothing to do, and prints the line of each.

A process of its own: a measurement configures logging for all of its process.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "bench"))

from catalog import WORKLOADS, takes_part
from one import measure


def main() -> None:
    """One line of JSON for each workload."""
    folder = sys.argv[1]
    for workload in WORKLOADS:
        if not takes_part("lamplighter", WORKLOADS[workload]):
            # It needs a RabbitMQ.
            continue
        try:
            found = measure("lamplighter", workload, "tiny", folder)
        except Exception:
            found = {"failed": traceback.format_exc()}
        print(json.dumps({"system": "lamplighter", "workload": workload, "run": 0, **found}), flush=True)


if __name__ == "__main__":
    main()
