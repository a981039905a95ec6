"""Since when a job runs, and on which runtime, where jobs are messages."""

from __future__ import annotations

import json

import pytest
from lamplighter.messages.jobs import JobRecord, JobState
from lamplighter.stores.rabbitmq import job_message as wire

CLAIMED = JobRecord(
    row_id=7,
    id="a",
    name="work",
    data="null",
    state=JobState.RUNNING.value,
    priority=0,
    run_at=1.0,
    queued_at=1.0,
    root_id="a",
    claim_no=1,
    boot="b",
    claimed_at=2.0,
)


def test_a_job_that_waits_says_nothing_of_who_ran_it_last() -> None:
    waiting = wire.waiting(CLAIMED._replace(state=JobState.QUEUED.value))

    assert not {"boot", "claimed_at"} & json.loads(waiting).keys()
    assert (wire.read(waiting).boot, wire.read(waiting).claimed_at) == (None, None)


@pytest.mark.parametrize("boot", ["b", None], ids=["this version", "one before"])
def test_who_has_run_a_job_is_read_where_a_version_has_said_it(boot: str | None) -> None:
    ended = wire.ended(CLAIMED._replace(state=JobState.DEAD.value, boot=boot, ended_at=3.0))

    assert ("boot" in json.loads(ended)) is (boot is not None)
    assert (wire.read_ended(ended).boot, wire.read_ended(ended).claimed_at) == (boot, 2.0)
