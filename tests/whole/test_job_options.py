"""Each option of a job, where a child process queues it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
