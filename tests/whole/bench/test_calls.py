"""One plain job costs no more calls than it did: those are counts, which no load of the machine changes."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

BENCH = Path(__file__).parents[3] / "bench"
MARGIN = 1.05


def test_a_plain_job_costs_no_more_calls_files_and_switches_than_its_bounds() -> None:
    bounds = {one["figure"]: one["at_most"] for one in tomllib.loads((BENCH / "bounds.toml").read_text())["count"]}

    ran = subprocess.run([sys.executable, "-P", BENCH / "calls.py"], capture_output=True, text=True, check=True)
    found = {figure: int(number) for figure, number in map(str.split, ran.stdout.splitlines())}

    assert found.keys() == bounds.keys()
    assert {figure: number for figure, number in found.items() if number > bounds[figure] * MARGIN} == {}
