"""Slots against second opinions: a walk through UTC (`cron_oracle`), croniter itself for the days, and the TZif files.

A few cases run by default; LAMPLIGHTER_TORTURE=1 runs thousands, and whole zones and years.
"""

from __future__ import annotations

import random
import zoneinfo
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st
from lamplighter.cron import zones
from lamplighter.cron.rule import CronRule
from lamplighter.cron.when import parse_when
from lamplighter.cron.zones import load_zone, spans

from . import cron_oracle as oracle
from .cron_strategies import EXAMPLES, TORTURE, ZONES, expressions

DAY = 86_400
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)

# Ten years of transitions, Samoa's missing day among them.
YEARS = (2011, 2021) if not TORTURE else (2005, 2031)
POLICIES = [(gap, fold) for gap in ("run_after", "skip") for fold in ("first", "second", "both")]

# Each kind of schedule at the hours where the clocks of the world change.
HARD = (
    "30 2 * * *",
    "0 0 * * *",
    "0,30 0-3 * * *",
    "15,45 1,2 * * *",
    "0 2,3 * * *",
    "*/7 * * * *",
    "*/15 2 * * *",
    "0 */2 * * *",
    "59 23 * * *",
    "0 12 30 12 *",
    "5 1-3 * * 0",
    "* 2 * * *",
    "30 * * * *",
    "0 0-23 * * *",
    "0 */24 * * *",
    "40 23-3 L * *",
    "10 0 * * L0",
    "20 1 15W * *",
)


@cache
def transitions(zone: str) -> list[int]:
    """When the zone changes its offset in these years, found by looking at every hour."""
    key = zoneinfo.ZoneInfo(zone)
    hours = range(oracle.instant(YEARS[0]), oracle.instant(YEARS[1]), 3_600)
    offsets = [(hour, datetime.fromtimestamp(hour, key).utcoffset()) for hour in hours]
    return [hour for (_, before), (hour, after) in pairwise(offsets) if before != after]


@cache
def walked(zone: str, around: int) -> list[tuple[int, datetime]]:
    start = around - around % 60
    return oracle.walk(zoneinfo.ZoneInfo(zone), range(start - 4 * DAY, start + 4 * DAY, 60))


def compare(when: str, zone: str, around: int, gap: str, fold: str) -> int:
    """Compare the slots of two days on each side of an instant; returns how many were compared."""
    rule = parse_when(when, timezone=zone, dst_gap=gap, dst_fold=fold)
    start, end = around - 2 * DAY, around + 2 * DAY
    expected = [s for s in oracle.slots(when, walked(zone, around), MINUTE, gap, fold) if start < s <= end]

    found = [due.slot for due in rule.between(start, end)]

    assert found == expected, (when, zone, gap, fold, datetime.fromtimestamp(around, UTC))
    assert rule.count(start, end) == len(expected)
    assert [due.slot for due in rule.latest(end, 5, start)] == expected[-5:]
    return len(expected)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("zone", ZONES)
def test_every_slot_around_every_transition_is_as_the_rules_say(zone: str) -> None:
    chance = random.Random(zone)
    places = transitions(zone) or [oracle.instant(2015, 6, 1)]

    compared = 0
    for around in places if TORTURE else chance.sample(places, min(len(places), 3)):
        for when in HARD:
            for gap, fold in POLICIES if TORTURE else chance.sample(POLICIES, 1):
                compared += compare(when, zone, around, gap, fold)

    assert compared > 0


@pytest.mark.timeout(1200)
@given(
    when=expressions(seconds=False),
    zone=st.sampled_from(ZONES),
    place=st.integers(0, 10_000),
    policy=st.sampled_from(POLICIES),
)
@settings(max_examples=EXAMPLES)
def test_random_expressions_agree_with_the_oracle_around_transitions(
    when: str, zone: str, place: int, policy: tuple[str, str]
) -> None:
    places = transitions(zone) or [oracle.instant(2015, 6, 1)]

    compare(when, zone, places[place % len(places)], *policy)


@pytest.mark.parametrize(
    ("zone", "around"),
    [
        ("Pacific/Apia", oracle.instant(2011, 12, 30, 10)),
        ("Pacific/Kwajalein", oracle.instant(1969, 9, 30, 13)),  # a fold of 23 hours
        ("America/Juneau", oracle.instant(1867, 10, 18, 8, 57)),  # a fold of a whole day
        ("Asia/Manila", oracle.instant(1844, 12, 31, 16)),  # a gap of a whole day, with odd seconds
    ],
)
@pytest.mark.parametrize("fold", ["first", "second", "both"] if TORTURE else ["second"])
def test_the_longest_gaps_and_folds_in_history_are_as_the_rules_say(zone: str, around: int, fold: str) -> None:
    key = zoneinfo.ZoneInfo(zone)
    step = 60 if around % 60 == 0 and all(change % 60 == 0 for change, _ in oracle.changes(zone)) else 1
    seconds = 3 * DAY if step == 60 else DAY + 7_200
    walk = oracle.walk(key, range(around - seconds, around + seconds, step))
    start, end = around - 5 * DAY // 4, around + 5 * DAY // 4
    if step == 1:
        start, end = around - 3_600, around + 3_600

    for when in ("30 2 * * *", "*/20 * * * *", "0,45 0,6,12,23 * * *"):
        rule = parse_when(when, timezone=zone, dst_fold=fold)
        expected = oracle.slots(when, walk, timedelta(seconds=step), "run_after", fold)
        assert [due.slot for due in rule.between(start, end)] == [s for s in expected if start < s <= end]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "UTC"])
