"""Rules in words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from lamplighter.cron.rule import CronRule
from lamplighter.cron.when import parse_when
from lamplighter.cron.words import in_words

from .cron_strategies import EXAMPLES, expressions


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("@daily", "at 00:00 every day"),
        ("30 6 * * *", "at 06:30 every day"),
        ("30 0 6 * * 1,3,5", "at 06:00:30 on Monday, Wednesday and Friday"),
        ("* * * * * *", "every second"),
        ("30 * * * * *", "at second 30 of every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("*/7 * * * *", "at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"),
        ("*/5 9-17 * * MON-FRI", "every 5 minutes in hours 9 to 17 on Monday to Friday"),
        ("15 8-18 * * *", "every hour from 08:15 to 18:15"),
        ("0 */2 * * *", "every 2 hours"),
        ("10 */2 * * *", "at minute 10 of each hour, every 2 hours"),
        ("0 9 L * *", "at 09:00 on the last day of the month"),
        ("0 9 15W * *", "at 09:00 on the workday nearest to day 15 of the month"),
        ("0 9 1,15 * MON", "at 09:00 on days 1 and 15 of the month or on Monday"),
        ("0 9 1 * 0-6", "at 09:00 every day"),
        ("0 9 1 7 0-6", "at 09:00 in July"),
        ("0 9 * * FRI#2", "at 09:00 on the second Friday of the month"),
        ("0 0 29 2 *", "at 00:00 on day 29 of February"),
        ("0 0 * 1,7 *", "at 00:00 in January and July"),
        ("0 9 * 5 MON", "at 09:00 on Monday in May"),
        ("0 9 13 5 FRI", "at 09:00 on day 13 of the month or on Friday in May"),
        ("@every 90m", "every 1 hour 30 minutes"),
        ("@every 1h", "every hour"),
        ("@every 1.5s", "every 1.5 seconds"),
        ("@at 2030-01-01T00:00:00Z", "once, at 2030-01-01T00:00:00Z"),
    ],
)
def test_a_rule_reads_as_somebody_would_say_it(when: str, words: str) -> None:
    assert in_words(parse_when(when)) == words


said: dict[str, CronRule] = {}


@given(expressions())
@settings(max_examples=EXAMPLES * 4, deadline=None)
def test_the_same_words_never_mean_two_rules(expression: str) -> None:
    rule = parse_when(expression)
    assert isinstance(rule, CronRule)

    first = said.setdefault(in_words(rule), rule)

    assert first.local.times == rule.local.times
    assert all(
        first.local.days.of_month(year, month) == rule.local.days.of_month(year, month)
        for year in (2024, 2025)
        for month in range(1, 13)
    )
