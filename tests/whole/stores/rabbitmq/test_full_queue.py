"""An operator's policy limits the queue of one job name, which then refuses what is published: on a real server."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lamplighter import Runtime, Snooze, StoreError

from ....faults.kit import eventually
from .conftest import Vhosts

JOIN_SECONDS = 15.0
LENGTH_MAX = 3
SOFT_MAX = 500
"""A quorum queue learns a little late that it is full."""


@pytest.fixture
def limited(vhosts: Vhosts) -> str:
    """Where the queue of `work` takes few jobs."""
    url = vhosts.take()
    policy = f'{{"max-length": {LENGTH_MAX}, "overflow": "reject-publish"}}'
    vhost = url.rpartition("/")[2]
    vhosts.server.nodes[0].call("rabbit_policy:parse_set", vhost, "few", r"\.job\.work$", policy, 0, "queues", "tests")
    return url


def fill(one: Runtime) -> list[str]:
    """Queue until one is refused; the ids of those that were accepted."""
    accepted: list[str] = []
    with pytest.raises(StoreError, match=r"expected the queue of work on .* to take another job"):
        while len(accepted) < SOFT_MAX:
            accepted.append(one.jobs.queue("work", len(accepted)).id)
    return accepted


def test_a_queue_that_is_full_stops_no_other_name(limited: str, runtime: Callable[..., Runtime]) -> None:
    """All turns failed for ever, each publishing again what the server had taken, until somebody else made room."""
    one = runtime(limited)
    one.jobs.add_handler("else", lambda job: job.data)
    fill(one)

    assert one.health().reasons[0].startswith("the queue of work takes no more")
    assert one.jobs.join(one.jobs.queue("else", 1), timeout=JOIN_SECONDS).result == 1


def test_a_full_queue_is_worked_off_also_where_its_jobs_go_back_into_it(
    limited: str, runtime: Callable[..., Runtime]
) -> None:
    one, runs = runtime(limited), []

    def work(job):
        runs.append(job.id)
        if runs.count(job.id) == 1:
            # Back at once, into the queue that others wait in.
            raise Snooze(0)

    accepted = fill(one)
    one.jobs.add_handler("work", work)

    eventually(lambda: {job for job in runs if runs.count(job) > 1} >= {*accepted}, 60.0, what="the accepted jobs")
    eventually(lambda: one.health().status == "green", 30.0, what="a queue that takes jobs again")
