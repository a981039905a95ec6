"""How long the jobs of one HandlerActor take, and so what it offers to the broker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

from ..messages.jobs import ClaimKey, Seconds
from ..messages.mail import Capacity
from ..messages.names import NameLimits
from ..rules.limits import Limits
from ..rules.rates import slower
from .handler import Handler

MEMORY = 0.2
"""How much the newest job weighs in the mean duration."""


class PrefetchSizer:
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


def offer(
    job_name: str,
    incarnation: int,
    handlers: Sequence[Handler],
    lanes: int,
    prefetch: int,
    answers: int,
    held: tuple[ClaimKey, ...],
) -> Capacity:
    """The capacity of the handlers of a job name together.

    Args:
        lanes: how many jobs may run at once, if there is a handler.
        answers: the last `Resync` that this answers.
    """
    limits = NameLimits(
        total=_least(handler.concurrency_total for handler in handlers),
        rate=slower(handler.rate for handler in handlers),
        per_group=_least(handler.concurrency_per_group for handler in handlers),
        rate_per_group=slower(handler.rate_per_group for handler in handlers),
    )
    return Capacity(
        name=job_name,
        incarnation=incarnation,
        lanes=lanes if handlers else 0,
        prefetch=prefetch,
        limits=limits,
        # The policy, among several handlers, that blames a job least.
        policy=max((handler.policy for handler in handlers), key=attrgetter("interruptions_max"), default=None),
        held=held,
        answers=answers,
    )


def _least(limits: Iterable[int | None]) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
