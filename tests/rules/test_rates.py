"""Rates as arithmetic: how many may start, and never more than a rate says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lamplighter import Rate, UsageError
from lamplighter.rules.rates import check_rate, per_seconds, possible, rate_read, rate_said, room_of, slower, spent

NOW = 1_800_000_000.0

RATES = st.builds(
    lambda limit, per, share: Rate(limit, per, max(1, int(limit * share))),
    st.integers(1, 50),
    st.sampled_from([0.001, 0.1, 1.0, 60.0, 86400.0]),
    st.floats(0.0, 1.0),
)


@given(RATES, st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(1, 60)), min_size=1, max_size=60))
def test_no_stretch_of_time_has_more_starts_than_the_rate_says(rate, asked):
    now, spent_to, starts = NOW, None, []
    for wait, wanted in asked:
        now += wait * per_seconds(rate) / 3
        started = min(wanted, room_of(rate, spent_to, now).free)
        if started:
            spent_to = spent(rate, spent_to, now, started)
        starts += [now] * started

    most = rate.limit + rate.burst - 1
    for first, beyond in zip(starts, starts[most:], strict=False):
        assert beyond - first >= per_seconds(rate) - 1e-5


@given(RATES)
def test_what_starts_as_soon_as_it_may_keeps_to_the_rate_within_one_percent(rate):
    now, spent_to, starts = NOW, None, 0
    until = NOW + 20 * per_seconds(rate)
    while now < until:
        free, opens = room_of(rate, spent_to, now)
        if free:
            spent_to, starts = spent(rate, spent_to, now, free), starts + free
            _, opens = room_of(rate, spent_to, now)
        assert opens > now
        now = opens

    assert 0.99 * 20 * rate.limit - 1 <= starts <= 20 * rate.limit + 2 * rate.burst + 1


def test_what_starts_a_little_late_makes_none_behind_it_late():
    rate, now, spent_to = Rate(100, per=1.0), NOW, None
    starts = 0
    while now < NOW + 60:
        _, opens = room_of(rate, spent_to, now)
        now = max(now, opens) + 0.004
        spent_to, starts = spent(rate, spent_to, now, 1), starts + 1

    assert starts == pytest.approx(6000, rel=0.01)


def test_at_the_instant_at_which_it_opens_one_more_may_start():
    rate, spent_to = Rate(7, per=3.0), None
    now = NOW
    for _ in range(1000):
        assert room_of(rate, spent_to, now).free == 1
        spent_to = spent(rate, spent_to, now, 1)
        free, opens = room_of(rate, spent_to, now)
        assert free == 0
        now = opens


def test_a_start_that_is_a_little_early_is_so_by_milliseconds_however_long_a_rate_is():
    rate = Rate(2, per=86400.0)

    assert room_of(rate, spent(rate, None, NOW, 1), NOW).opens == pytest.approx(NOW + 43200, abs=0.01)


def test_a_burst_may_start_at_once_after_a_pause():
    rate = Rate(60, per=60.0, burst=5)

    assert room_of(rate, None, NOW).free == 5
    assert room_of(rate, spent(rate, None, NOW, 5), NOW).free == 0
    assert room_of(rate, spent(rate, None, NOW, 5), NOW + 3.1).free == 3
    assert room_of(rate, spent(rate, None, NOW, 5), NOW + 1e6).free == 5


def test_a_turn_that_began_earlier_gives_back_nothing_that_a_rate_has_spent():
    rate = Rate(4, 1.0, 2)
    spent_to = spent(rate, None, NOW + 0.05, 2)

    assert room_of(rate, spent_to, NOW).free == 0
    assert room_of(rate, spent_to, NOW).opens == room_of(rate, spent_to, NOW + 0.05).opens
    assert possible(rate, spent_to, NOW) == spent_to


def test_a_clock_that_was_set_back_closes_a_rate_for_no_longer_than_a_burst():
    rate = Rate(60, per=60.0, burst=5)
    spent_to = spent(rate, None, NOW, 5)

    assert room_of(rate, spent_to, NOW - 1e6) == (0, pytest.approx(NOW - 1e6 + 1.0, abs=0.01))


def test_of_several_the_slowest_counts():
    assert slower([Rate(10, 1.0), None, Rate(100, 60.0), Rate(5, timedelta(seconds=1))]) == Rate(100, 60.0)
    assert slower([None]) is None


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (Rate(100, 60.0), "100/60s"),
        (Rate(1, 0.25), "1/0.25s"),
        (Rate(5, timedelta(minutes=1), burst=3), "5/60s burst 3"),
        (Rate(1_000_000, 3.2e8), "1000000/320000000s"),
    ],
)
def test_a_line_says_a_rate_so_that_it_can_be_read(rate, text):
    assert rate_said(rate) == text
    assert rate_read(text) == check_rate(rate, "rate")


@pytest.mark.parametrize("text", ["", "100", "100/m", "0/1s", "1/0s", "1/..s", "9999999/1s", "1/1s burst 2", "x" * 99])
def test_what_is_no_rate_is_read_as_none(text):
    assert rate_read(text) is None


def test_the_error_says_what_was_expected():
    with pytest.raises(UsageError, match=r"expected rate to be a Rate, got: '100/m'; write rate=Rate\(100, per=60\)"):
        check_rate("100/m", "rate")
