"""Every parameter of the public API, given what nobody should give: it is refused as a caller's fault, or it works."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from lamplighter import Backoff, JobSpec, NotSupported, Rate, RestartBudget, Runtime, Snooze, UsageError
from lamplighter.messages.jobs import SECONDS_MAX
from lamplighter.rules.limits import Limits


class Unshowable:
    """Even telling what came fails."""

    def __repr__(self):
        raise RuntimeError("no repr")


class Incomparable:
    """Cannot be looked for."""

    __hash__ = None

    def __eq__(self, other):
        raise RuntimeError("no comparison")


class Word(enum.StrEnum):
    """A str that is not only one."""

    MAIL = "mail"


class Text(str):
    """A str of the host's own."""


class Level(enum.IntEnum):
    """An int that is not only one."""

    HIGH = 9


HOSTILE = {
    "None": None,
    "True": True,
    "minus": -1,
    "zero": 0,
    "huge int": 10**5000,
    "beyond SQLite": 2**63,
    "big": 1e308,
    "nan": float("nan"),
    "inf": float("inf"),
    "tiny": 1e-320,
    "empty": "",
    "long": "x" * 300,
    "NUL": "a\0b",
    "surrogate": "\ud83d",
    "surrogate in a token": "\ud83d:1",
    "escape": "\x1b[31m\n",
    "bytes": b"x",
    "bytearray": bytearray(b"x"),
    "list": [],
    "dict": {},
    "nested": [[1]],
    "set": {1},
    "object": object(),
    "class": int,
    "function": print,
    "Decimal": Decimal("1.5"),
    "complex": 1j,
    "naive": datetime(2030, 1, 1),
    "last": datetime.max.replace(tzinfo=UTC),
    "after the last": datetime.max.replace(tzinfo=timezone(-timedelta(hours=12))),
    "before the first": datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    "longest": timedelta.max,
    "shortest": timedelta.min,
    "date": date(2030, 1, 1),
    "unshowable": Unshowable(),
    "incomparable": Incomparable(),
    "enum of str": Word.MAIL,
    "text": Text("t"),
    "enum of int": Level.HIGH,
    "ellipsis": ...,
    "spec": JobSpec(name="x"),
    "error": ValueError("x"),
    "long interval": f"@every {'9' * 300}s",
}

IDS = [HOSTILE[name] for name in ("NUL", "escape", "enum of str", "text")]
"""Those that may well be the id of a job."""

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def work(job):
    return None


def handle(rt, name="work", fn=work, **options):
    rt.jobs.remove_handler(rt.jobs.add_handler(name, fn, **options))


def schedule(rt, name="work", when="@daily", **options):
    schedule_id = rt.scheduler.add(name, when, **options)
    rt.scheduler.list()
    rt.scheduler.explain(schedule_id, NOW, NOW + timedelta(days=1))
    rt.scheduler.remove(schedule_id)


def limited(**limits):
    with Runtime(":memory:", **limits) as runtime:
        runtime.jobs.list()


def each(name, options, call):
    return {f"{name} {option}": (lambda rt, value, option=option: call(rt, **{option: value})) for option in options}


