"""Which boots on a PostgreSQL have ended for sure: whoever takes a living one for dead has its jobs run twice."""

from __future__ import annotations

import os

import pytest
from lamplighter.stores.postgresql import presence
from lamplighter.stores.postgresql.presence import has_ended, is_gone

HERE, PID = "this start and namespace", 7


@pytest.mark.parametrize(
    ("refusal", "state", "expected"),
    [
        (ProcessLookupError, "alive", True),
        # It is another user's.
        (PermissionError, "alive", False),
        (PermissionError, "gone", False),
        (None, "alive", False),
        (None, "stopped", False),
        # Nobody has waited for it yet.
        (None, "gone", True),
    ],
)
def test_a_process_is_gone_only_if_the_system_says_so(
    monkeypatch: pytest.MonkeyPatch, refusal: type[OSError] | None, state: str, expected: bool
) -> None:
    def kill(pid: int, number: int) -> None:
        assert (pid, number) == (PID, 0)
        if refusal is not None:
            raise refusal

    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(presence, "state_of", lambda pid: state if pid == PID else "gone")

    assert is_gone(PID) is expected


@pytest.mark.parametrize(
    ("machine", "here", "gone", "expected"),
    [
        (None, HERE, False, True),
        (HERE, HERE, True, True),
        (HERE, HERE, False, False),
        ("another", HERE, True, False),
        # Where the system does not tell which machine it is, none is known as this one.
        ("", "", True, False),
        (HERE, "", True, False),
    ],
)
def test_only_here_a_process_that_is_gone_ends_its_boot(
    monkeypatch: pytest.MonkeyPatch, machine: str | None, here: str, gone: bool, expected: bool
) -> None:
    monkeypatch.setattr(presence, "is_gone", lambda pid: gone)

    assert has_ended(PID, machine, here) is expected
