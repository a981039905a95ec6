"""Names whose jobs nobody takes: which of them are told, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from lamplighter.broker.state import EXAMPLES_MAX, NAMES_KEPT_MAX, NAMES_TOLD_MAX, PARKED_SECONDS, ParkedNames
from lamplighter.stores.sqlite.store import SqliteStore

from support.conformance.kit import NOW, new


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as made:
        made.open()
        yield made


def queue(store: SqliteStore, *names: str, **changes: float) -> None:
    with store.turn("b", NOW) as turn:
        turn.jobs.insert([new(f"{name}-{number}", name=name, **changes) for number, name in enumerate(names)])


def look(parked: ParkedNames, store: SqliteStore, monotonic: float, *handled: str, now: float = NOW) -> list[object]:
    lines = parked.look(store, now, monotonic, lambda name: name in handled, lambda name: f"{name}-handler")
    return [line.get("job_name", line) for line in lines]


def test_a_name_is_told_at_once_and_again_after_a_minute(store):
    parked = ParkedNames()
    queue(store, "a", "a", "b")

    told = parked.look(store, NOW, 0.0, lambda name: name == "b", lambda name: "an")

    assert told == [{"job_name": "a", "jobs": 2, "meant": "an"}]
    assert [look(parked, store, at, "b") for at in (1.0, PARKED_SECONDS - 0.1, PARKED_SECONDS)] == [[], [], ["a"]]
    assert [parked.is_any_news(PARKED_SECONDS + at) for at in (1.0, PARKED_SECONDS)] == [False, True]
    assert look(parked, store, PARKED_SECONDS + 1.0) == ["b"]


def test_a_name_that_somebody_takes_or_that_has_no_jobs_is_forgotten(store):
    parked = ParkedNames(said={"gone": 0.0, "later": 0.0, "taken": 0.0})
    queue(store, "later", "taken", run_at=NOW + 60)

    assert look(parked, store, PARKED_SECONDS, "taken") == ["later"]
    assert (parked.said, parked.count) == ({"later": PARKED_SECONDS}, 1)


def test_jobs_that_run_later_park_no_name_until_they_are_due(store):
    parked = ParkedNames()
    queue(store, "a", run_at=NOW + 60)

    assert look(parked, store, 0.0) == []
    assert look(parked, store, 1.0, now=NOW + 60) == ["a"]


@pytest.mark.parametrize("number", [NAMES_TOLD_MAX, NAMES_TOLD_MAX + 1])
def test_more_than_a_few_names_are_one_line_with_examples_of_what_is_new(store, number):
    parked, names = ParkedNames(), [f"n{place:02}" for place in range(number)]
    queue(store, *names)

    lines = look(parked, store, 0.0)

    assert lines == (names if number == NAMES_TOLD_MAX else [{"names": number, "examples": names[:EXAMPLES_MAX]}])
    assert look(parked, store, 30.0) == []
    queue(store, "zzz")
    one_more = {"names": number + 1, "examples": ["zzz"]}
    assert look(parked, store, 40.0) == [one_more]
    # The line was about all of them.
    assert look(parked, store, PARKED_SECONDS + 39.0) == []
    assert parked.count == number + 1


def test_of_very_many_names_some_are_remembered_and_all_are_counted(store):
    parked = ParkedNames()
    queue(store, *(f"n{place:03}" for place in range(NAMES_KEPT_MAX + 5)))

    look(parked, store, 0.0)

    assert (len(parked.said), parked.count) == (NAMES_KEPT_MAX, NAMES_KEPT_MAX + 5)
