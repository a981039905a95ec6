"""An option that a call does not have: every face names it, and what there is instead."""

from __future__ import annotations

import asyncio

import pytest
from lamplighter import Runtime, UsageError
from lamplighter.api.jobs import Jobs
from lamplighter.api.scheduler import Scheduler
from lamplighter.rules.limits import Limits
from lamplighter.rules.validation import options_of

CALLS = {
    "jobs.queue": lambda rt: rt.jobs.queue("mail", colour="red"),
    "jobs.aqueue": lambda rt: asyncio.run(rt.jobs.aqueue("mail", colour="red")),
    "jobs.add_handler": lambda rt: rt.jobs.add_handler("mail", print, colour="red"),
    "jobs.handler": lambda rt: rt.jobs.handler("mail", colour="red")(print),
    "scheduler.add": lambda rt: rt.scheduler.add("mail", "@daily", colour="red"),
    "scheduler.add_many": lambda rt: rt.scheduler.add_many([{"name": "mail", "when": "@daily", "colour": "red"}]),
    "Runtime": lambda rt: Runtime(":memory:", colour="red"),
}
# A schedule of several, each a dict, cannot be part of a transaction.
OF_SCHEDULES = [option for option in options_of(Scheduler.add) if option != "connection"]
KNOWN = {
    "jobs.queue": ("jobs.queue", options_of(Jobs.queue)),
    "jobs.aqueue": ("jobs.aqueue", options_of(Jobs.aqueue)),
    "jobs.add_handler": ("jobs.add_handler", options_of(Jobs.add_handler)),
    "jobs.handler": ("jobs.add_handler", options_of(Jobs.add_handler)),
    "scheduler.add": ("scheduler.add", OF_SCHEDULES),
    "scheduler.add_many": ("scheduler.add", OF_SCHEDULES),
    "Runtime": ("Runtime", [*options_of(Runtime), *Limits.__slots__]),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_unknown_option_is_named_with_those_that_are_known(runtime, name):
    rt = runtime(":memory:")

    with pytest.raises(UsageError) as caught:
        CALLS[name](rt)

    what, known = KNOWN[name]
    assert str(caught.value) == f"unknown option colour. The options of {what} are {', '.join(known)}"
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
