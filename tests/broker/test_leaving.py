"""A boot that leaves the store: the others forget it, unless there is something that only they can put right."""

from __future__ import annotations

import pytest
from lamplighter.broker.boot_registration import leave
from lamplighter.stores.sqlite.store import SqliteStore

from support.conformance.kit import DONE, NOW, SUCCEEDED, a_boot, new, put, take


@pytest.fixture
def store():
    one = SqliteStore(":memory:")
    one.open()
    with one.turn("b", NOW) as turn:
        turn.boots.register(a_boot("b"))
        turn.boots.register(a_boot("other"))
    yield one
    one.close()


def boots_after_leaving(store, told):
    with store.turn("b", NOW) as turn:
        others, stays = leave(turn, "b", told)
    assert stays == ("b" in [boot.boot for boot in store.surroundings("b").boots])
    assert [boot.boot for boot in others] == ["other"]
    return [boot.boot for boot in store.surroundings("b").boots]


def last_turn_of(store):
    return next(boot.turn for boot in store.surroundings("b").boots if boot.boot == "b")


def test_a_boot_that_has_told_its_last_turn_is_forgotten(store):
    put(store, new("a"))

    assert boots_after_leaving(store, last_turn_of(store)) == ["other"]


def test_a_boot_that_has_not_told_its_last_turn_stays_for_the_others(store):
    put(store, new("a"))
    told = last_turn_of(store)
    put(store, new("b"))

    assert boots_after_leaving(store, told) == ["b", "other"]


def test_a_boot_that_still_holds_a_job_stays_for_the_others(store):
    put(store, new("a"))
    (claimed,) = take(store)
    held = boots_after_leaving(store, last_turn_of(store))
    with store.turn("b", NOW) as turn:
        turn.jobs.settle(claimed, SUCCEEDED, DONE)

    assert (held, boots_after_leaving(store, last_turn_of(store))) == (["b", "other"], ["other"])
