"""How long the jobs of one HandlerActor take, and so how many it may claim in advance."""

from __future__ import annotations

from ..messages.jobs import Seconds
from ..rules.limits import Limits

MEMORY = 0.2
"""How much the newest job weighs in the mean duration."""


class Pace:
    """A mean of recent durations, and whether it says anything of the jobs that run now."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._mean: Seconds | None = None
        self._is_stuck = False

    def note(self, seconds: Seconds) -> None:
        """A job has ended."""
        self._is_stuck = False
        self._mean = seconds if self._mean is None else (1 - MEMORY) * self._mean + MEMORY * seconds

    def note_stuck(self) -> None:
        """Those that run now take longer than the mean says: what was claimed in advance had to go back."""
        self._is_stuck = True

    def prefetch(self, lanes: int) -> int:
        """A few more claims than lanes, never more than a few milliseconds of recent work; in powers of two."""
        limits = self._limits
        if self._mean is None or lanes == 0 or self._is_stuck:
            return 0
        most = min(limits.prefetch_claims_max, int(lanes * limits.prefetch_seconds / max(self._mean, 1e-6)))
        return 0 if most == 0 else 1 << (most.bit_length() - 1)
