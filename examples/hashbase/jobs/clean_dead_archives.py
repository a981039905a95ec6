"""clean-dead-archives: deletes each archive that is listed as dead and that nobody hosts: record, files, listing.

It may be interrupted at any point and repeated. The order is what makes that safe:

1. Delete the record, in one transaction with the check that nobody hosts the archive.
2. Put the folder aside by a rename, under the write lock and the same check, so that nobody can begin to host it
   between check and rename. A user who came after step 1 keeps the files; one who comes later starts a new copy.
3. Delete what was put aside: slow, without any lock, and out of an archiver's sight.
4. Delete the listing, last: as long as it is there, the next run takes the archive up again.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

from lamplighter import Job
from sqlalchemy import delete, select

from ..dat import BadAddress, folder_of
from ..database import Archive, DeadArchive, is_hosted
from ..host import Host


class NotCleaned(Exception):
    """The file system refused to delete some archives. They are still listed, and a retry takes them up again."""


class Fate(Enum):
    """What became of a listed archive."""

    DELETED = "deleted"
    KEPT = "kept"
    REFUSED = "refused"


def clean_dead_archives(job: Job[Any], host: Host) -> dict[str, int]:
    """Handles one job.

    Returns:
        How many archives were deleted, kept (they gained a user), and refused (the listing is no key).

    Raises:
        NotCleaned: some files could not be deleted; all other archives are done.
    """
    with host.database.read() as session:
        listed = session.scalars(select(DeadArchive.key).order_by(DeadArchive.key)).all()
    counts = {fate.value: 0 for fate in Fate}
    failures: list[str] = []
    for done, key in enumerate(listed):
        if job.cancelled:
            break
        job.progress(done, total=len(listed), note=key[:8])
        try:
            fate = _clean(host, key)
        except BadAddress as error:
            # It would become a path to delete. It stays listed for a person to look at; the others go on.
            job.log.error("dead_archive.refused", reason=str(error))
            fate = Fate.REFUSED
        except OSError as error:
            failures.append(f"{key[:8]}: {error.strerror}")
            continue
        counts[fate.value] += 1
    if failures:
        raise NotCleaned(f"{len(failures)} of {len(listed)} archives could not be deleted, first {failures[0]}")
    return counts


def _clean(host: Host, key: str) -> Fate:
    folder = folder_of(host.config.archives_dir, key)
    # In the same folder, so that the rename is atomic wherever that folder lies; and no archive has such a name.
    aside = folder.with_name(f".dead-{folder.name}")
    _delete_tree(aside)  # what an interrupted run left
    fate = _delete_record(host, key)
    if fate is Fate.DELETED:
        fate = _put_aside(host, key, folder, aside)
    _delete_tree(aside)
    _delete_listing(host, key)
    return fate


def _delete_record(host: Host, key: str) -> Fate:
    with host.database.write() as session:
        if is_hosted(session, key):
            return Fate.KEPT
        session.execute(delete(Archive).where(Archive.key == key))
    return Fate.DELETED


def _put_aside(host: Host, key: str, folder: Path, aside: Path) -> Fate:
    with host.database.write() as session:
        if is_hosted(session, key):
            return Fate.KEPT
        with suppress(FileNotFoundError):  # an earlier run came this far, or nothing was ever received
            folder.rename(aside)
    return Fate.DELETED


def _delete_tree(path: Path) -> None:
    """Deletes a folder; of a link only the link, whatever it points at."""
    with suppress(FileNotFoundError):
        if path.is_symlink() or path.is_file():
            path.unlink()
        else:
            shutil.rmtree(path)


def _delete_listing(host: Host, key: str) -> None:
    with host.database.write() as session:
        # The archive may have found a user and lost it again meanwhile: then it is dead anew, and stays listed.
        if session.get(Archive, key) is not None and not is_hosted(session, key):
            return
        session.execute(delete(DeadArchive).where(DeadArchive.key == key))
