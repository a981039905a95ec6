"""The replay of boots: what each one has logged about itself, and which of its lines are missing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ...log.events import EVENTS
from ..log_files.lines import Line
from .number_ranges import Revisions

SILENT_PIECES_MAX = 256
"""So many gaps without a single line at debug: this boot does not log at debug."""

SILENT_GAPS_MIN = 3
"""So many gaps after one another without a line at debug: meanwhile the boot did not log at debug."""

GAPS_KEPT_MAX = 500
"""Gaps whose neighbours are kept."""

DEBUG_EVENTS = frozenset(name for name, kind in EVENTS.items() if kind.level == "debug")
ALARMS = frozenset(name for name, kind in EVENTS.items() if kind.level in ("warning", "error"))


@dataclass(slots=True)
class Gap:
    """Numbers that are missing between two lines of a boot, and the revisions just before and after."""

    first: int
    last: int
    before: Line
    after: Line
    rev_before: int
    rev_after: int | None = None


@dataclass(slots=True)
class Silence:
    """A while in which a boot that logs at debug did not: from one such line to another."""

    rev_before: int
    since: float
    is_over: bool = False
    rev_after: int | None = None
    until: float = math.inf


@dataclass(slots=True)
class BootReplay:
    """One boot, as its lines show it.

    Attributes:
        loud: whether it has a line at debug: then it logs everything.
        quiet: whether it cannot be logging at debug.
        audible: whether it has a line below warning.
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
    silences: list[Silence] = field(default_factory=list)
    # The last line at debug, the last revision before it, and the gaps since.
    _aloud: Line | None = None
    _aloud_rev: int = 0
    _silent_gaps: int = 0
    _silence: Silence | None = None

    def hear(self, line: Line) -> bool:
        """Note a line by its number. False if a line of this number is known already."""
        is_debug = line.event in DEBUG_EVENTS
        if is_debug and not self.loud:
            self.loud = True
            if self.quiet:
                self.quiet, self._silent_gaps = False, SILENT_GAPS_MIN
                self.seqs.fill(0, line.seq - 1)
        if not self.audible and line.event in EVENTS and line.event not in ALARMS:
            self.audible = True
        if self.quiet:
            return True
        before, last = self.line, self.seqs.last
        if not self.seqs.add(line.seq):
            return False
        if before is not None and line.seq > last + 1:
            self._silent_gaps += 1
            if len(self.gaps) < GAPS_KEPT_MAX:
                self.gaps.append(Gap(last + 1, line.seq - 1, before, line, self.rev))
        if self._silent_gaps >= SILENT_GAPS_MIN and self.loud:
            self._be_silent(line, is_over=is_debug)
        if line.rev is not None:
            self.rev = line.rev
            for gap in reversed(self.gaps):
                if gap.rev_after is not None:
                    break
                gap.rev_after = line.rev
            if self.silences and self.silences[-1].is_over and self.silences[-1].rev_after is None:
                self.silences[-1].rev_after = line.rev
        self.line = line
        if is_debug:
            self._aloud, self._aloud_rev, self._silent_gaps = line, self.rev, 0
        if not self.loud and self.seqs.pieces > SILENT_PIECES_MAX:
            self.quiet = True
            self.gaps.clear()
            self.seqs.clear()
        return True

    def _be_silent(self, line: Line, *, is_over: bool) -> None:
        """After many gaps without a line at debug: the boot was at another level meanwhile."""
        first = self._aloud.seq if self._aloud is not None else 0
        if self._silence is None:
            self._silence = Silence(self._aloud_rev, self._aloud.ts if self._aloud is not None else 0.0)
            self.silences.append(self._silence)
        while self.gaps and self.gaps[-1].first > first:
            self.gaps.pop()
        self.seqs.fill(first, line.seq)
        if is_over:
            self._silence.is_over, self._silence.until = True, line.ts
            self._silence = None
