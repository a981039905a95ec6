"""clean-unverified-users: who goes, who stays, and what goes with them."""

from __future__ import annotations

from typing import Any

import pytest
from fake_job import NOW, FakeJob
from hashbase.database import Archive, DeadArchive, User, UserArchive
from hashbase.host import Host
from hashbase.jobs import clean_unverified_users
from hashbase.jobs.clean_unverified_users import BATCH_USERS_MAX
from sqlalchemy import event, select

DAY = 24 * 60 * 60 * 1000
NOW_MS = int(NOW.timestamp() * 1000)
A, B = "aa" * 32, "bb" * 32


def _add(host: Host, id: str, age_ms: int, *, verified: bool = False, hosts: tuple[str, ...] = ()) -> None:
    with host.database.write() as session:
        email = f"{id}@people.example"
        session.add(User(id=id, username=id, email=email, isEmailVerified=verified, createdAt=NOW_MS - age_ms))
        for key in hosts:
            if session.get(Archive, key) is None:
                session.add(Archive(key=key, createdAt=0))
            session.flush()
            session.add(UserArchive(userId=id, archiveKey=key))


def _run(host: Host, job: FakeJob | None = None) -> dict[str, int]:
    in_hand: Any = job or FakeJob()
    return clean_unverified_users(in_hand, host)


def _ids(host: Host) -> set[str]:
    with host.database.read() as session:
        return set(session.scalars(select(User.id)))


def _rows(host: Host) -> set[tuple[str, str]]:
    with host.database.read() as session:
        return {(row.userId, row.archiveKey) for row in session.scalars(select(UserArchive))}


def _dead(host: Host) -> set[str]:
    with host.database.read() as session:
        return set(session.scalars(select(DeadArchive.key)))


def test_only_unverified_users_older_than_a_day_are_deleted(host: Host) -> None:
    _add(host, "old", DAY + 1)
    _add(host, "exactly", DAY)
    _add(host, "new", DAY - 1)
    _add(host, "future", -DAY)
    _add(host, "verified", 400 * DAY, verified=True)

    assert _run(host) == {"deleted": 1}
    assert _ids(host) == {"exactly", "new", "future", "verified"}


def test_their_hosting_rows_go_with_them_and_nobody_elses(host: Host) -> None:
    _add(host, "old", 2 * DAY, hosts=(A, B))
    _add(host, "vera", 2 * DAY, verified=True, hosts=(B,))

    _run(host)

    assert _rows(host) == {("vera", B)}


def test_an_archive_that_loses_its_last_user_is_listed_as_dead(host: Host) -> None:
    _add(host, "old", 2 * DAY, hosts=(A, B))
    _add(host, "older", 3 * DAY, hosts=(A,))
    _add(host, "vera", 2 * DAY, verified=True, hosts=(B,))

    _run(host)

    assert _dead(host) == {A}


def test_an_archive_that_is_listed_already_is_no_error(host: Host) -> None:
    _add(host, "old", 2 * DAY, hosts=(A,))
    with host.database.write() as session:
        session.add(DeadArchive(key=A))

    assert _run(host) == {"deleted": 1}
    assert _dead(host) == {A}


def test_nobody_to_delete_is_nothing_to_do(host: Host) -> None:
    assert _run(host) == {"deleted": 0}


def test_many_users_are_deleted_in_batches_and_each_is_reported(host: Host) -> None:
    with host.database.write() as session:
        session.add_all(
            User(id=f"u{n}", username=f"u{n}", email=f"u{n}@people.example", createdAt=0)
            for n in range(2 * BATCH_USERS_MAX + 3)
        )
    job = FakeJob()

    assert _run(host, job) == {"deleted": 2 * BATCH_USERS_MAX + 3}
    assert [done for done, _, _ in job.reports] == [BATCH_USERS_MAX, 2 * BATCH_USERS_MAX, 2 * BATCH_USERS_MAX + 3]
    assert _ids(host) == set()


def test_a_cancelled_job_deletes_no_further_batch(host: Host) -> None:
    _add(host, "old", 2 * DAY)

    assert _run(host, FakeJob(cancelled=True)) == {"deleted": 0}
    assert _ids(host) == {"old"}


@pytest.mark.parametrize("n", range(1, 9))
def test_an_interruption_leaves_all_of_a_user_or_nothing(host: Host, n: int) -> None:
    _add(host, "old", 2 * DAY, hosts=(A,))
    left = n

    def crash(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    engine = host.database._engine
    event.listen(engine, "before_cursor_execute", crash)
    event.listen(engine, "commit", crash)
    try:
        _run(host)
    except KeyboardInterrupt:
        event.remove(engine, "before_cursor_execute", crash)
        event.remove(engine, "commit", crash)
        assert (_ids(host), _rows(host), _dead(host)) == ({"old"}, {("old", A)}, set())
        _run(host)

    left = -1
    assert (_ids(host), _rows(host), _dead(host)) == (set(), set(), {A})