@pytest.mark.parametrize("when", ["*/7 30 2 * * *", "59 59 23,1 * * *", "*/13 */17 * * * *", "30 */10 2 * * *"])
def test_schedules_with_seconds_agree_with_the_oracle_around_a_transition(zone: str, when: str) -> None:
    places = transitions(zone) or [oracle.instant(2015, 6, 1)]
    key = zoneinfo.ZoneInfo(zone)

    for around in places[-8 if TORTURE else -2 :]:
        walk = oracle.walk(key, range(around - 5 * 3_600, around + 5 * 3_600))
        start, end = around - 2 * 3_600, around + 2 * 3_600
        for gap, fold in POLICIES if TORTURE else POLICIES[:1]:
            rule = parse_when(when, timezone=zone, dst_gap=gap, dst_fold=fold)
            expected = [s for s in oracle.slots(when, walk, SECOND, gap, fold) if start < s <= end]
            assert [due.slot for due in rule.between(start, end)] == expected


@pytest.mark.skipif(not TORTURE, reason="walks through ten years minute by minute; set LAMPLIGHTER_TORTURE=1")
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "zone",
    ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Apia", "Asia/Kolkata"],
)
def test_every_minute_of_ten_years_agrees_with_the_oracle(zone: str) -> None:
    start, end = oracle.instant(2009), oracle.instant(2019)
    walk = oracle.walk(zoneinfo.ZoneInfo(zone), range(start - 4 * DAY, end + 4 * DAY, 60))

    for when in ("30 2 * * *", "*/7 * * * *", "0 */2 * * 1-5", "45 1,2,23 13 * 5", "0 0 L,29 * *", "15 0-3 * * 5#2,L0"):
        rule = parse_when(when, timezone=zone)
        expected = [s for s in oracle.slots(when, walk, MINUTE, "run_after", "first") if start < s <= end]
        assert [due.slot for due in rule.between(start, end)] == expected
        assert rule.count(start, end) == len(expected)


@pytest.mark.timeout(1200)
@given(when=expressions(), year=st.integers(1995, 2035))
@settings(max_examples=EXAMPLES)
def test_the_naive_local_times_are_those_of_croniter(when: str, year: int) -> None:
    rule = parse_when(when)
    start = oracle.instant(year)
    cron = croniter(when, start_time=float(start), second_at_beginning=True)

    expected = [cron.get_next(float) for _ in range(40)]

    assert isinstance(rule, CronRule)
    assert [due.slot for due in rule.between(start, expected[-1])] == expected


EVERY_ZONE = sorted(
    key for key in zoneinfo.available_timezones() if not key.startswith(("localtime", "posix", "right", "Factory"))
)


@pytest.mark.timeout(1200)
def test_the_spans_of_a_zone_are_those_of_its_file() -> None:
    zones = EVERY_ZONE if TORTURE else [*random.Random(1).sample(EVERY_ZONE, 12), "Europe/Dublin", "Africa/Casablanca"]
    for key in zones:
        changes = oracle.changes(key)
        start = min([change for change, _ in changes[:1]] or [0]) - 1_000
        stop = max([change for change, _ in changes[-1:]] or [0]) + 1_000

        found = list(spans(load_zone(key), start, stop))

        assert [(span.start, span.offset) for span in found[1:]] == changes, key
        assert all(before.stop == after.start for before, after in pairwise(found))


def test_a_zone_is_looked_up_once_for_all_who_ask_about_the_same_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred schedules that fire once a year each look through all of it."""
    asked: list[int] = []
    offset_at = zones._offset_at
    monkeypatch.setattr(zones, "_offset_at", lambda zone, instant: asked.append(instant) or offset_at(zone, instant))
    zones._spans_of_block.cache_clear()
    zone, year = load_zone("Europe/Berlin"), oracle.instant(2026)

    first = list(spans(zone, year, year + 366 * DAY))
    looked_up = len(asked)
    again = [list(spans(zone, year + day * DAY, year + 366 * DAY)) for day in range(50)]

    assert len(first) == 3
    assert [found[1:] for found in again] == [first[1:]] * 50
    assert 366 < looked_up == len(asked)


def test_no_zone_changes_its_offset_twice_within_three_days() -> None:
    """A zone is looked at once a day, so two changes that undo each other within a day would be missed."""
    for key in EVERY_ZONE:
        for (before, _), (after, _) in pairwise(oracle.changes(key)):
            assert after - before > 3 * DAY, key
