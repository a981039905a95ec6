"""The names of the kit, and what each of them needs to be installed."""

from __future__ import annotations

import subprocess
import sys

import lamplighter.testing
import pytest

EXTRAS = ["greenlet", "hypothesis", "pytest", "apsw"]


def run_without(missing: list[str], code: str) -> subprocess.CompletedProcess[str]:
    blocked = f"import sys; sys.modules.update(dict.fromkeys({missing!r}))\n"
    return subprocess.run([sys.executable, "-c", blocked + code], capture_output=True, text=True, check=False)


def test_every_name_is_there_and_is_what_its_module_has() -> None:
    for name in lamplighter.testing.__all__:
        assert getattr(lamplighter.testing, name).__module__.startswith("lamplighter.testing.")

    assert set(lamplighter.testing.__all__) <= set(dir(lamplighter.testing))


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Simulatoin'"):
        lamplighter.testing.Simulatoin  # noqa: B018


def test_what_needs_no_extra_works_without_any() -> None:
    names = "ManualClock, ManualTime, Script, assert_not_queued, assert_queued, drain, fail, hang, ok, snooze, work"

    ran = run_without(EXTRAS, f"from lamplighter.testing import {names}")

    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(
    ("missing", "name"),
    [
        ("greenlet", "Simulation"),
        ("greenlet", "Inline"),
        ("hypothesis", "simulations"),
        ("apsw", "Disk"),
    ],
)
def test_what_needs_an_extra_says_which_and_how_to_get_it(missing: str, name: str) -> None:
    ran = run_without([missing], f"from lamplighter.testing import {name}")

    assert ran.returncode == 1
    last = ran.stderr.strip().splitlines()[-1]
    assert f"expected {missing}" in last
    assert "pip install" in last
    assert "lamplighter[testing]" in last
