"""Each column of a list, and each line about one thing, says what its head says: every field has a value of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from lamplighter.admin.error_groups import ErrorGroup
from lamplighter.admin.schedule_views import NextSlot, ScheduleView, SlotView
from lamplighter.admin.stats import Spread, Stats
from lamplighter.admin.views import Amount, LoggedLine, NameView, PauseView, job_view, payload
from lamplighter.admin.why import Why
from lamplighter.cli import errors, job_pages, name_pages, names, runtime_pages, schedules, stats
from lamplighter.cli.options import Times
from lamplighter.environment.clock import SystemClock
from lamplighter.messages.jobs import Attempt
from lamplighter.messages.views import Death, ProcessView, QuietView, TurnView

from ..admin.kit import NOW, a_boot, a_handler, a_job, a_lane, a_view, an_actor

UTC = Times(is_utc=True)

GROUP = ErrorGroup(
    id="g1",
    name="mail",
    exception="ValueError",
    message="order # is no order",
    where="shop/mail.py:send",
    dead=3,
    failing=1_200,
    first_seen=NOW - 7_200,
    last_seen=NOW - 60,
    sample="j1",
    error="ValueError: order 7 is no order",
    line="shop/mail.py:12",
)

RAN = a_job(
    state="done",
    attempt=2,
    max_attempts=5,
    claim_no=3,
    boot="b1",
    queued_at=NOW - 90,
    run_at=NOW - 80,
    claimed_at=NOW - 30,
    ended_at=NOW - 10,
    reason="marked done",
)
RUNS = RAN._replace(state="running", ended_at=None, reason=None)
FINE = Why(code="running", sentence="it runs")
LATER = a_job(state="queued", attempt=1, queued_at=NOW - 90, run_at=NOW + 30)

NAME = NameView(
    name="mail",
    ready=Amount(count=1_234, is_capped=True),
    scheduled=Amount(count=5),
    running=Amount(count=2),
    oldest_ready=NOW - 50,
    pause=PauseView(since=NOW - 60, by="ada", reason="the server is down", until=NOW + 60),
    limit=4,
    boots=("b1", "b2", "b3"),
    is_parked=False,
    lanes=7,
    busy=6,
)

STATS = Stats(
    queued=1_001,
    done=2,
    dead=3,
    cancelled=4,
    attempts=10,
    failed=5,
    waited=Spread(n=1, mean=1.0, p50=2.0, p95=3.0, p99=4.0),
    ran=Spread(n=1, mean=5.0, p50=6.0, p95=7.0, p99=8.0),
)

SCHEDULE = ScheduleView(
    id="s1",
    key="daily",
    name="report",
    when="30 6 * * *",
    words="at 06:30 every day",
    timezone="Europe/Berlin",
    next=(
        NextSlot(at=NOW + 60, local="the next", note="moved"),
        NextSlot(at=NOW + 120, local="the one after", note=None),
    ),
    trouble="no such zone",
    last_slot=NOW - 60,
    accounted_to=NOW,
    is_paused=True,
    is_durable=False,
    declared_by=(),
    data=payload('{"all":true}', is_shown=False),
    catch_up="last",
    catch_up_window=3_600.0,
    overlap="skip",
    dst_gap="skip",
    dst_fold="first",
    jitter=5.0,
    priority=0,
    max_attempts=None,
    timeout=None,
    expires=None,
)

VIEW = a_view(
    quiet=QuietView(since=NOW - 60, by="ada", via="cli", reason="a deploy"),
    leads=True,
    handlers=(a_handler(total=5, timeout=60.0, rate="6/60s", per_group=3, rate_per_group="1/60s"),),
    lanes_open=2,
    turns=TurnView(took_seconds=0.25, waited_seconds=0.125, under_way_seconds=3.0, is_waiting=True, trouble=None),
    process=ProcessView(rss_bytes=64 * 2**20, threads=9, descriptors=40, descriptors_max=1_024),
)
BOOT = a_boot(view=VIEW, boot_no=12, version="0.2.0", python="3.13.0", names=("mail", "resize"))

DEATHS = tuple(Death(at=NOW - age, incarnation=1, why=f"{age} s ago", over=None) for age in (30.0, 20.0, 10.0))
ACTOR = an_actor(
    incarnation=4,
    mailbox=5,
    oldest_seconds=6.0,
    busy_seconds=7.0,
    busy_with="Run",
    restarts_in_window=3,
    restarts_max=8,
    jobs=("j1", "j2", "j3", "j4", "j5"),
    deaths=DEATHS,
)


def columns(heads: Iterable[str], row: Iterable[Any]) -> list[tuple[str, Any]]:
    return list(zip(heads, row, strict=True))


ROWS: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "errors": (
        columns(errors.HEADS, errors._row(GROUP, NOW)),
        [
            ("id", "g1"),
            ("name", "mail"),
            ("jobs", "1,203"),
            ("dead", "3"),
            ("exception", "ValueError"),
            ("message", "order # is no order"),
            ("where", "shop/mail.py:send"),
            ("last", "60 s ago"),
            ("first", "2 h 0 min ago"),
        ],
    ),
    "jobs": (
        columns(job_pages.HEADS, job_pages.row(job_view(RAN, None, shows_data=False), NOW)),
        [
            ("id", "j1"),
            ("name", "mail"),
            ("state", "done"),
            ("what", "marked done"),
            ("attempt", "2/5"),
            ("queued", "90 s ago"),
            ("due", ""),
            ("took", "20 s"),
        ],
    ),
    "a job to come": (
        columns(job_pages.HEADS, job_pages.row(job_view(LATER, None, shows_data=False), NOW)),
        [
            ("id", "j1"),
            ("name", "mail"),
            ("state", "queued"),
            ("what", ""),
            ("attempt", "1"),
            ("queued", "90 s ago"),
            ("due", "in 30 s"),
            ("took", ""),
        ],
    ),
    "a job that runs": (
        columns(job_pages.HEADS, job_pages.row(job_view(RUNS, FINE, shows_data=False), NOW)),
        [
            ("id", "j1"),
            ("name", "mail"),
            ("state", "running"),
            ("what", ""),
            ("attempt", "3/5"),
            ("queued", "90 s ago"),
            ("due", ""),
            ("took", "30 s"),
        ],
    ),
    "attempts": (
        columns(
            job_pages.ATTEMPT_HEADS,
            job_pages._attempt(
                Attempt(
                    job_id="j1",
                    begun=True,
                    traceback=None,
                    claim_no=3,
                    attempt=2,
                    outcome="failed",
                    claimed_at=NOW - 30,
                    ended_at=NOW - 10,
                    boot="b1",
                    error="ValueError: no\nmore",
                ),
                NOW,
            ),
        ),
        [
            ("claim", "3"),
            ("attempt", "2"),
            ("outcome", "failed"),
            ("ran", "20 s"),
            ("ended", "10 s ago"),
            ("boot", "b1"),
            ("error", "ValueError: no"),
        ],
    ),
    "output": (
        columns(
            job_pages.OUTPUT_HEADS,
            job_pages._logged(LoggedLine(claim_no=3, at=NOW, level="warning", text="slow"), UTC),
        ),
        [("claim", "3"), ("at", "1970-01-12 13:46:40Z"), ("level", "warning"), ("line", "slow")],
    ),
    "names": (
        columns(name_pages.HEADS, name_pages.row(NAME, NOW)),
        [
            ("name", "mail"),
            ("ready", "1,234+"),
            ("oldest", "50 s"),
            ("running", "2"),
            ("lanes", "6/7"),
            ("scheduled", "5"),
            ("boots", "3"),
            ("what", "paused by ada: the server is down; at most 4 at once"),
        ],
    ),
    "stats": (
        columns(stats.HEADS, stats._row(STATS)),
        [
            ("queued", "1,001"),
            ("done", "2"),
            ("dead", "3"),
            ("cancelled", "4"),
            ("attempts", "10"),
            ("failed", "5 (50 %)"),
            ("waited p50", "2 s"),
            ("p95", "3 s"),
            ("ran p50", "6 s"),
            ("p95", "7 s"),
            ("p99", "8 s"),
        ],
    ),
    "schedules": (
        columns(schedules.HEADS, schedules._row(SCHEDULE, UTC)),
        [
            ("id", "s1"),
            ("key", "daily"),
            ("name", "report"),
            ("rule", "at 06:30 every day"),
            ("zone", "Europe/Berlin"),
            ("next", "1970-01-12 13:47:40Z"),
            ("last", "1970-01-12 13:45:40Z"),
            ("what", "paused; no such zone; no process that lives declares it"),
        ],
    ),
    "slots": (
        columns(
            schedules.SLOT_HEADS,
            schedules._slot(
                SlotView(slot=NOW, outcome="skipped", reason="paused", job_id="j1", last=NOW + 60, count=1_002), UTC
            ),
        ),
        [
            ("slot", "1970-01-12 13:46:40Z to 1970-01-12 13:47:40Z"),
            ("outcome", "skipped"),
            ("slots", "1,002"),
            ("job", "j1"),
            ("reason", "paused"),
        ],
    ),
    "runtimes": (
        columns(runtime_pages.HEADS, runtime_pages.row(BOOT, NOW)),
        [
            ("boot", "b1"),
            ("no", "12"),
            ("kind", "worker"),
            ("process", "7 on h"),
            ("condition", "green, quiet"),
            ("jobs", "2"),
            ("last turn", "250 ms"),
            ("memory", "64 MiB"),
            ("version", "0.2.0"),
            ("started", "10 min 0 s ago"),
        ],
    ),
    "actors": (
        columns(runtime_pages.ACTOR_HEADS, runtime_pages.actor_row(ACTOR, UTC)),
        [
            ("actor", "handler:mail"),
            ("life", "4"),
            ("status", "up"),
            ("mail", "5"),
            ("oldest", "6 s"),
            ("busy", "Run for 7 s"),
            ("restarts", "3 of 8"),
            ("jobs", "j1, j2, j3 and 2 more"),
            ("last death", "1970-01-12 13:46:30Z: 10.0 s ago"),
        ],
    ),
    "lanes": (
        columns(
            runtime_pages.LANE_HEADS,
            runtime_pages.lane_row(
                a_lane("j1", 4.0, attempt=2, deadline=NOW + 60, cancelled="it timed out", abandoned="it hangs"), UTC
            ),
        ),
        [
            ("job", "j1"),
            ("name", "mail"),
            ("attempt", "2"),
            ("for", "4 s"),
            ("until", "1970-01-12 13:47:40Z"),
            ("is to end because", "it hangs"),
        ],
    ),
    "a runtime": (
        runtime_pages.fields(BOOT, UTC),
        [
            ("boot", "b1"),
            ("number", "12"),
            ("kind", "worker"),
            ("process", "7 on h"),
            ("version", "0.2.0, Python 3.13.0"),
            ("started", "1970-01-12 13:36:40Z"),
            ("names", "mail, resize"),
            ("condition", "green, quiet"),
            ("because", ""),
            ("quiet", "since 1970-01-12 13:45:40Z by ada: a deploy"),
            ("leads", "yes: it fires the slots of all"),
            (
                "handlers",
                "mail: 2 at once (thread), 20 attempts, 60 s each, 5 on the whole store, 6/60s on the whole store, "
                "3 and 1/60s of a group",
            ),
            ("runs", "2 jobs"),
            ("last write batch", "250 ms, of which 125 ms until it could write"),
            ("write batch now", "it waits until it can write, for 3 s"),
            ("memory", "64 MiB"),
            ("threads", "9"),
            ("open files", "40 of 1,024"),
        ],
    ),
    "a schedule": (
        schedules._fields(SCHEDULE, NOW, UTC),
        [
            ("id", "s1"),
            ("key", "daily"),
            ("name", "report"),
            ("rule", "at 06:30 every day (30 6 * * *)"),
            ("zone", "Europe/Berlin"),
            ("trouble", "no such zone"),
            ("next", "the next (in 60 s): moved\nthe one after (in 2 min 0 s)"),
            ("last", "1970-01-12T14:45:40+01:00 (60 s ago)"),
            ("paused", "yes: its slots pass"),
            ("declared by", "nobody that lives: it does not fire"),
            ("missed slots", "catch_up=last, within 1 h 0 min"),
            ("overlap", "skip"),
            ("jitter", "5 s"),
            ("data", "object of 1: all (boolean), 12 bytes (--show-data shows it)"),
        ],
    ),
}


def plain(cells: Iterable[tuple[str, Any]]) -> list[tuple[str, str]]:
    """Without the tones."""
    return [(head, cell if isinstance(cell, str) else cell[0]) for head, cell in cells]


@pytest.mark.parametrize("what", ROWS)
def test_each_column_says_what_its_head_says(what: str) -> None:
    cells, expected = ROWS[what]

    assert plain(cells) == expected


def test_each_line_about_a_name_says_what_its_head_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SystemClock, "now", lambda clock: NOW)

    assert plain(names._fields(NAME, UTC)) == [
        ("name", "mail"),
        ("ready", "1,234+"),
        ("oldest", "due 50 s ago"),
        ("running", "2"),
        ("scheduled", "5"),
        ("lanes", "6 of 7 busy"),
        ("paused", "since 1970-01-12 13:45:40Z, by ada, until 1970-01-12 13:47:40Z: the server is down"),
        ("limit", "4 at once over the whole store"),
        ("handled by", "b1, b2, b3"),
    ]


@pytest.mark.parametrize(
    ("declared_by", "is_durable", "what", "by"),
    [
        (None, False, "", "not all processes have said whether they do"),
        ((), False, "no process that lives declares it", "nobody that lives: it does not fire"),
        ((), True, "", "the store, until it is removed"),
        (("b1", "b2"), False, "", "b1, b2"),
    ],
    ids=["unknown", "nobody", "durable", "two"],
)
def test_who_declares_a_schedule_is_none_only_where_each_has_answered(
    declared_by: Any, is_durable: bool, what: str, by: str
) -> None:
    one = replace(SCHEDULE, declared_by=declared_by, is_durable=is_durable, is_paused=False, trouble=None)

    assert schedules._what(one)[0] == what
    assert dict(plain(schedules._fields(one, NOW, UTC)))["declared by"] == by
