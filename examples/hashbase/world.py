"""Builds a small Hashbase to look at: a data folder with archives, users of all kinds, and dead archives.

`python -m hashbase.world` builds the one that hashbase.toml names. The archives are real ones, written by hyperdrive 9;
fixtures/dats/MANIFEST.json says what is in them.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from .config import ConfigError, load
from .dat import folder_of
from .database import Archive, DeadArchive, User, UserArchive
from .host import Host

DATS = Path(__file__).with_name("fixtures") / "dats"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A user with a profile dat.

    Attributes:
        userId: the user's id.
        username: the user's name.
        fixture: the name of the archive in MANIFEST.json.
        outcome: what verify-profile-dat must find: an outcome of MANIFEST.json, or `unverified-email`.
    """

    userId: str
    username: str
    fixture: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What was built, and what must become of it.

    Attributes:
        jobs: data for verify-profile-dat, each with the outcome that it must have.
        overdue: users whom clean-unverified-users must delete.
        dead: keys that clean-dead-archives must delete.
        revived: keys listed as dead that have gained a user and must be kept.
        orphaned: the key that becomes dead when the overdue users are deleted.
    """

    jobs: tuple[tuple[dict[str, str], str], ...]
    overdue: tuple[str, ...]
    dead: tuple[str, ...]
    revived: tuple[str, ...]
    orphaned: str


# The fixtures' proofs were all made for one user, so the same dat can show a stolen proof.
PROFILES = (
    Profile(userId="jm2c8r5t1v", username="alice", fixture="a-valid", outcome="verified"),
    Profile(userId="k9w3n7x2bq", username="bob", fixture="b-wrong-secret", outcome="rejected"),
    Profile(userId="p4d8s1y6hz", username="eve", fixture="e-no-proof", outcome="no-proof"),
    Profile(userId="r7f2m5c9tj", username="hal", fixture="h-sparse-content", outcome="unavailable"),
    Profile(userId="t6v1g4n8wd", username="mallory", fixture="f-overwritten", outcome="rejected"),
    Profile(userId="u3b7k2q9xs", username="nina", fixture="f-overwritten", outcome="unverified-email"),
)

_OVERDUE = ("olga", "otto", "oskar")


def manifest() -> dict[str, dict[str, Any]]:
    """The cases of MANIFEST.json, by name."""
    cases = json.loads((DATS / "MANIFEST.json").read_text())["cases"]
    return {case["name"]: case for case in cases}


def build(host: Host, *, profiles: tuple[Profile, ...] = PROFILES) -> World:
    """Fills an empty host.

    Args:
        host: an opened host whose data folder has neither users nor archives.
        profiles: the users with a profile dat.
    """
    shutil.copytree(DATS / "archives", host.config.archives_dir, dirs_exist_ok=True)
    dead = tuple(_plant(host, f"dead-{n}") for n in range(3))
    revived, orphaned = _plant(host, "revived"), _plant(host, "orphaned")
    never_received = _key("never-received")
    with host.database.write() as session:
        jobs = tuple(_add_profile(session, host, profile) for profile in profiles)
        _add_people(session, host)
        session.flush()
        session.add_all(Archive(key=key, createdAt=host.now_ms()) for key in (*dead, revived, orphaned))
        session.flush()
        session.add(UserArchive(userId=profiles[0].userId, archiveKey=revived))
        session.add(UserArchive(userId=_OVERDUE[0], archiveKey=orphaned))
        session.add(UserArchive(userId=_OVERDUE[1], archiveKey=revived))
        # The last one has no record and no files: an earlier run was interrupted before the listing was deleted.
        session.add_all(DeadArchive(key=key) for key in (*dead, revived, never_received))
    return World(jobs=jobs, overdue=_OVERDUE, dead=(*dead, never_received), revived=(revived,), orphaned=orphaned)


def _add_profile(session: Session, host: Host, profile: Profile) -> tuple[dict[str, str], str]:
    """Adds a user who has a profile dat hosted, and gives the job that verifies it."""
    case = manifest()[profile.fixture]
    url, now = case["job"]["data"]["url"], host.now_ms()
    user = _user(profile.userId, profile.username, now, verified=profile.outcome != "unverified-email")
    user.profileURL = url + "/"  # as Hashbase stores it
    session.add(user)
    if session.get(Archive, case["key"]) is None:
        session.add(Archive(key=case["key"], createdAt=now))
    session.flush()
    session.add(UserArchive(userId=profile.userId, archiveKey=case["key"]))
    return {"userId": profile.userId, "url": url}, profile.outcome


def _add_people(session: Session, host: Host) -> None:
    """Adds users without a profile dat: unverified and overdue, unverified and new, verified and old."""
    now, day = host.now_ms(), int(timedelta(days=1) / timedelta(milliseconds=1))
    for n, name in enumerate(_OVERDUE):
        session.add(_user(name, name, now - (n + 1) * day - 60_000, verified=False))
    session.add(_user("nora", "nora", now - day // 2, verified=False))
    session.add(_user("vera", "vera", now - 400 * day, verified=True))


def _user(id: str, username: str, created: int, *, verified: bool) -> User:
    return User(
        id=id, username=username, email=f"{username}@people.example", isEmailVerified=verified, createdAt=created
    )


def _plant(host: Host, label: str) -> str:
    """Puts an archive's files at a key of their own. Enough for what is only ever deleted or kept."""
    key = _key(label)
    shutil.copytree(DATS / manifest()["e-no-proof"]["path"], folder_of(host.config.archives_dir, key))
    return key


def _key(label: str) -> str:
    return sha256(label.encode()).hexdigest()


def main() -> int:
    """Builds the world that hashbase.toml names. Refuses a folder that is there already."""
    try:
        config = load()
        if config.data_dir.exists():
            raise ConfigError(f"expected data_dir not to exist yet, got: {config.data_dir}")
        config.data_dir.mkdir(parents=True)
        host = Host(config)
    except ConfigError as error:
        print(f"hashbase.world: {error}", file=sys.stderr)
        return 2
    world = build(host)
    host.close()
    print(f"{config.data_dir}: {len(world.jobs)} profiles, {len(world.dead)} dead archives")
    return 0


if __name__ == "__main__":
    sys.exit(main())
