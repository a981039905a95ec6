"""Each option of a job, where a child process queues it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from lamplighter import Runtime

from ..test_job_options import KEPT, LATER, OTHERS, SAYS, kept_of, seen_of

QUEUES = """
from datetime import datetime

from lamplighter import Debounce, JobSpec


def queues(job):
    options = {**job.data}
    if "debounce" in options:
        options["debounce"] = Debounce(options["debounce"], quiet=60, at_most=600)
    for name in {"at", "expires"} & options.keys():
        options[name] = datetime.fromisoformat(options[name])
    (one,) = job.queue_many([JobSpec(name="child", **options)])
    return [job.queue("child", **options).id, one.id]
"""


def test_a_child_process_queues_with_every_option(
    runtime: Callable[..., Runtime], importable: Callable[[str, str], Any]
) -> None:
    rt = runtime()
    rt.jobs.add_handler("work", importable("options_of_children", QUEUES).queues, isolation="process")
    rt.jobs.queue("parent", id="parent")
    said = {**OTHERS, "debounce": "doc", "at": LATER.isoformat(), "expires": LATER.isoformat()}

    for option, value in [*KEPT.items(), *said.items()]:
        done = rt.jobs.join(rt.jobs.queue("work", {option: value}), timeout=15)
        for job in map(rt.jobs.get, done.result):
            if option in KEPT:
                assert kept_of(job)[option] == value
            else:
                assert seen_of(option, job) == SAYS[option]
            if job.state == "queued":
                rt.jobs.cancel(job)


SPANS = """
from datetime import datetime, timedelta, timezone

from lamplighter import Debounce

LONG, LONGER = timedelta(days=2, milliseconds=500), timedelta(days=4, milliseconds=250)


def spans(job):
    at = datetime(2100, 1, 1, 2, microsecond=250_000, tzinfo=timezone(timedelta(hours=2)))
    doc = Debounce("doc", quiet=LONG, at_most=LONGER)
    options = {"at": at, "expires": at}, {"delay": LONG, "expires": LONGER}, {"debounce": doc}
    return [job.queue("child", **some).id for some in options]
"""


def test_instants_and_spans_of_a_child_process_reach_the_store_whole(
    runtime: Callable[..., Runtime], importable: Callable[[str, str], Any]
) -> None:
    rt = runtime()
    rt.jobs.add_handler("work", importable("spans_of_children", SPANS).spans, isolation="process")

    dated, plain, debounced = map(rt.jobs.get, rt.jobs.join(rt.jobs.queue("work"), timeout=15).result)

    long, longer = timedelta(days=2, milliseconds=500), timedelta(days=4, milliseconds=250)
    assert dated.record.run_at == dated.record.expires_at == LATER.timestamp() + 0.25
    assert (plain.record.due_in, plain.record.expires_in, debounced.record.due_in) == (
        long.total_seconds(),
        longer.total_seconds(),
        long.total_seconds(),
    )
    assert debounced.record.debounce_until - debounced.record.run_at == pytest.approx((longer - long).total_seconds())
