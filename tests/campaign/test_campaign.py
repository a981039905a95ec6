"""A small share of the campaign, and that its planted bugs are where they were, with the tests that notice them."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache

import pytest
from lamplighter.testing import Simulation
from lamplighter.testing.simulation.faults import LEAP_SECONDS
from mutants import MUTANTS, PAGE, ROOT, SEEDS_MAX
from workload import REACH, keep_firing, scenario

SEEDS = (5, 10)
"""Each of them reaches all of `SOON_REACHED`. tests/whole/campaign runs sixty, in processes of their own."""

SOON_REACHED = ("kill_process", "crash_actor", "commit_unknown", "job.fenced", "runtime.recovered", "turn.recovered")


def test_some_seeds_break_no_promise():
    reached = sum(map(scenario, SEEDS), Counter())

    assert [name for name in SOON_REACHED if not reached[name]] == []
    assert not {name for name in SOON_REACHED if name not in REACH}


def test_what_fires_after_a_clock_has_gone_back_counts():
    """A clock was a year ahead when the campaign began to wait for slots, and all that fired were before that."""

    def register(runtime):
        runtime.jobs.add_handler("tick", lambda job: None)
        runtime.scheduler.add("tick", "* * * * *")

    with Simulation(register) as simulation:
        simulation.run(seconds=90)
        simulation.step_clock(LEAP_SECONDS)
        simulation.run(seconds=1)
        simulation._world.after(1.0, lambda: simulation.step_clock(-LEAP_SECONDS))

        keep_firing(simulation)


@pytest.mark.parametrize("file", sorted({file for mutant in MUTANTS for file, _, _ in mutant.changes}))
def test_the_mutants_of_a_module_find_the_places_where_they_are_planted(file):
    text = (ROOT / file).read_text("utf-8")

    changes = [(one.name, old, new) for one in MUTANTS for where, old, new in one.changes if where == file]
    found = {(name, old): text.count(old) for name, old, _ in changes}

    assert {place: count for place, count in found.items() if count != 1} == {}
    for name, old, new in changes if file.endswith(".py") else ():
        ast.parse(text.replace(old, new), name)


NOTICE = sorted({nodeid.partition("[")[0] for mutant in MUTANTS for nodeid in mutant.test.split()})
"""The tests that notice mutants."""


@cache
def defined_in(path):
    return set(re.findall(r"\b(?:def|class) (\w+)", path.read_text("utf-8")))


@pytest.mark.parametrize("file", sorted({nodeid.partition("::")[0] for nodeid in NOTICE}))
def test_the_tests_that_notice_mutants_are_there(file):
    # What a class takes from the conformance suite stands there.
    suite = (ROOT / "tests" / "support" / "conformance").glob("*.py")
    there = defined_in(ROOT / file).union(*map(defined_in, suite))

    wanted = {name for nodeid in NOTICE if nodeid.partition("::")[0] == file for name in nodeid.split("::")[1:]}

    assert wanted - there == set()


def test_the_page_of_mutants_tells_of_each_that_it_was_caught():
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|", PAGE.read_text("utf-8"), re.MULTILINE)[2:]
    by = {name: caught for _, name, caught in rows}

    assert {(promise, name) for promise, name, _ in rows} == {(mutant.promise, mutant.name) for mutant in MUTANTS}
    assert {mutant.name for mutant in MUTANTS if mutant.test} == {name for name in by if by[name] == "a test"}
    assert all(int(seeds.split()[0]) <= SEEDS_MAX for seeds in by.values() if seeds != "a test")
