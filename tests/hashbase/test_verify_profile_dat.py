"""verify-profile-dat: its preconditions, and what becomes of each kind of archive."""

from __future__ import annotations

from typing import Any

import pytest
from dat_cases import BY_NAME, CASES, PROOF, USER_ID, Case
from fake_job import NOW, FakeJob
from hashbase.dat import NotLocal
from hashbase.database import User
from hashbase.host import Host
from hashbase.jobs import VerifyProfile, verify_profile_dat
from lamplighter import Discard


def _add_user(host: Host, case: Case, **fields: Any) -> None:
    record = {"id": USER_ID, "username": "alice", "email": "alice@people.example", "profileURL": case.url}
    record |= {"isEmailVerified": True, "createdAt": int(NOW.timestamp() * 1000)}
    with host.database.write() as session:
        session.add(User(**record | fields))


def _is_verified(host: Host) -> bool:
    with host.database.read() as session:
        user = session.get(User, USER_ID)
    assert user is not None
    return user.isProfileDatVerified


def _run(host: Host, case: Case, user_id: str = USER_ID, url: str | None = None) -> dict[str, str]:
    job: Any = FakeJob(VerifyProfile(userId=user_id, url=case.url if url is None else url))
    return verify_profile_dat(job, host)


GOOD = BY_NAME["a-valid"]


@pytest.mark.parametrize("case", [case for case in CASES if case.read == PROOF], ids=lambda case: case.name)
@pytest.mark.parametrize("before", [False, True], ids=["not verified before", "verified before"])
def test_each_archive_ends_as_its_manifest_says(host: Host, case: Case, before: bool) -> None:
    case.copy_to(host.config.archives_dir)
    _add_user(host, case, isProfileDatVerified=before)

    match case.outcome:
        case "verified":
            assert _run(host, case) == {"userId": USER_ID, "key": case.key}
        case "unavailable":
            with pytest.raises(NotLocal):
                _run(host, case)
        case outcome:
            with pytest.raises(Discard, match={"rejected": "proof rejected: ", "no-proof": "no proof: "}[outcome]):
                _run(host, case)
    assert _is_verified(host) == (case.outcome == "verified" or before)


def test_a_damaged_archive_is_dead_at_once_and_verifies_nobody(host: Host) -> None:
    folder = GOOD.copy_to(host.config.archives_dir)
    _add_user(host, GOOD)
    raw = bytearray((folder / "content/data").read_bytes())
    raw[230170] ^= 1
    (folder / "content/data").write_bytes(raw)

    with pytest.raises(Discard, match="archive damaged: content block 9"):
        _run(host, GOOD)
    assert not _is_verified(host)


def test_an_archive_that_is_not_here_is_retried(host: Host) -> None:
    _add_user(host, GOOD)

    with pytest.raises(NotLocal):
        _run(host, GOOD)
    GOOD.copy_to(host.config.archives_dir)
    _run(host, GOOD)

    assert _is_verified(host)


def test_a_user_without_a_verified_email_is_refused_before_anything_is_read(host: Host) -> None:
    _add_user(host, GOOD, isEmailVerified=False)

    with pytest.raises(Discard, match=f"the e-mail address of user {USER_ID} is not verified"):
        _run(host, GOOD)


def test_an_unknown_user_is_refused(host: Host) -> None:
    with pytest.raises(Discard, match="unknown user: 'nobody'"):
        _run(host, GOOD, user_id="nobody")


@pytest.mark.parametrize("url", ["", "dat://", "../../etc", "dat://" + "g" * 64])
def test_what_is_no_dat_is_refused(host: Host, url: str) -> None:
    _add_user(host, GOOD)

    with pytest.raises(Discard, match="expected a dat URL"):
        _run(host, GOOD, url=url)


@pytest.mark.parametrize("current", [None, "dat://" + "ab" * 32, "dat://alice.hashbase.test", ""])
def test_a_dat_that_is_not_the_users_current_one_is_refused(host: Host, current: str | None) -> None:
    GOOD.copy_to(host.config.archives_dir)
    _add_user(host, GOOD, profileURL=current)

    with pytest.raises(Discard, match="is not the profile dat of user"):
        _run(host, GOOD)
    assert not _is_verified(host)


@pytest.mark.parametrize("current", [GOOD.url + "/", f"dat://{GOOD.key.upper()}"])
def test_spellings_of_one_dat_are_the_same_dat(host: Host, current: str) -> None:
    GOOD.copy_to(host.config.archives_dir)
    _add_user(host, GOOD, profileURL=current)

    _run(host, GOOD)

    assert _is_verified(host)


@pytest.mark.parametrize("change", [{"profileURL": None}, {"isEmailVerified": False}])
def test_a_user_who_changes_while_the_proof_is_read_is_not_verified(
    host: Host, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    GOOD.copy_to(host.config.archives_dir)
    _add_user(host, GOOD)

    def change_user(*_: object, **__: object) -> None:
        with host.database.write() as session:
            user = session.get(User, USER_ID)
            assert user is not None
            for name, value in change.items():
                setattr(user, name, value)

    monkeypatch.setitem(verify_profile_dat.__globals__, "check_proof", change_user)

    with pytest.raises(Discard, match="changed or deleted while"):
        _run(host, GOOD)
    assert not _is_verified(host)


def test_verifying_twice_changes_nothing(host: Host) -> None:
    GOOD.copy_to(host.config.archives_dir)
    _add_user(host, GOOD)

    assert _run(host, GOOD) == _run(host, GOOD)
    assert _is_verified(host)
