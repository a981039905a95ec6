"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys

import lamplighter.testing.simulation.simulation  # noqa: F401 (in-process runs forget what they are the first to import)
import pytest

from ...testing.test_plugin import make

pytest_plugins = ["pytester"]


def test_the_line_that_repeats_a_parametrized_test_is_one_that_a_shell_takes(pytester: pytest.Pytester) -> None:
    make(
        pytester,
        """
import pytest

@pytest.mark.parametrize("name", ["a b"])
def test_work(lamplighter_sim, name):
    lamplighter_sim(register)
    assert False
""",
    )

    ran = pytester.runpytest_inprocess("--lamplighter-seed=2")

    (line,) = [line for line in ran.outlines if line.startswith("pytest '")]
    again = pytester.run(*(["sh", "-c", f"{sys.executable} -m {line}"]))
    again.assert_outcomes(failed=1)


def test_a_pytest_and_a_pluggy_without_stashes_and_new_wrappers_import_it() -> None:
    code = """
import pytest

def hookimpl(*given, hookwrapper=False, optionalhook=False, tryfirst=False, trylast=False):
    return lambda function: function

for newer in ("StashKey", "Stash", "Parser", "Metafunc", "CallInfo"):
    delattr(pytest, newer)
pytest.hookimpl = hookimpl
import lamplighter.testing.plugin as plugin
print([name for name in dir(plugin) if name.startswith("pytest_")])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ran.stderr == ""
    assert "pytest_pyfunc_call" in ran.stdout


def test_without_greenlet_other_tests_run_and_the_fixture_says_what_to_install(pytester: pytest.Pytester) -> None:
    make(pytester, "def test_work(lamplighter_sim): lamplighter_sim(register)\ndef test_other(): pass")
    pytester.makepyfile(
        test_host=(pytester.path / "test_host.py")
        .read_text()
        .replace("from lamplighter.testing import Faults", "import sys; sys.modules['greenlet'] = None")
    )

    ran = pytester.runpytest_subprocess("--lamplighter-seed=0")

    ran.assert_outcomes(passed=1, failed=1)
    ran.stdout.fnmatch_lines(["*MissingExtra: expected greenlet for simulations*pip install ?lamplighter?testing??*"])


def test_loading_it_imports_nothing_of_the_kit() -> None:
    # Not greenlet: structlog imports that, where it is installed.
    heavy = ["hypothesis", "lamplighter.testing.simulation.virtual_scheduler"]
    code = f"import sys, lamplighter.testing.plugin; print([name for name in {heavy} if name in sys.modules])"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"
