"""Sums of the outcomes of jobs, as a store keeps them: statistics, and no proof."""

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
"""The upper bounds of a tally's buckets, in seconds; one more bucket counts longer durations."""

EVER, MINUTE, HOUR = 0, 60, 3600
"""The spans of tallies in seconds. Those of `EVER` only rise, whatever is restarted or removed."""

SPANS = (EVER, MINUTE, HOUR)

KEPT_SECONDS = {MINUTE: 3 * 3600.0, HOUR: 8 * 86400.0}
"""How long a tally is kept."""

OTHERS = ""
"""The name for jobs of further names, where there are too many."""

MOVED = ("queued", "requeued", "done", "dead", "cancelled")

WAITED = "waited"
"""The kind with the waits of due jobs, by claim."""

SLOT = "slot."
"""The prefix of the kinds that count slots of the schedules of a name; the outcome follows."""

FENCED = "fenced"
"""The kind that counts attempts that tried to end their job after they had lost their claim."""

TURN, LOCK = "turn", "lock"
"""The kinds with the durations of write batches, and of their waits for the write lock. Their name is `OTHERS`: no
job's.
"""

RAN = "ran."
"""The prefix of the kinds with the durations of attempts; the outcome follows."""


class Tally(NamedTuple):
    """How often something happened to jobs of a name within a span of time, and how long that took.

    Attributes:
        span: one of `SPANS`.
        start: when the span began, in whole seconds; 0 for `EVER`.
        kind: one of `MOVED`, `WAITED`, `FENCED`, `TURN`, `LOCK`, `RAN` with an outcome, or `SLOT` with one.
        n: how often.
        seconds: the sum of the durations; 0 where there are none.
        buckets: how often by duration, by `BOUNDS`; empty where there are none.
    """

    span: int
    start: int
    name: str
    kind: str
    n: int
    seconds: Seconds = 0.0
    buckets: tuple[int, ...] = ()

    def plus(self, other: Tally) -> Tally:
        """The sum of both, with the span, name and kind of this one."""
        return sum_of((self, other))


def sum_of(tallies: Sequence[Tally]) -> Tally:
    """The sum of one or more tallies, with the span, name and kind of the first."""
    buckets = zip_longest(*(tally.buckets for tally in tallies), fillvalue=0)
    return tallies[0]._replace(
        n=sum(tally.n for tally in tallies),
        seconds=sum(tally.seconds for tally in tallies),
        buckets=tuple(map(sum, buckets)),
    )


def start_of(span: int, instant: Instant) -> int:
    return int(instant // span) * span if span else 0
