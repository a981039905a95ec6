"""Checks the file of a store: its integrity, its place, its size."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ..errors import StoreCorrupt
from ..messages.jobs import JobState
from ..rules.wording import many, span
from ..stores.presence import folder_of, mount_of
from .diagnosis import Symptom, Symptoms, error, note, ok, size, unknown, warning
from .evidence import Evidence

CHECKED_SECONDS_MAX = 2.0

CHECKED_BYTES_MAX = 64 * 1024 * 1024
"""A larger file is not checked page by page unless `is_deep`."""

FREE_BYTES_MIN = 1024**3

WAL_TIMES = 2
"""The disk needs so many times the log's size: while it is copied, the database may grow by as much."""

FREE_INODES_MIN = 1_000

BLOAT_BYTES_MIN = 64 * 1024 * 1024
"""The empty pages of a smaller file do not matter."""

BLOAT_SHARE_MAX = 0.25

LATE_SECONDS = 3600.0
"""How much longer than its time a job may be kept: retention runs every few minutes."""

BACKUP = "stop every runtime on it, keep a copy of the file with its -wal and -shm, and put back a backup"


def sound(seen: Evidence) -> Iterator[Symptom]:
    try:
        yield from _soundness(seen)
    except StoreCorrupt as damage:
        yield error(f"the file is damaged: {damage}", BACKUP)


def _soundness(seen: Evidence) -> Iterator[Symptom]:
    if seen.file.version() == seen.file.newest_version:
        for difference in seen.file.differences():
            yield error(
                f"{difference}: somebody has changed the schema by hand",
                "make that undone, or put back a backup; Lamplighter finds jobs by these tables and indexes",
            )
    pages = seen.file.pages()
    file_bytes = pages.total * pages.page_bytes
    is_small = file_bytes <= CHECKED_BYTES_MAX
    if not (is_small or seen.is_deep):
        yield unknown(
            f"its {size(file_bytes)} were not looked through for damage, which would take too long",
            "`lamplighter doctor --deep --only store.sound` does, and may take minutes",
        )
        return
    limit = None if seen.is_deep else CHECKED_SECONDS_MAX
    damages = seen.file.damages(is_deep=seen.is_deep, seconds_max=limit)
    if damages is None:
        yield unknown(
            f"its {size(file_bytes)} could not be looked through within {CHECKED_SECONDS_MAX:g} s",
            "`lamplighter doctor --deep --only store.sound` takes the time that it needs",
        )
    elif damages:
        yield error(f"the file is damaged: {'; '.join(damages)}", BACKUP)
    else:
        how = "integrity_check" if seen.is_deep else "quick_check"
        yield ok(f"SQLite's {how} of {size(file_bytes)} finds nothing, and the schema is the one of this version")


def versions(seen: Evidence) -> Iterator[Symptom]:
    version, newest, oldest = seen.file.version(), seen.file.newest_version, seen.file.oldest_version
    if version > newest:
        yield error(
            f"the file has schema {version}, and this Lamplighter knows {newest}",
            "look at it, and work on it, with the newer Lamplighter that has written it",
        )
    elif version < oldest:
        yield error(
            f"the file has schema {version}, and the oldest that this Lamplighter can migrate is {oldest}",
            "use the Lamplighter that has written it, or begin a new store; docs/production.md says how one upgrades",
        )
    elif version < newest:
        yield warning(
            f"the file has schema {version}, and this Lamplighter writes {newest}",
            f"the next start of a runtime migrates {oldest} or newer; keep a copy: older versions cannot read it then",
        )
    if version != newest:
        return
    told = {boot.version for boot in seen.living if boot.version}
    if len(told) > 1:
        yield warning(
            f"runtimes of several versions are on the store: {', '.join(sorted(told))}",
            "that is well while a deployment is under way; otherwise restart those of the older version",
        )
        return
    on = ", and so does whoever is on it" if told else ""
    yield ok(f"the file has schema {version}, which this Lamplighter writes{on}")


