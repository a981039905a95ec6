"""The replay of starts that a rate limits: in no stretch of time are there more of a name than the rate says."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import NamedTuple

from ...messages.jobs import Instant
from ...messages.name_limits import Rate
from ...rules.rates import per_seconds, rate_read
from ..log_files.lines import Line
from .logged_moves import ReplayedMove

LATE_STARTS_MAX = 1_000
"""How many starts may be told before one that came earlier: several processes write their logs at once."""

EXACT_SECONDS = 1e-4
"""Instants are not compared any closer."""

KEPT_MAX = 100
"""The most findings of jobs that were started too fast."""


class TooFast(NamedTuple):
    """A start that was one too many."""

    says: str
    line: Line


class RateReplay:
    """Replays the starts on one store. They are judged by their instants, so not where a clock was set."""

    def __init__(self) -> None:
        self.too_fast: list[TooFast] = []
        self._starts: dict[tuple[str, str], list[Instant]] = {}
        self._rates: dict[str, Rate | None] = {}

    def hear(self, step: ReplayedMove) -> None:
        """Take in a claim."""
        told = step.move.rate
        if told is None:
            return
        if told not in self._rates:
            self._rates[told] = rate_read(told)
        rate = self._rates[told]
        if rate is None:
            return
        starts, most = self._starts.setdefault((step.move.n, told), []), rate.limit + rate.burst - 1
        insort(starts, step.at)
        if len(self.too_fast) < KEPT_MAX and _is_crowd(starts, step.at, most, per_seconds(rate) - EXACT_SECONDS):
            says = f"{step.move.n} may start {told}, and started more jobs in that time: {step.move.j} was one too many"
            self.too_fast.append(TooFast(says, step.line))
        if len(starts) > most + 2 * LATE_STARTS_MAX:
            del starts[:LATE_STARTS_MAX]


def _is_crowd(starts: list[Instant], at: Instant, most: int, per: float) -> bool:
    """Whether, in a row that has this start in it, one more than so many lie closer together."""
    ends = range(max(most, bisect_left(starts, at)), len(starts))
    return any(starts[end - most] <= at and starts[end] - starts[end - most] < per for end in ends)
