"""The dashboard for Grafana: what it asks is there to be scraped, and it has the form of what Grafana exports.

The form is that of Grafana's own kind of a dashboard (`kinds/dashboard/dashboard_kind.cue` in its repository).
"""

from __future__ import annotations

import io
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, redirect_stdout, suppress
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from lamplighter import JobFailed, Runtime
from lamplighter.admin.metrics import KINDS
from lamplighter.cli.main import main
from prometheus_client.parser import text_string_to_metric_families

DASHBOARD = json.loads((Path(__file__).parents[3] / "docs" / "grafana.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ASKED = [(panel, target) for panel in PANELS for target in panel["targets"]]

PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
UNITS = {"short", "s", "ops", "bytes", "percentunit"}

RISES = {f"{kind.name}_total" for kind in KINDS if kind.kind == "counter"} | {
    f"{kind.name}_bucket" for kind in KINDS if kind.kind == "histogram"
}
"""What only rises, of which nobody wants to see more than how fast."""

SERIES = re.compile(r"(lamplighter_\w+)(?:\{([^}]*)\})?(\[[^\]]*\])?")
LABEL = re.compile(r'(\w+)(?:=|=~)"([^"]*)"')
SPLIT = re.compile(r"by \(([^)]*)\)")

each_that_is_asked = pytest.mark.parametrize(
    ("panel", "target"), ASKED, ids=[f"{panel['title']} {target['refId']}" for panel, target in ASKED]
)

Labels = dict[str, set[str]]


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Labels]:
    """Of each series that `lamplighter metrics` tells, its labels and the values that they have."""
    path = tmp_path_factory.mktemp("scraped") / "jobs.db"
    printed: list[str] = []
    for state in ("done", "dead"):
        _work_on(path, fails=state == "dead", then=lambda: None)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("insert into lamplighter_tallies values (0, 0, 'work', 'slot.fired', 1, 0.0, '[]')")
    _work_on(path, fails=False, then=lambda: printed.append(_printed(path)))
    found: dict[str, Labels] = {}
    for family in text_string_to_metric_families(printed[0]):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def _work_on(path: Path, *, fails: bool, then: Callable[[], object]) -> None:
    """Have a runtime do a job, and one be put back, be cancelled, and have no handler."""

    def work(job: Any) -> None:
        if fails:
            raise ValueError("it fails")

    runtime = Runtime(path)
    runtime.jobs.add_handler("work", work, max_attempts=1)
    with runtime:
        jobs = runtime.jobs
        job = jobs.queue("work")
        for again in (fails, False):
            with suppress(JobFailed):
                jobs.join(job)
            if again:
                jobs.requeue(job)
        jobs.cancel(jobs.queue("work", delay=600))
        jobs.queue("work", delay=600)
        jobs.queue("nobody")
        jobs.pause("nobody")
        then()


def _printed(path: Path) -> str:
    """What the command prints."""
    with redirect_stdout(io.StringIO()) as out:
        assert main(["metrics", "-s", str(path)]) == 0
    return out.getvalue()


def series_of(expression: str) -> Iterator[tuple[str, Mapping[str, str], str]]:
    """The series that an expression asks for, with what it asks of their labels, and over which span."""
    for name, asked, span in SERIES.findall(expression):
        yield name, dict(LABEL.findall(asked)), span


@each_that_is_asked
def test_what_a_panel_asks_is_scraped_with_these_labels(panel: Any, target: Any, scraped: Mapping[str, Labels]) -> None:
    for name, asked, _ in series_of(target["expr"]):
        assert name in scraped
        assert asked.keys() <= scraped[name].keys()
        for by in SPLIT.findall(target["expr"]):
            assert {label.strip() for label in by.split(",")} <= scraped[name].keys()


@each_that_is_asked
def test_the_values_that_a_panel_asks_for_are_such_as_there_are(
    panel: Any, target: Any, scraped: Mapping[str, Labels]
) -> None:
    known = {"outcome": {"failed", "timed_out", "discarded", "interrupted"}, "state": {"ready", "parked", "dead"}}
    for name, asked, _ in series_of(target["expr"]):
        for label, values in asked.items():
            if values != "$name":
                assert set(values.split("|")) <= known[label]
            if label == "state":
                assert values in scraped[name]["state"]


@each_that_is_asked
def test_of_what_only_rises_it_is_asked_how_fast_and_of_nothing_else(panel: Any, target: Any) -> None:
    expression = target["expr"]

    assert expression.count("(") == expression.count(")")
    for name, _, span in series_of(expression):
        rated = re.search(rf"(?:rate|increase)\({name}\b", expression) is not None
        assert (rated, bool(span)) == ((name in RISES,) * 2), name


@each_that_is_asked
def test_a_legend_names_labels_that_are_left_of_a_sum(panel: Any, target: Any, scraped: Mapping[str, Labels]) -> None:
    named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    ((name, *_), *_) = series_of(target["expr"])
    by = SPLIT.findall(target["expr"])

    left = {label.strip() for label in by[0].split(",")} if by else scraped[name].keys()
    assert named <= left - {"le"}


def test_the_variables_are_those_that_the_panels_use() -> None:
    listed = {one["name"]: one for one in DASHBOARD["templating"]["list"]}

    assert {kind: one["type"] for kind, one in listed.items()} == {"datasource": "datasource", "name": "query"}
    assert listed["name"]["query"] == "label_values(lamplighter_jobs, name)"
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD["panels"])))
    assert used <= {*listed, "__rate_interval"}


