"""What becomes of due slots."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lamplighter import Runtime
from lamplighter.cron.schedule import (
    CATCH_UP_OFF,
    OLDER_THAN_WINDOW,
    OVER_MAX,
    SUPERSEDED,
    account,
    cut,
    jitter_of,
    job_of,
    keyed_id,
    set_back,
    unkeyed_id,
)
from lamplighter.cron.when import parse_when
from lamplighter.errors import UsageError
from lamplighter.messages.schedules import Accounting, CatchUp, Fire, SlotEntry, SlotRange

from support.conformance.kit import a_schedule

from .cron_strategies import EXAMPLES

HOUR, DAY = 3_600.0, 86_400.0
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()


def accounted(
    when: object = "*/5 * * * *",
    *,
    since: float,
    now: float,
    catch_up: CatchUp = "latest",
    window: float = DAY,
    limit: int = 100,
) -> Accounting:
    return account(
        parse_when(when), accounted_to=since, now=now, catch_up=catch_up, catch_up_window=window, catch_up_max=limit
    )


# Slots that are not old


@pytest.mark.parametrize("catch_up", ["skip", "latest", "all"])
@pytest.mark.parametrize(
    ("lateness", "outcome", "reason"),
    [(0.0, "fired", None), (0.999, "fired", None), (1.0, "late", "1.0 s late"), (9.96, "late", "10.0 s late")],
)
def test_a_slot_less_than_ten_seconds_late_fires_whatever_the_policy(
    catch_up: CatchUp, lateness: float, outcome: str, reason: str | None
) -> None:
    now = NOON + lateness

    result = accounted(since=NOON - 1, now=now, catch_up=catch_up)

    assert result == Accounting(
        fires=(Fire(slot=NOON, outcome=outcome, reason=reason),),  # type: ignore[arg-type]
        skipped=(),
        accounted_to=now,
    )


@pytest.mark.parametrize(
    ("catch_up", "fires", "skipped"),
    [
        ("skip", (), (SlotRange(first=NOON, last=NOON, count=1, reason=CATCH_UP_OFF),)),
        ("latest", (Fire(slot=NOON, outcome="caught_up", reason="catch_up=latest"),), ()),
        ("all", (Fire(slot=NOON, outcome="caught_up", reason="catch_up=all"),), ()),
    ],
)
def test_a_slot_ten_seconds_late_is_judged_by_the_policy(
    catch_up: CatchUp, fires: tuple[Fire, ...], skipped: tuple[SlotRange, ...]
) -> None:
    result = accounted(since=NOON - 1, now=NOON + 10, catch_up=catch_up)

    assert result == Accounting(fires=fires, skipped=skipped, accounted_to=NOON + 10)


def test_all_slots_that_are_not_old_fire_each_for_itself() -> None:
    result = account(
        parse_when("*/2 * * * * *"),
        accounted_to=NOON - 1,
        now=NOON + 4.5,
        catch_up="skip",
        catch_up_window=DAY,
        catch_up_max=1,
    )

    assert [(fire.slot, fire.outcome) for fire in result.fires] == [
        (NOON, "late"),
        (NOON + 2, "late"),
        (NOON + 4, "fired"),
    ]
    assert (result.skipped, result.accounted_to) == ((), NOON + 4.5)


def test_nothing_due_is_accounted_for_up_to_now() -> None:
    assert accounted(since=NOON, now=NOON + 299) == Accounting(fires=(), skipped=(), accounted_to=NOON + 299)


# A backlog


def test_skip_fires_none_of_a_backlog_and_says_how_many() -> None:
    result = accounted(since=NOON - HOUR, now=NOON + 60, catch_up="skip")

    assert result.fires == ()
    assert result.skipped == (SlotRange(first=NOON - 55 * 60, last=NOON, count=12, reason=CATCH_UP_OFF),)


def test_latest_fires_the_newest_of_a_backlog_and_the_others_are_superseded() -> None:
    result = accounted(since=NOON - HOUR, now=NOON + 60)

    assert result.fires == (Fire(slot=NOON, outcome="caught_up", reason="catch_up=latest"),)
    assert result.skipped == (SlotRange(first=NOON - 55 * 60, last=NOON - 300, count=11, reason=SUPERSEDED),)


def test_latest_catches_up_with_nothing_when_a_slot_that_is_not_old_fires_anyway() -> None:
    result = accounted(since=NOON - HOUR, now=NOON + 2)

    assert result.fires == (Fire(slot=NOON, outcome="late", reason="2.0 s late"),)
    assert result.skipped == (SlotRange(first=NOON - 55 * 60, last=NOON - 300, count=11, reason=SUPERSEDED),)


def test_all_fires_the_newest_of_a_backlog_up_to_its_limit_in_order() -> None:
    result = accounted(since=NOON - HOUR, now=NOON + 60, catch_up="all", limit=3)

    assert [fire.slot for fire in result.fires] == [NOON - 600, NOON - 300, NOON]
    assert {fire.outcome for fire in result.fires} == {"caught_up"}
    assert result.skipped == (SlotRange(first=NOON - 55 * 60, last=NOON - 900, count=9, reason=OVER_MAX),)


def test_the_limit_of_all_does_not_count_slots_that_are_not_old() -> None:
    result = accounted(since=NOON - HOUR, now=NOON, catch_up="all", limit=2)

    assert [(fire.slot, fire.outcome) for fire in result.fires] == [
        (NOON - 600, "caught_up"),
        (NOON - 300, "caught_up"),
        (NOON, "fired"),
    ]


@pytest.mark.parametrize(("catch_up", "reason"), [("latest", SUPERSEDED), ("all", OVER_MAX)])
def test_what_is_older_than_the_window_is_told_apart(catch_up: CatchUp, reason: str) -> None:
    result = accounted(since=NOON - 10 * DAY, now=NOON + 60, catch_up=catch_up, window=DAY, limit=1)

    assert [fire.slot for fire in result.fires] == [NOON]
    assert result.skipped == (
        SlotRange(first=NOON - 10 * DAY + 300, last=NOON - DAY, count=9 * 288, reason=OLDER_THAN_WINDOW),
        SlotRange(first=NOON - DAY + 300, last=NOON - 300, count=287, reason=reason),
    )


def test_with_a_window_of_zero_only_slots_that_are_not_old_fire() -> None:
    result = accounted(since=NOON - 600, now=NOON + 2, catch_up="all", window=0.0)

    assert [fire.slot for fire in result.fires] == [NOON]
    assert result.skipped == (SlotRange(first=NOON - 300, last=NOON - 300, count=1, reason=OLDER_THAN_WINDOW),)


def test_a_date_time_that_passed_long_ago_is_skipped() -> None:
    result = accounted(datetime(2026, 5, 1, 12, tzinfo=UTC), since=0.0, now=NOON + 2 * DAY)

    assert result.fires == ()
    assert result.skipped == (SlotRange(first=NOON, last=NOON, count=1, reason=OLDER_THAN_WINDOW),)


def test_a_slot_that_was_moved_out_of_a_gap_says_so_when_it_fires() -> None:
    rule = parse_when("30 2 * * *", timezone="Europe/Berlin")
    slot = datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()
    note = "moved from 2026-03-29 02:30:00, which does not exist in Europe/Berlin"

    accountings = [
        account(rule, accounted_to=slot - 1, now=slot + lateness, catch_up="all", catch_up_window=DAY, catch_up_max=1)
        for lateness in (0, 2, 60)
    ]

    reasons = [accounting.fires[0].reason for accounting in accountings]
    assert reasons == [note, f"2.0 s late; {note}", f"catch_up=all; {note}"]


# Clocks


def test_the_clock_stepping_back_fires_nothing_twice_and_nothing_is_forgotten() -> None:
    first = accounted(since=NOON - 1, now=NOON)
    back = accounted(since=first.accounted_to, now=NOON - 600)
    again = accounted(since=back.accounted_to, now=NOON)
    later = accounted(since=again.accounted_to, now=NOON + 300)

    assert back == Accounting(fires=(), skipped=(), accounted_to=NOON)
    assert again == Accounting(fires=(), skipped=(), accounted_to=NOON)
    assert [fire.slot for fire in later.fires] == [NOON + 300]


@given(
    every=st.sampled_from([1, 7, 60, 300, 3_600]),
    backlog=st.floats(0, 3 * DAY),
    offset=st.floats(0, 20),
    catch_up=st.sampled_from(["skip", "latest", "all"]),
    window=st.sampled_from([0.0, 5.0, 600.0, DAY]),
    limit=st.integers(1, 120),
)
@settings(max_examples=EXAMPLES)
@example(every=1, backlog=60.0, offset=0.5, catch_up="all", window=600.0, limit=5)
def test_every_slot_is_accounted_for_once_in_order_and_there_is_no_flood(
    every: int, backlog: float, offset: float, catch_up: CatchUp, window: float, limit: int
) -> None:
    rule = parse_when(timedelta(seconds=every))
    since, now = NOON + offset, NOON + offset + backlog

    result = account(rule, accounted_to=since, now=now, catch_up=catch_up, catch_up_window=window, catch_up_max=limit)

    slots = [due.slot for due in rule.between(since, now)]
    told = [fire.slot for fire in result.fires]
    for skipped in result.skipped:
        inside = [slot for slot in slots if skipped.first <= slot <= skipped.last]
        assert (len(inside), inside[0], inside[-1]) == (skipped.count, skipped.first, skipped.last)
        told += inside
    assert sorted(told) == slots
    assert [fire.slot for fire in result.fires] == sorted(fire.slot for fire in result.fires)
    assert all(a.last < b.first for a, b in zip(result.skipped, result.skipped[1:], strict=False))
    assert len([fire for fire in result.fires if fire.outcome == "caught_up"]) <= (limit if catch_up == "all" else 1)
    assert {slot for slot in slots if now - slot < 9.999} <= {fire.slot for fire in result.fires}


@given(cuts=st.lists(st.floats(0, DAY), max_size=6))
@settings(max_examples=EXAMPLES)
def test_accounting_in_pieces_tells_of_each_slot_once_whenever_the_runtime_stopped(cuts: list[float]) -> None:
    rule = parse_when("*/7 * * * *", timezone="Europe/Berlin")
    told, reached = 0, NOON

    for now in [*(NOON + seconds for seconds in cuts), NOON + DAY]:
        result = account(rule, accounted_to=reached, now=now, catch_up="latest", catch_up_window=HOUR, catch_up_max=1)
        told += len(result.fires) + sum(skipped.count for skipped in result.skipped)
        reached = result.accounted_to

    assert told == rule.count(NOON, NOON + DAY)


@pytest.mark.parametrize("catch_up", ["skip", "latest", "all"])
def test_a_year_of_missed_seconds_is_judged_at_once(catch_up: CatchUp) -> None:
    rule = parse_when("* * * * * *", timezone="Europe/Berlin")
    year = 365 * DAY

    begun = time.thread_time()
    result = account(
        rule, accounted_to=NOON - year, now=NOON, catch_up=catch_up, catch_up_window=30 * DAY, catch_up_max=100
    )
    seconds = time.thread_time() - begun

    assert len(result.fires) + sum(skipped.count for skipped in result.skipped) == year
    assert seconds < 0.2


@pytest.mark.parametrize(
    ("catch_up", "window", "limit", "said"),
    [
        ("newest", DAY, 1, "one of 'latest', 'all', 'skip'"),
        (None, DAY, 1, "one of 'latest', 'all', 'skip'"),
        ("all", -1.0, 1, "catch_up_window"),
        ("all", float("nan"), 1, "catch_up_window"),
        ("all", float("inf"), 1, "catch_up_window"),
        ("all", "1", 1, "catch_up_window"),
        ("all", True, 1, "catch_up_window"),
        ("all", DAY, 0, "catch_up_max"),
        ("all", DAY, 1.5, "catch_up_max"),
        ("all", DAY, True, "catch_up_max"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(catch_up: object, window: object, limit: object, said: str) -> None:
    scheduler = Runtime(":memory:").scheduler

    with pytest.raises(UsageError) as caught:
        scheduler.add("n", "@daily", catch_up=catch_up, catch_up_window=window, catch_up_max=limit)

    assert said in str(caught.value)


@given(
    every=st.sampled_from([1, 60, 3_600]), before=st.integers(0, 50), after=st.integers(0, 50), beside=st.floats(0, 1)
)
@settings(max_examples=EXAMPLES)
@example(every=60, before=0, after=0, beside=0.0)
def test_of_a_skipped_range_those_up_to_an_instant_are_kept_each_counted(
    every: int, before: int, after: int, beside: float
) -> None:
    rule = parse_when(timedelta(seconds=every))
    first = NOON if NOON % every == 0 else NOON + every - NOON % every
    slots = [first + number * every for number in range(before + 1 + after)]
    now = slots[before] + beside * (every - 0.001)
    entry = SlotEntry(
        schedule_id="s",
        slot=slots[0],
        last=slots[-1],
        count=len(slots),
        outcome="skipped",
        reason="paused",
        job_id=None,
    )

    kept = cut(a_schedule(when=rule.text), entry, now)

    assert kept == replace(entry, last=slots[before], count=before + 1)
    assert cut(a_schedule(when=rule.text), entry, first - 0.001) is None


@pytest.mark.parametrize("changed_at", [NOON - DAY, NOON - 1, NOON, NOON + DAY])
def test_a_schedule_that_is_set_back_counts_from_now_and_its_rule_as_before(changed_at: float) -> None:
    schedule = a_schedule(accounted_to=NOON + DAY, changed_at=changed_at)

    back = set_back(schedule, NOON)

    assert back == schedule._replace(accounted_to=NOON, changed_at=min(changed_at, NOON))


# Jitter and identity


@given(slot=st.floats(0, 4e9), jitter=st.floats(0.001, 1e6))
@settings(max_examples=EXAMPLES)
def test_jitter_is_below_its_limit_and_always_the_same(slot: float, jitter: float) -> None:
    moved = jitter_of("0123456789abcdef", slot, jitter)

    assert 0 <= moved < jitter
    assert moved == jitter_of("0123456789abcdef", slot, jitter)


def test_jitter_spreads_over_its_whole_range_and_differs_by_schedule_and_slot() -> None:
    moved = [jitter_of("a", NOON + minute * 60, 100.0) for minute in range(1_000)]

    assert 45 < sum(moved) / len(moved) < 55
    assert min(moved) < 2 and max(moved) > 98
    assert jitter_of("b", NOON, 100.0) != jitter_of("a", NOON, 100.0)


def test_the_jitter_and_the_ids_are_those_of_every_other_release() -> None:
    """Both are compared with what a store already holds, so they must never change."""
    assert unkeyed_id("clean", "0 0 * * *", "UTC", "null") == "93cc77e58cd80750"
    assert keyed_id("clean", "nightly") == "d765aa3f31f82c4a"
    assert jitter_of("0123456789abcdef", 1_777_636_800, 60.0) == 32.62130762880332


def test_the_id_depends_on_all_of_a_schedule_that_has_no_key() -> None:
    unkeyed = {
        unkeyed_id(name, text, zone, data)
        for name in ("clean", "sweep")
        for text in ("0 0 * * *", "0 1 * * *")
        for zone in ("UTC", "Europe/Berlin")
        for data in ("null", "1")
    }

    assert len(unkeyed) == 16
    assert keyed_id("sweep", "nightly") != keyed_id("clean", "nightly")


@pytest.mark.parametrize(
    ("expires", "run_at", "due_in", "expires_in"),
    [(None, 5.0, 5.0, None), (60.0, 5.0, 5.0, 65.0), (60.0, 0.0, 0.0, 60.0), (60.0, -5.0, 0.0, 60.0)],
)
def test_the_job_of_a_slot_waits_and_expires_in_seconds(expires, run_at, due_in, expires_in):
    job = job_of(a_schedule(expires=expires), "s-1", run_at=NOON + run_at, now=NOON, root_id="root", slot=NOON)

    assert (job.run_at, job.due_in, job.expires_in) == (NOON + run_at, due_in, expires_in)
    assert (job.root_id, job.queued_at, job.slot) == ("root", NOON, NOON)
