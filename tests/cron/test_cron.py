"""What `parse_when` accepts and refuses, and the slots of single cases that are known to be hard."""

from __future__ import annotations

import math
import time
import zoneinfo
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lamplighter.cron.when import Rule, parse_when
from lamplighter.errors import UsageError

from .cron_strategies import EXAMPLES, ZONES, expressions

YEAR_SECONDS = 365 * 86_400


def at(text: str, zone: str = "UTC") -> float:
    """The instant of a local time; of one that happens twice, the first."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def slots(when: str, zone: str, start: str, end: str, **options: str) -> list[str]:
    """The slots between two UTC times, as local times with their offset."""
    rule = parse_when(when, timezone=zone, **options)
    return [datetime.fromtimestamp(due.slot, ZoneInfo(zone)).isoformat() for due in rule.between(at(start), at(end))]


# What is read


@pytest.mark.parametrize(
    ("when", "first"),
    [
        ("*/10 * * * *", "2026-01-01T00:10:00"),
        ("*/10 * * * * *", "2026-01-01T00:00:10"),
        ("0 0 12 * * *", "2026-01-01T12:00:00"),
        ("0 30 9 * * *", "2026-01-01T09:30:00"),
        ("30 9 * * 1", "2026-01-05T09:30:00"),
        ("0 9 * * mon-FRI", "2026-01-01T09:00:00"),
        ("0 0 1 feb *", "2026-02-01T00:00:00"),
        ("@yearly", "2027-01-01T00:00:00"),
        ("@annually", "2027-01-01T00:00:00"),
        ("@monthly", "2026-02-01T00:00:00"),
        ("@weekly", "2026-01-04T00:00:00"),
        ("@daily", "2026-01-02T00:00:00"),
        (" @Midnight ", "2026-01-02T00:00:00"),
        ("@hourly", "2026-01-01T01:00:00"),
        ("0 0 ? * ?", "2026-01-02T00:00:00"),
        ("0 0 L * *", "2026-01-31T00:00:00"),
        ("0 0 L,15 * *", "2026-01-15T00:00:00"),
        ("0 0 28-L 2 *", "2026-02-28T00:00:00"),
        ("0 0 29 2 *", "2028-02-29T00:00:00"),
        ("0 0 * * L5", "2026-01-30T00:00:00"),
        ("0 0 * * fri#2", "2026-01-09T00:00:00"),
        ("0 0 * 2 mon#5", "2044-02-29T00:00:00"),
        ("0 0 15W 2 *", "2026-02-16T00:00:00"),
        ("0 0 1W 8 *", "2026-08-03T00:00:00"),
        ("0 0 31W 5 *", "2026-05-29T00:00:00"),
        ("0 0 31W 4 *", "2026-04-30T00:00:00"),
        ("0 0 30W 2 *", "2026-02-27T00:00:00"),
        ("0 0 13 * 5", "2026-01-02T00:00:00"),
        ("0 0 31 2 1", "2026-02-02T00:00:00"),
        ("0 0 * * 7", "2026-01-04T00:00:00"),
        ("50-10 * * * *", "2026-01-01T00:01:00"),
        ("59/15 * * * *", "2026-01-01T00:59:00"),
        ("5 22-3 * * *", "2026-01-01T00:05:00"),
        ("@every 30s", "2026-01-01T00:00:30"),
        ("@every 1h30m", "2026-01-01T01:30:00"),
        ("@EVERY 1d", "2026-01-02T00:00:00"),
        ("@every 1.5s", "2026-01-01T00:00:01.500000"),
        ("@at 2026-05-01T09:00+02:00", "2026-05-01T07:00:00"),
        (timedelta(minutes=7), "2026-01-01T00:07:00"),
        (datetime(2026, 5, 1, 9, tzinfo=ZoneInfo("Europe/Berlin")), "2026-05-01T07:00:00"),
    ],
)
def test_each_kind_of_when_is_read_as_documented(when: object, first: str) -> None:
    due = parse_when(when).after(at("2026-01-01T00:00:00"))

    assert due is not None
    assert datetime.fromtimestamp(due.slot, UTC).replace(tzinfo=None).isoformat() == first


@pytest.mark.parametrize(
    ("when", "text"),
    [
        ("  0\t0 *  *\n mon ", "0 0 * * MON"),
        ("0 0 l * *", "0 0 L * *"),
        ("@Daily", "0 0 * * *"),
        ("0 0 0 * * *", "0 0 0 * * *"),
        ("@every 90m", "@every 1h30m"),
        ("@EVERY   86400s", "@every 1d"),
        (timedelta(seconds=90, microseconds=500_000), "@every 1m30.5s"),
        (datetime(2026, 5, 1, 9, tzinfo=ZoneInfo("Europe/Berlin")), "@at 2026-05-01T07:00:00Z"),
        (datetime(2026, 5, 1, 9, 0, 0, 1, tzinfo=UTC), "@at 2026-05-01T09:00:00.000001Z"),
    ],
)
def test_the_text_is_canonical_and_makes_the_same_rule_again(when: object, text: str) -> None:
    rule = parse_when(when, timezone="Europe/Berlin")

    assert rule.text == text
    assert parse_when(rule.text, timezone="Europe/Berlin") == rule


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("", "empty string"),
        (" \n ", "empty string"),
        ("* * * *", "got 4 fields"),
        ("0 12 1 1 * 2027 *", "got 7 fields"),
        ("* * * * * * * *", "got 8 fields"),
        ("30s", '"@every 30s"'),
        ("0 0 31 2 *", "never matches a date"),
        ("0 0 30 feb *", "never matches a date"),
        ("0 0 31 4,6,9,11 *", "never matches a date"),
        ("R * * * *", "the same at every start"),
        ("H H * * *", "the same at every start"),
        ("h(0-30)/5 * * * *", "the same at every start"),
        ("* * * * " + "*" * 250, "at most 256 characters"),
        ("0 0 * * ｍon", "plain ASCII"),
        ("0\u00a00 * * *", "plain ASCII"),
        ("@reboot", "when your application starts"),
        ("@fortnightly", "@yearly"),
        ("@daily 5", "got 2 fields"),
        ("every 5m", 'did you mean "@every 5m"?'),
        ("every 5 minutes", 'did you mean "@every 5m"?'),
        ("every morning at nine", 'for an interval write for example "@every 30s"'),
        ("EVERY 5M", "'EVERY 5M'; did you mean \"@every 5m\"?"),
        ("every hour", 'did you mean "@every 1h"?'),
        ("5 minutes", 'did you mean "@every 5m"?'),
        ("1 hour, 30 mins", 'did you mean "@every 1h30m"?'),
        ("@every 30 seconds", 'did you mean "@every 30s"?'),
        ("@every 1m1h", 'did you mean "@every 1h1m"?'),
        ("@every 1 month", "units d, h, m, s"),
        ("daily", 'did you mean "@daily"?'),
        ("@daly", 'did you mean "@daily"?'),
        ("@fortnightly", "got: '@fortnightly'"),
        ("1 2 3 4", "got 4 fields: '1 2 3 4'"),
        ("@every", "units d, h, m, s"),
        ("@every 30", "units d, h, m, s"),
        ("@every 1m1h", "units d, h, m, s"),
        ("@every -5s", "units d, h, m, s"),
        ("@every 0s", "1 second to"),
        ("@every 0.5s", "1 second to"),
        ("@every 36501d", "1 second to"),
        ("@every " + "9" * 100 + "d", "at most 36500 days"),
        ("@at", "expected a datetime"),
        ("@at tomorrow", "expected a datetime"),
        ("@at 2026-05-01T09:00", "naive"),
        ("60 * * * *", "minute field"),
        ("* 24 * * *", "hour field"),
        ("60 * * * * *", "second field"),
        ("* * 0 * *", "day-of-month field"),
        ("* * 32 * *", "day-of-month field"),
        ("* * * 0-5 *", "month field"),
        ("* * * 13 *", "month field"),
        ("* * * * 8", "day-of-week field"),
        ("* * * * funday", "day-of-week field"),
        ("* * * * 5#6", "day-of-week field"),
        ("* * * * L", "day-of-week field"),
        ("* * L-3 * *", "day-of-month field"),
        ("* * LW * *", "day-of-month field"),
        ("* * 1,15W * *", "day-of-month field"),
        ("? * * * *", "minute field"),
        ("1,,2 * * * *", "minute field"),
        ("-1 * * * *", "minute field"),
        ("*/0 * * * *", "minute field"),
        ("1.5 * * * *", "minute field"),
        ("5-5 * * * *", "write '5' for this one"),
        ("05-5 * * * *", "two ends of a range to differ"),
        ("1-1/3 * * * *", "two ends of a range to differ"),
        ("* * * Jan-Jan *", "write 'JAN' for this one"),
        ("* * * 1-jan *", "two ends of a range to differ"),
        ("* * * * sun-0", "two ends of a range to differ"),
        ("* * * * 7-0", "two ends of a range to differ"),
        ("*/90 * * * *", '"@every 90m"'),
        ("0 */25 * * *", "a step of at most 24"),
        ("0 0 1W * 1", "add a schedule for each"),
        ("0 0 13 * 5#2", "add a schedule for each"),
        ("0 0 13 * L5", "add a schedule for each"),
        ("0 0 15W * 5#2", "add a schedule for each"),
        ("0 0 * * 5#2,1", "in every part"),
        ("0 0 * * 5#2,*", "in every part"),
        (None, "got NoneType"),
        (30, "timedelta(seconds=30)"),
        (30.5, "timedelta(seconds=30)"),
        (True, "got bool"),
        (b"* * * * *", "got bytes"),
        (["* * * * *"], "got list"),
        (date(2026, 5, 1), "got date"),
        (datetime(2026, 5, 1), "naive"),
        (datetime.max.replace(tzinfo=UTC), "between the years"),
        (datetime.min.replace(tzinfo=UTC), "between the years"),
        (timedelta(0), "1 second to"),
        (timedelta(microseconds=999_999), "1 second to"),
        (timedelta(days=-1), "1 second to"),
        (timedelta.max, "1 second to"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(when: object, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_when(when)

    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("timezone", "said"),
    [
        ("", "IANA"),
        ("Mars/Phobos", "IANA"),
        ("europe/berlin", "did you mean 'Europe/Berlin'?"),
        ("Europe/Berlín", "did you mean 'Europe/Berlin'?"),
        ("Europe", "IANA"),
        ("../Berlin", "IANA"),
        ("/etc/localtime", "IANA"),
        ("UTC\0", "IANA"),
        ("x" * 5_000, "IANA"),
        ("localtime", "other machines"),
        ("right/Europe/Berlin", "other machines"),
        (None, "a name such as"),
        (1, "a name such as"),
        (UTC, "a name such as"),
    ],
)
def test_a_zone_that_is_not_known_is_refused(timezone: object, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_when("@daily", timezone=timezone)  # type: ignore[arg-type]

    assert said in str(caught.value)


def test_a_machine_without_a_tz_database_knows_utc_and_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(key: str) -> ZoneInfo:
        raise zoneinfo.ZoneInfoNotFoundError(key)

    monkeypatch.setattr(zoneinfo, "ZoneInfo", nothing)
    monkeypatch.setattr(zoneinfo, "available_timezones", set)

    assert next(parse_when("@daily", timezone="UTC").between(1.0, 1e5)).slot == 86_400.0
    with pytest.raises(UsageError, match=r"lamplighter\[tzdata\]"):
        parse_when("@daily", timezone="Europe/Berlin")


def test_the_zone_and_the_policies_are_checked_even_where_they_say_nothing() -> None:
    for options in ({"timezone": "Mars"}, {"dst_gap": "later"}, {"dst_fold": "third"}, {"dst_gap": None}):
        with pytest.raises(UsageError):
            parse_when(timedelta(seconds=1), **options)  # type: ignore[arg-type]


@given(text=st.text(alphabet="0123456789*/-,#?@LWHRlwjanfebsuno \t.()", max_size=40) | st.text(max_size=20))
@settings(max_examples=EXAMPLES)
@example("0 0 1-L/2 * L3,2#1")
def test_any_text_at_all_makes_a_rule_or_a_usage_error(text: str) -> None:
    try:
        rule = parse_when(text)
    except UsageError:
        return

    assert parse_when(rule.text) == rule
    assert rule.after(0.0) is not None or rule.text.startswith("@at")


def test_thirty_days_and_the_last_one_are_not_every_day() -> None:
    """croniter 7.0.0 counts the L among the 31 values that mean all, and was due on the first."""
    found = slots("0 0 2-31,L * *", "UTC", "2026-01-30T12:00", "2026-02-02T12:00")

    assert found == ["2026-01-31T00:00:00+00:00", "2026-02-02T00:00:00+00:00"]


def test_a_full_list_of_days_beside_a_star_restricts_nothing() -> None:
    window = ("2026-01-01T12:00", "2026-01-05T12:00")  # from a Thursday to a Monday

    assert [slot[8:10] for slot in slots("0 0 1-31 * */2", "UTC", *window)] == ["03", "04"]
    assert [slot[8:10] for slot in slots("0 0 */3 * 0-6", "UTC", *window)] == ["04"]
    assert [slot[8:10] for slot in slots("0 0 */1 * 1", "UTC", *window)] == ["02", "03", "04", "05"]


# Gaps and folds

BERLIN_GAP = ("2026-03-29T00:00", "2026-03-29T23:00")
BERLIN_FOLD = ("2026-10-24T23:00", "2026-10-25T20:00")


@pytest.mark.parametrize(
    ("when", "zone", "window", "expected"),
    [
        ("30 2 * * *", "Europe/Berlin", BERLIN_GAP, ["2026-03-29T03:00:00+02:00"]),
        ("0 2 * * *", "Europe/Berlin", BERLIN_GAP, ["2026-03-29T03:00:00+02:00"]),
        ("0 3 * * *", "Europe/Berlin", BERLIN_GAP, ["2026-03-29T03:00:00+02:00"]),
        ("0 2,3 * * *", "Europe/Berlin", BERLIN_GAP, ["2026-03-29T03:00:00+02:00"]),
        ("0,30 2 * * *", "Europe/Berlin", BERLIN_GAP, ["2026-03-29T03:00:00+02:00"]),
        ("*/10 30 2 * * *", "Europe/Berlin", BERLIN_GAP, ["2026-03-29T03:00:00+02:00"]),
        ("*/30 2 * * *", "Europe/Berlin", BERLIN_GAP, []),
        ("0 2-3 * * *", "Europe/Berlin", BERLIN_GAP, ["2026-03-29T03:00:00+02:00"]),
        (
            "0 */2 * * *",
            "Europe/Berlin",
            ("2026-03-28T22:00", "2026-03-29T04:00"),
            ["2026-03-29T00:00:00+01:00", "2026-03-29T04:00:00+02:00", "2026-03-29T06:00:00+02:00"],
        ),
        (
            "*/20 * * * *",
            "Europe/Berlin",
            ("2026-03-29T00:30", "2026-03-29T01:20"),
            ["2026-03-29T01:40:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:20:00+02:00"],
        ),
        ("30 2 * * *", "Europe/Berlin", BERLIN_FOLD, ["2026-10-25T02:30:00+02:00"]),
        (
            "*/10 30 2 * * *",
            "Europe/Berlin",
            ("2026-10-25T00:30:45", "2026-10-25T20:00"),
            ["2026-10-25T02:30:50+02:00"],
        ),
        (
            "0 */2 * * *",
            "Europe/Berlin",
            ("2026-10-24T21:30", "2026-10-25T03:30"),
            [
                "2026-10-25T00:00:00+02:00",
                "2026-10-25T02:00:00+02:00",
                "2026-10-25T02:00:00+01:00",
                "2026-10-25T04:00:00+01:00",
            ],
        ),
        (
            "0 0-23 * * *",
            "Europe/Berlin",
            ("2026-10-24T23:30", "2026-10-25T02:30"),
            ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"],
        ),
        ("30 2 * * *", "America/New_York", ("2026-03-08T05:00", "2026-03-09T04:00"), ["2026-03-08T03:00:00-04:00"]),
        ("30 1 * * *", "America/New_York", ("2026-11-01T04:00", "2026-11-02T04:00"), ["2026-11-01T01:30:00-04:00"]),
        ("15 2 * * *", "Australia/Lord_Howe", ("2026-10-03T12:00", "2026-10-04T12:00"), ["2026-10-04T02:30:00+11:00"]),
        ("45 1 * * *", "Australia/Lord_Howe", ("2026-04-04T12:00", "2026-04-05T12:00"), ["2026-04-05T01:45:00+11:00"]),
        ("30 1 * * *", "Europe/Dublin", ("2026-03-29T00:00", "2026-03-29T20:00"), ["2026-03-29T02:00:00+01:00"]),
        ("30 1 * * *", "Europe/Dublin", ("2026-10-24T23:30", "2026-10-25T20:00"), ["2026-10-25T01:30:00+01:00"]),
        ("0 0 * * *", "America/Sao_Paulo", ("2018-11-04T00:00", "2018-11-04T20:00"), ["2018-11-04T01:00:00-02:00"]),
        ("0 0 * * *", "Africa/Cairo", ("2026-04-23T12:00", "2026-04-24T12:00"), ["2026-04-24T01:00:00+03:00"]),
        ("0 0 * * *", "Asia/Beirut", ("2026-03-28T12:00", "2026-03-29T12:00"), ["2026-03-29T01:00:00+03:00"]),
        (
            "0 12 * * *",
            "Pacific/Apia",
            ("2011-12-29T12:00", "2011-12-31T12:00"),
            ["2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"],
        ),
        ("0 0 30 12 *", "Pacific/Apia", ("2011-12-29T00:00", "2012-01-05T00:00"), ["2011-12-31T00:00:00+14:00"]),
        ("0 * 30 12 *", "Pacific/Apia", ("2011-12-29T00:00", "2012-01-05T00:00"), []),
        (
            "*/15 2 * * *",
            "Pacific/Chatham",
            ("2026-04-04T12:10", "2026-04-04T23:00"),
            [
                "2026-04-05T02:00:00+13:45",
                "2026-04-05T02:15:00+13:45",
                "2026-04-05T02:30:00+13:45",
                "2026-04-05T02:45:00+13:45",
                "2026-04-05T02:45:00+12:45",
            ],
        ),
    ],
)
def test_each_gap_and_fold_is_treated_as_documented(
    when: str, zone: str, window: tuple[str, str], expected: list[str]
) -> None:
    assert slots(when, zone, *window) == expected


def test_no_slot_of_the_second_pass_is_lost_where_the_fold_is_not_a_whole_hour() -> None:
    """croniter 7.0.0 went from 01:56+11:00 to 02:00+10:30 and lost 01:35, 01:42, 01:49 and 01:56 of the second pass."""
    found = slots("*/7 * * * *", "Australia/Lord_Howe", "2026-04-04T14:30", "2026-04-04T15:30")

    assert [slot[11:] for slot in found] == [
        "01:35:00+11:00",
        "01:42:00+11:00",
        "01:49:00+11:00",
        "01:56:00+11:00",
        "01:35:00+10:30",
        "01:42:00+10:30",
        "01:49:00+10:30",
        "01:56:00+10:30",
        "02:00:00+10:30",
    ]


def test_a_fold_of_two_hours_repeats_both_of_them_for_an_interval_like_schedule() -> None:
    found = slots("30 * * * *", "Antarctica/Troll", "2026-10-24T23:00", "2026-10-25T03:00")

    assert [slot[11:] for slot in found] == ["01:30:00+02:00", "02:30:00+02:00", "01:30:00+00:00", "02:30:00+00:00"]


@pytest.mark.parametrize(
    ("dst_fold", "expected"),
    [
        ("first", ["2026-10-25T02:30:00+02:00"]),
        ("second", ["2026-10-25T02:30:00+01:00"]),
        ("both", ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"]),
    ],
)
def test_the_fold_policy_chooses_among_the_two_passes(dst_fold: str, expected: list[str]) -> None:
    assert slots("30 2 * * *", "Europe/Berlin", *BERLIN_FOLD, dst_fold=dst_fold) == expected


def test_the_gap_policy_skip_drops_a_time_that_does_not_exist_and_nothing_else() -> None:
    assert slots("30 2 * * *", "Europe/Berlin", *BERLIN_GAP, dst_gap="skip") == []
    assert slots("0 2,3 * * *", "Europe/Berlin", *BERLIN_GAP, dst_gap="skip") == ["2026-03-29T03:00:00+02:00"]


@pytest.mark.parametrize("dst_fold", ["first", "second", "both"])
def test_an_interval_like_schedule_runs_in_both_passes_whatever_the_policy(dst_fold: str) -> None:
    window = ("2026-10-24T23:45", "2026-10-25T01:45")

    assert len(slots("*/30 * * * *", "Europe/Berlin", *window, dst_fold=dst_fold)) == 4


def test_a_step_that_leaves_one_value_names_a_time_of_day_like_any_other() -> None:
    window = ("2018-11-04T00:00", "2018-11-04T20:00")

    assert slots("0 */24 * * *", "America/Sao_Paulo", *window) == ["2018-11-04T01:00:00-02:00"]


@pytest.mark.parametrize(
    ("when", "note"),
    [
        ("30 2 * * *", "moved from 2026-03-29 02:30:00, which does not exist in Europe/Berlin"),
        (
            "0,30 2 * * *",
            "2 times moved, 2026-03-29 02:00:00 to 2026-03-29 02:30:00, which do not exist in Europe/Berlin",
        ),
        (
            "0 2,3 * * *",
            "moved from 2026-03-29 02:00:00, which does not exist in Europe/Berlin; merged with 2026-03-29 03:00:00",
        ),
        ("0 3 * * *", None),
    ],
)
def test_a_slot_that_was_moved_or_merged_says_so(when: str, note: str | None) -> None:
    rule = parse_when(when, timezone="Europe/Berlin")

    assert [due.note for due in rule.between(at(BERLIN_GAP[0]), at(BERLIN_GAP[1]))] == [note]


def test_asking_from_inside_the_second_pass_finds_the_time_that_is_still_to_come() -> None:
    rule = parse_when("30 2 * * *", timezone="Europe/Berlin", dst_fold="both")
    inside = at("2026-10-25T01:10")  # 02:10 for the second time

    due = rule.after(inside)

    assert due is not None
    assert due.slot == at("2026-10-25T01:30")


def test_an_offset_of_odd_seconds_is_kept_to_the_second() -> None:
    """Amsterdam was 19 min 32 s ahead of UTC until 1937."""
    rule = parse_when("0 12 * * *", timezone="Europe/Amsterdam")
    ahead = ZoneInfo("Europe/Amsterdam").utcoffset(datetime(1930, 1, 10, 12))

    due = rule.after(at("1930-01-10T00:00"))

    assert due is not None and ahead is not None
    assert due.slot == at("1930-01-10T12:00") - ahead.total_seconds()


# What all rules promise


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    when = draw(
        st.one_of(
            expressions(),
            st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=400)),
            st.datetimes(datetime(2009, 1, 1), datetime(2031, 1, 1), timezones=st.just(UTC)),
        )
    )
    return parse_when(
        when,
        timezone=draw(st.sampled_from(ZONES)),
        dst_gap=draw(st.sampled_from(["run_after", "skip"])),
        dst_fold=draw(st.sampled_from(["first", "second", "both"])),
    )


instants = st.floats(at("2009-06-01T00:00"), at("2030-06-01T00:00"))


@given(rule=rules(), start=instants, length=st.floats(0, 30 * 86_400), n=st.integers(0, 30))
@settings(max_examples=EXAMPLES, deadline=None)
def test_between_after_count_and_latest_tell_the_same_story(rule: Rule, start: float, length: float, n: int) -> None:
    end = start + min(length, 86_400 if rule.count(start, start + 86_400) > 2_000 else length)

    found = list(rule.between(start, end))

    assert all(start < due.slot <= end for due in found)
    assert all(before.slot < later.slot for before, later in pairwise(found))
    assert rule.count(start, end) == len(found)
    assert rule.latest(end, n, start) == (found[-n:] if n else [])
    assert rule.after(start) == (found[0] if found else rule.after(end))
    for before, later in pairwise(found[:50]):
        assert rule.after(before.slot) == later


@given(rule=rules(), start=instants, days=st.floats(0, 3), cut=st.floats(0, 1))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_restart_in_the_middle_changes_nothing(rule: Rule, start: float, days: float, cut: float) -> None:
    end = start + days * 86_400
    middle = min(max(start, start + cut * (end - start)), end)

    whole = list(rule.between(start, end))

    assert [*rule.between(start, middle), *rule.between(middle, end)] == whole
    assert rule.count(start, middle) + rule.count(middle, end) == len(whole)


@given(rule=rules(), instant=instants)
@settings(max_examples=EXAMPLES, deadline=None)
def test_nothing_lies_between_two_neighbouring_slots(rule: Rule, instant: float) -> None:
    due = rule.after(instant)
    if due is None:
        return

    assert rule.count(instant, math.nextafter(due.slot, -math.inf)) == 0
    assert rule.latest(due.slot, 1, instant) == [due]


def test_an_empty_or_backward_stretch_has_no_slots() -> None:
    for when in ("* * * * * *", timedelta(seconds=1), datetime(2026, 1, 1, tzinfo=UTC)):
        rule = parse_when(when)
        for start, end in ((100.0, 100.0), (100.0, 50.0), (100.2, 100.9)):
            assert (list(rule.between(start, end)), rule.count(start, end), rule.latest(end, 3, start)) == ([], 0, [])


def test_past_the_end_of_the_calendar_nothing_is_due() -> None:
    for when in ("@daily", timedelta(days=1), datetime(2026, 1, 1, tzinfo=UTC)):
        rule = parse_when(when, timezone="Europe/Berlin")
        assert rule.after(1e15) is None
        assert rule.after(math.inf) is None
        assert rule.after(-1e15) is not None


def test_the_slots_of_an_interval_are_its_multiples_since_the_epoch() -> None:
    rule = parse_when(timedelta(seconds=1, microseconds=100_000))

    assert [due.slot for due in rule.between(0.0, 5.5)] == [1.1, 2.2, 3.3, 4.4, 5.5]
    assert [due.slot for due in rule.between(-2.2, 0.0)] == [-1.1, 0.0]


@pytest.mark.parametrize(
    ("interval_us", "number"), [(2_355_997, 235_809_209), (4_174_971, 517_181_542), (4_230_060, 855_716_571)]
)
def test_an_interval_is_exact_where_its_slots_are_not_whole_microseconds_as_floats(
    interval_us: int, number: int
) -> None:
    """`floor(slot * 1e6)` is one too low for some slots, and one too high for some instants just before a slot."""
    rule = parse_when(timedelta(microseconds=interval_us))
    slot, following = number * interval_us / 1e6, (number + 1) * interval_us / 1e6
    just_before = math.nextafter(slot, -math.inf)

    assert [due.slot for due in rule.between(slot, following)] == [following]
    assert [due.slot for due in rule.between(just_before, slot)] == [slot]
    assert rule.latest(just_before, 1, 0.0)[0].slot == (number - 1) * interval_us / 1e6


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_a_year_of_seconds_is_counted_and_searched_without_walking_through_it(zone: str) -> None:
    rule = parse_when("* * * * * *", timezone=zone)
    start, end = at("2026-01-01T00:00"), at("2027-01-01T00:00")

    begun = time.thread_time()
    count, latest = rule.count(start, end), rule.latest(end, 3, start)
    seconds = time.thread_time() - begun

    assert count == YEAR_SECONDS
    assert [due.slot for due in latest] == [end - 2, end - 1, end]
    assert seconds < 0.1


def test_a_rare_schedule_after_one_of_a_dense_day_a_year_is_found_from_both_sides() -> None:
    rule = parse_when("* * * 1 1 *", timezone="Europe/Berlin")
    start, end = at("2000-06-01T00:00"), at("2026-06-01T00:00")

    assert rule.count(start, end) == 26 * 86_400
    assert [due.slot for due in rule.latest(end, 2, start)] == [
        at("2026-01-01T23:59:58", "Europe/Berlin"),
        at("2026-01-01T23:59:59", "Europe/Berlin"),
    ]


@pytest.mark.parametrize(
    ("when", "options", "change"),
    [
        ("0 3 * * *", {}, "2026-03-29T01:00:00"),
        ("30 2 * * *", {"dst_gap": "run_after"}, "2026-03-29T01:00:00"),
        ("0 2 * * *", {"dst_fold": "second"}, "2026-10-25T01:00:00"),
        ("*/30 * * * *", {}, "2026-10-25T01:00:00"),
    ],
)
def test_a_slot_at_the_second_at_which_a_zone_changes_its_offset_is_one(when, options, change):
    rule, instant = parse_when(when, timezone="Europe/Berlin", **options), at(change)

    for asked in (rule.between, lambda start, end: rule.latest(end, 9, start)):
        assert [due.slot for due in asked(instant - 1, instant)] == [instant]
        assert [*asked(instant, instant + 1)] == []
    assert (rule.count(instant - 1, instant), rule.count(instant, instant + 1)) == (1, 0)
    assert rule.after(instant - 1).slot == instant
