"""Charts as SVG: text that a page can hold, a screen reader can read, and a stylesheet can colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720, 120


def columns(series: Mapping[str, Sequence[float]], labels: Sequence[str], *, title: str) -> str:
    """Stacked columns, one a label, each with what it stands for as its title.

    Args:
        series: by name, which is also the class of its bars, from the bottom up.
        labels: what the columns stand for, as many as each series has values.
    """
    count = len(labels)
    tops = [sum(values[at] for values in series.values()) for at in range(count)]
    most = max(tops, default=0.0) or 1.0
    step = WIDTH / max(1, count)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title)}">'
    ]
    for at, label in enumerate(labels):
        said = ", ".join(f"{number(values[at])} {name}" for name, values in series.items())
        parts.append(f"<g><title>{escape(f'{label}: {said}')}</title>")
        # Something to point at, also where nothing happened.
        parts.append(_bar("whole", at * step, 0.0, step, HEIGHT))
        bottom = 0.0
        for name, values in series.items():
            height = values[at] / most * HEIGHT
            if height:
                parts.append(_bar(name, at * step, HEIGHT - bottom - height, step * 0.8, height))
            bottom += height
        parts.append("</g>")
    return "".join((*parts, "</svg>"))


def sparkline(values: Sequence[float], *, title: str) -> str:
    """A small line."""
    if not values:
        return ""
    most = max(values) or 1.0
    step = 100 / max(1, len(values) - 1)
    points = " ".join(f"{at * step:.1f},{20 - value / most * 18:.1f}" for at, value in enumerate(values))
    return (
        f'<svg class="spark" viewBox="0 0 100 20" preserveAspectRatio="none" role="img" aria-label="{escape(title)}">'
        f'<title>{escape(title)}</title><polyline points="{points}"/></svg>'
    )


def number(value: float) -> str:
    """A number as people read it."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _bar(name: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{escape(name)}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
