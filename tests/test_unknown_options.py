"""An option that a call does not have: every face names it, and what there is instead."""

from __future__ import annotations

import asyncio

import pytest
from lamplighter import Runtime, UsageError

CALLS = {
    "jobs.queue": lambda rt: rt.jobs.queue("mail", colour="red"),
    "jobs.aqueue": lambda rt: asyncio.run(rt.jobs.aqueue("mail", colour="red")),
    "jobs.add_handler": lambda rt: rt.jobs.add_handler("mail", print, colour="red"),
    "jobs.handler": lambda rt: rt.jobs.handler("mail", colour="red")(print),
    "scheduler.add": lambda rt: rt.scheduler.add("mail", "@daily", colour="red"),
    "scheduler.add_many": lambda rt: rt.scheduler.add_many([{"name": "mail", "when": "@daily", "colour": "red"}]),
    "Runtime": lambda rt: Runtime(":memory:", colour="red"),
}
KNOWN = {
    "jobs.queue": "id, delay, .*connection",
    "jobs.aqueue": "id, delay, .*timeout",
    "jobs.add_handler": "concurrency",
    "jobs.handler": "concurrency",
    "scheduler.add": "key, timezone",
    "scheduler.add_many": "key, timezone",
    "Runtime": "durability, .*reply_seconds_max",
}


@pytest.mark.parametrize("name", CALLS)
def test_an_unknown_option_is_named_with_those_that_are_known(runtime, name):
    rt = runtime(":memory:")

    with pytest.raises(UsageError, match=rf"unknown option colour\. The options of .* are .*{KNOWN[name]}"):
        CALLS[name](rt)

    assert sum(rt.jobs.counts().values()) == 0
    assert rt.scheduler.list() == []


@pytest.mark.parametrize(
    ("call", "options", "meant"),
    [
        ("queue", {"retries": 3}, "unknown option retries; did you mean max_attempts? The options of"),
        ("queue", {"eta": 3, "countdown": 1}, "unknown option countdown, eta; did you mean delay and at?"),
        ("queue", {"prioritty": 3}, "unknown option prioritty; did you mean priority?"),
        ("add", {"tz": "UTC"}, "unknown option tz; did you mean timezone?"),
        ("add", {"max_instances": 1}, "unknown option max_instances; did you mean overlap?"),
    ],
)
def test_what_other_job_queues_call_an_option_leads_to_what_it_is_here(runtime, call, options, meant):
    rt = runtime(":memory:")
    calls = {
        "queue": lambda: rt.jobs.queue("mail", **options),
        "add": lambda: rt.scheduler.add("mail", "@daily", **options),
    }

    with pytest.raises(UsageError) as caught:
        calls[call]()

    assert str(caught.value).startswith(meant)
