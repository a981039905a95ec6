"""Proofs of ownership of a profile dat: a JSON Web Token that this service made and the user put into the dat.

The file holds a token over `{id, profileURL}`, signed with the service's own secret. Whoever can publish it in a dat
holds the dat's key; and since only this service can have made it, for that user, the dat is that user's.
"""

from __future__ import annotations

from typing import Any

import jwt

from .dat import BadAddress, dat_key

# A token has some 250 bytes. The file's owner chose its size.
PROOF_BYTES_MAX = 4096

# As Hashbase's verifier (npm's jsonwebtoken): `exp` and `nbf` are honoured, the other registered claims say nothing.
_OPTIONS: Any = {
    "verify_exp": True,
    "verify_nbf": True,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


class ProofRejected(Exception):
    """The proof is not a good one for this user and this dat. The message says why."""


def check_proof(proof: bytes, *, user_id: str, key: str, secret: str, algorithm: str) -> None:
    """Checks a proof strictly; returns when it is good.

    Line ends behind the token are not part of it: editors add them, and a user cannot see why such a proof would be
    refused (npm's jsonwebtoken does). Nothing else around the token is forgiven.

    Args:
        proof: the bytes of `/proofs/<hostname>`.
        user_id: the user that the job is about; claim `id` must be equal.
        key: the key of the dat that the proof was read from; claim `profileURL` must name it. Keys are compared, as
            `dat://<key>` and `dat://<key>/` are the same dat.
        secret: the service's secret.
        algorithm: the only algorithm that is accepted.

    Raises:
        ProofRejected: in every other case.
    """
    if len(proof) > PROOF_BYTES_MAX:
        raise ProofRejected(f"expected at most {PROOF_BYTES_MAX} bytes, got {len(proof)}")
    claims = _claims(proof.rstrip(b"\r\n"), secret, algorithm)
    claimed = claims.get("id")
    if claimed is None:
        raise ProofRejected("claim id is missing")
    if not isinstance(claimed, str) or claimed != user_id:
        raise ProofRejected(f"made for another user: {claimed!r:.80}")
    # Hashbase's code writes profileURL; its page on the dat ownership proof flow says url. Where both are given both
    # must fit: a token that names two dats proves neither.
    named = [name for name in ("profileURL", "url") if claims.get(name) is not None]
    if not named:
        raise ProofRejected("claim profileURL is missing")
    for name in named:
        _check_dat(name, claims[name], key)


def _claims(token: bytes, secret: str, algorithm: str) -> dict[str, Any]:
    try:
        # The list of algorithms is ours. The token's header has no say: alg "none" and other HMACs are refused.
        return jwt.decode(token, secret, algorithms=[algorithm], options=_OPTIONS)
    except jwt.PyJWTError as error:
        raise ProofRejected(f"not a good token: {error}") from error
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        # The header is parsed before anything is verified; nested deeply enough it exhausts the parser.
        raise ProofRejected(f"not a token: {type(error).__name__}") from error


def _check_dat(name: str, url: object, key: str) -> None:
    try:
        claimed: str | None = dat_key(url)
    except BadAddress:
        claimed = None
    if claimed != key:
        raise ProofRejected(f"claim {name} names another dat: {url!r:.100}")
