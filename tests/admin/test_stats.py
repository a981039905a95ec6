"""What became of jobs, made of tallies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lamplighter.admin.stats import quantile, stats_by_name, stats_by_start, stats_of
from lamplighter.messages.outcomes import OutcomeKind
from lamplighter.messages.tallies import BOUNDS, MINUTE, Tally


def tally(kind: str, n: int, *, name: str = "work", start: int = 60, seconds: float = 0.0, at: float = 0.0) -> Tally:
    buckets = tuple(n if bound == at else 0 for bound in BOUNDS) if at else ()
    return Tally(MINUTE, start, name, kind, n, seconds, buckets)


def test_a_snooze_and_an_interruption_are_no_failures_and_a_time_out_is_one():
    stats = stats_of(
        [
            tally("queued", 9),
            tally("ran.succeeded", 4, seconds=4.0, at=1.0),
            tally("ran.failed", 2, seconds=2.0, at=1.0),
            tally("ran.timed_out", 1, seconds=10.0, at=10.0),
            tally("ran.snoozed", 3, seconds=0.3, at=0.1),
            tally("ran.interrupted", 9),
            tally("done", 4),
            tally("dead", 1),
        ]
    )

    assert (stats.queued, stats.done, stats.dead, stats.cancelled) == (9, 4, 1, 0)
    assert (stats.attempts, stats.failed, stats.failed_percent) == (10, 3, 30.0)
    assert stats.waited is None
    assert stats.ran is not None
    assert (stats.ran.n, stats.ran.mean) == (19, pytest.approx(16.3 / 19))


@pytest.mark.parametrize("outcome", [one.value for one in OutcomeKind])
def test_an_attempt_has_failed_by_an_error_or_a_time_out_alone(outcome):
    stats = stats_of([tally(f"ran.{outcome}", 2, seconds=1.0, at=1.0)])

    assert stats.attempts == (0 if outcome == "interrupted" else 2)
    assert stats.failed == (2 if outcome in ("failed", "discarded", "timed_out") else 0)


def test_nothing_at_all_has_no_share_of_failures():
    stats = stats_of([])

    assert (stats.attempts, stats.failed_percent, stats.ran) == (0, None, None)


def test_names_come_in_the_order_of_what_they_had_to_do():
    tallies = [tally("ran.succeeded", n, name=name, at=1.0) for name, n in (("a", 1), ("b", 3), ("c", 3))]

    queued = [tally("queued", n, name=name, at=1.0) for name, n in (("d", 1), ("e", 2))]

    assert list(stats_by_name([*queued, *tallies])) == ["b", "c", "a", "e", "d"]


def test_times_come_in_order():
    tallies = [tally("done", start, name=name, start=start) for start in (120, 60) for name in ("a", "b")]

    assert [(start, stats.done) for start, stats in stats_by_start(tallies).items()] == [(60, 120), (120, 240)]


@pytest.mark.parametrize(
    ("share", "buckets", "seconds"),
    [
        (0.5, (2,), 0.0005),
        (1.0, (2,), 0.001),
        (0.5, (1, 0, 0, 1), 0.001),
        (0.75, (1, 0, 0, 1), 0.0075),
        (0.99, (0,) * len(BOUNDS) + (5,), BOUNDS[-1]),
    ],
)
def test_a_quantile_lies_in_the_bucket_that_has_it(share, buckets, seconds):
    assert quantile(share, buckets) == pytest.approx(seconds)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=len(BOUNDS) + 1).filter(any))
def test_quantiles_rise(buckets: list[int]) -> None:
    found = [quantile(share, buckets) for share in (0.1, 0.5, 0.95, 0.99, 1.0)]

    assert found == sorted(found)
    assert 0.0 < found[-1] <= BOUNDS[-1]
