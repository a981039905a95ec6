"""What became of every user, archive and job, against what must have become of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from ..dat import folder_of
from ..database import Archive, DeadArchive, User
from ..host import Host
from ..world import PROFILES, World, manifest
from .life import Line

VERIFIED, UNVERIFIED, DELETED, KEPT = "profile verified", "not verified", "deleted", "kept"

JOB_OF_OUTCOME = {
    "verified": ("done", ""),
    "rejected": ("dead", "proof rejected"),
    "no-proof": ("dead", "no proof"),
    "unavailable": ("dead", "failed in attempt 3 of 3"),
    "unverified-email": ("dead", "the e-mail address"),
}
"""State of the job, and how its reason begins, for each outcome that world.py names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of one thing.

    Attributes:
        name: of it.
        about: what it was at the beginning.
        expected: what must have become of it.
        found: what has.
        why: in words.
        ok: whether they are the same.
    """

    name: str
    about: str
    expected: str
    found: str
    why: str = ""
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The world before any job ran: users, and labels of archives by key."""

    users: tuple[User, ...]
    archives: dict[str, str]


def before(host: Host, world: World) -> Before:
    """Looks at a world that was just built."""
    with host.database.read() as session:
        users = session.scalars(select(User).order_by(User.createdAt.desc(), User.username)).all()
        keys = {*session.scalars(select(Archive.key)), *session.scalars(select(DeadArchive.key))}
    label = {case["key"]: f"profile dat: {case['title']}" for case in manifest().values()}
    label |= dict.fromkeys(world.dead, "listed as dead")
    label |= dict.fromkeys(world.revived, "listed as dead, but a user came")
    label[world.orphaned] = "its only user is overdue"
    for key in keys:
        if not folder_of(host.config.archives_dir, key).exists():
            label[key] += ", no files"
    order = [profile.userId for profile in PROFILES]
    return Before(
        users=tuple(sorted(users, key=lambda user: order.index(user.id) if user.id in order else len(order))),
        archives={key: label[key] for key in sorted(keys, key=lambda key: (label[key], key))},
    )


def fates_of_users(host: Host, world: World, then: Before) -> list[Fate]:
    """What became of the users."""
    profiles = {profile.userId: profile for profile in PROFILES}
    with host.database.read() as session:
        now = {user.id: user for user in session.scalars(select(User))}
    fates = []
    for user in then.users:
        profile = profiles.get(user.id)
        if profile is not None:
            about = f"profile dat {profile.fixture}: {profile.outcome}"
            expected = VERIFIED if profile.outcome == "verified" else UNVERIFIED
        else:
            days = (host.now_ms() - user.createdAt) / 86_400_000
            about = f"{'verified' if user.isEmailVerified else 'unverified'} e-mail, {days:.1f} days old"
            expected = DELETED if user.id in world.overdue else KEPT
        left = now.get(user.id)
        if left is None:
            found = DELETED
        elif profile is not None:
            found = VERIFIED if left.isProfileDatVerified else UNVERIFIED
        else:
            found = KEPT
        fates.append(Fate(name=user.username, about=about, expected=expected, found=found, ok=found == expected))
    return fates


def fates_of_archives(host: Host, world: World, then: Before) -> list[Fate]:
    """What became of the archives: one is gone when record, files and listing are, also files put aside."""
    with host.database.read() as session:
        records, listed = set(session.scalars(select(Archive.key))), set(session.scalars(select(DeadArchive.key)))
    fates = []
    for key, label in then.archives.items():
        folder = folder_of(host.config.archives_dir, key)
        left = {
            "record": key in records,
            "files": folder.exists(),
            "listing": key in listed,
            "files put aside": folder.with_name(f".dead-{folder.name}").exists(),
        }
        there = [name for name, is_there in left.items() if is_there]
        as_before = there == ["record", "files"]
        found = KEPT if as_before else "left: " + ", ".join(there) if there else DELETED
        expected = DELETED if key in (*world.dead, world.orphaned) else KEPT
        fates.append(Fate(name=key[:8], about=label, expected=expected, found=found, ok=found == expected))
    return fates


def fates_of_jobs(
    world: World, names: dict[str, str], stored: Sequence[dict[str, Any]], lines: Sequence[Line]
) -> list[Fate]:
    """What became of the jobs.

    Args:
        world: with the outcome of each profile.
        names: user id to the id of the job.
        stored: what the store holds.
        lines: of all lives; they say how often a job was started.
    """
    expected = {names[data["userId"]]: JOB_OF_OUTCOME[outcome] for data, outcome in world.jobs}
    fates = []
    for job in reversed(stored):
        state, reason = expected.get(job["id"], ("done", ""))
        why = job["reason"] or ", ".join(f"{name} {value}" for name, value in (job["result"] or {}).items())
        runs = sum(line["event"] == "job.started" and line["job_id"] == job["id"] for line in lines)
        lives = sorted({line["life"] for line in lines if line.get("job_id") == job["id"]})
        about = (
            f"{runs} run{'s' * (runs != 1)} in {'life' if len(lives) == 1 else 'lives'} {' and '.join(map(str, lives))}"
        )
        ok = job["state"] == state and (job["reason"] or "").startswith(reason)
        fates.append(Fate(name=job["id"], about=about, expected=state, found=job["state"], why=why, ok=ok))
    return fates
