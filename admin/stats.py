"""The outcomes of jobs over a span of time, from tallies alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..messages.jobs import Seconds
from ..messages.outcomes import OutcomeKind
from ..messages.tallies import BOUNDS, LOCK, RAN, TURN, WAITED, Tally, sum_of

WELL = frozenset(
    {OutcomeKind.SUCCEEDED, OutcomeKind.SNOOZED, OutcomeKind.CANCELLED, OutcomeKind.DEFERRED, OutcomeKind.INTERRUPTED}
)
"""The outcomes of attempts that have not failed."""

QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The distribution of a duration.

    Attributes:
        p50, p95, p99: percentiles, estimated from the buckets of the tallies.
    """

    n: int
    mean: Seconds
    p50: Seconds
    p95: Seconds
    p99: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The outcomes of jobs.

    Attributes:
        attempts: how many attempts ended, `failed` of them by an error or a time-out. Interrupted ones are not counted.
        waited: how long due jobs waited for an attempt; None if none began.
        ran: how long attempts ran; None if none ended.
    """

    queued: int
    done: int
    dead: int
    cancelled: int
    attempts: int
    failed: int
    waited: Spread | None
    ran: Spread | None

    @property
    def failed_percent(self) -> float | None:
        """The percentage of attempts that failed; None if there was none."""
        return None if self.attempts == 0 else 100.0 * self.failed / self.attempts


def stats_by_name(tallies: Iterable[Tally]) -> dict[str, Stats]:
    """The same for each name, the busiest first."""
    found = _stats_by(tallies, lambda tally: tally.name)
    return dict(sorted(found.items(), key=lambda one: (-one[1].attempts, -one[1].queued, one[0])))


def stats_by_start(tallies: Iterable[Tally]) -> dict[int, Stats]:
    """The same for each minute or hour, in order."""
    return dict(sorted(_stats_by(tallies, lambda tally: tally.start).items()))


def stats_of(tallies: Iterable[Tally]) -> Stats:
    kinds: dict[str, list[Tally]] = {}
    for tally in tallies:
        kinds.setdefault(tally.kind, []).append(tally)
    sums = {kind: sum_of(some) for kind, some in kinds.items()}
    ran = {kind.removeprefix(RAN): tally for kind, tally in sums.items() if kind.startswith(RAN)}
    counts = {kind: sums[kind].n if kind in sums else 0 for kind in ("queued", "done", "dead", "cancelled")}
    return Stats(
        **counts,
        attempts=sum(tally.n for outcome, tally in ran.items() if outcome != OutcomeKind.INTERRUPTED),
        failed=sum(tally.n for outcome, tally in ran.items() if outcome not in WELL),
        waited=_spread([sums[WAITED]] if WAITED in sums else []),
        ran=_spread(list(ran.values())),
    )


def quantile(share: float, buckets: Sequence[int]) -> Seconds:
    """The longest duration within a share of all. Durations within a bucket are taken as evenly spread; beyond the last
    bound nothing else is known.
    """
    wanted, passed, lower = share * sum(buckets), 0, 0.0
    for bound, n in zip(BOUNDS, buckets, strict=False):
        if n and passed + n >= wanted:
            return lower + (bound - lower) * (wanted - passed) / n
        passed, lower = passed + n, bound
    return BOUNDS[-1]


def _stats_by(tallies: Iterable[Tally], key: Callable[[Tally], Any]) -> dict[Any, Stats]:
    groups: dict[Any, list[Tally]] = {}
    for tally in tallies:
        if tally.kind not in (TURN, LOCK):
            groups.setdefault(key(tally), []).append(tally)
    return {name: stats_of(group) for name, group in groups.items()}


def _spread(tallies: Sequence[Tally]) -> Spread | None:
    if not tallies:
        return None
    whole = sum_of(tallies)
    p50, p95, p99 = (quantile(share, whole.buckets) for share in QUANTILES)
    return Spread(n=whole.n, mean=whole.seconds / whole.n, p50=p50, p95=p95, p99=p99)
