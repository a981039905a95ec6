"""What a run has found: medians, and one look-up for the report, the bounds and the plots."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from typing import Any


def medians(lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """For each system and workload, in their order, the median of each figure; or the last reason why there is none."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in lines:
        if "system" in line:
            groups.setdefault((line["workload"], line["system"]), []).append(line)
    for group in groups.values():
        good = [one for one in group if "figures" in one]
        if not good:
            yield group[-1]
            continue
        figures = {name: statistics.median(one["figures"][name] for one in good) for name in good[0]["figures"]}
        raws = [one["raw"] for one in good if one["raw"]]
        yield {**good[0], "figures": figures, "raw": statistics.median(raws) if raws else None, "runs": len(good)}


def promises_less(about: dict[str, Any]) -> bool:
    """Whether a system's figures are those of a weaker promise than Lamplighter's."""
    return not (about["survives_power"] and about["survives_worker"])


def number(value: float) -> str:
    """Three digits, or whole."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
