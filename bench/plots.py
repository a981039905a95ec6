"""Draws what a run has found: a row a system, a dot a figure, on a logarithmic axis; light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from catalog import SYSTEMS, WORKLOADS
from results import number, promises_less

WIDTH, LABELS, RIGHT, TOP, ROW, BOTTOM = 760, 210, 60, 64, 26, 44

THEMES = {
    "light": {"ink": "#1f2328", "soft": "#59636e", "grid": "#d1d9e0", "ours": "#b35900", "peer": "#57606a"},
    "dark": {"ink": "#e6edf3", "soft": "#9198a1", "grid": "#3d444d", "ours": "#f0a35e", "peer": "#9198a1"},
}


class Row(NamedTuple):
    """One system: its dots, each with a short name that is written above it; hollow ones when it promises less."""

    label: str
    ours: bool
    weaker: bool
    dots: Sequence[tuple[str, float]]


class Plot(NamedTuple):
    """One picture."""

    name: str
    title: str
    unit: str
    rows: Sequence[Row]


def draw(found: list[dict[str, Any]], folder: Path) -> None:
    """Write every plot that there are figures for, in each theme."""
    folder.mkdir(exist_ok=True)
    for plot in plots(found):
        for theme, colours in THEMES.items():
            (folder / f"{plot.name}-{theme}.svg").write_text(svg(plot, colours), encoding="utf-8")


def plots(found: list[dict[str, Any]]) -> list[Plot]:
    """Those of docs/performance.md."""
    queue = (("1", "enqueue-1"), ("8", "enqueue-8"), ("64", "enqueue-64"), ("async", "enqueue-async-64"))
    made = [
        Plot(
            "queue",
            "Durable enqueue, one by one, from 1, 8 and 64 threads and 64 asyncio tasks",
            "times raw SQLite",
            _rows(found, [(name, workload, "ratio") for name, workload in queue]),
        ),
        Plot(
            "drain",
            "Drain by one worker, one job at a time",
            "jobs a second",
            _rows(found, [("", "drain-1", "per_second")]),
        ),
        Plot(
            "latency",
            "Queue to first statement of the handler, 100 jobs a second",
            "ms",
            _rows(found, [("p50", "latency-100", "p50_ms"), ("p99", "latency-100", "p99_ms")]),
        ),
        Plot(
            "growth",
            "A claim, a run and an ending, at a growing backlog",
            "us of the processor",
            _own_rows(found, ("backlog-1000", "backlog-1m", "backlog-10m"), "claim_cpu_us"),
        ),
    ]
    return [plot for plot in made if plot.rows]


def _own_rows(found: list[dict[str, Any]], workloads: tuple[str, ...], figure: str) -> list[Row]:
    return [
        Row(WORKLOADS[workload].title, True, False, dots)
        for workload in workloads
        if (dots := _dots(found, "lamplighter", [("", workload, figure)]))
    ]


def _rows(found: list[dict[str, Any]], wanted: list[tuple[str, str, str]]) -> list[Row]:
    rows = []
    for system in SYSTEMS:
        if dots := _dots(found, system, wanted):
            about = next(one for one in found if one["system"] == system and "figures" in one)
            rows.append(Row(about["title"], system.startswith("lamplighter"), promises_less(about), dots))
    return rows


def _dots(found: list[dict[str, Any]], system: str, wanted: list[tuple[str, str, str]]) -> list[tuple[str, float]]:
    """The wanted figures that were measured, each with its name."""
    figures = {one["workload"]: one["figures"] for one in found if one["system"] == system and "figures" in one}
    return [
        (name, figures[workload][figure])
        for name, workload, figure in wanted
        # A logarithmic axis has no place for the 0 of a workload that got nothing done in its time.
        if workload in figures and figures[workload][figure] > 0
    ]


def svg(plot: Plot, colours: dict[str, str]) -> str:
    """The picture as text."""
    values = [value for row in plot.rows for _, value in row.dots]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values) * 1.05))
    high = max(high, low + 1)
    height = TOP + ROW * len(plot.rows) + BOTTOM

    def x(value: float) -> float:
        return LABELS + (math.log10(value) - low) / (high - low) * (WIDTH - LABELS - RIGHT)

    def text(at_x: float, at_y: float, what: str, colour: str, anchor: str = "start", size: int = 12) -> str:
        return (
            f'<text x="{at_x:.1f}" y="{at_y:.1f}" fill="{colours[colour]}" font-size="{size}" '
            f'text-anchor="{anchor}">{escape(what)}</text>'
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'font-family="system-ui, sans-serif" aria-label="{escape(plot.title)}">',
        text(0, 20, plot.title, "ink", size=15),
        text(0, 40, f"{plot.unit}, logarithmic; hollow: a weaker promise", "soft"),
    ]
    bottom = height - BOTTOM
    for power in range(low, high + 1):
        at = x(10.0**power)
        parts.append(f'<line x1="{at:.1f}" y1="{TOP - 10}" x2="{at:.1f}" y2="{bottom}" stroke="{colours["grid"]}"/>')
        parts.append(text(at, bottom + 18, f"{10.0**power:,g}", "soft", "middle"))
    for place, row in enumerate(plot.rows):
        middle = TOP + ROW * place + ROW / 2
        colour = "ours" if row.ours else "peer"
        parts.append(text(LABELS - 12, middle + 4, row.label, "ink" if row.ours else "soft", "end"))
        ends = [x(value) for _, value in row.dots]
        paint = colours[colour]
        look = f'fill="none" stroke="{paint}" stroke-width="2"' if row.weaker else f'fill="{paint}"'
        first = min(ends) if len(ends) > 1 else LABELS
        parts.append(
            f'<line x1="{first:.1f}" y1="{middle:.1f}" x2="{max(ends):.1f}" y2="{middle:.1f}" '
            f'stroke="{colours[colour]}" stroke-width="2" stroke-opacity="0.45"/>'
        )
        for (name, value), at in zip(row.dots, ends, strict=True):
            parts.append(f'<circle cx="{at:.1f}" cy="{middle:.1f}" r="4.5" {look}>')
            parts.append(f"<title>{escape(f'{row.label} {name}: {value:,.3g} {plot.unit}')}</title></circle>")
        parts.extend(_names(row, ends, middle, text))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _names(row: Row, ends: list[float], middle: float, text: Any) -> list[str]:
    """The dots' names, left out where they would lie on one another; a lone dot has its value beside it."""
    if len(row.dots) == 1:
        return [text(ends[0] + 9, middle + 4, number(row.dots[0][1]), "soft", size=11)]
    parts, last = [], -math.inf
    for at, (name, _) in sorted(zip(ends, row.dots, strict=True)):
        if at - last > 7 * len(name) + 3:
            parts.append(text(at, middle - 7, name, "soft", "middle", size=9))
            last = at
    return parts


if __name__ == "__main__":
    import json
    import sys

    from results import medians

    draw(
        list(medians([json.loads(line) for line in Path(sys.argv[1]).read_text("utf-8").splitlines()])),
        Path(sys.argv[2]),
    )
