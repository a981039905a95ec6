"""Sessions: what a write transaction promises."""

from __future__ import annotations

import sqlite3

import pytest
from hashbase.database import DeadArchive, User, UserArchive
from hashbase.host import Host
from sqlalchemy.exc import IntegrityError

KEY = "aa" * 32


def test_a_write_transaction_holds_the_write_lock_from_its_beginning(host: Host) -> None:
    other = sqlite3.connect(host.config.database, timeout=0, isolation_level=None)

    with host.database.write() as session:
        session.get(DeadArchive, KEY)  # what it has only read must stay true until it commits
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("begin immediate")
    other.execute("begin immediate")
    other.close()


def test_looking_keeps_nobody_from_writing(host: Host) -> None:
    with host.database.read() as reading:
        reading.get(DeadArchive, KEY)
        with host.database.write() as writing:
            writing.add(DeadArchive(key=KEY))

    with host.database.read() as session:
        assert session.get(DeadArchive, KEY) is not None


def test_an_error_rolls_the_transaction_back(host: Host) -> None:
    with pytest.raises(KeyboardInterrupt), host.database.write() as session:
        session.add(DeadArchive(key=KEY))
        session.flush()
        raise KeyboardInterrupt

    with host.database.read() as session:
        assert session.get(DeadArchive, KEY) is None


def test_a_hosting_row_without_its_user_or_archive_is_refused(host: Host) -> None:
    with pytest.raises(IntegrityError), host.database.write() as session:
        session.add(UserArchive(userId="nobody", archiveKey=KEY))


def test_a_new_user_is_unverified_in_both_ways(host: Host) -> None:
    with host.database.write() as session:
        session.add(User(id="u", username="u", email="u@people.example", createdAt=0))

    with host.database.read() as session:
        user = session.get_one(User, "u")
    assert (user.isEmailVerified, user.isProfileDatVerified, user.profileURL) == (False, False, None)
