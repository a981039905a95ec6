"""Proofs: compared strictly, and refused with the reason."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from dat_cases import SECRET
from hashbase.proofs import PROOF_BYTES_MAX, ProofRejected, check_proof
from hypothesis import given
from hypothesis import strategies as st

KEY, OTHER_KEY = "ab" * 32, "cd" * 32
USER = "jm2c8r5t1v"
GOOD: dict[str, Any] = {"iat": 1530403200, "id": USER, "profileURL": f"dat://{KEY}"}


def _token(claims: dict[str, Any], secret: str = SECRET, algorithm: str = "HS256") -> bytes:
    return jwt.encode(claims, secret, algorithm=algorithm).encode()


def _check(proof: bytes, user_id: str = USER) -> None:
    check_proof(proof, user_id=user_id, key=KEY, secret=SECRET, algorithm="HS256")


@pytest.mark.parametrize(
    "claims",
    [
        GOOD,
        {**GOOD, "profileURL": f"dat://{KEY}/"},
        {**GOOD, "profileURL": f"dat://{KEY.upper()}"},
        {"id": USER, "url": f"dat://{KEY}"},
        {**GOOD, "url": f"dat://{KEY}/"},
        {**GOOD, "exp": 4102444800},
        {**GOOD, "iat": 4102444800},
        {**GOOD, "aud": "somebody", "iss": "us", "sub": 7},
    ],
)
def test_a_good_proof_is_accepted(claims: dict[str, Any]) -> None:
    _check(_token(claims))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({**GOOD, "id": "zz9"}, "made for another user: 'zz9'"),
        ({**GOOD, "id": USER.upper()}, "made for another user"),
        ({**GOOD, "id": USER + " "}, "made for another user"),
        ({**GOOD, "id": [USER]}, "made for another user"),
        ({**GOOD, "id": None}, "claim id is missing"),
        ({"profileURL": f"dat://{KEY}"}, "claim id is missing"),
        ({"id": USER}, "claim profileURL is missing"),
        ({"id": USER, "profileURL": None}, "claim profileURL is missing"),
        ({**GOOD, "profileURL": f"dat://{OTHER_KEY}"}, "claim profileURL names another dat"),
        ({**GOOD, "profileURL": KEY}, "claim profileURL names another dat"),
        ({**GOOD, "profileURL": f"dat://{KEY}/x"}, "claim profileURL names another dat"),
        ({**GOOD, "profileURL": 7}, "claim profileURL names another dat"),
        ({**GOOD, "profileURL": ""}, "claim profileURL names another dat"),
        ({"id": USER, "url": f"dat://{OTHER_KEY}"}, "claim url names another dat"),
        ({**GOOD, "url": f"dat://{OTHER_KEY}"}, "claim url names another dat"),
        ({**GOOD, "profileURL": f"dat://{OTHER_KEY}", "url": f"dat://{KEY}"}, "claim profileURL names another dat"),
        ({**GOOD, "exp": 1530403260}, "expired"),
        ({**GOOD, "exp": "soon"}, "not a good token"),
        ({**GOOD, "nbf": 4102444800}, "not yet valid"),
    ],
)
def test_any_other_proof_is_rejected_with_the_reason(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(ProofRejected, match=reason):
        _check(_token(claims))


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_the_right_secret_under_another_hmac_is_rejected(algorithm: str) -> None:
    with pytest.raises(ProofRejected, match="alg value is not allowed"):
        _check(jwt.encode(GOOD, SECRET, algorithm=algorithm).encode())


@pytest.mark.parametrize("name", ["none", "None", "NONE", "", None, ["HS256"], {"HS256": 1}])
def test_a_token_does_not_choose_its_algorithm(name: object) -> None:
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"typ": "JWT", "alg": name}, GOOD)
    )

    for signature in (b"", b"AAAA", _token(GOOD).split(b".")[2]):
        with pytest.raises(ProofRejected, match="not a"):
            _check(head + b"." + body + b"." + signature)


def test_another_secret_is_rejected() -> None:
    with pytest.raises(ProofRejected, match="Signature verification failed"):
        _check(_token(GOOD, secret="some-other-secret-marble-ferry-62-tulip-08"))


def test_a_user_without_an_id_is_nobody() -> None:
    with pytest.raises(ProofRejected, match="another user"):
        _check(_token({**GOOD, "id": ""}))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n"])
def test_line_ends_that_an_editor_added_are_no_part_of_the_proof(end: bytes) -> None:
    _check(_token(GOOD) + end)


@pytest.mark.parametrize(
    "around", [(b"\n", b""), (b" ", b""), (b"", b" "), (b"\xef\xbb\xbf", b""), (b"", b"\0"), (b"", b"\nx")]
)
def test_nothing_else_around_the_token_is_forgiven(around: tuple[bytes, bytes]) -> None:
    with pytest.raises(ProofRejected):
        _check(around[0] + _token(GOOD) + around[1])


def test_every_changed_character_is_noticed() -> None:
    token = _token(GOOD)
    for n in range(len(token) - 1):  # the last character has bits that say nothing
        changed = bytearray(token)
        changed[n] = ord("A") if changed[n] != ord("A") else ord("B")

        with pytest.raises(ProofRejected):
            _check(bytes(changed))


def test_a_proof_larger_than_any_token_is_rejected() -> None:
    with pytest.raises(ProofRejected, match=f"at most {PROOF_BYTES_MAX} bytes"):
        _check(b"a" * (PROOF_BYTES_MAX + 1))


def test_a_header_that_exhausts_the_parser_is_rejected() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 2900)

    with pytest.raises(ProofRejected):
        _check(deep + b".e30.AAAA")


@given(
    st.binary(max_size=200) | st.lists(st.binary(max_size=60).map(base64.urlsafe_b64encode), max_size=4).map(b".".join)
)
def test_bytes_of_any_kind_are_rejected_and_never_crash(proof: bytes) -> None:
    with pytest.raises(ProofRejected):
        _check(proof)
