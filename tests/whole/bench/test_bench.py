"""The benchmarks never rot: each workload runs, each bound has its figure, the page takes all tables."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ...bench.test_bench import BENCH, ROOT, WORKLOADS, bench

__all__ = ["bench"]
"""Fixtures that both halves of these tests use."""


TINY_SECONDS_MAX = 280


pytestmark = pytest.mark.timeout(300)
"""The first test that looks at what was measured waits for all of it."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """By workload, what doing next to nothing has found."""
    folder = tmp_path_factory.mktemp("tiny")
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("tiny.py")), str(folder)],
        capture_output=True,
        text=True,
        timeout=TINY_SECONDS_MAX,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    return {line["workload"]: line for line in lines}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_workload_runs_and_finds_figures(tiny: dict[str, dict[str, Any]], workload: str) -> None:
    found = tiny[workload]

    assert "failed" not in found, found["failed"]
    assert found["figures"]
    # Of the few bytes that a few schedules take, a process may have given back more meanwhile.
    counted = {name: value for name, value in found["figures"].items() if name != "bytes_each"}
    assert all(isinstance(value, (int, float)) and value >= 0 for value in counted.values()), found["figures"]


def test_every_workload_is_tried(tiny: dict[str, dict[str, Any]]) -> None:
    assert set(tiny) == set(WORKLOADS)


@pytest.mark.usefixtures("bench")
def test_every_bound_speaks_of_a_figure_that_is_measured(tiny: dict[str, dict[str, Any]]) -> None:
    from catalog import SYSTEMS, WORKLOADS, takes_part

    for bound in tomllib.loads((BENCH / "bounds.toml").read_text("utf-8"))["bound"]:
        for measure in (bound["measure"], bound.get("relative_to", bound["measure"])):
            system, workload, figure = measure.split("/")

            assert system in SYSTEMS and takes_part(system, WORKLOADS[workload]), measure
            # A workload of RabbitMQ alone is not tried on a file; its module holds the figure's name.
            assert workload not in tiny or figure in tiny[workload]["figures"], measure
            assert workload in tiny or WORKLOADS[workload].systems == "servers", measure


@pytest.mark.usefixtures("bench")
def test_the_page_takes_the_tables_of_a_run(tiny: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    import report
    from machine import about_machine

    page = tmp_path / "performance.md"
    page.write_text((ROOT / "docs" / "performance.md").read_text("utf-8"), "utf-8")
    head = {"machine": about_machine(str(tmp_path)), "size": "tiny"}
    lines = copy.deepcopy(tiny)
    # On a busy machine a workload may get nothing done in its time.
    lines["enqueue-1"]["figures"]["ratio"] = lines["processes-1"]["figures"]["per_second"] = 0.0

    report.write([head, *lines.values()], page)

    text = page.read_text("utf-8")
    assert "| drain by four worker threads |" in text
    assert "| Lamplighter, events at info |" in text
    assert (tmp_path / "plots" / "queue-dark.svg").read_text("utf-8").startswith("<svg")
    drawn = {path.name for path in (tmp_path / "plots").iterdir()}
    assert drawn == {name for name in re.findall(r"plots/([\w-]+\.svg)", text) if not name.startswith("profile-")}
