"""The names that an application finds on `runtime.jobs`, on `runtime.scheduler` and on a job: all are documented."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from lamplighter import Job, Jobs, Runtime, Scheduler

from .support.package_files import ROOT

WITH_TWINS = {
    Jobs: "attempts cancel cancel_many counts forget get graph join join_many limit list mark_done parents pause queue "
    "queue_many reprioritize requeue requeue_dead requeue_many resume signal steps",
    Scheduler: "add add_many explain get list pause remove resume run_now",
    Job: "queue queue_many snooze step",
}
ALONE = {
    Jobs: "add_handler handler paused remove_handler",
    Scheduler: "cron",
    Job: "attempt await_signal awaits cancel_reason cancelled carried data deadline debounce deduplicated ended_at "
    "error group id is_tried_again log max_attempts name parents priority progress progress_report queued_at reason "
    "record result run_at runs_on schedule sleep slot started_at state stopping then to_dict token traceback "
    "types unique wait waits",
}


def names(of: type) -> set[str]:
    twins = WITH_TWINS[of].split()
    return {*twins, *(f"a{name}" for name in twins), *ALONE[of].split()}


@pytest.mark.parametrize("of", [Jobs, Scheduler, Job])
def test_an_object_of_the_api_has_the_names_of_the_reference_and_no_other(of: type) -> None:
    runtime = Runtime(":memory:")
    with runtime:
        one: Any = {Jobs: runtime.jobs, Scheduler: runtime.scheduler, Job: runtime.jobs.queue("mail")}[of]

    assert {name for name in dir(one) if not name.startswith("_")} == names(of)


@pytest.mark.parametrize("of", [Jobs, Scheduler, Job])
def test_each_name_is_documented_and_the_reference_leaves_none_out(of: type) -> None:
    page = (ROOT / "docs" / "reference" / f"{'scheduler' if of is Scheduler else 'jobs'}.md").read_text("utf-8")
    attributes = re.findall(r"^    (\w+): ", (inspect.getdoc(of) or "").partition("Attributes:")[2], re.M)

    undocumented = {name for name in names(of) if name not in attributes and not getattr(of, name).__doc__}

    assert undocumented == set()
    assert f".. autoclass:: lamplighter.{of.__name__}\n```" in page
    assert "exclude-members" not in page


def test_a_twin_says_what_it_is_a_twin_of() -> None:
    assert Jobs.acancel.__doc__ == "`cancel` for asyncio applications."
    assert Jobs.acancel.__qualname__ == "Jobs.acancel"
