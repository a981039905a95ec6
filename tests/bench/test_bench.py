"""The benchmarks never rot: each workload runs, each bound has its figure, the page takes all tables."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "bench"
ADAPTER_LINES_MAX = 60

pytestmark = pytest.mark.timeout(300)
"""The first test that looks at what was measured waits for all of it."""

ADAPTERS = sorted(path for path in (BENCH / "peers").glob("*.py") if path.name not in ("__init__.py", "base.py"))

WORKLOADS = [
    "enqueue-1",
    "enqueue-8",
    "enqueue-64",
    "enqueue-async-64",
    "bulk-500",
    "drain-1",
    "latency-100",
    "latency-half",
    "drain-4",
    "drain-async-100",
    "drain-processes",
    "chain",
    "steps",
    "turns",
    "rates",
    "waiting",
    "backlog-1000",
    "backlog-1m",
    "backlog-10m",
    "payload-100b",
    "payload-10kb",
    "payload-1mb",
    "schedules-1000",
    "schedules-10000",
    "schedules-100000",
    "processes-1",
    "processes-2",
    "processes-4",
    "recovery",
    "idle",
    "idle-2",
    "import",
    "looking",
    "pages",
    "watched",
    "tallied",
    "simulation",
]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The modules of bench/ can be imported as its scripts import them, and are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCH))
    yield
    for name in set(sys.modules) - before:
        if str(BENCH) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: path.stem)
def test_an_adapter_is_short(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()

    assert len(lines) < ADAPTER_LINES_MAX


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: path.stem)
def test_an_adapter_says_how_durable_it_is_and_what_it_cannot_do(path: Path) -> None:
    classes = [node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.ClassDef)]
    (first, *_) = classes
    assigned = [node for node in first.body if isinstance(node, (ast.Assign, ast.AnnAssign))]
    names = {name.id for node in assigned for name in ast.walk(node) if isinstance(name, ast.Name)}
    cannot = [
        ast.literal_eval(node.value)
        for node in assigned
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "cannot" and node.value is not None
    ]

    if getattr(first.bases[0], "id", "") in ("Peer", "AsyncPeer"):
        assert {"title", "package", "durability", "survives_power", "survives_worker"} <= names
    assert {workload for one in cannot for workload in one} <= set(WORKLOADS)


def test_a_page_that_has_figures_has_its_plots() -> None:
    page = (ROOT / "docs" / "performance.md").read_text("utf-8")
    places = re.findall(r"<!-- bench:\w+ -->\n(.*?)<!-- /bench -->", page, re.DOTALL)

    assert places
    assert len({bool(place.strip()) for place in places}) == 1, "expected all of its tables to be of one run"
    if any(place.strip() for place in places):
        assert not [name for name in re.findall(r"plots/[\w-]+\.svg", page) if not (ROOT / "docs" / name).exists()]


def line(system: str, workload: str, raw: float | None = 6000.0, *, durable: bool = True, **figures: float) -> Any:
    return {"system": system, "workload": workload, "figures": figures, "raw": raw, "survives_power": durable}


def verdicts_of(*lines: dict[str, Any]) -> dict[str, Any]:
    from bounds import Measures, verdicts

    return {one.figure: one for one in verdicts(Measures(lines))}


@pytest.mark.usefixtures("bench")
def test_a_bound_says_by_how_much_it_is_met_or_missed() -> None:
    found = verdicts_of(
        line("lamplighter", "enqueue-1", ratio=0.3),
        line("lamplighter", "recovery", raw=None, first_start_s=0.5),
        line("lamplighter", "processes-4", locked=3, jain=0.99, per_second=10),
    )

    assert found["durable enqueue, one producer, one by one: times raw SQLite"].margin == pytest.approx(0.5)
    assert found["killed with 10,000 jobs in flight: seconds to the first start"].margin == pytest.approx(2.0)
    assert found["four processes on one file: `database is locked`"].margin == 0.0
    assert found["four processes on one file: times one process"].margin is None


@pytest.mark.usefixtures("bench")
def test_a_bound_that_is_relative_compares_with_the_other_system() -> None:
    found = verdicts_of(
        line("lamplighter", "drain-1", per_second=18_000),
        line("huey", "drain-1", per_second=1_800),
        line("pgqueuer", "drain-1", per_second=36_000),
    )

    assert found["drain by one worker thread, events at info to a file: times Huey"].margin == pytest.approx(2.0)
    assert found["drain by one worker thread, events at info to a file: times the best peer"].margin == pytest.approx(
        0.5
    )


@pytest.mark.usefixtures("bench")
def test_a_wait_is_compared_with_the_shortest_of_the_durable_peers_only() -> None:
    found = verdicts_of(
        line("lamplighter", "latency-100", p50_ms=1.0, p99_ms=4.0),
        line("saq", "latency-100", p50_ms=0.2, p99_ms=0.4, durable=False),
        line("dramatiq", "latency-100", p50_ms=2.0, p99_ms=2.0),
        line("dbos", "latency-100", p50_ms=600.0, p99_ms=1000.0),
    )

    assert found["queue to start at 100 jobs a second, p50: times the best durable peer"].margin == pytest.approx(2.0)
    assert found["queue to start at 100 jobs a second, p99: times the best durable peer"].margin == pytest.approx(0.5)


@pytest.mark.usefixtures("bench")
def test_a_bound_for_a_faster_disk_does_not_apply() -> None:
    found = verdicts_of(line("lamplighter", "bulk-500", raw=300.0, per_second=50_000, ratio=160.0))

    one = found["`queue_many`, batches of 500: jobs a second where raw SQLite does 6,000 commits"]
    assert (one.found, one.margin) == (50_000, None)
    assert one.note == "does not apply: raw SQLite did 300 commits here"


@pytest.mark.usefixtures("bench")
def test_the_median_of_the_runs_counts_and_a_failed_run_is_passed_over() -> None:
    from results import medians

    runs = [line("huey", "drain-1", per_second=value) for value in (1.0, 9.0, 2.0)]
    runs.append({"system": "huey", "workload": "drain-1", "failed": "it did not end"})

    (found,) = medians(runs)

    assert found["figures"] == {"per_second": 2.0}
    assert found["runs"] == 3
