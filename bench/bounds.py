"""Which figures are met, and by how much: bounds.toml applied to what was measured."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

LOWER_IS_BETTER = ("_ms", "_us", "_s", "_mb", "_percent")


class Verdict(NamedTuple):
    """Of one bound.

    Attributes:
        found: what is compared with the bound; None when it was not measured.
        margin: how many times better than the bound it is, below 1 when it is missed; None when that cannot be said.
        note: why not.
    """

    figure: str
    bound: str
    found: float | None
    margin: float | None
    note: str = ""


class Measures:
    """The medians of a run, by SYSTEM/WORKLOAD/FIGURE."""

    def __init__(self, medians: Iterable[dict[str, Any]]) -> None:
        self._lines = {(one["system"], one["workload"]): one for one in medians if "figures" in one}

    def line(self, system: str, workload: str) -> dict[str, Any]:
        """Everything about a system at a workload; empty when it was not measured."""
        return self._lines.get((system, workload), {})

    def get(self, measure: str) -> float | None:
        """One figure; None when it was not measured."""
        system, workload, figure = measure.split("/")
        value: float | None = self.line(system, workload).get("figures", {}).get(figure)
        return value

    def best_peer(self, measure: str, among: str) -> float | None:
        """The best of the peers at the same figure."""
        _, workload, figure = measure.split("/")
        found = [
            line["figures"][figure]
            for (system, done), line in self._lines.items()
            if done == workload and not system.startswith("lamplighter") and figure in line["figures"]
            if among == "all" or line["survives_power"]
        ]
        if not found:
            return None
        return min(found) if figure.endswith(LOWER_IS_BETTER) else max(found)


def verdicts(measures: Measures) -> Iterator[Verdict]:
    """One for each bound, in their order."""
    text = (Path(__file__).parent / "bounds.toml").read_text("utf-8")
    for bound in tomllib.loads(text)["bound"]:
        yield _verdict(bound, measures)


def _verdict(bound: dict[str, Any], measures: Measures) -> Verdict:
    most, measure = bound.get("at_most"), bound["measure"]
    limit = bound["at_least"] if most is None else most
    said = f"{'at least' if most is None else 'at most'} {limit:,}"
    system, workload, figure = measure.split("/")
    found = measures.get(measure)
    if found is None:
        return Verdict(bound["figure"], said, None, None, "not measured")
    if "relative_to" in bound or "ahead_of" in bound:
        if "relative_to" in bound:
            other, inverse = measures.get(bound["relative_to"]), False
        else:
            other, inverse = measures.best_peer(measure, bound["ahead_of"]), figure.endswith(LOWER_IS_BETTER)
        if not other or (inverse and not found):
            return Verdict(bound["figure"], said, None, None, "what it is compared with was not measured, or is 0")
        found = other / found if inverse else found / other
    raw = measures.line(system, workload)["raw"]
    if bound.get("raw_at_least", 0) > (raw or 0):
        return Verdict(bound["figure"], said, found, None, f"does not apply: raw SQLite did {raw:,.0f} commits here")
    if most is None:
        return Verdict(bound["figure"], said, found, found / limit)
    return Verdict(bound["figure"], said, found, limit / found if found and limit else float(found <= limit))
