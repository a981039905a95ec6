"""Writes the tables and plots of docs/performance.md from what a run has found.

python bench/report.py [RESULTS_FILE]
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import plots
from bounds import Measures, verdicts
from catalog import SYSTEMS, WORKLOADS
from results import medians, number, promises_less

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"

QUEUE = ("enqueue-1", "enqueue-8", "enqueue-64", "enqueue-async-64", "bulk-500")
LANES = ("drain-1", "drain-4", "drain-async-100", "drain-processes", "chain")
PAYLOADS = ("payload-100b", "payload-10kb", "payload-1mb")
SCHEDULES = ("schedules-1000", "schedules-10000", "schedules-100000")
BACKLOGS = ("backlog-1000", "backlog-1m", "backlog-10m")
PROCESSES = ("processes-1", "processes-2", "processes-4")
FLOW = ("steps", "waiting", "turns", "rates")
ALONE = ("recovery", "idle", "idle-2", "import", "looking", "pages", "watched", "tallied", "simulation")

NAMES = {
    "per_second": "a second",
    "ratio": "times raw",
    "cpu_us": "processor, us each",
    "mb_per_second": "MB a second",
    "first_start_s": "first start, s",
    "resident_mb": "resident, MB",
    "file_bytes_each": "file, bytes each",
    "claim_us": "a job, us",
    "claim_cpu_us": "a job, us of the processor",
    "bytes_each": "memory, bytes each",
    "idle_cpu_percent": "idle, % of a core",
    "wake_ups_per_second": "wake-ups a second",
    "late_p50_ms": "late p50, ms",
    "late_p99_ms": "late p99, ms",
    "queued_per_second": "queued a second",
    "jain": "Jain's index",
    "locked": "locked",
    "jobs": "jobs",
    "import_ms": "with all, ms of the processor",
    "import_beyond_ms": "beyond its dependencies, ms of the processor",
    "dependencies_direct": "direct dependencies",
    "dependencies_all": "in all",
    "help_starts": "`--help`, starts of Python",
    "health_starts": "`health`, starts of Python",
    "slowest_starts": "the slowest, starts of Python",
    "slowest_page_ms": "the slowest page, ms of the processor",
    "without_ratio": "times without groups",
    "most_in_a_second": "the most in any second",
    "idle_ratio": "a turn beside one that waits, times without",
    "idle_20_ratio": "the same of 20 jobs",
    "freed_us": "to free a child, us",
    "longest_turn_ms": "the longest turn, ms",
    "link_ratio": "a link of a chain, times a job",
    "watched_ratio": "times with nobody looking",
    "watched_clock_ratio": "the same by the clock",
    "tallied_ratio": "times the same uncounted",
    "per_calibration": "next to a plain loop",
    "schedules": "schedules",
}
"""Of a figure, as the head of a column."""


PROMISES_LESS = "\\* promises less than Lamplighter: see [how safe each row is](#how-safe-each-row-is)."


class Page:
    """A page with places that are written by a run, each between `<!-- bench:NAME -->` and `<!-- /bench -->`."""

    def __init__(self, text: str) -> None:
        self.text = text

    def put(self, name: str, what: str) -> None:
        """Write one of them.

        Raises:
            ValueError: the page has no such place.
        """
        place = re.compile(rf"(<!-- bench:{name} -->\n).*?(<!-- /bench -->)", re.DOTALL)
        if not place.search(self.text):
            raise ValueError(
                f"expected a place for {name} in docs/performance.md, between <!-- bench:{name} --> and its end"
            )
        self.text = place.sub(lambda found: f"{found[1]}\n{what}\n\n{found[2]}", self.text)


def main() -> None:
    """Read what was measured, write the page."""
    results = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "results.jsonl"
    write([json.loads(line) for line in results.read_text("utf-8").splitlines()], PAGE)


def write(lines: list[dict[str, Any]], page_path: Path) -> None:
    """Put the tables of a run into a page, and its plots beside it."""
    found = list(medians(lines))
    measures = Measures(found)
    page = Page(page_path.read_text("utf-8"))
    page.put("machine", machine(lines[0]))
    page.put("bounds", bounds(measures))
    page.put("queue", peers(found, QUEUE, _rate))
    page.put("drain", peers(found, ("drain-1", "latency-100"), _drain_or_latency))
    page.put("durability", durability(found))
    for name, workloads in (
        ("lanes", LANES),
        ("payloads", PAYLOADS),
        ("schedules", SCHEDULES),
        ("backlogs", BACKLOGS),
        ("processes", PROCESSES),
    ):
        page.put(name, own(measures, workloads))
    page.put("flow", listed(measures, FLOW))
    page.put("alone", listed(measures, ALONE))
    page_path.write_text(page.text, encoding="utf-8")
    plots.draw(found, page_path.parent / "plots")


QUICK = (
    "\n\n**This was a quick look** (`--quick`): one run of each, and small numbers. A thousand jobs were in flight "
    "where it says 10,000, and what needs many jobs or schedules was not measured."
)


def machine(head: dict[str, Any]) -> str:
    """On what was measured."""
    about = head["machine"]
    quick = "" if head["size"] == "full" else QUICK
    return (
        f"{about['cores']} cores of {about['processor']}, {about['memory_gb']} GB, {about['system']}, "
        f"{about['file_system']}, Python {about['python']}, SQLite {about['sqlite']}; Lamplighter at commit "
        f"{about['commit']}; load before the run {about['load_before']}.{quick}"
    )


def bounds(measures: Measures) -> str:
    """How many bounds are met; each of the others, and by how much it is missed."""
    met, missed, rows = 0, 0, []
    for one in verdicts(measures):
        if one.margin is not None and one.margin >= 1:
            met += 1
            continue
        found = "" if one.found is None else number(one.found)
        margin = one.margin or 0.0
        missed += one.margin is not None
        by = f"{margin:.2f} times" if margin < 0.995 else "by less than 0.5 %"
        rows.append((one.figure, one.bound, found, one.note if one.margin is None else f"**missed**, {by}"))
    others = table(("figure", "bound", "measured", "by how much"), rows)
    unknown = len(rows) - missed
    return f"{met} bounds are met, {missed} are missed, and {unknown} could not be judged:\n\n{others}"


def peers(found: list[dict[str, Any]], workloads: tuple[str, ...], cell: Callable[[dict[str, Any]], str]) -> str:
    """Systems down, workloads across."""
    return f"{_across(found, SYSTEMS, workloads, cell)}\n\n{PROMISES_LESS}"


def _across(
    found: list[dict[str, Any]],
    systems: Iterable[str],
    workloads: tuple[str, ...],
    cell: Callable[[dict[str, Any]], str],
) -> str:
    by_place = {(one["system"], one["workload"]): one for one in found}
    rows = []
    for system in systems:
        mine = [by_place.get((system, workload)) for workload in workloads]
        if not any(mine):
            continue
        about = next((one for one in mine if one and "title" in one), None)
        title = system if about is None else about["title"] + (" *" if promises_less(about) else "")
        rows.append((title, *("" if one is None else cell(one) for one in mine)))
    return table(("system", *(WORKLOADS[workload].title for workload in workloads)), rows)


def durability(found: list[dict[str, Any]]) -> str:
    """What each row is worth."""
    told = {one["system"]: one for one in found if "durability" in one}
    rows = [
        (
            f"{one['title']} {one['version']}",
            "yes" if one["survives_power"] else "no",
            "yes" if one["survives_worker"] else "no",
            one["durability"],
        )
        for one in told.values()
    ]
    return table(("system", "a queued job survives a power cut", "a taken job comes back by itself", "how"), rows)


def own(measures: Measures, workloads: Iterable[str]) -> str:
    """Lamplighter's workloads down, their figures across."""
    lines = {workload: measures.line("lamplighter", workload).get("figures", {}) for workload in workloads}
    names = [name for name in NAMES if any(name in figures for figures in lines.values())]
    rows = [
        (WORKLOADS[workload].title, *(number(figures[name]) if name in figures else "" for name in names))
        for workload, figures in lines.items()
        if figures
    ]
    return table(("", *(NAMES[name] for name in names)), rows)


def listed(measures: Measures, workloads: Iterable[str]) -> str:
    """Lamplighter's workloads with their figures, one a line: each has figures of its own."""
    rows = [
        (WORKLOADS[workload].title, NAMES[name], number(figures[name]))
        for workload in workloads
        for figures in [measures.line("lamplighter", workload).get("figures", {})]
        for name in NAMES
        if name in figures
    ]
    return table(("", "figure", "measured"), rows)


def _rate(one: dict[str, Any]) -> str:
    if "figures" not in one:
        return _why_not(one)
    return f"{number(one['figures']['per_second'])}/s, {number(one['figures']['ratio'])}x raw"


def _drain_or_latency(one: dict[str, Any]) -> str:
    if "figures" not in one:
        return _why_not(one)
    figures = one["figures"]
    if "p50_ms" in figures:
        return f"{number(figures['p50_ms'])} / {number(figures['p99_ms'])} ms"
    return f"{number(figures['per_second'])}/s"


def _why_not(one: dict[str, Any]) -> str:
    return str(one.get("skipped", "failed"))


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """In Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
