"""A suspect runs alone for so many seconds after it was held against it, whatever is done to the clock meanwhile."""

from __future__ import annotations

import pytest
from lamplighter.messages.clock_steps import STEP_SECONDS_MIN, Reading
from lamplighter.rules.lifecycle import INTERRUPTION_WINDOW_SECONDS
from lamplighter.stores.sqlite.store import SqliteStore

from support.conformance.kit import FAILED, NOW, RETRY, job_of, new, put, take


def suspect(store: SqliteStore, *, until: float) -> None:
    """Have a job be one, by a clock that the store knows."""
    with store.turn("b", NOW) as turn:
        turn.keep_time(Reading(NOW, "one start", 0.0), may_have_gone_back=False)
    put(store, new("j"))
    (claimed,) = take(store)
    with store.turn("b", NOW) as turn:
        turn.jobs.settle(claimed, FAILED, RETRY._replace(suspect_until=until))


def until_after(store: SqliteStore, reading: Reading) -> float | None:
    with store.turn("b", reading.now) as turn:
        turn.keep_time(reading, may_have_gone_back=False)
    job = job_of(store, "j")
    assert job is not None
    return job.suspect_until


@pytest.mark.parametrize("step", [3600.0, -3600.0, 1e6, -1e6])
def test_its_time_is_shifted_with_the_clock(store: SqliteStore, step: float) -> None:
    suspect(store, until=NOW + 60)

    assert until_after(store, Reading(NOW + 10 + step, "one start", step)) == NOW + 60 + step
    assert until_after(store, Reading(NOW + 20 + step, "one start", step)) == NOW + 60 + step


def test_a_drift_that_is_no_step_shifts_nothing(store: SqliteStore) -> None:
    suspect(store, until=NOW + 60)

    assert until_after(store, Reading(NOW + 10, "one start", STEP_SECONDS_MIN / 2)) == NOW + 60


@pytest.mark.parametrize(("until", "lasts"), [(NOW + 60, False), (NOW + 1e9, True)])
def test_after_a_start_of_the_machine_it_lasts_no_longer_than_from_now(
    store: SqliteStore, until: float, lasts: bool
) -> None:
    # The clock was a year ahead, say, when the job was held to be one.
    suspect(store, until=until)

    found = until_after(store, Reading(NOW + 10, "another start", 5.0))

    assert found == (NOW + 10 + INTERRUPTION_WINDOW_SECONDS if lasts else until)
