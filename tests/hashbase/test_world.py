"""The world of the demo: built whole, and the three jobs make of it what it says."""

from __future__ import annotations

from typing import Any

import pytest
from fake_job import FakeJob
from hashbase.dat import NotLocal, folder_of
from hashbase.database import Archive, DeadArchive, User
from hashbase.host import Host
from hashbase.jobs import VerifyProfile, clean_dead_archives, clean_unverified_users, verify_profile_dat
from hashbase.world import build
from lamplighter import Discard
from sqlalchemy import select


def _outcome(host: Host, data: dict[str, str]) -> str:
    job: Any = FakeJob(VerifyProfile(**data))
    try:
        verify_profile_dat(job, host)
    except NotLocal:
        return "unavailable"
    except Discard as error:
        kinds = {"proof rejected": "rejected", "no proof": "no-proof", "e-mail address": "unverified-email"}
        return next(kind for words, kind in kinds.items() if words in error.reason)
    return "verified"


def test_each_profile_has_the_outcome_that_the_world_names(host: Host) -> None:
    world = build(host)

    assert [_outcome(host, data) for data, _ in world.jobs] == [outcome for _, outcome in world.jobs]
    with host.database.read() as session:
        assert set(session.scalars(select(User.username).where(User.isProfileDatVerified))) == {"alice"}


def test_the_cleaners_leave_what_the_world_says(host: Host) -> None:
    world = build(host)
    job: Any = FakeJob()

    dead = clean_dead_archives(job, host)
    users = clean_unverified_users(job, host)

    assert dead == {"deleted": len(world.dead), "kept": len(world.revived), "refused": 0}
    assert users == {"deleted": len(world.overdue)}
    with host.database.read() as session:
        listed = set(session.scalars(select(DeadArchive.key)))
        names = set(session.scalars(select(User.id)))
        records = set(session.scalars(select(Archive.key)))
    assert listed == {world.orphaned}
    assert names.isdisjoint(world.overdue)
    assert {"nora", "vera"} <= names
    assert records.isdisjoint(world.dead)
    for key in world.dead:
        assert not folder_of(host.config.archives_dir, key).exists()
    for key in (*world.revived, world.orphaned):
        assert folder_of(host.config.archives_dir, key).is_dir()


def test_a_world_is_not_built_over_another(host: Host) -> None:
    build(host)

    with pytest.raises(FileExistsError):
        build(host)
