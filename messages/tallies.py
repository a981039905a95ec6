"""Sums of what became of jobs, as a store keeps them for whoever looks: statistics, and no proof."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

from .jobs import Instant, Seconds

BOUNDS: tuple[Seconds, ...] = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    1800.0,
    3600.0,
)
"""Up to how many seconds each bucket of a tally counts; one more counts what takes longer."""

EVER, MINUTE, HOUR = 0, 60, 3600
"""How many seconds of jobs one tally sums up. Those of `EVER` only rise, whatever is restarted or removed."""

SPANS = (EVER, MINUTE, HOUR)

KEPT_SECONDS = {MINUTE: 3 * 3600.0, HOUR: 8 * 86400.0}
"""How long a tally is kept."""

OTHERS = ""
"""The name under which jobs of further names are counted, where there are too many."""

MOVED = ("queued", "requeued", "done", "dead", "cancelled")
"""The kinds that count moves of jobs."""

WAITED = "waited"
"""The kind that sums up, for each claim, how long its job had been due."""

SLOT = "slot."
"""The prefix of the kinds that count slots of the schedules of a name; the fate of the slots follows."""

FENCED = "fenced"
"""The kind that counts attempts that had lost their claim, and tried to end their job."""

TURN, LOCK = "turn", "lock"
"""The kinds that sum up how long write batches took, and for how long of that they could not write yet. They are under
the name `OTHERS`: no job's."""

RAN = "ran."
"""The prefix of the kinds that sum up how long attempts ran; the outcome follows."""


class Tally(NamedTuple):
    """How often something happened to jobs of a name within a span of time, and how long that took in all.

    Attributes:
        span: one of `SPANS`.
        start: when the span began, in whole seconds; 0 for `EVER`.
        kind: one of `MOVED`, `WAITED`, `FENCED`, `TURN`, `LOCK`, `RAN` with an outcome, or `SLOT` with one.
        n: how often.
        seconds: the sum of what each took; 0 where nothing takes time.
        buckets: how often it took how long, by `BOUNDS`; empty where nothing takes time.
    """

    span: int
    start: int
    name: str
    kind: str
    n: int
    seconds: Seconds = 0.0
    buckets: tuple[int, ...] = ()

    def plus(self, other: Tally) -> Tally:
        """Both together; what it stands for is this one's."""
        return sum_of((self, other))


def sum_of(tallies: Sequence[Tally]) -> Tally:
    """All of them together, one or more; what it stands for is what the first one does."""
    buckets = zip_longest(*(tally.buckets for tally in tallies), fillvalue=0)
    return tallies[0]._replace(
        n=sum(tally.n for tally in tallies),
        seconds=sum(tally.seconds for tally in tallies),
        buckets=tuple(map(sum, buckets)),
    )


def start_of(span: int, instant: Instant) -> int:
    """When the span began in which an instant lies."""
    return int(instant // span) * span if span else 0
