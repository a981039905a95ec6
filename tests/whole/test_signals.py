"""`job.wait` in child processes, and in processes that are killed."""

from __future__ import annotations

import pytest

from ..test_signals import (
    test_a_job_waits_without_a_thread_and_gets_its_signal,
    test_a_wait_whose_time_is_over_says_so_and_that_counts,
    waiting_on,
)

__all__ = [
    "test_a_job_waits_without_a_thread_and_gets_its_signal",
    "test_a_wait_whose_time_is_over_says_so_and_that_counts",
]
"""These run here again, with the `waiting` of this module."""


@pytest.fixture
def waiting(runtime, importable):
    """The fixture of the tests that are imported here, with lanes in processes."""
    return waiting_on("process", runtime, importable)
