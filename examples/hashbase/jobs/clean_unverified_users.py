"""clean-unverified-users: deletes the records of users who never verified their e-mail address within a day.

Their hosting rows go with them, explicitly: no cascade is relied on. An archive that thereby loses its last user is
listed as dead, so that clean-dead-archives finds it; it would otherwise lie on the disk for ever.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from lamplighter import Job
from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from ..database import DeadArchive, User, UserArchive, is_hosted
from ..host import Host

GRACE = timedelta(days=1)

# A transaction keeps others from writing, so it has a limit; the next batch gives them a turn in between.
BATCH_USERS_MAX = 200


def clean_unverified_users(job: Job[Any], host: Host) -> dict[str, int]:
    """Handles one job. Interrupted and repeated it does the rest: each batch is one transaction.

    Returns:
        How many users were deleted.
    """
    before = host.now_ms() - int(GRACE / timedelta(milliseconds=1))
    deleted = 0
    while not job.cancelled:
        with host.database.write() as session:
            batch = _delete_batch(session, before)
        deleted += batch
        job.progress(deleted)
        if batch < BATCH_USERS_MAX:
            break
    return {"deleted": deleted}


def _delete_batch(session: Session, before: int) -> int:
    """Deletes some users that were created before a time (in ms) and did not verify their e-mail address."""
    overdue = (User.isEmailVerified.is_(False), User.createdAt < before)
    ids = session.scalars(select(User.id).where(*overdue).order_by(User.createdAt).limit(BATCH_USERS_MAX)).all()
    theirs = UserArchive.userId.in_(ids)
    keys = session.scalars(select(UserArchive.archiveKey).where(theirs).distinct()).all()
    session.execute(delete(UserArchive).where(theirs))
    for key in keys:
        if not is_hosted(session, key):
            session.execute(insert(DeadArchive).values(key=key).on_conflict_do_nothing())
    session.execute(delete(User).where(User.id.in_(ids)))
    return len(ids)
