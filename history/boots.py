"""The fold of boots: what each one has said of itself, and which of its lines are not there."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..events import EVENTS
from .lines import Line
from .revisions import Revisions

SILENT_PIECES_MAX = 256
"""So many gaps without a single line at debug: this boot does not log at debug."""

GAPS_KEPT_MAX = 500
"""Gaps whose neighbours are kept."""

DEBUG_EVENTS = frozenset(name for name, kind in EVENTS.items() if kind.level == "debug")
ALARMS = frozenset(name for name, kind in EVENTS.items() if kind.level in ("warning", "error"))


@dataclass(slots=True)
class Gap:
    """Numbers that are missing between two lines of a boot, and the revisions told just before and after."""

    first: int
    last: int
    before: Line
    after: Line
    rev_before: int
    rev_after: int | None = None


@dataclass(slots=True)
class Boot:
    """One life of a runtime.

    Attributes:
        loud: whether it has said anything at debug: then it says everything.
        quiet: whether it cannot be logging at debug.
        audible: whether it has said anything below warning.
        ended: whether it has stopped, or others have taken back what it held.
    """

    name: str
    loud: bool = False
    quiet: bool = False
    audible: bool = False
    ended: str | None = None
    dropped: int = 0
    line: Line | None = None
    rev: int = 0
    seqs: Revisions = field(default_factory=Revisions)
    gaps: list[Gap] = field(default_factory=list)

    def hear(self, line: Line) -> bool:
        """Note a line by its number. False if a line of this number is known already."""
        if not self.loud and line.event in DEBUG_EVENTS:
            self.loud = True
        if not self.audible and line.event not in ALARMS:
            self.audible = True
        if self.quiet:
            return True
        before, last = self.line, self.seqs.last
        if not self.seqs.add(line.seq):
            return False
        if before is not None and line.seq > last + 1 and len(self.gaps) < GAPS_KEPT_MAX:
            self.gaps.append(Gap(last + 1, line.seq - 1, before, line, self.rev))
        if line.rev is not None:
            self.rev = line.rev
            for gap in reversed(self.gaps):
                if gap.rev_after is not None:
                    break
                gap.rev_after = line.rev
        self.line = line
        if not self.loud and self.seqs.pieces > SILENT_PIECES_MAX:
            self.quiet = True
            self.gaps.clear()
            self.seqs.clear()
        return True