def test_the_dashboard_has_the_fields_that_grafana_gives_one() -> None:
    # Grafana 10.2 and later write 39, and bring what is older up to their own.
    assert DASHBOARD["schemaVersion"] == 39
    assert 8 <= len(DASHBOARD["uid"]) <= 40
    assert DASHBOARD["graphTooltip"] in (0, 1, 2)
    assert DASHBOARD["time"].keys() == {"from", "to"}
    assert not {"__inputs", "__requires", "id"} & DASHBOARD.keys()
    assert all(one["hide"] in (0, 1, 2) for one in DASHBOARD["templating"]["list"])


def test_each_panel_has_the_fields_that_grafana_gives_one() -> None:
    for panel in PANELS:
        assert panel.keys() == {
            *("id", "type", "title", "description", "datasource", "gridPos", "fieldConfig", "options", "targets")
        }
        assert panel["type"] in ("stat", "timeseries")
        assert panel["datasource"] == PROMETHEUS
        assert panel["fieldConfig"].keys() == {"defaults", "overrides"}
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        steps = panel["fieldConfig"]["defaults"].get("thresholds", {"steps": [{"value": None}]})["steps"]
        assert steps[0]["value"] is None
        references = [target["refId"] for target in panel["targets"]]
        assert sorted(set(references)) == references
        assert all(target["datasource"] == PROMETHEUS for target in panel["targets"])


def test_panels_lie_side_by_side_below_the_row_that_names_them() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]

    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert not [pair for pair in combinations(places, 2) if _overlap(*pair)]
    assert [place["y"] for place in places] == sorted(place["y"] for place in places)


def _overlap(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    return all(
        one[at] < other[at] + other[size] and other[at] < one[at] + one[size] for at, size in (("x", "w"), ("y", "h"))
    )


def test_no_metric_is_left_out_but_what_only_tells_who_looks(scraped: Mapping[str, Sequence[str]]) -> None:
    """So that whoever adds one thinks of the dashboard."""
    asked = {name for _, target in ASKED for name, *_ in series_of(target["expr"])}
    left = {kind.name for kind in KINDS if not {f"{kind.name}{ending}" for ending in ("", "_total", "_bucket")} & asked}

    assert left == {
        "lamplighter_dead_jobs",
        "lamplighter_fenced",
        "lamplighter_schedule_lag_seconds",
        "lamplighter_info",
    }