def network(seen: Evidence) -> Iterator[Symptom]:
    found = mount_of(seen.path)
    if found is None:
        yield unknown("this system does not tell what kind of file system the file is on", "see that it is a local one")
    elif found.is_network:
        yield error(
            f"the file is on {found.kind}, mounted at {found.point}, where locks and shared memory cannot be trusted",
            "move the file to a local disk while no runtime is on it; for several machines use PostgreSQL",
        )
    elif found.point == os.path.realpath(seen.path):
        yield error(
            "the file is mounted alone, so that what lies beside it (-wal, -shm, -boots) is another in each container",
            "mount the folder that it is in, and not the file",
        )
    else:
        yield ok(f"the file is on {found.kind}, mounted at {found.point}")


def rights(seen: Evidence) -> Symptoms:
    own, folder = os.stat(seen.path), folder_of(seen.path)
    beside = [Path(f"{seen.path}{end}") for end in ("-wal", "-shm")]
    found = [path for path in (*beside, folder) if path.exists()]
    for path in found:
        other = path.stat()
        if other.st_uid != own.st_uid:
            yield error(
                f"user {own.st_uid} owns the file, and user {other.st_uid} owns {path.name}",
                f"run everything on the store as one user, and have that user own all: chown {own.st_uid} {path}*",
            )
        elif path is not folder and stat.S_IMODE(other.st_mode) != stat.S_IMODE(own.st_mode):
            yield warning(
                f"the file has mode {_mode(own)}, and {path.name} has {_mode(other)}",
                f"chmod --reference={seen.path} {path}",
            )
    return f"user {own.st_uid} owns the file and what lies beside it; its mode is {_mode(own)}"


def _mode(of: os.stat_result) -> str:
    return f"{stat.S_IMODE(of.st_mode):03o}"


def space(seen: Evidence) -> Symptoms:
    disk, wal = os.statvfs(os.path.dirname(seen.path) or "."), seen.file.log_bytes()
    free, wanted = disk.f_bavail * disk.f_frsize, max(FREE_BYTES_MIN, WAL_TIMES * wal)
    if free < wanted:
        yield warning(
            f"{size(free)} are free on its disk, and {size(wanted)} should be: the log takes {size(wal)}",
            "make room: when the disk is full, nothing can be queued, and what has run cannot be noted",
        )
    # Some file systems have no fixed number of inodes, and report 0.
    if disk.f_files and disk.f_favail < FREE_INODES_MIN:
        yield warning(
            f"{many(disk.f_favail, 'inode')} are free on its disk: no more files can be made soon",
            "remove files that nobody needs",
        )
    return f"{size(free)} are free on its disk"


def bloat(seen: Evidence) -> Symptoms:
    pages = seen.file.pages()
    empty = pages.free * pages.page_bytes
    if empty > BLOAT_BYTES_MIN and pages.free > BLOAT_SHARE_MAX * pages.total:
        yield note(
            f"{size(empty)} of the {size(pages.total * pages.page_bytes)} of the file are empty",
            "nothing need be done: new jobs fill it; `vacuum` while no runtime is on it makes the file smaller",
        )
    share = 0.0 if not pages.total else 100.0 * pages.free / pages.total
    yield from late(seen)
    return f"{share:.0f} % of {size(pages.total * pages.page_bytes)} are empty, and what has ended goes in time"


def late(seen: Evidence) -> Iterator[Symptom]:
    """Look whether ended jobs are removed in time."""
    kept = _kept_seconds(seen)
    if not seen.living:
        yield note("no runtime is on the store, so nothing removes what has ended")
        return
    if kept is None:
        yield unknown("no runtime that answers says for how long ended jobs are to be kept")
        return
    for state, at in seen.rows.oldest_ended().items():
        late = seen.at - at - kept[state]
        if late > LATE_SECONDS:
            yield warning(
                f"{state} jobs are to be kept for {span(kept[state])}, and the oldest is {span(late)} older",
                "see in the log of the runtimes why they remove nothing: `lamplighter runtimes list` says who is well",
            )


def _kept_seconds(seen: Evidence) -> dict[JobState, float] | None:
    """How long ended jobs are kept by the runtime that removes them first; None if no runtime has answered."""
    limits = [view.limits for view in seen.views]
    done, dead = ([one[name] for one in limits if name in one] for name in ("keep_done_seconds", "keep_dead_seconds"))
    if not done or not dead:
        return None
    return {JobState.DONE: min(done), JobState.CANCELLED: min(done), JobState.DEAD: min(dead)}
