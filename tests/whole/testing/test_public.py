"""The names of the kit, and what each of them needs to be installed."""

from __future__ import annotations

import re
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


NEEDS = [
    ("greenlet", "Simulation"),
    ("greenlet", "Inline"),
    ("hypothesis", "simulations"),
    ("hypothesis", "Choices"),
]


@pytest.mark.parametrize(("missing", "name"), NEEDS)
def test_what_needs_an_extra_says_which_and_how_to_get_it_always_in_the_same_words(missing: str, name: str) -> None:
    ran = run_without([missing], f"from lamplighter.testing import {name}")

    assert ran.returncode == 1
    last = ran.stderr.strip().splitlines()[-1]
    assert re.fullmatch(
        rf"lamplighter\.errors\.MissingExtra: expected {missing} for [a-z ]+, got none installed; "
        r"pip install 'lamplighter\[testing\]'",
        last,
    )


@pytest.mark.parametrize(("missing", "name"), NEEDS)
def test_a_missing_extra_is_a_usage_error_and_an_import_error(missing: str, name: str) -> None:
    code = f"""
from lamplighter import UsageError
for kind in (UsageError, ImportError):
    try:
        from lamplighter.testing import {name}
    except kind:
        print("said")
"""
    ran = run_without([missing], code)

    assert (ran.stdout, ran.stderr) == ("said\nsaid\n", "")
