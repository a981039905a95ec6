"""`job.then`: jobs that are queued with the end of another as done, or not at all."""

from __future__ import annotations

import pytest

from ..support.forked import REFUSED, said_of_a_forked_call
from ..test_then import (
    lanes_of,
    test_a_call_that_is_refused_adds_none_of_its_jobs_and_says_so_to_the_handler,
    test_a_handler_queues_many_at_once,
    test_a_later_call_may_name_what_an_earlier_one_has_said_and_no_unknown_job,
    test_an_attempt_that_fails_drops_what_it_has_said_and_the_next_says_it_anew,
    test_nothing_follows_a_job_that_is_dead_or_has_said_nothing,
    test_what_a_handler_says_is_queued_with_the_end_of_its_job,
)

__all__ = [
    "test_a_call_that_is_refused_adds_none_of_its_jobs_and_says_so_to_the_handler",
    "test_a_handler_queues_many_at_once",
    "test_a_later_call_may_name_what_an_earlier_one_has_said_and_no_unknown_job",
    "test_an_attempt_that_fails_drops_what_it_has_said_and_the_next_says_it_anew",
    "test_nothing_follows_a_job_that_is_dead_or_has_said_nothing",
    "test_what_a_handler_says_is_queued_with_the_end_of_its_job",
]
"""These run here again, with the `lanes` of this module."""


@pytest.fixture
def lanes(runtime, importable):
    """The fixture of the tests that are imported here, with lanes in processes."""
    return lanes_of("process", runtime, importable)


def test_in_a_forked_child_nothing_is_kept(tmp_path):
    """What it says would be said to nobody."""
    assert said_of_a_forked_call(tmp_path / "jobs.db", 'job.then(("part", 1))') == REFUSED
