"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import tomllib
from pathlib import Path

import lamplighter.testing.simulation.simulation  # noqa: F401 (in-process runs forget what they are the first to import)
import pytest
from lamplighter.testing import plugin

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]

HOST = """
from lamplighter.testing import Faults

def register(runtime):
    @runtime.jobs.handler("work")
    def work(job):
        return job.data
"""


def make(pytester: pytest.Pytester, test: str) -> None:
    pytester.makepyfile(test_host=HOST + test)


def test_a_test_runs_with_each_seed_and_its_simulation_has_begun(pytester: pytest.Pytester) -> None:
    make(
        pytester,
        """
seeds = []

def test_work(lamplighter_sim, lamplighter_seed):
    seeds.append(lamplighter_seed)
    sim = lamplighter_sim(register)
    job = sim.runtime.jobs.queue("work", 7)
    assert sim.runtime.jobs.join(job).result == 7

def test_which():
    assert seeds == [0, 1]
""",
    )

    ran = pytester.runpytest_inprocess("--lamplighter-seeds=2", "-v")

    ran.assert_outcomes(passed=3)
    ran.stdout.fnmatch_lines(["*test_work?seed0? PASSED*", "*test_work?seed1? PASSED*"])


def test_it_runs_with_three_seeds_unless_told_otherwise_and_with_one_if_told(pytester: pytest.Pytester) -> None:
    make(pytester, "def test_work(lamplighter_sim): pass")

    pytester.runpytest_inprocess().assert_outcomes(passed=3)
    one = pytester.runpytest_inprocess("--lamplighter-seed=41", "-v")

    one.assert_outcomes(passed=1)
    one.stdout.fnmatch_lines(["*test_work?seed41? PASSED*"])


def test_the_same_seed_gives_the_same_run(pytester: pytest.Pytester) -> None:
    make(
        pytester,
        """
logs = []

def one(lamplighter_sim):
    sim = lamplighter_sim(register, faults=Faults(crash_actor=0.1))
    sim.runtime.jobs.queue("work")
    sim.run(minutes=5)
    logs.append(sim.log)

def test_work(lamplighter_sim):
    one(lamplighter_sim)

def test_again(lamplighter_sim):
    one(lamplighter_sim)
    assert logs[0] == logs[1] != ""
""",
    )

    pytester.runpytest_inprocess("--lamplighter-seed=5").assert_outcomes(passed=2)


def test_a_failure_says_how_to_repeat_it_and_shows_the_last_of_the_log(pytester: pytest.Pytester) -> None:
    make(
        pytester,
        """
def test_work(lamplighter_sim, lamplighter_seed):
    sim = lamplighter_sim(register)
    sim.runtime.jobs.queue("work", id="order-7")
    assert lamplighter_seed != 1
""",
    )

    ran = pytester.runpytest_inprocess()

    ran.assert_outcomes(passed=2, failed=1)
    ran.stdout.fnmatch_lines(
        [
            "*lamplighter: to repeat*",
            "pytest test_host.py::test_work --lamplighter-seed=1",
            "*of Simulation(register, seed=1)*",
        ]
    )
    ran.stdout.fnmatch_lines(['*"event":"job.queued"*"job_id":"order-7"*'])
    pytester.runpytest_inprocess("test_host.py::test_work", "--lamplighter-seed=1").assert_outcomes(failed=1)


def test_what_the_check_finds_fails_the_test_and_not_its_teardown(pytester: pytest.Pytester) -> None:
    make(
        pytester,
        """
def stuck(runtime):
    @runtime.jobs.handler("work")
    def work(job):
        while True:
            job.sleep(3600)

def test_work(lamplighter_sim):
    lamplighter_sim(stuck).runtime.jobs.queue("work")
""",
    )

    ran = pytester.runpytest_inprocess("--lamplighter-seed=0")

    ran.assert_outcomes(failed=1, errors=0)
    ran.stdout.fnmatch_lines(["*Violation: with seed=0*(work, running)*"])


def test_several_simulations_of_one_test_are_all_checked_and_closed(pytester: pytest.Pytester) -> None:
    make(
        pytester,
        """
made = []

def test_work(lamplighter_sim):
    for processes in (1, 2):
        made.append(lamplighter_sim(register, processes=processes))
        made[-1].runtime.jobs.queue("work")

def test_closed():
    assert [sim._folder.exists() for sim in made] == [False, False]
    assert ['"event":"job.done"' in sim.log for sim in made] == [True, True]
""",
    )

    pytester.runpytest_inprocess("--lamplighter-seed=0").assert_outcomes(passed=2)


def test_a_test_without_the_fixture_is_left_alone(pytester: pytest.Pytester) -> None:
    make(pytester, "def test_work(): assert False")

    ran = pytester.runpytest_inprocess()

    ran.assert_outcomes(failed=1)
    ran.stdout.no_fnmatch_line("*lamplighter:*")


@pytest.mark.parametrize("count", ["0", "-1", "many"])
def test_a_count_that_cannot_be_is_refused(pytester: pytest.Pytester, count: str) -> None:
    ran = pytester.runpytest_inprocess(f"--lamplighter-seeds={count}")

    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines([f"*--lamplighter-seeds: expected how many seeds, 1 or more, got: '{count}'*"])


def test_a_seed_that_is_no_number_is_refused(pytester: pytest.Pytester) -> None:
    ran = pytester.runpytest_inprocess("--lamplighter-seed=x")

    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines(["*--lamplighter-seed: expected a seed, which is a whole number, got: 'x'*"])


def test_a_check_that_fails_is_the_outcome_also_of_a_pluggy_that_cannot_be_told_so() -> None:
    class Outcome:
        _excinfo = None

    outcome, error = Outcome(), ValueError("found")
    plugin._fail(outcome, error)

    assert outcome._excinfo == (ValueError, error, None)


def test_a_test_that_fails_by_itself_is_not_checked_besides(pytester: pytest.Pytester) -> None:
    make(
        pytester,
        """
def test_work(lamplighter_sim):
    lamplighter_sim(register).check = lambda: 1 / 0
    assert False, "its own error"
""",
    )

    ran = pytester.runpytest_inprocess("--lamplighter-seed=0")

    ran.assert_outcomes(failed=1, errors=0)
    ran.stdout.fnmatch_lines(["*AssertionError: its own error*"])
    ran.stdout.no_fnmatch_line("*ZeroDivisionError*")


def test_pytest_finds_it_by_its_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert project["entry-points"]["pytest11"] == {"lamplighter": "lamplighter.testing.plugin"}
