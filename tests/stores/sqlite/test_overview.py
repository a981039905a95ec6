"""What a turn knows of the store: from the turn before, where nobody else has committed since; else it looks."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3

import pytest
from lamplighter import StoreGone
from lamplighter.environment.failpoints import Failpoints
from lamplighter.messages.clock_steps import Reading
from lamplighter.messages.jobs import JobParent, JobState
from lamplighter.messages.names import NameLimits
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.tables.open_turn import OVERVIEW_SECONDS_MAX, OpenTurn, TurnOverview
from lamplighter.stores.troubles import CommitUnknown

from support.conformance.kit import (
    DONE,
    FAILED,
    NOW,
    RETRY,
    SUCCEEDED,
    a_boot,
    a_schedule,
    new,
    want,
)

LIMITS = NameLimits(per_group=2)


FAILING = {"store.turn.commit": RuntimeError, "store.turn.committed": CommitUnknown}
"""Where a RuntimeError comes as a turn is stored, and what the store raises then."""


@pytest.fixture
def failpoints():
    return Failpoints()


@pytest.fixture
def store(tmp_path, failpoints):
    """An open store in a file, on which a boot is registered, and `other` has been."""
    one = SqliteStore(str(tmp_path / "jobs.db"), failpoints=failpoints)
    one.open()
    for boot in ("other", "b"):
        with one.turn(boot, NOW) as turn:
            turn.boots.register(a_boot(boot))
    yield one
    one.close()


def looks_of(store):
    """Gathers the looks that turns take from now on."""
    looks = []
    store._writer.set_trace_callback(lambda query: looks.append(query) if "lamplighter_pauses)" in query else None)
    return looks


def insert_as_host(store, job, now=NOW):
    """Queue a job in a transaction of the application, in this process."""
    with contextlib.closing(sqlite3.connect(store.address)) as host:
        host.execute("begin")
        store.host.join(host, now, lambda turn: turn.insert(job))
        host.commit()


def test_a_turn_behind_another_of_its_boot_does_not_look(store):
    looks = looks_of(store)

    for number in range(5):
        with store.turn("b", NOW + number / 10) as turn:
            turn.jobs.insert([new(f"j{number}")])

    assert len(looks) == 0
    assert [turn.last_no, turn.number] == [5, 5]


@pytest.mark.parametrize("later", [OVERVIEW_SECONDS_MAX, -0.001])
def test_it_looks_when_that_is_long_ago_or_the_clock_was_set_back(store, later):
    looks = looks_of(store)

    with store.turn("b", NOW + later):
        pass

    assert len(looks) == 1


def test_it_looks_when_a_job_may_have_expired(store):
    with store.turn("b", NOW) as turn:
        turn.jobs.insert([new("j", expires_at=NOW + 0.5)])
    looks = looks_of(store)

    for now in (NOW + 0.4, NOW + 0.5):
        with store.turn("b", now) as turn:
            turn.jobs.refresh()

    assert len(looks) == 1
    assert [moved.event for moved in turn.transitions] == ["job.cancelled"]


def test_it_looks_when_an_application_in_this_process_has_committed(store):
    insert_as_host(store, new("theirs"))

    with store.turn("b", NOW) as turn:
        turn.jobs.refresh()

    assert [moved.event for moved in turn.transitions] == ["job.queued"]


def test_it_looks_when_another_store_on_the_file_has_committed(store):
    other = SqliteStore(store.address)
    other.open()
    with other.turn("other", NOW) as turn:
        turn.jobs.pause("work", paused=True)
        turn.jobs.insert([new("a"), new("b")])
    other.close()

    with store.turn("b", NOW) as turn:
        claimed = turn.jobs.claim([want(9)], suspect=True).claims["work"]
        turn.jobs.insert([new("c")])

    assert len(claimed) == 0
    assert [moved.job.row_id for moved in turn.transitions] == [3]


def test_it_looks_when_another_boot_has_had_a_turn_in_between(store):
    with store.turn("other", NOW) as turn:
        turn.jobs.insert([new("a")])

    with store.turn("b", NOW) as turn:
        turn.jobs.insert([new("b")])

    assert [moved.job.row_id for moved in turn.transitions] == [2]


@pytest.mark.parametrize("point", FAILING)
def test_it_looks_when_the_turn_before_has_failed_whether_it_is_stored_or_not(store, failpoints, point):
    failpoints.arm(point, "1*raise(RuntimeError)")
    with pytest.raises(FAILING[point]), store.turn("b", NOW) as turn:
        turn.jobs.insert([new("a")])

    with store.turn("b", NOW) as turn:
        turn.jobs.insert([new("b")])

    stored = 1 if point == "store.turn.committed" else 0
    assert [moved.job.row_id for moved in turn.transitions] == [stored + 1]
    assert turn.did.turn == stored + 1


def test_a_copy_that_was_restored_into_the_file_is_noticed_by_the_next_turn(store, tmp_path):
    store._writer.execute("pragma wal_checkpoint(truncate)")
    shutil.copy(store.address, tmp_path / "copy.db")
    with store.turn("b", NOW) as turn:
        turn.jobs.insert([new("a")])

    copy, file = sqlite3.connect(tmp_path / "copy.db"), sqlite3.connect(store.address)
    with contextlib.closing(copy), contextlib.closing(file):
        copy.backup(file)
    with store.turn("b", NOW) as turn:
        pass

    assert turn.lost is not None


def test_another_store_that_was_put_into_the_file_is_refused_until_this_one_is_back(store, tmp_path):
    """The runtime went on in it, and logged its jobs there as those of the store before."""
    with store.turn("b", NOW) as turn:
        turn.jobs.insert([new("a")])
    another = SqliteStore(str(tmp_path / "another.db"))
    another.open()
    another.close()

    file, copy, stranger = map(sqlite3.connect, (store.address, ":memory:", another.address))
    with contextlib.closing(file), contextlib.closing(copy), contextlib.closing(stranger):
        file.backup(copy)
        stranger.backup(file)
        for _ in range(2):
            with pytest.raises(StoreGone, match="which was put there since"), store.turn("b", NOW):
                pytest.fail("the turn began")
        copy.backup(file)
    with store.turn("b", NOW) as turn:
        found = turn.jobs.get(["a"])

    assert (turn.lost, list(found)) == (None, ["a"])


def test_a_boot_that_others_have_removed_notices_in_its_next_turn(store):
    other = SqliteStore(store.address)
    other.open()
    with other.turn("other", NOW) as turn:
        turn.boots.forget(["b"])
    other.close()

    with store.turn("b", NOW) as turn:
        pass

    assert turn.lost is not None


@pytest.mark.parametrize("seed", range(20))
def test_what_it_goes_by_covers_what_it_would_find(store, failpoints, seed):
    chance, now, number = random.Random(seed), NOW, 0
    for _ in range(80):
        now += chance.choice((0.0, 0.001, 0.01, 0.3))
        number += 10
        what = chance.randrange(10)
        if what == 0:
            insert_as_host(store, some_job(chance, number, now), now)
        elif what == 1:
            with store.turn("other", now) as turn:
                act(chance, turn, number, now)
        elif what == 2:
            point = chance.choice(list(FAILING))
            failpoints.arm(point, "1*raise(RuntimeError)")
            with pytest.raises(FAILING[point]), store.turn("b", now) as turn:
                act(chance, turn, number, now)
        else:
            with store.turn("b", now) as turn:
                check(turn)
                turn.keep_time(Reading(now, "count", 5.0), may_have_gone_back=False)
                turn.jobs.refresh()
                for place in range(3):
                    act(chance, turn, number + place, now)
                turn.links.free(50)


def check(turn):
    """Compare what a turn goes by with what it would find."""
    found = OpenTurn(turn.connection, turn.boot, turn.now)
    known, real = ({name: getattr(one, name) for name in TurnOverview._fields} for one in (turn, found))
    for name, value in real.items():
        if name == "expiry":
            assert known[name] is not None or value is None
            assert value is None or known[name] <= value
        elif name.startswith("has_"):
            assert known[name] or not value, name
        else:
            assert known[name] == value, name


def some_job(chance, number, now):
    """A job that waits for some reason, or for none."""
    return new(
        f"j{number}",
        queued_at=now,
        run_at=now + chance.choice((0.0, 0.0, 5.0)),
        group_key=chance.choice((None, None, "g", "h")),
        expires_at=chance.choice((None, None, now + 0.2, now + 50.0)),
    )


def act(chance, turn, number, now):
    """Have a turn do something."""
    jobs = turn.jobs.get([f"j{one}" for one in range(number)])
    some = chance.sample(list(jobs.values()), min(len(jobs), 2))
    match chance.randrange(10):
        case 0 | 1 | 2:
            parents = tuple(JobParent(job.id, 0) for job in some) if chance.random() < 0.3 else ()
            turn.jobs.insert([some_job(chance, number, now)._replace(parents=parents)])
        case 3 | 4:
            turn.jobs.claim([want(chance.randint(1, 3), limits=LIMITS)], suspect=True)
        case 5 | 6:
            for job in jobs.values():
                if job.state == JobState.RUNNING and chance.random() < 0.5:
                    turn.steps.keep(job, "step", "1")
                    late = RETRY._replace(run_at=now + 1.0, suspect_until=chance.choice((None, now + 1.0)))
                    turn.jobs.settle(job, *chance.choice(((SUCCEEDED, DONE), (FAILED, late))))
        case 7:
            turn.jobs.pause("else", paused=chance.random() < 0.5)
            turn.schedules.declare([a_schedule(id=f"s{number}")])
        case 8:
            for job in some:
                if job.state == JobState.QUEUED:
                    turn.queued.cancel(job, "no")
                elif job.state != JobState.RUNNING:
                    turn.jobs.requeue(job, now)
        case _:
            turn.prune(done_before=now, dead_before=now, slots_before=now, batch=chance.randint(1, 50))


@pytest.mark.parametrize(
    ("age", "expires_after", "step", "is_left"),
    [
        (0.5, 3600.0, 0.0, False),
        (OVERVIEW_SECONDS_MAX, 3600.0, 0.0, True),
        (-0.1, 3600.0, 0.0, True),
        (0.5, 0.5, 0.0, True),
        (0.5, 3600.0, -60.0, True),
    ],
    ids=["fresh", "old", "later", "expired", "stepped"],
)
def test_a_short_turn_goes_by_an_overview_that_still_holds(store, age, expires_after, step, is_left):
    with store.turn("b", NOW) as turn:
        turn.keep_time(Reading(NOW, "a counter", 0.0), may_have_gone_back=False)
        turn.jobs.insert([new("expires")._replace(expires_at=NOW + expires_after)])

    born = store.bear("b", turn.version, [new("next")], lambda: Reading(NOW + age, "a counter", step))

    assert (born is None) is is_left
    assert len(store.jobs.known(("expires", "next"))) == 2 - is_left


def test_a_short_turn_after_a_short_turn_needs_no_ordinary_one_between(store):
    with store.turn("b", NOW) as turn:
        turn.keep_time(Reading(NOW, "a counter", 0.0), may_have_gone_back=False)
        turn.jobs.insert([new("first")])

    reading = Reading(NOW + 0.1, "a counter", 0.0)
    born = [store.bear("b", turn.version, [new(name)], lambda: reading) for name in ("second", "third", "fourth")]

    numbers = [None if one is None else (one.did.turn, one.moves[0].job.row_id) for one in born]
    assert numbers == [(2, 2), (3, 3), (4, 4)]
