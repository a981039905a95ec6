"""The lines and turns of each boot, and those that are missing."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...log.events import EVENTS
from ...messages.clock_steps import STEP_SECONDS_MIN
from ...rules.lifecycle import MOVES
from ..log_files.lines import Line
from .findings import NumberRanges

SILENT_PIECES_MAX = 256
"""After so many gaps without a line at debug, the boot does not log at debug at all."""

SILENT_GAPS_MIN = 3
"""After so many consecutive gaps without a line at debug, the boot did not log at debug meanwhile."""

GAPS_KEPT_MAX = 500

DEBUG_EVENTS = frozenset(name for name, kind in EVENTS.items() if kind.level == "debug")
ALARMS = frozenset(name for name, kind in EVENTS.items() if kind.level in ("warning", "error"))


@dataclass(slots=True)
class Gap:
    """Numbers that are missing between two lines of a boot.

    Attributes:
        lines: the two; none of a boot that had said nothing at debug by then, of which each line stands beside one.
    """

    first: int
    last: int
    lines: tuple[Line, ...]


@dataclass(slots=True)
class BootReplay:
    """One boot, as its lines show it.

    Attributes:
        loud: whether it has a line at debug: then it logs everything.
        quiet: whether it cannot be logging at debug.
        audible: whether it has logged anything below warning.
        tells_moves: whether it has logged an event of a job that the ledger has, too.
        ended: whether it has stopped, or others have taken back its claims.
        is_operator: whether it was an `Operator`, which has no log.
        dropped: how many lines it could not write, by its own account, and `dropped_because` the last reason.
        line: its last line, and `first` the time of its first.
        turns: those of its turns that are logged.
        last_turn: the highest turn that any line ascribes to it; `last_said` is that line.
        is_disordered: whether its lines are not in the order of their numbers.
        went_back: how often the time of a line is before an earlier one's, and `has_jumped` whether it logged that the
            clock was set.
        turned_back: whether a turn of it lies before an earlier one: a boot that is killed as the clock is set cannot
            log that, and another logs the turn.
        silences: how often a boot that logs at debug did not for a while.
    """

    name: str
    loud: bool = False
    quiet: bool = False
    audible: bool = False
    tells_moves: bool = False
    ended: str | None = None
    is_operator: bool = False
    dropped: int = 0
    dropped_because: str | None = None
    line: Line | None = None
    first: float = 0.0
    begins: bool = False
    store: str | None = None
    number: int | None = None
    beside: frozenset[int] | None = None
    turns: NumberRanges = field(default_factory=NumberRanges)
    last_turn: int = 0
    last_said: Line | None = None
    seqs: NumberRanges = field(default_factory=NumberRanges)
    gaps: list[Gap] = field(default_factory=list)
    is_disordered: bool = False
    went_back: int = 0
    has_jumped: bool = False
    turned_back: bool = False
    silences: int = 0
    _furthest: int = 0
    _turn: tuple[int, float] = (0, float("-inf"))
    # The last line at debug, and the gaps since.
    _aloud: int = 0
    _silent_gaps: int = 0
    _is_silent: bool = False
    # Numbers that are not missed; some of their lines may come later.
    _excused: NumberRanges = field(default_factory=NumberRanges)

    def hear(self, line: Line) -> bool:
        """Note a line by its number. False if a line of this number is known already.

        Lines in any order may still come from a stretch in which the boot seemed silent.
        """
        self.first = self.first or line.ts
        is_debug = line.event in DEBUG_EVENTS
        if line.seq == 1:
            self.begins = True
        if is_debug and not self.loud:
            self.loud = True
            if self.quiet:
                self.quiet, self._silent_gaps = False, SILENT_GAPS_MIN
                self._fill(0, line.seq - 1)
        if line.event in EVENTS and line.event not in ALARMS:
            self.audible = True
        if line.event in MOVES:
            self.tells_moves = True
        if self.line is not None and line.ts < self.line.ts - STEP_SECONDS_MIN and line.seq > self.line.seq:
            self.went_back += 1
        self.is_disordered = self.is_disordered or line.seq < self._furthest
        self._furthest = max(self._furthest, line.seq)
        if self.quiet:
            self.line = line
            return True
        before, last = self.line, self.seqs.last
        if not self.seqs.add(line.seq):
            return line.seq in self._excused
        if before is not None and line.seq > last + 1:
            self._silent_gaps += 1
            if len(self.gaps) < GAPS_KEPT_MAX:
                self.gaps.append(Gap(last + 1, line.seq - 1, (before, line) if self.loud else ()))
        if self._silent_gaps >= SILENT_GAPS_MIN and self.loud:
            self._be_silent(line, is_over=is_debug)
        self.line = line
        if is_debug:
            self._aloud, self._silent_gaps = line.seq, 0
        if not self.loud and self.seqs.pieces > SILENT_PIECES_MAX:
            self.quiet = True
            self.gaps.clear()
            self.seqs.clear()
        return True

    def come_to(self, turn: int, line: Line) -> None:
        if turn > self.last_turn:
            self.last_turn, self.last_said = turn, line

    def take(self, turn: int, at: float) -> None:
        (earlier, since), self._turn = sorted((self._turn, (turn, at)))
        self.turned_back = self.turned_back or (earlier < self._turn[0] and self._turn[1] < since - STEP_SECONDS_MIN)

    @property
    def is_headless(self) -> bool:
        """Whether its log begins in the middle of its life."""
        return not (self.begins or self.is_operator) and (self.turns.first > 1 or not self.turns)

    @property
    def misses_turns(self) -> bool:
        """Whether some of its turns have no line, though others do."""
        return self.turns.pieces > 1 or self.turns.first > 1 or self.last_turn > self.turns.last

    @property
    def is_counted(self) -> bool:
        """Whether it logs everything, so that the numbers of its lines show each missing one."""
        return self.loud and not self.silences

    def _fill(self, first: int, last: int) -> None:
        self.seqs.fill(first, last)
        self._excused.fill(first, last)

    def _be_silent(self, line: Line, *, is_over: bool) -> None:
        """Many gaps without a line at debug: the boot was at another level meanwhile."""
        if not self._is_silent:
            self._is_silent = True
            self.silences += 1
        while self.gaps and self.gaps[-1].first > self._aloud:
            self.gaps.pop()
        self._fill(self._aloud, line.seq)
        if is_over:
            self._is_silent = False
