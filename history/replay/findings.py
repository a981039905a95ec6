"""Findings: something that cannot have happened if all is well, and the lines that show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..log_files.lines import Line

Kind = Literal[
    "lost",
    "finished twice",
    "fired twice",
    "slot without an account",
    "illegal transition",
    "fence going back",
    "missing turns",
    "missing moves",
    "missing boot",
    "missing lines",
    "lost follow-up",
    "lost step",
    "step twice",
    "step by a stale claim",
    "too fast",
    "put off too long",
    "too many of a group",
    "started too soon",
    "doomed without cause",
    "left waiting",
    "told twice",
    "told otherwise",
    "disagreement with the store",
    "orphan",
]

GIVEN_UP = "; log.dropped says that lines were lost"
"""The end of a finding that may be about lines which the log itself has given up."""

FINDINGS_KEPT_MAX = 1_000
"""The most findings of each kind; the report counts the others."""

NAMED_MAX = 5
"""Boots, jobs and the like that are named in one sentence."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that cannot have happened if all is well.

    Attributes:
        kind: one of a few, for whoever counts or filters.
        says: one sentence.
        lines: what shows it, each after the name and number of its place in the log.
        excused: the log itself said that lines were lost here.
    """

    kind: Kind
    says: str
    lines: tuple[str, ...] = ()
    excused: bool = False


class Findings:
    """Collects what is found."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self._counts: Counter[str] = Counter()

    def say(self, kind: Kind, says: str, *lines: Line | None, excused: bool = False) -> None:
        """Keep a finding, or count it when there are too many of its kind."""
        self._counts[kind] += 1
        if self._counts[kind] <= FINDINGS_KEPT_MAX:
            shown = tuple(line.text for line in lines if line is not None)
            self.kept.append(Finding(kind, says, shown, excused))

    @property
    def more(self) -> dict[str, int]:
        """How many there were of each kind beyond those that are kept."""
        return {kind: number - FINDINGS_KEPT_MAX for kind, number in self._counts.items() if number > FINDINGS_KEPT_MAX}


def named(names: Iterable[str]) -> str:
    """The first few, and how many there are besides."""
    known = list(names)
    more = f" and {len(known) - NAMED_MAX} more" if len(known) > NAMED_MAX else ""
    return ", ".join(known[:NAMED_MAX]) + more


def stretch(noun: str, first: int, last: int, of: str = "") -> str:
    """Numbers in a row, as what a sentence is about: `turns 3 to 5 are`."""
    return f"{noun} {first}{of} is" if first == last else f"{noun}s {first} to {last}{of} are"
