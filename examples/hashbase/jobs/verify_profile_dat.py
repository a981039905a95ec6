"""verify-profile-dat: finds out whether a user's profile dat holds that user's proof, and notes it in the user record.

| what is found                                                   | what becomes of the job                       |
|-----------------------------------------------------------------|-----------------------------------------------|
| a good proof                                                    | done; `isProfileDatVerified` is set           |
| dat or proof not (wholly) on this disk                          | fails and is retried: it may still be syncing |
| unknown user, e-mail not verified, not the user's current dat   | dead at once, with the reason                 |
| no proof in the newest version, a bad proof, a damaged archive  | dead at once, with the reason                 |

A flag that was set before is left alone in every case but the first. Whoever changes `profileURL` clears it; trouble
with our copy of a dat is no reason to take away what a user once proved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from lamplighter import Discard, Job
from sqlalchemy import CursorResult, update

from ..dat import BadAddress, Corrupt, NotFound, TooLarge, dat_key, read_file
from ..database import User
from ..host import Host
from ..proofs import PROOF_BYTES_MAX, ProofRejected, check_proof


@dataclass(frozen=True, slots=True)
class VerifyProfile:
    """The job's data.

    Attributes:
        userId: the user whose profile dat is to be verified.
        url: the profile dat, `dat://<key>`.
    """

    userId: str
    url: str


def verify_profile_dat(job: Job[VerifyProfile], host: Host) -> dict[str, str]:
    """Handles one job.

    Returns:
        The user and the key of the verified dat.

    Raises:
        NotLocal: the dat or the proof is not on this disk yet.
        Discard: waiting will not help; the reason says what is wrong.
    """
    user, key = _preconditions(host, job.data)
    path = f"/proofs/{host.config.hostname}"
    try:
        # Outside of any transaction: a disk may be slow, and SQLite has one writer.
        proof = read_file(host.config.archives_dir, job.data.url, path, bytes_max=PROOF_BYTES_MAX)
        check_proof(proof, user_id=user.id, key=key, secret=host.config.secret, algorithm=host.config.algorithm)
    except NotFound as error:
        raise Discard(f"no proof: {error}") from error
    except (ProofRejected, TooLarge) as error:
        raise Discard(f"proof rejected: {error}") from error
    except Corrupt as error:
        raise Discard(f"archive damaged: {error}") from error
    _record(host, user)
    job.log.info("profile.verified", user=user.id, key=key)
    return {"userId": user.id, "key": key}


def _preconditions(host: Host, data: VerifyProfile) -> tuple[User, str]:
    """Checks all that can be said without the archive."""
    with host.database.read() as session:
        user = session.get(User, data.userId)
    if user is None:
        raise Discard(f"unknown user: {data.userId!r:.80}")
    if not user.isEmailVerified:
        raise Discard(f"the e-mail address of user {user.id} is not verified")
    try:
        key = dat_key(data.url)
    except BadAddress as error:
        raise Discard(str(error)) from error
    if user.profileURL is None or not _names(user.profileURL, key):
        raise Discard(f"dat://{key} is not the profile dat of user {user.id}: {user.profileURL!r:.120}")
    return user, key


def _names(url: str, key: str) -> bool:
    try:
        return dat_key(url) == key
    except BadAddress:
        return False


def _record(host: Host, user: User) -> None:
    """Sets the flag, if what was checked still holds: the user may have changed the profile dat while it was read."""
    unchanged = (User.id == user.id, User.profileURL == user.profileURL, User.isEmailVerified.is_(True))
    with host.database.write() as session:
        result = cast(
            "CursorResult[Any]", session.execute(update(User).where(*unchanged).values(isProfileDatVerified=True))
        )
        if result.rowcount == 0:
            raise Discard(f"user {user.id} was changed or deleted while the proof was read")
