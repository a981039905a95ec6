"""The report of an audit: its findings, what could not be checked, and how much it has seen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ...rules.wording import many
from ..replay.findings import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The findings of an audit, and how much it has seen.

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
        acts: how often somebody has acted from outside of any runtime.
        unfinished: jobs that had not ended when the log did.
        is_whole: whether these are all: a log at warning tells no moves.
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
    acts: int = 0
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
                *(((self.acts, "act"),) if self.acts else ()),
            )
        )
        if self.ok:
            hidden = "" if self.is_whole else ", or more: a log at warning does not tell"
            return f"all is well: {seen}; {self.unfinished} unfinished{hidden}"
        kinds = Counter(finding.kind for finding in self.findings)
        said = ", ".join(_counted(number + self.more.get(kind, 0), kind) for kind, number in kinds.items())
        excused = "" if self.unexcused else "; the log itself says that lines were lost"
        return f"not well: {said}; in {seen}{excused}"


def _counted(number: int, kind: str) -> str:
    return f"{number} {kind.removesuffix('s') if number == 1 and kind.startswith('missing') else kind}"
