"""How long the jobs of one name usually take, and so which of them runs far longer."""

from __future__ import annotations

from ..messages.jobs import Seconds
from ..messages.outcomes import OutcomeKind
from ..rules.limits import Limits

RUNS_MIN = 10
"""After so many, what was measured is called usual."""

RUNS_KEPT = 100
"""The newest, which are what is usual now."""

WHOLE_RUNS = frozenset({OutcomeKind.SUCCEEDED, OutcomeKind.DEFERRED})
"""The outcomes of a function that has done what it had to do."""


class DurationBaseline:
    """The durations of recent runs. One thread notes them; others may ask meanwhile."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # A list whose places are filled again and again: unlike a deque, it may be read while it is written to.
        self._recent: list[Seconds] = []
        self._noted = 0

    def note(self, outcome: OutcomeKind, seconds: Seconds) -> None:
        """A run has ended."""
        if outcome not in WHOLE_RUNS:
            return
        if len(self._recent) < RUNS_KEPT:
            self._recent.append(seconds)
        else:
            self._recent[self._noted % RUNS_KEPT] = seconds
        self._noted += 1

    def seconds(self) -> Seconds | None:
        """The usual time: the median, which a few very long or very short runs do not move. None while too few are
        known.
        """
        recent = sorted(self._recent)
        return recent[len(recent) // 2] if len(recent) >= RUNS_MIN else None

    def may_be_slow(self, seconds: Seconds) -> bool:
        """Whether a run of this length can be far beyond what is usual, whatever that is."""
        return seconds >= self._limits.slow_seconds_min

    def is_slow(self, seconds: Seconds, usual: Seconds) -> bool:
        """Whether a run of this length is far beyond what is usual."""
        return self.may_be_slow(seconds) and seconds >= self._limits.slow_factor * usual