SPEC = [field.name for field in fields(JobSpec)]
CALLS = {
    **each("queue", SPEC, lambda rt, **options: rt.jobs.queue(**{"name": "work", **options})),
    **each("aqueue", SPEC, lambda rt, **options: asyncio.run(rt.jobs.aqueue(**{"name": "work", **options}))),
    **each("spec", SPEC, lambda rt, **options: rt.jobs.queue_many([JobSpec(**{"name": "work", **options})])),
    **each(
        "handler",
        [
            "name",
            "fn",
            "concurrency",
            "concurrency_total",
            "concurrency_per_group",
            "rate",
            "rate_per_group",
            "timeout",
            "on_timeout",
            "max_attempts",
            "backoff",
            "auto_done",
            "isolation",
            "interruptions_max",
            "restart",
            "upcast",
            "hands_down",
        ],
        handle,
    ),
    **each(
        "backoff",
        [field.name for field in fields(Backoff)],
        lambda rt, **options: handle(rt, backoff=Backoff(**options)),
    ),
    **each(
        "rate",
        [field.name for field in fields(Rate)],
        lambda rt, **options: handle(rt, rate=Rate(**{"limit": 9, "per": 9, **options})),
    ),
    **each(
        "restart",
        [field.name for field in fields(RestartBudget)],
        lambda rt, **options: handle(rt, restart=RestartBudget(**options)),
    ),
    **each("list", ["name", "state", "limit", "before", "query"], lambda rt, **options: rt.jobs.list(**options)),
    **each(
        "schedule",
        [
            "name",
            "when",
            "data",
            "key",
            "timezone",
            "catch_up",
            "catch_up_window",
            "catch_up_max",
            "overlap",
            "dst_gap",
            "dst_fold",
            "jitter",
            "durable",
        ],
        schedule,
    ),
    **each(
        "Runtime",
        ["durability", "on_failure", "environment", *[field.name for field in fields(Limits)]],
        lambda rt, **options: limited(**options),
    ),
    "Runtime store": lambda rt, value: Runtime(value),
    "queue connection": lambda rt, value: rt.jobs.queue("work", connection=value),
    "queue_many": lambda rt, value: rt.jobs.queue_many(value),
    "queue_many of": lambda rt, value: rt.jobs.queue_many([value]),
    "queue_many name": lambda rt, value: rt.jobs.queue_many([(value, 1)]),
    "get": lambda rt, value: rt.jobs.get(value),
    "attempts": lambda rt, value: rt.jobs.attempts(value),
    "cancel": lambda rt, value: rt.jobs.cancel(value),
    "requeue": lambda rt, value: rt.jobs.requeue(value),
    "requeue delay": lambda rt, value: rt.jobs.requeue("picture", delay=value),
    "requeue_many": lambda rt, value: rt.jobs.requeue_many(value),
    "requeue_many delay": lambda rt, value: rt.jobs.requeue_many("name:none", delay=value),
    "cancel_many": lambda rt, value: rt.jobs.cancel_many(value),
    "reprioritize": lambda rt, value: rt.jobs.reprioritize(value, 1),
    "reprioritize to": lambda rt, value: rt.jobs.reprioritize(rt.jobs.queue("nobody"), value),
    "forget": lambda rt, value: rt.jobs.forget(value),
    "mark_done": lambda rt, value: rt.jobs.mark_done(value),
    "mark_done result": lambda rt, value: rt.jobs.mark_done(rt.jobs.queue("work"), value),
    "mark_done connection": lambda rt, value: rt.jobs.mark_done("picture", connection=value),
    "pause": lambda rt, value: rt.jobs.pause(value),
    "resume": lambda rt, value: rt.jobs.resume(value),
    "counts": lambda rt, value: rt.jobs.counts(value),
    "remove_handler": lambda rt, value: rt.jobs.remove_handler(value),
    "remove_handler drain": lambda rt, value: rt.jobs.remove_handler(rt.jobs.add_handler("work", work), drain=value),
    "add_many": lambda rt, value: rt.scheduler.add_many(value),
    "add_many of": lambda rt, value: rt.scheduler.add_many([value]),
    "scheduler.get": lambda rt, value: rt.scheduler.get(value),
    "scheduler.get name": lambda rt, value: rt.scheduler.get(value, key="k"),
    "scheduler.get key": lambda rt, value: rt.scheduler.get("work", key=value),
    "scheduler.list everywhere": lambda rt, value: rt.scheduler.list(everywhere=value),
    "scheduler.add connection": lambda rt, value: rt.scheduler.add(
        "work", "@daily", durable=True, connection=value or object()
    ),
    "scheduler.remove connection": lambda rt, value: rt.scheduler.remove("s", connection=value),
    "scheduler.remove key": lambda rt, value: rt.scheduler.remove("work", key=value),
    "scheduler.remove": lambda rt, value: rt.scheduler.remove(value),
    "scheduler.pause": lambda rt, value: rt.scheduler.pause(value),
    "scheduler.run_now": lambda rt, value: rt.scheduler.run_now(value),
    "scheduler.list": lambda rt, value: rt.scheduler.list(value),
    "explain": lambda rt, value: rt.scheduler.explain(value, NOW, NOW),
    "explain start": lambda rt, value: rt.scheduler.explain("s", value, NOW),
    "subscribe": lambda rt, value: Runtime(":memory:").subscribe(value),
    "subscribe events": lambda rt, value: Runtime(":memory:").subscribe(print, value),
    "stop": lambda rt, value: Runtime(":memory:").stop(value),
    "wait": lambda rt, value: Runtime(":memory:").wait(value),
    "Snooze": lambda rt, value: Snooze(value),
}


@pytest.fixture
def rt():
    with Runtime(":memory:") as runtime:
        for job_id in ("picture", *IDS):
            runtime.jobs.queue("work", id=job_id)
        yield runtime


@pytest.mark.parametrize("call", CALLS)
def test_what_cannot_be_is_the_callers_fault_and_what_can_be_is_stored_whole(rt, call):
    wrong = {}

    for name, value in HOSTILE.items():
        try:
            CALLS[call](rt, value)
        except (UsageError, NotSupported) as error:
            if len(str(error)) > 1_000:
                wrong[name] = "an error that is too long to read"
        except Exception as error:
            wrong[name] = f"{type(error).__name__}: {error!s:.200}"

    assert wrong == {}
    jobs = rt.jobs.list(limit=10_000)
    assert [(type(job.id), type(job.name), job.run_at.tzinfo) for job in jobs] == [(str, str, UTC)] * len(jobs)
    assert [job.data is job.data for job in jobs] == [True] * len(jobs)
    assert rt.scheduler.list() == []


def test_what_is_like_a_str_or_an_int_is_stored_as_what_it_says(rt):
    job = rt.jobs.queue(Text("post"), id=Text("p"), unique=Text("key"), priority=Level.HIGH)

    stored = rt.jobs.get("p").record
    assert (stored.id, stored.name, stored.unique_key, stored.priority) == ("p", "post", "key", 9)
    assert {type(job.record.id), type(job.record.name), type(job.record.unique_key)} == {str}
    rt.jobs.cancel(job)


def test_ids_and_keys_with_a_nul_are_told_apart(rt):
    first, second = (rt.jobs.queue("nul", id=f"a\0{n}", unique=f"k\0{n}") for n in (1, 2))

    assert (rt.jobs.get(first.id).id, rt.jobs.get(second.id).id) == ("a\0001", "a\0002")
    assert rt.jobs.queue("nul", unique="k\0001").id == first.id


@pytest.mark.parametrize("seconds", [SECONDS_MAX * 1.01, 1e300, 10**400])
def test_no_duration_is_longer_than_a_century(rt, seconds):
    for call in (lambda: rt.jobs.queue("work", delay=seconds), lambda: Snooze(seconds)):
        with pytest.raises(UsageError, match="century"):
            call()
