"""What an audit says: findings, each with the lines that show it, and the report that holds them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from ..log_files.lines import Line

Kind = Literal[
    "lost",
    "finished twice",
    "fired twice",
    "slot without an account",
    "illegal transition",
    "fence going back",
    "missing revisions",
    "missing lines",
    "revision twice",
    "disagreement with the store",
    "orphan",
]

FINDINGS_KEPT_MAX = 1_000
"""Of each kind; the report counts the others."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that cannot have happened if all is well.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an audit found, and how much it has seen.

    Attributes:
        findings: none if all is well.
        more: how many further findings of each kind there were than are kept.
        notes: what could not be checked, and why.
        lines: lines of ours that were read.
        jobs: jobs that were seen to be queued, or first seen later.
        transitions: changes of a job's state.
        slots: slots that were accounted for.
        boots: lives of runtimes.
        crashes: deaths of actors and of boots.
        unfinished: jobs that had not ended when the log did, as far as it tells.
        is_whole: whether these are all: at info, a job is first told of when it ends or fails.
    """

    findings: tuple[Finding, ...]
    more: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    lines: int = 0
    jobs: int = 0
    transitions: int = 0
    slots: int = 0
    boots: int = 0
    crashes: int = 0
    unfinished: int = 0
    is_whole: bool = True

    @property
    def ok(self) -> bool:
        """Whether there is nothing to say against the log."""
        return not self.findings

    @property
    def count(self) -> int:
        """How many findings there were."""
        return len(self.findings) + sum(self.more.values())

    @property
    def unexcused(self) -> tuple[Finding, ...]:
        """The findings that the log itself did not announce."""
        return tuple(finding for finding in self.findings if not finding.excused)

    @property
    def summary(self) -> str:
        """One line."""
        seen = ", ".join(
            many(number, noun)
            for number, noun in (
                (self.jobs, "job"),
                (self.transitions, "transition"),
                (self.slots, "slot"),
                (self.boots, "boot"),
                (self.crashes, "crash"),
            )
        )
        if self.ok:
            hidden = "" if self.is_whole else ", or more: only a log at debug, or --store, tells of all"
            return f"all is well: {seen}; {self.unfinished} unfinished{hidden}"
        kinds = Counter(finding.kind for finding in self.findings)
        said = ", ".join(_counted(number + self.more.get(kind, 0), kind) for kind, number in kinds.items())
        excused = "" if self.unexcused else "; the log itself says that lines were lost"
        return f"not well: {said}; in {seen}{excused}"


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


def many(number: Any, noun: str) -> str:
    """So many of something, in words; a line may say anything for a number."""
    ending = "" if number == 1 else "es" if noun.endswith("sh") else "s"
    return f"{number:,} {noun}{ending}" if isinstance(number, int) else f"{number} {noun}{ending}"


def _counted(number: int, kind: str) -> str:
    return f"{number} {kind.removesuffix('s') if number == 1 and kind.startswith('missing') else kind}"
