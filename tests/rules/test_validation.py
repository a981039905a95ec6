"""The bounds of arguments: what lies on one is taken, what lies beyond it is refused."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from lamplighter import Backoff, UsageError
from lamplighter.errors import check_seconds
from lamplighter.messages.jobs import SECONDS_MAX, UNATTRIBUTED
from lamplighter.rules.limits import WHOLE_MAX, Limits, RestartBudget
from lamplighter.rules.validation import (
    check_backoff,
    check_bool,
    check_instant,
    check_iterable,
    check_limit,
    check_moment,
    check_name,
    check_one_of,
    check_who,
    check_whole,
    unknown_options,
)

seconds = partial(check_seconds, what="delay")
whole = partial(check_whole, what="n", least=-2, most=3)


def backoff(**values: Any) -> Any:
    return check_backoff(Backoff(**values))


def limit(**values: Any) -> Any:
    return Limits(**values)


TAKEN: list[tuple[Any, Any, Any]] = [
    (check_name, "x", "x"),
    (check_name, "é" * 200, "é" * 200),
    (seconds, 0, 0.0),
    (seconds, SECONDS_MAX, SECONDS_MAX),
    (seconds, timedelta(minutes=1), 60.0),
    (partial(check_seconds, what="delay", least=0.5), 0.5, 0.5),
    (whole, -2, -2),
    (whole, 3, 3),
    (check_limit, None, None),
    (check_limit, 1, 1),
    (check_limit, WHOLE_MAX, WHOLE_MAX),
    (check_backoff, 5, (5.0,)),
    (check_backoff, timedelta(seconds=5), (5.0,)),
    (check_backoff, [1, timedelta(seconds=2)], (1.0, 2.0)),
    (partial(check_one_of, what="way", allowed=("a", "b")), "b", "b"),
]


@pytest.mark.parametrize(("check", "value", "taken"), TAKEN)
def test_what_lies_on_a_bound_is_taken(check, value, taken):
    assert check(value) == taken
    assert type(check(value)) is type(taken)


REFUSED: list[tuple[Any, Any, str]] = [
    *[(check_name, value, "expected name to be a str of 1 to 200 characters") for value in ("", "x" * 201, 3, None)],
    (check_name, "\ud800", "expected name to be valid Unicode"),
    *[
        (seconds, value, "expected delay to be a number of seconds or a timedelta, 0 or more and at most a century")
        for value in (-0.001, SECONDS_MAX + 1, math.nan, math.inf, True, "1", None, timedelta(seconds=-1))
    ],
    *[(whole, value, "expected n to be a whole number from -2 to 3") for value in (-3, 4, True, 1.0, "1")],
    *[(check_limit, value, "expected most to be a whole number from 1") for value in (0, WHOLE_MAX + 1)],
    *[(partial(check_bool, what="b"), value, "expected b to be True or False") for value in (0, 1, None)],
    (partial(check_one_of, what="way", allowed=("a", "b")), "c", "expected way to be one of 'a', 'b', got: 'c'"),
    (partial(check_one_of, what="way", allowed=("a", "b")), 1, "expected way to be one of"),
    *[(partial(check_iterable, what="jobs", of="jobs"), value, "expected jobs to be jobs") for value in ("text", 3)],
    *[
        (partial(check_instant, what="at"), value, "expected at to be a datetime with a time zone")
        for value in (5, datetime(2026, 1, 1))
    ],
    *[
        (partial(check_moment, what="at"), datetime(year, 6, 1, tzinfo=UTC), "between the years 2 and 9998")
        for year in (1, 9999)
    ],
    *[
        (check_backoff, value, "expected backoff to be a Backoff, seconds or a sequence of seconds")
        for value in ("1", b"1", [], {1}, None)
    ],
    (check_backoff, [1, -1], "expected each wait of backoff to be a number of seconds"),
]


@pytest.mark.parametrize(("check", "value", "says"), REFUSED)
def test_what_lies_beyond_a_bound_is_refused(check, value, says):
    with pytest.raises(UsageError, match=f"^{says}" if says.startswith("expected") else says):
        check(value)


@pytest.mark.parametrize(
    ("name", "least", "most", "beyond"),
    [("first", 0, SECONDS_MAX, -1), ("factor", 1, 1000, 0.99), ("max", 0, SECONDS_MAX, -1), ("jitter", 0, 1, -0.01)],
)
def test_a_backoff_is_checked_field_by_field(name, least, most, beyond):
    assert getattr(backoff(**{name: least}), name) == least
    assert getattr(backoff(**{name: most}), name) == most
    for value in (beyond, most * 1.01 + 1, True, "1"):
        with pytest.raises(UsageError, match=rf"expected backoff\.{name} to be a number"):
            backoff(**{name: value})


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("steps_max", 1, WHOLE_MAX),
        ("abandoned_threads_max", 0, WHOLE_MAX),
        ("slow_factor", 1, WHOLE_MAX),
        ("late_seconds", 0, SECONDS_MAX),
    ],
)
def test_a_limit_is_taken_from_its_least_to_its_most(name, least, most):
    assert getattr(limit(**{name: least}), name) == least
    assert getattr(limit(**{name: most}), name) == most
    for value in (least - 1, most * 2, True, "1", None):
        with pytest.raises(UsageError, match=f"expected {name} to be a .*{least} or more and at most"):
            limit(**{name: value})


def test_the_budget_of_a_child_is_that_of_the_limits():
    limits = limit(restarts_max=2, restart_window_seconds=7, restart_backoff_seconds_max=3)

    assert limits.restart_budget == RestartBudget(restarts_max=2, window_seconds=7, backoff_seconds_max=3)


def test_an_instant_is_the_same_in_each_zone():
    east = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))

    assert check_moment(east, "at") == check_instant(datetime(2026, 1, 1, tzinfo=UTC), "at") == east.timestamp()


@pytest.mark.parametrize("given", ["by", "reason", "via"])
def test_an_attribution_has_what_was_said(given):
    values: dict[str, Any] = {"by": None, "reason": None, "via": None}

    assert check_who(**values) is UNATTRIBUTED
    found = check_who(**{**values, given: "ada"})
    assert {name: getattr(found, name) for name in values} == {**values, given: "ada"}
    with pytest.raises(UsageError, match=f"expected {given} to be a str"):
        check_who(**{**values, given: 3})


def test_an_unknown_option_leads_to_the_one_that_was_meant():
    known = ["max_attempts", "timeout"]

    assert "did you mean timeout and max_attempts?" in str(unknown_options(["retries", "timeot"], known, "a job"))
    assert "did you mean" not in str(unknown_options(["t", "ttl"], known, "a job"))
