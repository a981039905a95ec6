"""The restart budget, as arithmetic on times of death."""

from __future__ import annotations

import math

import pytest
from lamplighter import RestartBudget
from lamplighter.rules.limits import BACKOFF_SECONDS_MIN, HEALTHY_SECONDS, Limits


def test_a_budget_is_spent_by_one_restart_too_many_within_its_window():
    budget = RestartBudget(restarts_max=2, window_seconds=10.0)

    spent = [budget.is_spent(deaths, now=9.0) for deaths in ([9.0], [1.0, 9.0], [1.0, 5.0, 9.0])]

    assert spent == [False, False, True]


def test_a_death_that_is_as_old_as_the_window_counts_no_more():
    budget = RestartBudget(restarts_max=1, window_seconds=10.0)

    recent = [budget.recent([0.0, 10.0], now) for now in (10.0 - 1e-9, 10.0)]

    assert recent == [[0.0, 10.0], [10.0]]


def test_a_budget_of_no_restarts_is_spent_by_the_first_death():
    assert RestartBudget(restarts_max=0).is_spent([0.0], now=0.0)


def test_the_first_restart_waits_for_nothing_and_each_further_one_twice_as_long():
    budget = RestartBudget(backoff_seconds_max=1.0)
    deaths = [float(at) for at in range(8)]

    waits = [budget.backoff(deaths[: count + 1], now=float(count)) for count in range(8)]

    assert waits == pytest.approx([0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


def test_after_a_healthy_while_the_waits_begin_from_the_shortest_again():
    budget = RestartBudget()
    old = [0.0, 1.0, 2.0]

    waits = [budget.backoff([*old, now], now) for now in (2.0 + HEALTHY_SECONDS - 1.0, 2.0 + HEALTHY_SECONDS)]

    assert waits == [BACKOFF_SECONDS_MIN, 0.0]


def test_a_back_off_after_any_number_of_deaths_is_finite():
    budget = RestartBudget(backoff_seconds_max=30.0)

    wait = budget.backoff([0.0] * 5_000, now=0.0)

    assert math.isfinite(wait) and wait == 30.0


def test_a_runtime_allows_by_default_what_a_budget_allows_by_default():
    assert Limits().restart_budget == RestartBudget()
