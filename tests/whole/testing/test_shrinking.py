"""Simulations that Hypothesis drives: a failing one shrinks to a run in which little happens."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ...testing.test_shrinking import alone

__all__ = ["alone"]
"""Fixtures that both halves of these tests use."""


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="there Hypothesis traces by sys.monitoring")
def test_a_phase_that_would_hang_is_refused_and_it_is_said_what_to_write() -> None:
    code = """
from hypothesis import given, settings
from lamplighter.testing import simulations

@given(simulations(lambda runtime: None))
@settings(deadline=None, database=None)
def test(sim):
    with sim:
        pass

test()
"""

    # In a process of its own: a failure is what makes Hypothesis trace, and hang.
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert ran.returncode == 1
    assert "UsageError: expected settings(phases=PHASES)" in ran.stderr
